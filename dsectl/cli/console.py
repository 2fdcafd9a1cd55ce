"""Where an invocation writes: data on stdout, messages on stderr, both given, so that a recipe can catch them.

Under --json there is one JSON value on stdout (one a line for those that go on), and an error is its last line.
"""

import os
from functools import cached_property
from typing import Any, TextIO

from msgspec import json

from cluster.errors import ClusterError
from dsectl.cli.declaration import Answer, Lines
from dsectl.cli.options import Options
from dsectl.ui.text import Paint, shown, wrapped

HANG = 6
"""Columns before the lines that an error goes on with."""


class Console:
    """The two streams, and how they are written to."""

    def __init__(self, out: TextIO, err: TextIO, options: Options) -> None:
        self.out = out
        self.err = err
        self.options = options

    @cached_property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return _is_terminal(self.out)

    @cached_property
    def shows_progress(self) -> bool:
        """Whether stderr may be animated."""
        return _is_terminal(self.err) and not _is_dumb() and not self.options.quiet and not self.options.json

    @cached_property
    def paint(self) -> Paint:
        """Colour for stdout."""
        return Paint(_has_colour(self.out))

    @cached_property
    def paint_err(self) -> Paint:
        """Colour for stderr."""
        return Paint(_has_colour(self.err))

    @cached_property
    def is_screen(self) -> bool:
        """Whether stdout is a terminal on which a picture can be redrawn."""
        return self.is_terminal and not _is_dumb()

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Columns and rows of the terminal; None off one, and where it does not say."""
        return columns_and_rows(self.out)

    @property
    def columns(self) -> int | None:
        """The width of the terminal, as of `size`."""
        return self.size[0]

    # -- data

    def answer(self, answer: Answer) -> int:
        """Print what a command came to, as JSON or for people; returns its exit code."""
        if not self.options.json:
            answer.view(self)
        elif isinstance(answer.value, Lines):
            for value in answer.value:
                self.value(value)
        else:
            self.value(answer.value)
        return answer.code

    def value(self, value: Any) -> None:
        """One JSON value on a line of its own."""
        self.bytes(json.encode(value) + b"\n")  # UTF-8 whatever the locale says: RFC 8259

    def lines(self, lines: list[str]) -> None:
        """Lines for people, escaped already where they hold what others wrote."""
        self.out.write("".join(line + "\n" for line in lines))

    def line(self, text: str) -> None:
        """One such line."""
        self.out.write(text + "\n")

    def bytes(self, data: bytes) -> None:
        """Bytes as they are."""
        buffer = getattr(self.out, "buffer", None)
        if buffer is None:
            self.out.write(data.decode(errors="surrogateescape"))
            return
        self.out.flush()
        buffer.write(data)

    def flush(self) -> None:
        """What was written is seen now."""
        self.out.flush()

    def check_reader(self) -> None:
        """Raise BrokenPipeError when nobody will read what is written: whoever follows something quiet would otherwise
        stay behind for ever."""
        import select

        try:
            descriptor = self.out.fileno()
        except (OSError, ValueError):  # a buffer, or closed
            return
        poller = select.poll()
        poller.register(descriptor, 0)
        if any(events & (select.POLLERR | select.POLLNVAL) for _, events in poller.poll(0)):
            raise BrokenPipeError

    # -- messages

    def note(self, text: str) -> None:
        """A message on stderr, behind what was printed before it; `--quiet` silences it."""
        if not self.options.quiet:
            self.out.flush()  # where both go to one file, it reads as on a terminal
            columns = columns_and_rows(self.err)[0]
            self.err.write("".join(part + "\n" for line in text.split("\n") for part in wrapped(line, columns)))
            self.err.flush()

    def progress(self, text: str) -> None:
        """Replace the line of progress; an empty text ends it. Nothing off a terminal."""
        if self.shows_progress:
            self.err.write(f"\r\x1b[2K{text}")
            self.err.flush()

    def lost(self, error: OSError) -> None:
        """Say on stderr that stdout could not be written."""
        self.err.write(f"{self.paint_err('error:', 'bad')} cannot write to standard output: {error.strerror}\n")
        self.err.flush()

    def error(self, error: ClusterError) -> None:
        """Tell why it failed: the last line of stdout under --json, else on stderr."""
        if self.options.json:
            self.value(_sound({"error": error.to_dict(), **error.detail}))
            return
        lines = [f"{self.paint_err('error:', 'bad')} {shown(error.message)}"]
        lines += [f"{self.paint_err('help:', 'name')} {shown(line)}" for line in error.help.splitlines()]
        columns = columns_and_rows(self.err)[0]
        try:
            self.out.flush()
        finally:
            self.err.write("".join(part + "\n" for line in lines for part in wrapped(line, columns, HANG)))
            self.err.flush()


def _sound(value: Any) -> Any:
    """`value` with text that can be written as UTF-8, and nothing that JSON has no word for."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, dict):
        return {_sound(str(name)): _sound(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(one) for one in value]
    return value if isinstance(value, int | float | None) else str(value)


def columns_and_rows(stream: TextIO) -> tuple[int | None, int | None]:
    """Of the terminal that the stream is; None off one, and where it does not say."""
    if not _is_terminal(stream):
        return None, None
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return None, None
    return columns or None, rows or None


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _has_colour(stream: TextIO) -> bool:
    """NO_COLOR (https://no-color.org) and FORCE_COLOR count when they are not empty; NO_COLOR wins."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return _is_terminal(stream) and not _is_dumb()


def _is_dumb() -> bool:
    """Whether the terminal has no cursor that moves, or does not say what it has."""
    return os.environ.get("TERM", "") in ("", "dumb")
