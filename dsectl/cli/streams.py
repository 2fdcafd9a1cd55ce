"""The three streams of the process, made fit to be used whatever the caller did with them.

A stream may be closed (`>&-`), full (`> /dev/full`), of the wrong direction, or not blocking. A closed descriptor is
taken by one that refuses every read or write, else the next file that is opened would get its number, and a message its
content. Data that cannot be written is an error with one line on stderr; messages that cannot be written are dropped,
since there is nobody left to tell.
"""

import io
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from cluster.errors import Usage

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT, STDERR = 0, 1, 2


class OutputLost(OSError):
    """What was printed could not be written; what the command did is done."""


class DataStream(io.FileIO):
    """A descriptor for data: a reader that is gone is a broken pipe, any other failure is OutputLost."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some of it."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputLost(error.errno, error.strerror) from None


class MessageStream(io.FileIO):
    """A descriptor for messages: what cannot be written is dropped."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some of it, or take all of it for written."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Replace the streams of this process."""
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            if not os.get_blocking(descriptor):
                os.set_blocking(descriptor, True)  # whoever shares it may have changed it: a write must not be cut off
        except OSError:  # closed: its number, the lowest that is free, is taken in the direction that it is not used in
            taken = os.open(os.devnull, os.O_WRONLY if descriptor == STDIN else os.O_RDONLY)
            if taken != descriptor:
                os.dup2(taken, descriptor)
                os.close(taken)
            os.set_inheritable(descriptor, True)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(STDIN, closefd=False)), errors="surrogateescape")
    sys.stdout = text_stream(DataStream(STDOUT, "w", closefd=False), sys.stdout)
    sys.stderr = text_stream(MessageStream(STDERR, "w", closefd=False), sys.stderr)
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[attr-defined]


def text_stream(raw: io.FileIO, former: TextIO | None = None) -> TextIO:
    """A stream of text on `raw`, in which no character fails to be written."""
    encoding = None if former is None else former.encoding
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=raw.isatty())


def drop_output() -> None:
    """What is still written to standard output goes nowhere, instead of failing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
    os.close(nowhere)


def read_input(bytes_max: int) -> bytes:
    """Standard input up to its end, but no more than one byte over `bytes_max`. Raises Usage."""
    try:
        return sys.stdin.buffer.read(bytes_max + 1)
    except OSError as error:
        raise Usage(f"cannot read standard input: {error.strerror}") from None


def ask(prompt: str, stream: TextIO) -> str:
    """The line that is typed behind `prompt`, which is shown again when a process that was stopped goes on (Ctrl-Z and
    `fg`); empty at the end of input."""

    def show(*_: object) -> None:
        stream.write(prompt)
        stream.flush()

    before = None
    with suppress(ValueError):  # only the main thread handles signals, and a job of the shell is another one
        before = signal.signal(signal.SIGCONT, show)
    try:
        show()
        return sys.stdin.readline()
    finally:
        if before is not None:
            signal.signal(signal.SIGCONT, before)
