"""What the demo measured, and the verdict on it. Pure.

`failed`: something that was promised did not hold. `inconclusive`: nothing failed, but a part of the story did not
happen or was not looked at, so nothing was proven about it. Only a run in which everything happened, was checked and
held is `passed`.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from dsectl.ui.verdict import FAILED, INCONCLUSIVE, PASSED, Verdict


@dataclass
class Step:
    """A chapter of the story: when it began, and what was seen in it."""

    at_s: float
    title: str
    seen: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """Numbers of one run. Times are seconds; None is *did not happen* or *could not be looked at*."""

    cluster: str = ""
    nodes: int = 0
    victim: str = ""
    ready_s: float | None = None
    writes: dict[str, int] = field(default_factory=lambda: {"ok": 0, "ok-sloppy": 0, "maybe": 0, "refused": 0})
    keys_acknowledged: int = 0
    """Keys whose last write was acknowledged: what the check has to find again."""
    coordinators: dict[str, int] = field(default_factory=dict)
    """Acknowledged writes by the node that coordinated."""
    published: int = 0
    received: int = 0
    received_across: int = 0
    """Messages that one node took and another one delivered."""
    received_twice: int = 0
    received_wrong: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    """Answered requests by the node that answered."""
    requests_failed: int = 0
    requests_wrong: int = 0

    outage_s: float | None = None
    """From the end of the killed process to the command that starts it again. What counts as *in the outage* both began
    and ended within."""
    writes_in_outage: int = 0
    received_in_outage: int = 0
    requests_in_outage: dict[str, int] = field(default_factory=dict)
    longest_gap_s: float | None = None
    """The longest time without an acknowledged write from the kill until the node listens again."""
    avoided_s: float | None = None
    """From the kill to the first acknowledged write in which a fallback took the victim's copy."""
    not_alive_s: float | None = None
    """From the kill until no survivor holds the victim for alive."""
    dead_s: float | None = None
    hints_peak: int = 0

    restart_s: float | None = None
    """From the command until the process listens."""
    alive_again_s: float | None = None
    """From then until all others hold it for alive."""
    hints_delivered_s: float | None = None
    """From then until no copy waits anywhere."""
    hints_left: int | None = None

    keys_compared: int = 0
    """Keys whose owners hold the same."""
    keys_repaired: int = 0
    """Keys whose owners differed when the hints were in, and agreed after one read."""
    keys_unequal: list[str] = field(default_factory=list)
    keys_caught_up: int = 0
    """Keys written in the outage that the victim owns, and holds as the other owners do."""
    owners_equal_s: float | None = None
    """From the end of the load until the owners of every key held the same."""
    keys_read: int = 0
    keys_unreadable: list[str] = field(default_factory=list)
    keys_lost: list[str] = field(default_factory=list)
    keys_wrong: list[str] = field(default_factory=list)
    cut_short: bool = False
    took_s: float = 0.0
    steps: list[Step] = field(default_factory=list)

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


def judge(found: Findings) -> Verdict:
    """The verdict on a run."""
    failures = [text for failed, text in _broken_promises(found) if failed]
    if failures:
        return Verdict(FAILED, failures)
    gaps = [text for missing, text in [*_did_not_happen(found), *_not_checked(found)] if missing]
    if gaps:
        return Verdict(INCONCLUSIVE, gaps)
    return Verdict(
        PASSED,
        [f"{found.keys_read} acknowledged keys read back, and equal at all their owners; nothing lost, nothing wrong"],
    )


def _broken_promises(found: Findings) -> list[tuple[bool, str]]:
    back = found.restart_s is not None and not found.cut_short
    return [
        (bool(found.keys_lost), f"acknowledged and lost: {_some(found.keys_lost)}"),
        (bool(found.keys_wrong), f"held what was not written last: {_some(found.keys_wrong)}"),
        (bool(found.keys_unequal), f"owners differ: {_some(found.keys_unequal)}"),
        (bool(found.keys_unreadable), f"could not be read back: {_some(found.keys_unreadable)}"),
        (back and bool(found.hints_left), f"{found.hints_left} hints were not delivered"),
        (back and found.alive_again_s is None, f"{found.victim} was not alive again for all others"),
        (found.received_twice > 0, f"{found.received_twice} messages came twice"),
        (found.received_wrong > 0, f"{found.received_wrong} messages came that nobody published"),
        (found.requests_wrong > 0, f"{found.requests_wrong} requests had a wrong answer"),
    ]


def _did_not_happen(found: Findings) -> list[tuple[bool, str]]:
    return [
        (found.acknowledged == 0, "no write was acknowledged"),
        (len(found.coordinators) < 2, "the writes were not taken by different nodes"),
        (found.received_across == 0, "no message went from one node to another"),
        (len(found.requests) < 2, "requests were not answered by different nodes"),
        (found.not_alive_s is None or found.dead_s is None, "the crash was not noticed by all survivors"),
        (found.avoided_s is None, "no write had to go round the node that was killed"),
        (found.victim in found.requests_in_outage, f"{found.victim} answered after it was killed"),
        (found.writes_in_outage == 0, "no write was acknowledged while a node was down"),
        (found.received_in_outage == 0, "no message arrived while a node was down"),
        (not found.requests_in_outage, "no request was answered while a node was down"),
        (found.hints_peak == 0, "no hint was ever made, so none was delivered"),
        (found.restart_s is None, "the node was not started again"),
    ]


def _not_checked(found: Findings) -> list[tuple[bool, str]]:
    expected = found.keys_acknowledged
    return [
        (found.cut_short, "the time was up before everything was checked"),
        (found.hints_left is None, "the waiting hints could not be counted"),
        (bool(found.hints_left), f"{found.hints_left} hints were still waiting"),
        (found.alive_again_s is None, f"{found.victim or 'the node'} was not seen to be alive again"),
        (found.keys_compared < expected, f"the owners of {expected - found.keys_compared} keys were not compared"),
        (found.keys_read < expected, f"{expected - found.keys_read} keys were not read back"),
        (found.keys_caught_up == 0, "the node that returned owns nothing that was written without it"),
    ]


def _some(keys: list[str]) -> str:
    count = f"{len(keys)} key{'' if len(keys) == 1 else 's'}"
    return f"{count} ({', '.join(keys[:3])}{', …' if len(keys) > 3 else ''})"
