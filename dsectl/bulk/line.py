"""One key as a line of JSON: `{"key": "cart", "value": "book"}`, or `siblings`, a list, where it has several values; a
counter is `{"key": "visitors", "number": 34}`, a set `{"key": "basket", "items": ["ink", "pen"]}`.

Text is a JSON string, other bytes are `{"base64": "AAE="}`. Other fields are passed over, so that what `get --json`
printed is such a line, too.
"""

import codecs
import os
from binascii import Error, a2b_base64
from collections.abc import Sequence
from typing import Any, BinaryIO

from msgspec import DecodeError, Struct, ValidationError, json

from cluster.errors import TooLarge, Usage
from cluster.limits import COUNTER_MAX, ITEMS_MAX, KEY_BYTES_MAX, OBJECT_BYTES_MAX, SIBLINGS_MAX, VALUE_BYTES_MAX
from dsectl.cli.values import as_json

LINE_BYTES_MAX = 6 * OBJECT_BYTES_MAX
"""JSON may write a byte as six characters: `\\u0000`."""
TAIL_BYTES = 64 * 1024
HELP = (
    'A line is {"key": "cart", "value": "book"}; several values are "siblings": ["book", "pen"], a counter is '
    '"number": 34, a set "items": ["ink", "pen"], bytes that are not text {"base64": "AAE="}.'
)


class _Bytes(Struct, forbid_unknown_fields=True):
    base64: str


class _LineFields(Struct):
    key: str
    value: str | _Bytes | None = None
    siblings: list[str | _Bytes] | None = None
    number: int | None = None
    items: list[str | _Bytes] | None = None
    kind: str = ""


VALUE, COUNTER, SET = "", "counter", "set"
"""The kinds of keys, as reads name them."""


class KeyLine(Struct):
    """A key and all that it holds: values, the number of a counter as text, or the items of a set."""

    number: int
    """Of the line, from 1."""
    key: str
    kind: str
    values: list[bytes]
    size: int
    """Of the line, in bytes."""


_decoder = json.Decoder(_LineFields)


def parse_line(number: int, data: bytes | None) -> KeyLine:
    """The key and the values of a line; None stands for one that is too long to be read. Raises Usage."""
    if data is None:
        raise TooLarge(f"the line has more than {LINE_BYTES_MAX} bytes")
    try:
        row = _decoder.decode(data.removeprefix(codecs.BOM_UTF8))  # some editors put one before the first line
    except ValidationError as error:
        raise Usage(f"not a key and its value: {str(error)[:1].lower()}{str(error)[1:]}", help=HELP) from None
    except (DecodeError, UnicodeError, RecursionError) as error:
        raise Usage(f"not JSON: {error}", help=HELP) from None
    if row.siblings == [row.value]:
        row.siblings = None  # as `get` shows the one value
    if row.kind == COUNTER and isinstance(row.value, str) and row.value.removeprefix("-").isdecimal():
        row.number, row.value = int(row.value), None
    shown = [row.value, row.siblings or None, row.number, row.items or None]
    if len(shown) - shown.count(None) != 1:
        raise Usage("one of `value`, `siblings`, `number` and `items` must be given", help=HELP)
    kind = COUNTER if row.number is not None else SET if row.items else VALUE
    given = row.items or row.siblings or [row.value if row.value is not None else str(row.number)]
    if not row.key:
        raise Usage("a key has at least one character", help=HELP)
    if len(row.key.encode()) > KEY_BYTES_MAX:
        raise TooLarge(f"the key has {len(row.key.encode())} bytes; {KEY_BYTES_MAX} are allowed")
    if abs(row.number or 0) > COUNTER_MAX:
        raise Usage(f"a counter counts whole numbers of 64 bits, not {row.number}", help=HELP)
    count_max, what = (ITEMS_MAX, "items") if kind == SET else (SIBLINGS_MAX, "siblings")
    if len(given) > count_max:
        raise TooLarge(f"{len(given)} {what}; {count_max} are allowed")
    try:
        values = [one.encode() if isinstance(one, str) else a2b_base64(one.base64, strict_mode=True) for one in given]
    except (Error, ValueError) as error:
        raise Usage(f"not base64: {str(error)[:1].lower()}{str(error)[1:]}", help=HELP) from None
    if (longest := max(map(len, values))) > VALUE_BYTES_MAX:
        raise TooLarge(f"the value has {longest} bytes; {VALUE_BYTES_MAX} are allowed")
    return KeyLine(number, row.key, kind, values, len(data))


def format_line(key: str, values: Sequence[bytes], kind: str = VALUE) -> bytes:
    """The line of a key, with its end."""
    shown: Any = [as_json(value) for value in values]
    if kind == SET:
        name = "items"
    elif kind == COUNTER:
        name, shown = "number", int(values[0])
    elif len(shown) == 1:
        name, shown = "value", shown[0]
    else:
        name = "siblings"
    return json.encode({"key": key, name: shown}) + b"\n"


def cut_after_last(file: BinaryIO) -> str:
    """Cut a file of lines behind its last whole one, and return the key of that; empty when there is none. Raises Usage
    when it is not the line of a key."""
    end = file.seek(0, os.SEEK_END)
    tail, step = b"", TAIL_BYTES
    while len(tail) < end and tail.count(b"\n") < 2:
        file.seek(max(0, end - step))
        tail, step = file.read(), 2 * step
    whole = tail.rfind(b"\n") + 1
    key = parse_line(0, tail[:whole].splitlines()[-1]).key if whole else ""
    file.seek(end - len(tail) + whole)
    file.truncate()
    return key
