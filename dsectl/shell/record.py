"""What happened in a session, in order: what `history` shows and `history export` makes a recipe of."""

from dataclasses import dataclass, field
from typing import Any

from dsectl.script.values import MISSING

ENTRIES_MAX = 10_000
"""Of one session; the oldest go first."""


@dataclass
class Entry:
    """One line that was carried out."""

    line: str
    code: int
    """The exit code that it ended with."""
    value: Any = MISSING
    """What a look saw, as JSON, where it was asked for again to be remembered."""


@dataclass
class Record:
    """All of them."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, line: str, code: int) -> Entry:
        """Note a line."""
        entry = Entry(line, code)
        self.entries.append(entry)
        del self.entries[:-ENTRIES_MAX]
        return entry
