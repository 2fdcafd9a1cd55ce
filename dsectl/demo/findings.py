"""What the demo measured, and the verdict on it. Pure.

`failed`: something that was promised did not hold. `inconclusive`: nothing failed, but a part of the story did not
happen, so nothing was proven about it. Only a run in which everything happened and held is `passed`.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

PASSED, FAILED, INCONCLUSIVE = "passed", "failed", "inconclusive"
EXIT_CODES = {PASSED: 0, FAILED: 1, INCONCLUSIVE: 3}


@dataclass
class Findings:
    """Numbers of one run. Times are seconds; None is *did not happen*."""

    nodes: int = 0
    victim: str = ""
    ready_s: float | None = None
    writes: dict[str, int] = field(default_factory=lambda: {"ok": 0, "ok-sloppy": 0, "maybe": 0, "refused": 0})
    acknowledged_in_outage: int = 0
    longest_gap_s: float | None = None
    """The longest time without an acknowledged write from the kill to the return."""
    published: int = 0
    received: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    """Answered requests by the node that answered."""
    requests_failed: int = 0
    not_alive_s: float | None = None
    """From the kill until no survivor holds the victim for alive."""
    dead_s: float | None = None
    hints_peak: int = 0
    alive_again_s: float | None = None
    """From the restarted process listening until all hold it for alive."""
    hints_delivered_s: float | None = None
    hints_left: int = 0
    keys_compared: int = 0
    keys_repaired: int = 0
    """Keys whose owners differed once the hints were in, and agreed after one read."""
    keys_unequal: list[str] = field(default_factory=list)
    keys_read: int = 0
    keys_lost: list[str] = field(default_factory=list)
    keys_wrong: list[str] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def acknowledged(self) -> int:
        """How many writes the cluster promised to keep."""
        return self.writes["ok"] + self.writes["ok-sloppy"]

    @property
    def answered(self) -> int:
        """How many requests were answered."""
        return sum(self.requests.values())

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "acknowledged": self.acknowledged, "answered": self.answered}


@dataclass(frozen=True)
class Verdict:
    """`passed`, `failed` or `inconclusive`, and why."""

    verdict: str
    reasons: list[str]

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return EXIT_CODES[self.verdict]


def judge(found: Findings) -> Verdict:
    """The verdict on a run."""
    failures = _failures(found)
    if failures:
        return Verdict(FAILED, failures)
    gaps = _gaps(found)
    if gaps:
        return Verdict(INCONCLUSIVE, gaps)
    return Verdict(
        PASSED, [f"{found.keys_read} acknowledged writes read back, {found.keys_compared} keys equal at their owners"]
    )


def _failures(found: Findings) -> list[str]:
    checks = [
        (bool(found.keys_lost), f"{len(found.keys_lost)} acknowledged writes are lost: {_some(found.keys_lost)}"),
        (
            bool(found.keys_wrong),
            f"{len(found.keys_wrong)} keys hold what was never written: {_some(found.keys_wrong)}",
        ),
        (bool(found.keys_unequal), f"owners differ on {len(found.keys_unequal)} keys: {_some(found.keys_unequal)}"),
        (found.hints_left > 0, f"{found.hints_left} hints were not delivered"),
        (found.dead_s is not None and found.alive_again_s is None, f"{found.victim} was not alive again for all"),
        (found.keys_read < found.acknowledged, f"{found.acknowledged - found.keys_read} writes could not be read back"),
    ]
    return [text for failed, text in checks if failed]


def _gaps(found: Findings) -> list[str]:
    checks = [
        (found.acknowledged == 0, "no write was acknowledged"),
        (found.acknowledged_in_outage == 0, "no write was acknowledged while a node was down"),
        (found.not_alive_s is None or found.dead_s is None, "the crash was not noticed by all"),
        (found.hints_peak == 0, "no hint was ever made, so none was delivered"),
        (found.received == 0, "no message arrived"),
        (len(found.requests) < 2, "requests were not answered by different nodes"),
        (found.keys_compared == 0, "the owners' digests were not compared"),
    ]
    return [text for missing, text in checks if missing]


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
