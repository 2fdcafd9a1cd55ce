"""Values on the command line and on the terminal: bytes in, bytes out, and what people see of them."""

import os
import sys
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any

from cluster.errors import Usage
from dsectl.ui.text import shown

if TYPE_CHECKING:
    from dsectl.cli.console import Console

JSON_STARTS = (b"{", b"[")


def read_value(text: str, literal: bool = False) -> bytes:
    """The bytes that a VALUE means: `-` is standard input, `@FILE` a file, unless `literal`. Raises Usage."""
    if literal or not text.startswith(("-", "@")):
        return os.fsencode(text)
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            with open(text[1:], "rb") as file:
                return file.read()
        except OSError as error:
            raise Usage(
                f"cannot read {text[1:]!r}: {error.strerror}",
                help=f"A value that begins with @ names a file; --literal stores {text!r} itself.",
            ) from None
    return os.fsencode(text)


def check_text(text: str, what: str) -> str:
    """`text`, which names something in a cluster and so must be UTF-8. Raises Usage."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Usage(f"the {what} is not valid UTF-8", help="Values may be any bytes; names are text.") from None
    return text


def as_json(data: bytes) -> Any:
    """A value in JSON: text, or `{"base64": …}` where it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b2a_base64(data, newline=False).decode()}


def show_value(data: bytes, console: "Console") -> None:
    """A value for people: text as text, JSON laid out on a terminal, other bytes escaped; `--raw` the bytes alone.

    On a terminal what it would obey is escaped; off one text is passed on as it is.
    """
    if console.options.raw:
        console.bytes(data)
        return
    try:
        text = data.decode()
    except UnicodeDecodeError:
        console.line(shown(data.decode(errors="backslashreplace")))
        console.note(f"note: {len(data)} bytes that are not text; --raw writes them as they are")
        return
    if console.is_terminal:
        text = shown(_laid_out(data) or text, lines=True)
    console.line(text.removesuffix("\n"))


def one_line(data: bytes) -> str:
    """A value on one line, everything else escaped."""
    return shown(data.decode(errors="backslashreplace"))


def _laid_out(data: bytes) -> str | None:
    """JSON with line breaks and indents; None for what is no JSON object or list."""
    if not data.lstrip().startswith(JSON_STARTS):
        return None
    from msgspec import DecodeError, json

    try:
        json.decode(data)
        return json.format(data, indent=2).decode()
    except DecodeError:
        return None
