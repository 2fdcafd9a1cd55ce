"""`logs`: what nodes wrote to their logs, followed across restarts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
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
"""A look takes no more of a file at a time; the rest comes with the next."""
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class LogLine(NamedTuple):
    """One line of a node. `at` is its time, or for one without that of the line above it."""

    at: str
    node: str
    text: str


@command("logs", "Print the logs of nodes.", group="clusters", rank=7, readonly=True, streams=("", *FOLLOW))
def logs(
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Node whose log to print.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Print those of all nodes, in the order of time.")] = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=0, help="Number of last lines (default: all).")
    ] = None,
) -> Iterator[Answer]:
    """A node writes there what it did in its life, and why it ended. Each boot goes on in the same file, so --follow
    shows restarts too."""
    if (node is None) == (not all):
        raise Usage("logs needs one node, or --all", help="`dsectl logs n1`, or `dsectl logs --all`.")
    files = current().files()
    readers = [LogReader(name, files.log(name)) for name in (files.nodes if node is None else [node])]
    found = in_order([list(reader.new_lines()) for reader in readers])
    yield _lines(found if tail is None else found[max(0, len(found) - tail) :], all)
    current().ready()
    while follow and not current().stopped():
        time.sleep(FOLLOW_S)
        yield _lines(in_order([list(reader.new_lines(READ_BYTES_MAX)) for reader in readers]), all)
        current().console.check_reader()


def in_order(many: Sequence[list[LogLine]]) -> list[LogLine]:
    """The lines of several nodes by time; those of one node stay as they stand in its file."""
    if len(many) == 1:
        return many[0]
    return sorted((line for lines in many for line in lines), key=lambda line: line.at)


class LogReader:
    """Reads a log as it grows, whole lines only. A file that is not there is empty; one that was cut or replaced, as
    when a cluster of the same name is made anew, is read from its beginning."""

    def __init__(self, node: str, path: Path) -> None:
        self.node = node
        self._path = path
        self._file = 0
        self._offset = 0
        self._at = ""

    def new_lines(self, bytes_max: int = -1) -> Iterator[LogLine]:
        """The lines that came since the last call."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._file or status.st_size < self._offset:
                    self._file, self._offset = status.st_ino, 0
                file.seek(self._offset)
                data = file.read(bytes_max)
        except (FileNotFoundError, NotADirectoryError):
            return
        end = data.rfind(b"\n") + 1
        if not end and len(data) == bytes_max:  # one endless line: take it in pieces
            end = len(data)
        self._offset += end
        for line in data[:end].splitlines():
            text = line.decode(errors="backslashreplace")
            stamp = STAMP.match(text)
            self._at = max(self._at, stamp[0]) if stamp else self._at
            yield LogLine(self._at, self.node, text)


def _lines(lines: list[LogLine], named: bool) -> Answer:
    def view(console: Console) -> None:
        for line in lines:
            console.line((console.paint(f"{line.node}  ", "name") if named else "") + shown(line.text))

    return Answer(Lines({"node": line.node, "line": line.text} for line in lines), view)
