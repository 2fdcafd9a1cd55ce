"""When to look again, and what a look decides. Pure: time comes in.

A look takes as long as its command, so a short-lived state can pass unseen between two of them.
"""

from dataclasses import dataclass
from typing import Any

from cluster.errors import Usage
from dsectl.script.values import shown_value
from dsectl.ui.units import show_duration
from dsectl.ui.verdicts import EXIT_CODES, FAILED, INCONCLUSIVE, PASSED

PAUSE_FIRST_S, PAUSE_MAX_S, PAUSE_FACTOR = 0.05, 0.25, 1.5
EXIT_INCONCLUSIVE = EXIT_CODES[INCONCLUSIVE]
DISTINCT_MAX = 20
"""Different values in a report; a value that changes with every look would fill pages."""


@dataclass(frozen=True)
class Look:
    """One look: what was seen (MISSING if there is no such value, or the command failed), and whether the test held."""

    code: int
    seen: Any
    holds: bool
    error: str = ""
    hint: str = ""
    """What to write instead of a test that cannot hold, in brackets."""

    @property
    def text(self) -> str:
        """What was seen, for people."""
        return self.error if self.code else shown_value(self.seen)


class Polling:
    """The looks of one `within` or `always`."""

    def __init__(self, always: bool, limit_s: float) -> None:
        self.always = always
        self.limit_s = limit_s
        self.looks = 0
        self.distinct: list[tuple[float, str]] = []
        """Each value that differs from the one before it, with the seconds since the first look began."""
        self.left_out = 0
        self._pause_s = PAUSE_FIRST_S

    def on_look(self, look: Look, ended_s: float) -> str | None:
        """The verdict, or None to look again. `ended_s` counts from the beginning of the first look."""
        self.looks += 1
        if not self.distinct or self.distinct[-1][1] != look.text:
            if len(self.distinct) < DISTINCT_MAX:
                self.distinct.append((round(ended_s, 3), look.text))
            else:
                self.left_out += 1
        if look.code == EXIT_INCONCLUSIVE:
            return INCONCLUSIVE
        if look.code == Usage.exit_code:
            return FAILED
        if self.always:
            if look.code or not look.holds:
                return FAILED
            return PASSED if ended_s >= self.limit_s else None
        if look.code == 0 and look.holds and (ended_s <= self.limit_s or self.looks == 1):
            return PASSED
        return FAILED if ended_s >= self.limit_s else None

    def pause_s(self, now_s: float) -> float:
        """How long to wait before the next look: growing, and such that the last one falls on the end."""
        pause, self._pause_s = self._pause_s, min(PAUSE_MAX_S, self._pause_s * PAUSE_FACTOR)
        return max(0.0, min(pause, self.limit_s - now_s))

    @property
    def story(self) -> str:
        """What was seen when: `3 looks: alive at 0.02 s, suspect at 0.31 s`."""
        values = ", ".join(f"{text} at {show_duration(at)}" for at, text in self.distinct)
        more = f", and {self.left_out} more changes" if self.left_out else ""
        return f"{self.looks} look{'' if self.looks == 1 else 's'}: {values}{more}"
