"""What the demo measured, and the verdict on it. Pure.

`failed`: something that was promised did not hold. `inconclusive`: nothing failed, but a part of the story did not
happen or was not looked at, so nothing was proven about it. Only a run in which everything happened, was checked and
held is `passed`. What a load was promised is judged by the load's own rules, but for its rate: the demo promises none.
"""

from dataclasses import dataclass, field

from dsectl.load.account import Account, broken, untested
from dsectl.ui.text import count
from dsectl.ui.verdicts import Verdict, verdict_on

LOADS = 4


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
    load: dict[str, Account] = field(default_factory=dict)
    writes: int = 0
    """Acknowledged so far; likewise those that follow."""
    messages: int = 0
    requests: int = 0
    jobs: int = 0
    """Messages of a queue, acknowledged by those who took them."""
    coordinators: dict[str, int] = field(default_factory=dict)
    """Acknowledged writes, by the node that coordinated."""
    answered_by: dict[str, int] = field(default_factory=dict)
    """Requests, by the node that answered."""
    messages_across: int = 0
    """Messages that one node took and another one delivered."""

    outage_s: float | None = None
    """From the end of the killed process to the command that starts it again. What counts as *in the outage* both began
    and ended within."""
    writes_in_outage: int = 0
    messages_in_outage: int = 0
    requests_in_outage: dict[str, int] = field(default_factory=dict)
    jobs_in_outage: int = 0
    longest_gap_s: float | None = None
    """The longest time without an acknowledged write from the kill until the node listens again."""
    avoided_s: float | None = None
    """From the kill to the first acknowledged write of which a fallback keeps a hint."""
    not_alive_s: float | None = None
    """From the kill until no survivor considers the victim alive."""
    dead_s: float | None = None
    hints_peak: int = 0

    restart_s: float | None = None
    """From the command until the process listens."""
    alive_again_s: float | None = None
    """From then until all others consider it alive."""
    hints_delivered_s: float | None = None
    """From then until no hint waits anywhere."""
    hints_left: int | None = None

    keys_acknowledged: int = 0
    keys_compared: int = 0
    """Keys of which all owners hold the same."""
    keys_unequal: list[str] = field(default_factory=list)
    keys_caught_up: int = 0
    """Keys written in the outage that the victim owns, and holds as the other owners do."""
    showcase_kept: bool | None = None
    """Whether the key that the story follows holds what was written while its owner was away."""
    cut_short: bool = False
    took_s: float = 0.0
    steps: list[Step] = field(default_factory=list)


def judge(found: Findings) -> Verdict:
    """The verdict on a run."""
    back = found.restart_s is not None and not found.cut_short
    victim, unequal = found.victim or "the node", found.keys_unequal
    keys = f"{', '.join(unequal[:3])}{', …' if len(unequal) > 3 else ''}"
    failures = {
        "the key that was written while its owner was away does not hold what was acknowledged": (
            found.showcase_kept is False
        ),
        f"the owners of {count(len(unequal), 'key differ', 'keys differ')}: {keys}": unequal,
        f"{count(found.hints_left or 0, 'hint was', 'hints were')} not delivered": back and found.hints_left,
        f"{victim} was not considered alive again by all others": back and found.alive_again_s is None,
    }
    uncompared = found.keys_acknowledged - found.keys_compared
    gaps = {
        "the time was up before everything was checked": found.cut_short,
        "the writes were not coordinated by different nodes": len(found.coordinators) < 2,
        "no message went from one node to another": found.messages_across == 0,
        "requests were not answered by different nodes": len(found.answered_by) < 2,
        "the crash was not noticed by all survivors": found.not_alive_s is None or found.dead_s is None,
        "no write had to avoid the node that was killed": found.avoided_s is None,
        f"{victim} answered after it was killed": found.victim in found.requests_in_outage,
        "no write was acknowledged while a node was down": found.writes_in_outage == 0,
        "no message arrived while a node was down": found.messages_in_outage == 0,
        "no request was answered while a node was down": not found.requests_in_outage,
        "no job was done while a node was down": found.jobs_in_outage == 0,
        "no hint was ever stored, so none was delivered": found.hints_peak == 0,
        "the node was not started again": found.restart_s is None,
        f"{victim} was not seen to be alive again": found.alive_again_s is None,
        "the waiting hints could not be counted": found.hints_left is None,
        f"{found.hints_left} hints were still waiting": found.hints_left,
        "not every load gave its account": len(found.load) < LOADS,
        "the key that the story follows was not read back": found.showcase_kept is None,
        f"the owners of {count(uncompared, 'key')} were not compared": uncompared > 0,
        "the node that returned owns nothing that was written without it": found.keys_caught_up == 0,
    }
    loads = found.load.items()
    checked = count(found.load["kv"]["checked"] if "kv" in found.load else 0, "acknowledged key")
    return verdict_on(
        [f"{reason} (load {family})" for family, one in loads for reason in broken(one)]
        + [reason for reason, is_so in failures.items() if is_so],
        [f"{reason} (load {family})" for family, one in loads for reason in untested(one)]
        + [reason for reason, is_so in gaps.items() if is_so],
        f"{checked} read back, and equal at all their owners; nothing lost, nothing wrong",
    )
