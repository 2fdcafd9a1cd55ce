"""The account that every acknowledged write must pass.

Keys are written once each, so the check is exact: what was acknowledged is read back, strictly, after everything has
healed. Values never written are never seen. A `maybe` may be there or not.
"""

from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.kv import Got, PutDone

ACKNOWLEDGED = ("ok", "ok-sloppy")


class Account:
    """What was written, and how it ended."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.writes: dict[str, tuple[bytes, SimulatedRequest]] = {}

    def write(self, via: str) -> None:
        """One write of a fresh key through a node."""
        key = f"key-{len(self.writes)}"
        value = f"value of {key}".encode()
        self.writes[key] = (value, self.fleet.put(via, key, value))

    def outcome(self, key: str) -> str:
        """`ok`, `ok-sloppy`, `maybe`, `no`, or `unknown` (its coordinator is gone)."""
        result = self.writes[key][1]
        if isinstance(result.answer, PutDone):
            return result.answer.outcome
        return "unknown" if result.error is None else "no" if result.error.definite else "maybe"

    def acknowledged(self) -> list[str]:
        """The keys whose writes were acknowledged."""
        return [key for key in self.writes if self.outcome(key) in ACKNOWLEDGED]

    def check(self) -> None:
        """Read everything back, through every node in turn."""
        lost: list[tuple[str, str]] = []
        wrong: list[tuple[str, object]] = []
        for number, (key, (value, _)) in enumerate(self.writes.items()):
            via = self.fleet.up[number % len(self.fleet.up)]
            result = self.fleet.wait(self.fleet.get(via, key, strict=True))
            assert isinstance(result.answer, Got), (key, self.outcome(key), result.error)
            outcome = self.outcome(key)
            if not result.answer.siblings and outcome in ACKNOWLEDGED:
                lost.append((key, outcome))
            if any(sibling != value for sibling in result.answer.siblings):
                wrong.append((key, result.answer.siblings))
            if result.answer.siblings and outcome == "no":
                wrong.append((key, "a definite no is there"))
        assert not lost, f"acknowledged and lost: {lost}"
        assert not wrong, f"never written, or refused, and there: {wrong}"
