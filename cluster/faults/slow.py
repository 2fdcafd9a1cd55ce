"""Slow: a link is late, lossy, narrow, or repeats and reorders datagrams.

The model of links is netem's (Linux, tc-netem(8)): delay ± jitter uniform, independent loss, duplication; for streams
what TCP makes of it: a loss is a delay, and nothing is doubled or overtaken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cluster.errors import Usage
from cluster.faults.kind import EVERYONE, FaultKind, FaultRule, Figure

if TYPE_CHECKING:
    from random import Random

    from cluster.faults.fault import Fault

RETRANSMIT_S: Final = 0.2
"""Linux's TCP_RTO_MIN: the least that a lost segment costs a stream."""
RETRANSMITS_MAX: Final = 6
"""The timeout doubles (RFC 6298 section 5.5); after six losses in a row, 12.6 s, the segment passes."""
REORDER_S: Final = 0.05
"""A reordered datagram is late by up to this: over the gap of a busy pair, under the local probe timeout of 0.2 s."""

SHARES: Final = ("loss", "duplicate", "reorder")
AMOUNTS: Final = ("delay_ms", "jitter_ms", "rate_bytes_s")


class Slow(FaultKind):
    """The packets from `source` to `target` suffer; `both`: those of the other direction too."""

    name = "slow"
    scope = "link"
    fields = ("source", "both", "delay_ms", "jitter_ms", "loss", "duplicate", "reorder", "rate_bytes_s")
    verb = "touched"

    def subject(self, fault: Fault) -> str:
        """`n1 -> n2`, `n1 <-> all`."""
        return f"{fault.source} {'<->' if fault.both else '->'} {fault.target}"

    def validate(self, fault: Fault) -> None:
        """A link, and figures that can be, at least one of them not zero."""
        if not fault.source or not fault.target:
            raise Usage("slow needs the two ends of the link")
        if fault.source == fault.target != EVERYONE:
            raise Usage(f"node {fault.source} has no link to itself")
        for name in SHARES:
            if not 0 <= getattr(fault, name) <= 1:
                raise Usage(f"{name} is a probability from 0 to 1, not {getattr(fault, name)}")
        for name in AMOUNTS:
            if not 0 <= getattr(fault, name) < float("inf"):
                raise Usage(f"{name.partition('_')[0]} cannot be {getattr(fault, name)}")
        if not any(getattr(fault, name) for name in SHARES + AMOUNTS):
            raise Usage("slow needs at least one of delay, jitter, loss, duplicate, reorder and rate")

    def figures(self, fault: Fault) -> list[Figure]:
        """Delay, shares and rate."""
        found = []
        if fault.delay_ms:
            found.append(Figure("delay", fault.delay_ms / 1000, "s", fault.jitter_ms / 1000))
        elif fault.jitter_ms:
            found.append(Figure("jitter", fault.jitter_ms / 1000, "s"))
        found += [Figure(name, getattr(fault, name), "share") for name in SHARES if getattr(fault, name)]
        if fault.rate_bytes_s:
            found.append(Figure("rate", fault.rate_bytes_s, "bytes/s"))
        return found

    def rule(self, fault: Fault) -> FaultRule:
        """Delays, loses, doubles and reorders packets."""
        return SlowRule(fault)


class SlowRule(FaultRule):
    """What a slow link does. It remembers how far a link of limited rate is booked."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.source, self.target, self.both = fault.source, fault.target, fault.both
        self.delay = fault.delay_ms / 1000
        self.jitter = fault.jitter_ms / 1000
        self.loss, self.duplicate, self.reorder = fault.loss, fault.duplicate, fault.reorder
        self.rate = fault.rate_bytes_s
        self._free_at: dict[str, float] = {}

    def involves(self, name: str) -> bool:
        """Whether the node is an end of the link."""
        return name in (self.source, self.target) or EVERYONE in (self.source, self.target)

    def slows(self, source: str, target: str) -> bool:
        """Whether this is the link, in a direction that suffers."""
        if source == target:
            return False
        return self._matches(source, target) or (self.both and self._matches(target, source))

    def _matches(self, source: str, target: str) -> bool:
        return self.source in (source, EVERYONE) and self.target in (target, EVERYONE)

    def stops(self, source: str, target: str) -> bool:
        """Total loss is as good as a partition, for streams and dials too."""
        return self.loss >= 1 and self.slows(source, target)

    def on_stream(self, source: str, random: Random, size: int, now: float) -> float:
        """The delay, the timeouts of what is lost and sent again, and the wait for a narrow link."""
        delay, timeout = self._delayed(random), RETRANSMIT_S
        for _ in range(RETRANSMITS_MAX if self.loss > 0 else 0):
            if random.random() >= self.loss:
                break
            delay += timeout
            timeout *= 2
        return delay + self._queued(source, size, now)

    def on_datagram(self, delays: list[float], source: str, random: Random, size: int, now: float) -> list[float]:
        """Each copy is lost, or comes once or twice, late."""
        queued = self._queued(source, size, now)
        shaped: list[float] = []
        for delay in delays:
            if self.loss > 0 and random.random() < self.loss:
                continue
            for _ in range(2 if self.duplicate > 0 and random.random() < self.duplicate else 1):
                late = queued + self._delayed(random)
                if self.reorder > 0 and random.random() < self.reorder:  # kept so long that later ones pass it
                    late += random.random() * REORDER_S
                shaped.append(delay + late)
        return shaped

    def _queued(self, source: str, size: int, now: float) -> float:
        """How long `size` bytes from `source` wait until the limited link has sent them."""
        if not self.rate:
            return 0.0
        free = max(now, self._free_at.get(source, now)) + size / self.rate
        self._free_at[source] = free
        return free - now

    def _delayed(self, random: Random) -> float:
        if not self.jitter:
            return self.delay
        return max(0.0, self.delay + self.jitter * (2 * random.random() - 1))
