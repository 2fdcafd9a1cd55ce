"""One probe of one member, and the order in which members are probed.

SWIM (2002) sections 3.1 (ping, then ping-req through k helpers, verdict at the end of the period) and 4.3 (shuffled
round robin, new members at a random place, so that the time to first detection is bounded). Lifeguard (2018) section
IV.A: helpers answer with a nack when they hear nothing either, and missing nacks accuse this node rather than the
target.

The starvation guard is ours: a probe whose window overlaps a stall of this process is void. It says nothing about the
target and lowers the health of this node. Pure: times, stalls and shuffles are passed in.

`Awareness` is how much this node distrusts itself (Lifeguard IV.A, "LHA-Probe"; memberlist's awareness.go): a node that
is slow to process messages sees all others as failed, so evidence of its own slowness (failed probes whose helpers did
not even send a nack, refutations of its own suspicion, stalls) lengthens its probe interval and timeout by score + 1.
"""

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING

from cluster.membership.member import UNHEARD, Incarnation

if TYPE_CHECKING:
    from random import Random


class ProbeOutcome(Enum):
    """How a probe ended."""

    ANSWERED = "answered"
    VOID = "void"
    FAILED = "failed"


class Probe:
    """A probe under way. `sequence` marks the answers that belong to it."""

    __slots__ = (
        "answered_by",
        "helpers",
        "incarnation",
        "nacks",
        "patience",
        "sequence",
        "started",
        "stream_asked",
        "target",
        "timeout_s",
    )

    def __init__(
        self, target: str, sequence: int, started: float, timeout_s: float, incarnation: Incarnation = UNHEARD
    ) -> None:
        self.target = target
        self.incarnation = incarnation  # as known at the start: a higher one later is a sign of life
        self.sequence = sequence
        self.started = started
        self.timeout_s = timeout_s
        self.helpers: list[str] = []
        self.nacks: dict[str, None] = {}
        self.stream_asked = False
        self.answered_by = ""
        self.patience = 1
        """How often a verdict may be put off because this process looks late."""

    def ask(self, helpers: list[str]) -> None:
        """The direct ping stayed unanswered: these were asked to try."""
        self.helpers = helpers

    def on_ack(self, sender: str) -> bool:
        """An acknowledgement with our sequence. True when it is the first that counts."""
        if self.answered_by or (sender != self.target and sender not in self.helpers):
            return False
        self.answered_by = sender
        return True

    def on_nack(self, sender: str) -> None:
        """A helper heard nothing from the target, but it heard us."""
        if sender in self.helpers:
            self.nacks[sender] = None

    def verdict(self, stalled: bool) -> ProbeOutcome:
        """The end of the period. `stalled`: this process did not run for a part of the probe's window."""
        if self.answered_by:
            return ProbeOutcome.ANSWERED
        return ProbeOutcome.VOID if stalled else ProbeOutcome.FAILED

    def health_delta(self, verdict: ProbeOutcome, live_helpers: Iterable[str]) -> int:
        """What the probe says about this node's own health; as in memberlist's probeNode, but for the void.

        `live_helpers` are the helpers still believed alive: a dead one sends no nack.
        """
        if verdict is ProbeOutcome.ANSWERED:
            return -1
        if verdict is ProbeOutcome.VOID or not self.helpers:
            return 1
        return sum(1 for helper in live_helpers if helper not in self.nacks)

    def evidence(self) -> str:
        """What this node can say of a probe that failed."""
        text = f"no ack from {self.target} in {self.timeout_s * 1000:.0f} ms"
        if self.helpers:
            text += f", nor through {', '.join(self.helpers)} ({len(self.nacks)} of {len(self.helpers)} sent a nack)"
        if self.stream_asked:
            text += ", nor over a stream"
        return text


class ProbeOrder:
    """Shuffled rounds over the members."""

    __slots__ = ("_random", "_round")

    def __init__(self, random: "Random") -> None:
        self._random = random
        self._round: list[str] = []

    def add(self, name: str) -> None:
        """A member that is new, or back from the dead, is probed at a random place of the round that runs."""
        if name not in self._round:
            self._round.insert(self._random.randint(0, len(self._round)), name)

    def next(self, names: list[str]) -> str | None:
        """Whom to probe now, of `names`, which are all that may be probed; None when there are none."""
        for _ in range(2):
            while self._round:
                name = self._round.pop()
                if name in names:
                    return name
            self._round = list(names)
            self._random.shuffle(self._round)
        return None


class Awareness:
    """The local health multiplier."""

    __slots__ = ("maximum", "score")

    def __init__(self, maximum: int) -> None:
        assert maximum >= 0
        self.maximum = maximum
        self.score = 0

    def apply(self, delta: int) -> None:
        """Worse by a positive `delta`, better by a negative one."""
        self.score = min(self.maximum, max(0, self.score + delta))

    def scale(self, seconds: float) -> float:
        """A timeout or an interval, as long as this node's health demands."""
        return seconds * (self.score + 1)
