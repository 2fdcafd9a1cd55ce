"""What one active link fault does to one packet: stop it, lose it, delay it, double it.

Compiled from the document once a generation, because the questions are asked for each packet. The model of links is
netem's (Linux, tc-netem(8)): delay ± jitter uniform, independent loss, duplication; for streams what TCP makes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cluster.faults.document import EVERYONE, Fault

if TYPE_CHECKING:
    from random import Random

RETRANSMIT_S: Final = 0.2
"""Linux's TCP_RTO_MIN: the least that a lost segment costs a stream."""
RETRANSMITS_MAX: Final = 6
"""The timeout doubles (RFC 6298 section 5.5); after six losses in a row, 12.6 s, the segment passes."""
REORDER_S: Final = 0.05
"""A reordered datagram is late by up to this: over the gap of a busy pair, under the local probe timeout of 0.2 s."""


class PartitionRule:
    """Stops packets between groups."""

    __slots__ = ("_side", "id", "one_way")

    def __init__(self, fault: Fault) -> None:
        self.id = fault.id
        self.one_way = fault.one_way
        self._side = {name: index for index, group in enumerate(fault.groups) for name in group}

    def involves(self, name: str) -> bool:
        """Whether any link of `name` may be stopped."""
        return name in self._side

    def stops(self, source: str, target: str) -> bool:
        """Whether nothing passes from `source` to `target`."""
        ours, theirs = self._side.get(source), self._side.get(target)
        if ours is None or theirs is None or ours == theirs:
            return False
        return ours == 0 if self.one_way else True


class SlowRule:
    """Delays, loses, doubles and reorders packets of one direction (or two), and limits their rate."""

    __slots__ = (
        "_free_at",
        "both",
        "delay",
        "duplicate",
        "id",
        "jitter",
        "loss",
        "rate",
        "reorder",
        "source",
        "target",
    )

    def __init__(self, fault: Fault) -> None:
        self.id = fault.id
        self.source, self.target, self.both = fault.source, fault.target, fault.both
        self.delay = fault.delay_ms / 1000
        self.jitter = fault.jitter_ms / 1000
        self.loss, self.duplicate, self.reorder = fault.loss, fault.duplicate, fault.reorder
        self.rate = fault.rate_bytes_s
        self._free_at: dict[str, float] = {}

    def involves(self, name: str) -> bool:
        """Whether any link of `name` may be touched."""
        return name in (self.source, self.target) or EVERYONE in (self.source, self.target)

    def meets(self, source: str, target: str) -> bool:
        """Whether packets from `source` to `target` are touched."""
        if source == target:
            return False
        return self._matches(source, target) or (self.both and self._matches(target, source))

    def _matches(self, source: str, target: str) -> bool:
        return self.source in (source, EVERYONE) and self.target in (target, EVERYONE)

    def stops(self, source: str, target: str) -> bool:
        """Total loss is as good as a partition, for streams and dials too."""
        return self.loss >= 1 and self.meets(source, target)

    def queued(self, source: str, size: int, now: float) -> float:
        """How long `size` bytes from `source` wait until the limited link has sent them."""
        if not self.rate:
            return 0.0
        free = max(now, self._free_at.get(source, now)) + size / self.rate
        self._free_at[source] = free
        return free - now

    def delayed(self, random: Random) -> float:
        """The delay of one packet."""
        if not self.jitter:
            return self.delay
        return max(0.0, self.delay + self.jitter * (2 * random.random() - 1))

    def lost(self, random: Random) -> bool:
        """Whether a datagram is lost."""
        return self.loss > 0 and random.random() < self.loss

    def doubled(self, random: Random) -> bool:
        """Whether a datagram comes twice."""
        return self.duplicate > 0 and random.random() < self.duplicate

    def overtaken(self, random: Random) -> float:
        """How much longer a datagram is kept so that later ones pass it: 0 for most."""
        return random.random() * REORDER_S if self.reorder > 0 and random.random() < self.reorder else 0.0

    def retransmitted(self, random: Random) -> float:
        """What loss costs a stream: the timeouts of its retransmissions."""
        cost, timeout = 0.0, RETRANSMIT_S
        for _ in range(RETRANSMITS_MAX if self.loss > 0 else 0):
            if random.random() >= self.loss:
                break
            cost += timeout
            timeout *= 2
        return cost


def compile_rules(faults: list[Fault], me: str) -> list[PartitionRule | SlowRule]:
    """The rules of the active link faults that involve `me`, in the order in which they were made."""
    rules: list[PartitionRule | SlowRule] = []
    for fault in faults:
        if not fault.active:
            continue
        if fault.kind == "partition":
            rules.append(PartitionRule(fault))
        elif fault.kind == "slow":
            rules.append(SlowRule(fault))
    return [rule for rule in rules if rule.involves(me)]
