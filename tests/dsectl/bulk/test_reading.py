"""Lines out of files and pipes, with their numbers, in bounded memory."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.errors import Usage
from dsectl.bulk.reading import CHUNK_BYTES, Line, read_lines


def read(descriptor: int, longest: int = 1 << 20, is_stopped: Callable[[], bool] = lambda: False) -> list[Line]:
    async def all_lines() -> list[Line]:
        return [line async for line in read_lines(descriptor, longest, is_stopped)]

    return asyncio.run(all_lines())


def piped(data: bytes) -> int:
    """The reading end of a pipe that brings `data`, and ends."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


@pytest.fixture(params=["file", "pipe"])
def bring(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], int]:
    def file(data: bytes) -> int:
        (tmp_path / "lines").write_bytes(data)
        return os.open(tmp_path / "lines", os.O_RDONLY)

    return file if request.param == "file" else piped


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a\nb\n", [(1, b"a"), (2, b"b")]),
        (b"a\n\nb", [(1, b"a"), (2, b""), (3, b"b")]),
    ],
)
def test_lines_and_their_numbers(bring: Callable[[bytes], int], data: bytes, lines: list[Line]) -> None:
    assert read(bring(data)) == lines


def test_lines_longer_than_a_chunk(tmp_path: Path) -> None:
    long = b"x" * (2 * CHUNK_BYTES)
    (tmp_path / "lines").write_bytes(b"a\n" + long + b"\nb\n" + long)
    descriptor = os.open(tmp_path / "lines", os.O_RDONLY)
    assert read(descriptor, 3 * CHUNK_BYTES) == [(1, b"a"), (2, long), (3, b"b"), (4, long)]
    os.lseek(descriptor, 0, os.SEEK_SET)
    assert read(descriptor, CHUNK_BYTES) == [(1, b"a"), (2, None), (3, b"b"), (4, None)]


def test_a_pipe_that_brings_nothing_is_left_when_it_is_stopped() -> None:
    reading, writing = os.pipe()
    looks = 0

    def is_stopped() -> bool:
        nonlocal looks
        looks += 1
        return looks > 3

    os.write(writing, b"half a line")
    assert read(reading, is_stopped=is_stopped) == []
    os.close(writing)
    os.close(reading)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="cannot read the lines: Is a directory"):
        read(os.open(tmp_path, os.O_RDONLY))


def test_the_null_device() -> None:
    assert read(os.open(os.devnull, os.O_RDONLY)) == []
