"""The verdicts on a load, on the demo, and on a recipe and its steps, in the order of their weight.

`failed`: something that was promised did not hold. `inconclusive`: nothing failed, but something was not tested, so
nothing is proven about it. Only when everything was tested and held it is `passed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dsectl.ui.text import STATES, Paint

FAILED, INCONCLUSIVE, PASSED = "failed", "inconclusive", "passed"
EXIT_CODES = {PASSED: 0, FAILED: 1, INCONCLUSIVE: 3}


@dataclass(frozen=True)
class Verdict:
    """One of them, and why."""

    verdict: str
    reasons: Sequence[str]

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return EXIT_CODES[self.verdict]

    def line(self, paint: Paint) -> str:
        """The last word on it."""
        return f"{spoken(self.verdict, paint)}  {'; '.join(self.reasons)}"


def spoken(verdict: str, paint: Paint) -> str:
    """One as the last line begins with it."""
    return paint(verdict.upper(), STATES[verdict])


def verdict_on(failures: Sequence[str], gaps: Sequence[str], praise: str) -> Verdict:
    """The heaviest for which there is a reason."""
    if failures or gaps:
        return Verdict(FAILED if failures else INCONCLUSIVE, failures or gaps)
    return Verdict(PASSED, [praise])
