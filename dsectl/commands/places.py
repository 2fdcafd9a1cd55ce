"""Where things are: addresses and the secret's path, and the nodes' logs."""

import time
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.invocation import current
from dsectl.views.text import shown

FOLLOW_S = 0.1
"""How often a followed log is looked at: below what a reader notices."""


def env() -> None:
    """`eval "$(dsectl env)"` sets the variables; the secret itself is not printed."""
    files = current().files()
    addresses = {name: f"{host}:{port}" for name, (host, port) in files.addresses.items()}
    console = current().console
    if console.options.json:
        folder = str(files.folder)
        console.value({"cluster": files.name, "folder": folder, "secret": str(files.secret_path), "nodes": addresses})
        return
    variables = {
        "DSECTL_CLUSTER": files.name,
        "DSECTL_FOLDER": str(files.folder),
        "DSECTL_SECRET_FILE": str(files.secret_path),
        "DSECTL_NODES": " ".join(addresses.values()),
        **{f"DSECTL_{name.upper().replace('-', '_')}": address for name, address in addresses.items()},
    }
    console.lines([f"export {name}={quote(value)}" for name, value in variables.items()])


def logs(
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Whose.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Of all nodes, each line with its node.")] = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", metavar="N", min=0, help="The last N lines only.")] = None,
) -> None:
    """A node writes there what it did in its life, and why it ended."""
    if (node is None) == (not all):
        raise Usage("logs needs one node, or --all", help="`dsectl logs n1`, or `dsectl logs --all`.")
    files = current().files()
    readers = [LogReader(name, files.log(name)) for name in (files.nodes if node is None else [node])]
    for reader in readers:
        lines = list(reader.new_lines())
        _print(reader, lines if tail is None else lines[max(0, len(lines) - tail) :], all)
    current().ready()
    while follow and not current().stopped():
        time.sleep(FOLLOW_S)
        for reader in readers:
            _print(reader, reader.new_lines(), all)


class LogReader:
    """Reads a log as it grows, whole lines only; a file that is not there is empty."""

    def __init__(self, node: str, path: Path) -> None:
        self.node = node
        self._path = path
        self._offset = 0

    def new_lines(self) -> Iterator[str]:
        """The lines that came since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].splitlines():
            yield line.decode(errors="backslashreplace")


def _print(reader: LogReader, lines: Iterator[str] | list[str], named: bool) -> None:
    console = current().console
    prefix = console.paint(f"{reader.node}  ", "name") if named else ""
    for line in lines:
        if console.options.json:
            console.value({"node": reader.node, "line": line})
        else:
            console.line(prefix + shown(line))
    console.flush()
