"""`logs`: what nodes wrote to their logs, followed across restarts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from cluster.errors import Usage
from dsectl.cli.declaration import FOLLOW, Answer, Lines, command
from dsectl.cli.invocation import current
from dsectl.ui.text import shown

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console

FOLLOW_S = 0.1
"""How often a followed log is looked at: below what a reader notices."""
READ_BYTES_MAX = 1024 * 1024
"""A later look takes no more of a file at a time; the rest comes with the next."""
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class LogLine(NamedTuple):
    """One line of a node. `at` is its time, or for one without that of the line above it."""

    at: str
    node: str
    text: str


@command("logs", "Print the logs of nodes and workers.", group="clusters", rank=7, readonly=True, streams=("", *FOLLOW))
def logs(
    node: Annotated[
        str | None, typer.Argument(metavar="NODE|WORKER", help="Node, or worker as n2/1, whose log to print.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Print those of all, in the order of time.")] = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=0, help="Number of last lines (default: all).")
    ] = None,
) -> Iterator[Answer]:
    """A node writes there what it did in its life, and why it ended; a worker, what its service prints and raises. Each
    boot goes on in the same file, so --follow shows restarts too."""
    if (node is None) == (not all):
        raise Usage("logs needs one node, or --all", help="`dsectl logs n1`, or `dsectl logs --all`.")
    files = current().files()
    readers = [
        log_lines(name, files.log(name)) for name in ([*files.nodes, *files.workers()] if node is None else [node])
    ]
    found = next_lines(readers)
    yield _lines(found if tail is None else found[max(0, len(found) - tail) :], all)
    current().ready()
    while follow and not current().stopped():
        time.sleep(FOLLOW_S)
        yield _lines(next_lines(readers), all)
        current().console.check_reader()


def next_lines(readers: Sequence[Iterator[list[LogLine]]]) -> list[LogLine]:
    """What came to the logs, by time; the lines of one node stay as they stand in its file."""
    found = [line for reader in readers for line in next(reader)]
    return found if len(readers) == 1 else sorted(found, key=lambda line: line.at)


def log_lines(node: str, path: Path) -> Iterator[list[LogLine]]:
    """All of a log; then, each time, what came to it since, whole lines only. A file that is not there is empty; one
    that was cut or replaced, as when a cluster of the same name is made anew, is read from its beginning."""
    inode, offset, at, bytes_max = 0, 0, "", -1
    while True:
        data, lines = b"", []
        with suppress(FileNotFoundError, NotADirectoryError), path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != inode or status.st_size < offset:
                inode, offset = status.st_ino, 0
            file.seek(offset)
            data = file.read(bytes_max)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == bytes_max:  # one endless line: take it in pieces
            end = len(data)
        offset += end
        for line in data[:end].splitlines():
            text = line.decode(errors="backslashreplace")
            stamp = STAMP.match(text)
            at = max(at, stamp[0]) if stamp else at
            lines.append(LogLine(at, node, text))
        yield lines
        bytes_max = READ_BYTES_MAX


def _lines(lines: list[LogLine], named: bool) -> Answer:
    def view(console: Console) -> None:
        for line in lines:
            console.line((console.paint(f"{line.node}  ", "name") if named else "") + shown(line.text))

    return Answer(Lines({"node": line.node, "line": line.text} for line in lines), view)
