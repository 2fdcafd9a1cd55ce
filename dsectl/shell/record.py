"""What happened in a session, in order, and what its looks saw: `history export` makes a recipe of it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from dsectl.cli.invocation import Session
from dsectl.cli.table import lookup
from dsectl.script.execution import carry_out
from dsectl.script.values import MISSING

ENTRIES_MAX = 10_000
"""Of one session; the oldest go first."""


@dataclass
class EnteredLine:
    """One line that was carried out."""

    line: str
    code: int
    """The exit code that it ended with."""
    value: Any = MISSING
    """What a look saw, as JSON, where it was asked for again to be remembered."""


@dataclass
class Record:
    """All of them."""

    entries: list[EnteredLine] = field(default_factory=list)

    def add(self, line: str, code: int) -> EnteredLine:
        """Note a line."""
        entry = EnteredLine(line, code)
        self.entries.append(entry)
        del self.entries[:-ENTRIES_MAX]
        return entry


LOOK_S = 1.0


class Remember:
    """One look after the other, in a thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "shell remember")

    def look(self, entry: EnteredLine, argv: list[str], cluster: str) -> None:
        """Ask again what `argv` asked, if it only looks, and keep the answer with the entry."""
        found = lookup(argv)
        if found is None or "-" in argv:
            return
        command = found[0]
        if not command.readonly or command.streams or command.barred or command.aside:  # long, or polled by nobody
            return
        self._pool.submit(_look, entry, argv, cluster)

    def settle(self) -> None:
        """Wait until all that was asked has been answered."""
        self._pool.submit(lambda: None).result()

    def close(self) -> None:
        """Forget what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _look(entry: EnteredLine, argv: list[str], cluster: str) -> None:
    session = Session(cluster)
    try:
        found = carry_out(argv, session, timeout_s=LOOK_S)
    finally:
        session.close()
    if found.code == 0:
        entry.value = found.value
