"""Passed, failed or inconclusive, with the reasons: what the demo and a load end with. How it is come to is theirs."""

from dataclasses import dataclass

PASSED, FAILED, INCONCLUSIVE = "passed", "failed", "inconclusive"
EXIT_CODES = {PASSED: 0, FAILED: 1, INCONCLUSIVE: 3}
STYLES = {PASSED: "good", FAILED: "bad", INCONCLUSIVE: "warn"}
"""How each is coloured."""


@dataclass(frozen=True)
class Verdict:
    """`passed`, `failed` or `inconclusive`, and why."""

    verdict: str
    reasons: list[str]

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return EXIT_CODES[self.verdict]
