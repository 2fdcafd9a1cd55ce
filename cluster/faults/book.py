"""One node's view of the faults: verdicts on what arrives, and receipts of what they touched.

Rules act at delivery, in the receiver, so each packet meets them once and is counted once, as `source->receiver`. The
sender's only part is the dial: a dial whose SYN or answer a partition stops must hang, and is counted by the dialler,
because nobody else sees it. Connections in the client role never come here: the caller leaves them out.

Streams keep their order: when an earlier piece is delayed, the transport holds the later ones behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cluster.faults.disk import AilingDisk
from cluster.faults.document import FaultDocument
from cluster.faults.fault import Fault

if TYPE_CHECKING:
    from random import Random

    from cluster.faults.kind import FaultRule


class FaultBook:
    """The faults as node `me` knows them."""

    def __init__(self, me: str) -> None:
        self.me = me
        self.generation = 0
        self.active = False
        """Whether any active link fault involves this node: the one check that packets pay in peace."""
        self.disk: AilingDisk | None = None
        """What ails the disk of this node, if anything does."""
        self.skew_s = 0.0
        """By how much its wall clock is ahead."""
        self._skewing: list[str] = []
        self._faults: dict[str, Fault] = {}
        self._loaded = False
        self._rules: list[FaultRule] = []
        self._struck: dict[str, list[str]] = {}  # peer -> the active faults of processes that name it
        self._receipts: dict[str, dict[str, int]] = {}

    def load(self, document: FaultDocument) -> list[Fault]:
        """Take over a generation; returns the faults that are new or changed. An older one is ignored: a late reader
        must not undo what a later command did. Receipts of faults that the document no longer holds are dropped."""
        if document.generation < self.generation:
            return []
        changed = [fault for fault in document.faults if self._faults.get(fault.id) != fault]
        self.generation = document.generation
        self._loaded = True
        self._faults = {fault.id: fault for fault in document.faults}
        self._receipts = {id: links for id, links in self._receipts.items() if id in self._faults}
        active = [fault for fault in document.faults if fault.active]
        # A rule that goes on keeps its state (how far a limited link is booked); what an id means never changes.
        former = {rule.id: rule for rule in self._rules}
        rules = [rule for fault in active if (rule := fault.of.rule(fault)) is not None and rule.involves(self.me)]
        self._rules = [former.get(rule.id, rule) for rule in rules]
        self.active = bool(self._rules)
        mine = [one for fault in active if self.me in fault.nodes and (one := fault.of.ailment(fault)) is not None]
        ailing = [one for one in mine if one.log_delay_s or one.full]
        self.disk = AilingDisk(ailing, self._count_here) if ailing else None
        self._skewing = [one.id for one in mine if one.skew_s]
        self.skew_s = sum(one.skew_s for one in mine)
        self._struck = {}
        for fault in active:
            if fault.of.scope == "process":
                for name in fault.nodes:
                    if name not in fault.returned:
                        self._struck.setdefault(name, []).append(fault.id)
        return changed

    def blocked(self, source: str, target: str) -> bool:
        """Whether nothing passes from `source` to `target`: a partition, or total loss. Only links of this node are
        known. Counts nothing."""
        return any(rule.stops(source, target) for rule in self._rules)

    def slows(self, source: str) -> bool:
        """Whether what arrives from `source` is late, lossy or narrow. Counts nothing."""
        return bool(self._slow_from(source))

    def on_dial(self, peer: str) -> bool:
        """Whether a dial to `peer` must hang: its SYN or the answer to it would be stopped. Counted once an attempt."""
        return self.active and (self._stopped(self.me, peer) or self._stopped(peer, self.me))

    def hides(self, peer: str) -> bool:
        """Whether a refusal, reset or end of stream from `peer` must stay unseen, because it would not get here. When
        only the way to the peer is stopped, the end of a stream that was open before is seen, as on a real link."""
        return self.active and self.blocked(peer, self.me)

    def on_stream(self, source: str, random: Random, size: int = 0, now: float = 0.0) -> float | None:
        """The verdict on bytes of a stream that arrive from `source`: None to hold them until the faults change (then
        ask again), or seconds to delay them (0.0: now). Loss costs a stream time, as TCP's retransmissions do: at
        least RETRANSMIT_S. `size` and `now` (monotonic) matter to rate limits only."""
        if not self.active:
            return 0.0
        if self._stopped(source, self.me):
            return None
        total = 0.0
        for rule in self._slow_from(source):
            delay = rule.on_stream(source, random, size, now)
            if delay:
                self.count((rule.id,), self._link(source))
                total += delay
        return total

    def on_datagram(self, source: str, random: Random, size: int = 0, now: float = 0.0) -> list[float]:
        """The verdict on a datagram that arrives from `source`: a delay in seconds for each copy to deliver, none to
        drop it. `size` and `now` (monotonic) matter to rate limits only."""
        if not self.active:
            return [0.0]
        if self._stopped(source, self.me):
            return []
        delays = [0.0]
        for rule in self._slow_from(source):
            before = list(delays)
            delays = rule.on_datagram(delays, source, random, size, now)
            if delays != before:
                self.count((rule.id,), self._link(source))
            if not delays:
                break
        return delays

    def count(self, ids: Iterable[str], link: str) -> None:
        """One packet or operation on `link` met these faults."""
        for id in ids:
            links = self._receipts.setdefault(id, {})
            links[link] = links.get(link, 0) + 1

    def on_clock(self) -> None:
        """The wrong wall clock was read."""
        self._count_here(self._skewing)

    def _count_here(self, ids: Iterable[str]) -> None:
        self.count(ids, self.me)

    def note_failure(self, peer: str, what: str) -> None:
        """A probe, dial or request against `peer` failed, as `what` (a reason of `LinkHandler.lost`, or the caller's
        word). Counts for each active kill or pause of `peer`, as `me->peer`; what this side aborted is no failure."""
        if peer in self._struck and what != "aborted":
            self.count(self._struck[peer], f"{self.me}->{peer}")

    def receipts(self) -> dict[str, dict[str, int]]:
        """What each fault touched here: fault id -> link (`n1->n3`), or this node for its disk and clock -> count. A
        copy."""
        return {id: dict(links) for id, links in self._receipts.items()}

    def restore(self, receipts: Mapping[str, Mapping[str, int]]) -> None:
        """Add what an earlier boot of this node had counted. Once, at boot; before or after the first `load`."""
        for id, links in receipts.items():
            if self._loaded and id not in self._faults:
                continue
            mine = self._receipts.setdefault(id, {})
            for link, count in links.items():
                mine[link] = mine.get(link, 0) + count

    def _link(self, source: str) -> str:
        return f"{source}->{self.me}"

    def _slow_from(self, source: str) -> list[FaultRule]:
        return [rule for rule in self._rules if rule.slows(source, self.me)]

    def _stopped(self, source: str, target: str) -> bool:
        """`blocked`, counted against each fault that stops the direction."""
        ids = [rule.id for rule in self._rules if rule.stops(source, target)]
        self.count(ids, f"{source}->{target}")
        return bool(ids)
