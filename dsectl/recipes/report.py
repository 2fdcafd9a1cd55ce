"""What became of a recipe. Verdicts in the order of their weight: failed, inconclusive, passed. Pure."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from dsectl.script.polling import FAILED, INCONCLUSIVE, PASSED

TO_RUN = "to run"
"""What was expected of a case that was not run, because one before it had failed."""
EXIT_CODES = {PASSED: 0, FAILED: 1, INCONCLUSIVE: 3}
Z_95 = 1.96
"""Two-sided 95 % of a normal distribution."""


@dataclass
class CaseReport:
    """One case; `line`, `step`, `expected` and `seen` tell of the step that decided, when it did not pass."""

    name: str
    file: str
    line: int
    verdict: str = PASSED
    step: str = ""
    expected: str = ""
    seen: str = ""
    at_s: float = 0.0
    """When it was decided, in seconds since the cluster was ready."""
    took_s: float = 0.0
    steps: int = 0
    """How many were carried out."""

    def decide(self, verdict: str, line: int, step: str, expected: str, seen: str, at_s: float) -> None:
        """It did not pass, and this is why; the first reason of the heaviest verdict stays."""
        if worst([self.verdict, verdict]) != self.verdict:
            self.verdict, self.line, self.step, self.at_s = verdict, line, step, round(at_s, 3)
            self.expected, self.seen = expected, seen


@dataclass
class RecipeReport:
    """A whole recipe, run once."""

    file: str
    title: str
    cases: list[CaseReport] = field(default_factory=list)
    cluster: str = ""
    ready_s: float | None = None
    """How long the cluster took to start; None for one that stood."""
    took_s: float = 0.0
    time_scale: float = 1.0
    kept: str = ""
    """The folder with logs, events and faults of a run that did not pass."""

    @property
    def verdict(self) -> str:
        """The heaviest of its cases."""
        return worst(case.verdict for case in self.cases)

    def count(self, verdict: str) -> int:
        """How many cases ended so."""
        return sum(case.verdict == verdict for case in self.cases)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"verdict": self.verdict, **counts([self]), **asdict(self)}


def worst(verdicts: Iterable[str]) -> str:
    """The heaviest; `inconclusive` of nothing, because nothing was tested."""
    found = list(verdicts)
    return next((one for one in (FAILED, INCONCLUSIVE, PASSED) if one in found), INCONCLUSIVE)


def counts(reports: list[RecipeReport]) -> dict[str, int]:
    """How many cases of all reports ended how."""
    return {verdict: sum(report.count(verdict) for report in reports) for verdict in (PASSED, FAILED, INCONCLUSIVE)}


def pass_rate(passed: int, runs: int) -> tuple[float, float, float]:
    """The share of runs that passed, with its interval: Wilson's, at 95 % (Wilson 1927)."""
    share = passed / runs
    middle = (share + Z_95**2 / (2 * runs)) / (1 + Z_95**2 / runs)
    reach = Z_95 / (1 + Z_95**2 / runs) * (share * (1 - share) / runs + Z_95**2 / (4 * runs**2)) ** 0.5
    return share, max(0.0, middle - reach), min(1.0, middle + reach)


def first_difference(runs: list[RecipeReport]) -> str:
    """In which run a case first ended otherwise than in the first run; empty if all are the same."""
    for number, run in enumerate(runs[1:], 2):
        for before, now in zip(runs[0].cases, run.cases, strict=False):
            if before.verdict != now.verdict:
                bad = now if now.verdict != PASSED else before
                why = f"{bad.file}:{bad.line}: expected {bad.expected}, saw {bad.seen}"
                return f"run {number}: {now.name}: {now.verdict}, and {before.verdict} in run 1 ({why})"
    return ""
