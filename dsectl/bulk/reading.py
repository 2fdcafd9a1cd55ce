"""The lines of a file or of a pipe, read beside whatever else its loop does, in bounded memory."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

from cluster.errors import Usage

CHUNK_BYTES = 256 * 1024
LOOK_S = 0.1
"""How often a pipe that brings nothing looks whether it shall end."""
HELP = "FILE is a file of JSON lines; `-` is standard input."

Line = tuple[int, bytes | None]
"""Its number, from 1, and what it holds without its end; None when that is more than may be read."""


async def read_lines(descriptor: int, line_bytes_max: int, is_stopped: Callable[[], bool]) -> AsyncIterator[Line]:
    """All lines, until the end or until it is stopped. Raises Usage for what cannot be read."""
    number, rest, too_long = 0, b"", False
    while not is_stopped():
        if not await _is_readable(descriptor):
            continue
        try:
            chunk = os.read(descriptor, CHUNK_BYTES)
        except OSError as error:
            raise Usage(f"cannot read the lines: {error.strerror}", help=HELP) from None
        *lines, rest = (rest + chunk).split(b"\n") if chunk else ([rest] if rest or too_long else []) + [b""]
        for line in lines:
            number += 1
            if is_stopped():
                return
            yield number, None if too_long else line
            too_long = False
        if not chunk:
            return
        if len(rest) > line_bytes_max:
            rest, too_long = b"", True


async def _is_readable(descriptor: int) -> bool:
    """Whether bytes, or the end, are there; waits a moment for them. A file has them, and cannot be waited for."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except OSError:
        return True
    try:
        await asyncio.wait_for(ready.wait(), LOOK_S)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True
