"""`COMMAND | rest of the line`: the command's JSON as it comes, to a command line of sh."""

import subprocess
import sys
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import IO, TextIO, cast

Invoke = Callable[[TextIO], int]
BROKEN_PIPE = 141


def pipe(command_line: str, invoke: Invoke, out: TextIO) -> int:
    """Run both; returns the exit code of the last that failed, as a shell with `pipefail` does.

    `invoke` writes to the stream that it is given. A reader that leaves early ends it quietly. What sh prints goes to
    the terminal itself where `out` is that, and else to `out` at the end.
    """
    out.flush()
    if out is sys.stdout:
        return _run(command_line, invoke, None)
    with TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as file:
        try:
            return _run(command_line, invoke, file)
        finally:
            file.seek(0)
            out.write(file.read())


def _run(command_line: str, invoke: Invoke, stdout: IO[str] | None) -> int:
    reader = subprocess.Popen(
        ["sh", "-c", command_line], stdin=subprocess.PIPE, stdout=stdout, encoding="utf-8", errors="backslashreplace"
    )
    assert reader.stdin is not None
    code = 0
    try:
        code = invoke(cast(TextIO, reader.stdin))
        _close(reader.stdin)
        _wait(reader)
    except BaseException:  # the shell is told to end
        reader.terminate()
        raise
    finally:
        _close(reader.stdin)
        reader.wait()
    if reader.returncode:
        return reader.returncode if reader.returncode > 0 else 128 - reader.returncode  # as sh says it of a signal
    return 0 if code == BROKEN_PIPE else code


def _close(stdin: IO[str]) -> None:
    try:
        stdin.close()
    except BrokenPipeError:
        pass


def _wait(reader: "subprocess.Popen[str]") -> None:
    """Ctrl-C reaches the reader, too, and it may have its own mind about it; the second one ends it."""
    try:
        reader.wait()
    except KeyboardInterrupt:
        reader.wait()
