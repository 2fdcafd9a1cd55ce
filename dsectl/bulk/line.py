"""One key as a line of JSON: `{"key": "cart", "value": "book"}`, or `siblings`, a list, where it has several values.

Text is a JSON string, other bytes are `{"base64": "AAE="}`. Other fields are passed over, so that what `get --json`
printed is such a line, too.
"""

import os
from binascii import Error, a2b_base64
from collections.abc import Sequence
from typing import BinaryIO

from msgspec import DecodeError, Struct, ValidationError, json

from cluster.errors import TooLarge, Usage
from cluster.limits import KEY_BYTES_MAX, OBJECT_BYTES_MAX, SIBLINGS_MAX, VALUE_BYTES_MAX
from dsectl.cli.values import as_json

LINE_BYTES_MAX = 6 * OBJECT_BYTES_MAX
"""JSON may write a byte as six characters: `\\u0000`."""
TAIL_BYTES = 64 * 1024
HELP = (
    'A line is {"key": "cart", "value": "book"}; several values are "siblings": ["book", "pen"], bytes that are not '
    'text {"base64": "AAE="}.'
)


class _Bytes(Struct, forbid_unknown_fields=True):
    base64: str


class _LineFields(Struct):
    key: str
    value: str | _Bytes | None = None
    siblings: list[str | _Bytes] | None = None


class KeyLine(Struct):
    """A key and all its values."""

    number: int
    """Of the line, from 1."""
    key: str
    values: list[bytes]
    size: int
    """Of the line, in bytes."""


_decoder = json.Decoder(_LineFields)


def parse_line(number: int, data: bytes | None) -> KeyLine:
    """The key and the values of a line; None stands for one that is too long to be read. Raises Usage."""
    if data is None:
        raise TooLarge(f"the line has more than {LINE_BYTES_MAX} bytes")
    try:
        row = _decoder.decode(data)
    except ValidationError as error:
        raise Usage(f"not a key and its value: {str(error)[:1].lower()}{str(error)[1:]}", help=HELP) from None
    except (DecodeError, UnicodeError, RecursionError) as error:
        raise Usage(f"not JSON: {error}", help=HELP) from None
    given = [row.value] if row.value is not None else row.siblings or []
    if not given or (row.value is not None and row.siblings not in (None, [], [row.value])):
        raise Usage("either `value` or `siblings` must be given", help=HELP)
    if not row.key:
        raise Usage("a key has at least one character", help=HELP)
    if len(row.key.encode()) > KEY_BYTES_MAX:
        raise TooLarge(f"the key has {len(row.key.encode())} bytes; {KEY_BYTES_MAX} are allowed")
    if len(given) > SIBLINGS_MAX:
        raise TooLarge(f"{len(given)} siblings; {SIBLINGS_MAX} are allowed")
    try:
        values = [one.encode() if isinstance(one, str) else a2b_base64(one.base64, strict_mode=True) for one in given]
    except (Error, ValueError) as error:
        raise Usage(f"not base64: {str(error)[:1].lower()}{str(error)[1:]}", help=HELP) from None
    if (longest := max(map(len, values))) > VALUE_BYTES_MAX:
        raise TooLarge(f"the value has {longest} bytes; {VALUE_BYTES_MAX} are allowed")
    return KeyLine(number, row.key, values, len(data))


def format_line(key: str, values: Sequence[bytes]) -> bytes:
    """The line of a key, with its end."""
    shown = [as_json(value) for value in values]
    return json.encode({"key": key, "value": shown[0]} if len(shown) == 1 else {"key": key, "siblings": shown}) + b"\n"


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
