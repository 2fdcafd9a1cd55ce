"""`COMMAND | rest of the line`: the command's JSON as it comes, to a command line of sh."""

import subprocess
import sys
from collections.abc import Callable
from typing import TextIO, cast

Invoke = Callable[[TextIO], int]


def pipe(command_line: str, invoke: Invoke, out: TextIO) -> int:
    """Run both; returns the exit code of the last that failed, as a shell with `pipefail` does.

    `invoke` writes to the stream that it is given. A reader that leaves early ends it quietly. What sh prints goes to
    `out`, or to the terminal itself where `out` is that.
    """
    out.flush()
    direct = out is sys.stdout
    reader = subprocess.Popen(
        ["sh", "-c", command_line], stdin=subprocess.PIPE, stdout=None if direct else subprocess.PIPE, text=True
    )
    assert reader.stdin is not None
    code = 0
    try:
        code = invoke(cast(TextIO, reader.stdin))
        reader.stdin.close()
    except BrokenPipeError:
        pass
    finally:
        told = _rest(reader)
    if told:
        out.write(told)
    return reader.returncode or (0 if code == BROKEN_PIPE else code)


BROKEN_PIPE = 141


def _rest(reader: "subprocess.Popen[str]") -> str:
    """Wait for the reader; what it printed, if that is caught."""
    assert reader.stdin is not None
    try:
        if not reader.stdin.closed:
            reader.stdin.close()
    except BrokenPipeError:
        pass
    told = reader.stdout.read() if reader.stdout is not None else ""
    while True:
        try:
            reader.wait()
            break
        except KeyboardInterrupt:  # the terminal has told it, too: it ends by itself
            continue
    if reader.stdout is not None:
        reader.stdout.close()
    return told
