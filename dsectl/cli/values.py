"""Values on the command line and on the terminal: bytes in, bytes out, and what people see of them."""

import os
import stat
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any

from cluster.errors import TooLarge, Usage
from cluster.limits import VALUE_BYTES_MAX
from dsectl.cli.streams import read_input
from dsectl.ui.text import shown

if TYPE_CHECKING:
    from dsectl.cli.console import Console

JSON_STARTS = ("{", "[")
FIFO_WAIT_S = 5.0
"""How long a FIFO may have no writer, before whoever reads it has surely forgotten to start one."""


def read_value(text: str, literal: bool = False) -> bytes:
    """The bytes that a VALUE means: `-` is standard input, `@FILE` a file, unless `literal`. Raises Usage."""
    if literal or (text != "-" and not text.startswith("@")):
        return os.fsencode(text)
    source = "standard input" if text == "-" else repr(text[1:])
    data = read_input(VALUE_BYTES_MAX) if text == "-" else _read_file(text)
    if len(data) > VALUE_BYTES_MAX:
        raise TooLarge(f"{source} holds more than the {VALUE_BYTES_MAX} bytes that a value may have")
    return data


def _read_file(text: str) -> bytes:
    """The file behind an `@`, no more of it than tells that it is too large. A FIFO is read if somebody has opened it
    for writing, or does so soon: `@<(command)` names one."""
    name = text[1:]
    try:
        with open(name, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            descriptor = file.fileno()
            begun = _first_byte(descriptor, name) if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else b""
            os.set_blocking(descriptor, True)
            return begun + file.read(VALUE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Usage(
            f"cannot read {name!r}: {reason}",
            help=f"A value that begins with @ names a file; --literal stores {text!r} itself.",
        ) from None


def _first_byte(descriptor: int, name: str) -> bytes:
    """What a FIFO begins with, or nothing yet when somebody has it open. Raises Usage when nobody comes to write."""
    import select

    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    came = poller.poll(FIFO_WAIT_S * 1000)
    try:
        begun = os.read(descriptor, 1)
    except BlockingIOError:
        return b""
    if not begun and not came:
        raise Usage(f"nobody writes to {name!r}, which is a FIFO", help="Start first what writes to it.")
    return begun


def check_text(text: str, what: str) -> str:
    """`text`, which names something in a cluster and so must be UTF-8, whatever the locale says. Raises Usage."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        pass
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        raise Usage(f"the {what} is not valid UTF-8", help="Values may be any bytes; names are text.") from None


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
        what = "1 byte that is not text" if len(data) == 1 else f"{len(data)} bytes that are not text"
        console.note(f"note: {what}; --raw writes {'it as it is' if len(data) == 1 else 'them as they are'}")
        return
    if console.is_terminal:
        if text.lstrip().startswith(JSON_STARTS):
            from msgspec import DecodeError, json

            try:
                json.decode(data)
                text = json.format(data, indent=2).decode()
            except (DecodeError, RecursionError):
                pass
        text = shown(text, lines=True)
    console.line(text.removesuffix("\n"))


def one_line(data: bytes) -> str:
    """A value on one line, everything else escaped."""
    return shown(data.decode(errors="backslashreplace"))


def note_late(late: list[str], console: "Console") -> None:
    """A note of the nodes that have not taken over what was decided, if there are any."""
    if late:
        console.note(f"note: not taken over yet by {', '.join(late)}, which will when it answers again")
