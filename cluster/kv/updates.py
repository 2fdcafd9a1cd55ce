"""Updates: writes that go by what is there. Increments, additions to sets, removals, and changes of registers.

The coordinator, an owner as for a put, first reads as many owners as a read asks, merges what they hold into what it
holds, applies the operation as one event of its own, and replicates the whole row. The read makes the answer right (the
number after an increment, the items that were new); the write needs it only where it removes, and so an update goes on
with what is found when owners cannot be reached, and says so: both sides of a partition count, and lose nothing.

An event is counted once because an actor numbers its own, and its node goes on with it only while it holds all of them
(`cluster.kv.actors`). A retry is answered by the coordinator that the `maybe` names, from what it remembers: an update
is never applied a second time, and what is not remembered stays a `maybe`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from cluster.chain.bucket import LWW
from cluster.errors import ClusterError, DeadlinePassed, Maybe, QuorumMissing, Usage
from cluster.kv.changes import Changed, carry_out, check_change, wrong_type
from cluster.kv.objects import join_parts, joined, newest_events, split
from cluster.kv.operations import MaybeRow, update_row
from cluster.ports import Inbound
from cluster.replication.mergeable import TABLE_KV
from cluster.replication.reader import ReadOperation
from cluster.versions import (
    KIND_NONE,
    NO_CELL,
    Cell,
    CellContext,
    CellEvent,
    Clock,
    Dot,
    StableClock,
    Versions,
    check_cell,
    decode_cell_context,
    encode_cell_context,
    is_settled,
    kind_of,
    newest_stamp,
    present,
    text_of,
    visible,
)
from cluster.wire.kv import Put, Update, Updated

if TYPE_CHECKING:
    from cluster.kv.coordinator import Coordinator

READ_SHARE: Final = 0.4
"""Of the time that is left, for the read before the write."""


class Updates:
    """One node's part in updates: what its coordinator does with cells."""

    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator
        self.replication = coordinator.replication

    def update(self, body: Update, partition: int, inbound: Inbound) -> None:
        """Coordinate an update, or pass it on. Raises TooLarge or Usage for one that no coordinator may take."""
        check_change(body.change, self._is_lww(body.key))
        if body.coordinator:
            self._retry(body, partition, inbound)
        elif self.coordinator.coordinates(partition):
            self._coordinate(body, partition, inbound)
        else:
            self.coordinator.forwarder.put(body, partition, inbound, self._coordinate)

    def _coordinate(self, body: Update, partition: int, inbound: Inbound) -> None:
        def found(read: ReadOperation, error: ClusterError | None) -> None:
            if error is not None and (body.strict or not isinstance(error, QuorumMissing | DeadlinePassed)):
                self._refuse(body, inbound, error)
                return
            try:
                self._apply(body, partition, inbound, read, degraded=error is not None or read.degraded)
            except ClusterError as refusal:
                self._refuse(body, inbound, refusal)

        now = self.replication.env.clock.now()
        self.coordinator.reader.read(
            TABLE_KV,
            partition,
            body.key,
            r=self.coordinator.buckets.of(body.key).r,
            strict=body.strict,
            deadline=now + READ_SHARE * (inbound.deadline - now),
            done=found,
            trace=inbound.trace,
            repairs=False,
        )

    def _refuse(self, body: Update, inbound: Inbound, error: ClusterError) -> None:
        """Nothing was written."""
        self.coordinator.writes_failed += 1
        self.coordinator.writes.note(self.replication.env.clock.now() - inbound.arrived)
        inbound.fail(error)

    def _apply(self, body: Update, partition: int, inbound: Inbound, read: ReadOperation, *, degraded: bool) -> None:
        coordinator, replication, key = self.coordinator, self.replication, body.key
        clock = replication.env.clock
        if clock.now() >= inbound.deadline:
            raise DeadlinePassed("the owners were read too late for the write")
        held = coordinator.held(partition, key)
        # What no vote brought may have been deleted where the votes are: it is shown to readers, and written nowhere.
        found = None if read.unrepaired else read.merged
        own = parts = split(held)
        if found is not None and found != held:
            parts = join_parts(own, split(found))
        versions, stored = parts
        if visible(versions):
            raise wrong_type(key, "", "a counter or a set")
        stable = replication.stable_clock(partition) if replication.status.complete(partition) else {}
        context = decode_cell_context(body.context) if body.context else None
        if context is not None:
            check_seen(context.clock, stored, stable)
        bucket = coordinator.buckets.of(key)
        lww = bucket.resolver == LWW
        cell = present(stored, bucket.base, self._now_ms())
        event = self.event(partition, key, cell, context, newest_events(own), newest_events(parts), lww=lww)
        ends_ms = int((clock.wall() + bucket.ttl_s) * 1000) if bucket.ttl_s else 0
        made = carry_out(body, cell, event, context, lww=lww, ends_ms=ends_ms)
        if made.cell is cell:  # nothing to write: there was nothing to change
            me, acks = replication.me, len(read.answers)
            seen = encode_cell_context(stored or NO_CELL)
            answer = Updated("ok", acks, 0, seen, me, coordinator.durability, made.changed, made.value, degraded)
            # What was found may have been put in this very pass, and be refused at its end.
            replication.store.settled(
                lambda error: inbound.reply(answer) if error is None else self._refuse(body, inbound, error)
            )
            return
        blob = joined(versions, made.cell)
        check_cell(made.cell, stored or NO_CELL, len(blob), max(len(held or b""), len(found or b"")))
        if not replication.view.mine(partition):
            coordinator.actors.gave(key, event.actor, event.number)
        self._replicate(body, partition, inbound, blob, event, made, degraded)

    def event(
        self,
        partition: int,
        key: str,
        cell: Cell,
        context: CellContext | None,
        own: Clock,
        seen: Clock,
        *,
        lww: bool,
    ) -> CellEvent:
        """The event of a write, by an actor of which this node surely holds all that it gave on the key, and with a
        stamp above all that it is to win over. `own` are the newest events that this node holds of the key, `seen`
        those that it knows of. Raises WrongClock where stamps decide and this node's may not."""
        coordinator = self.coordinator
        if lww:
            coordinator.peer_clocks.check()
        actors, mine = coordinator.actors, self.replication.view.mine(partition)
        number = actors.number = actors.number + 1
        wall_s = self.replication.env.clock.wall()
        newest = max(newest_stamp(cell), 0 if context is None else context.stamp)
        coordinator.clock.observe(newest, wall_s)
        stamp = coordinator.clock.tick(wall_s)
        if lww and stamp <= newest:  # however far ahead: what is written next has to win
            stamp = newest + 1
        stable = self.replication.stable_clock(partition) if self.replication.status.complete(partition) else {}
        actor = actors.actor if mine else actors.for_fallback(key, own)
        known = max(own.get(actor, 0), stable.get(actor.partition(".")[0], 0))
        elsewhere = max(seen.get(actor, 0), 0 if context is None else context.clock.get(actor, 0))
        if elsewhere > known or own.get(actor, 0) >= number:
            actor = coordinator.mint(mine, key)
        return CellEvent(stamp, actor, number)

    def _replicate(
        self,
        body: Update,
        partition: int,
        inbound: Inbound,
        blob: bytes,
        event: CellEvent,
        made: Changed,
        degraded: bool,
    ) -> None:
        replication, durability = self.replication, self.coordinator.durability
        token, me = encode_cell_context(made.cell), replication.me
        if inbound.trace:
            fields = {"key": body.key, "dot": [event.actor, event.number], "change": type(body.change).__name__}
            replication.steps.add(inbound.trace, "coordinate", **fields)

        row = update_row(body, (event.actor, event.number))

        def answer(outcome: str, acks: int, hints: int) -> Updated:
            self.coordinator.operations.ended(body.operation, partition, row, outcome)
            return Updated(outcome, acks, hints, token, me, durability, made.changed, made.value, degraded)

        self.coordinator.replicate(body, partition, inbound, blob, answer)

    def _retry(self, body: Update, partition: int, inbound: Inbound) -> None:
        found = self.again(body, partition, inbound, partial(update_row, body))
        if found is not None:
            held, stored, record = found
            cell = present(stored, self.coordinator.buckets.base_of(body.key), self._now_ms())
            made = Changed(stored, 0, text_of(cell))
            self._replicate(body, partition, inbound, held, CellEvent(0, *record.dot), made, degraded=True)

    def again(
        self, body: Put | Update, partition: int, inbound: Inbound, row_of: Callable[[Dot], MaybeRow]
    ) -> tuple[bytes, Cell, MaybeRow] | None:
        """Of a retry the row that is held with what the first attempt wrote, or with what replaced it, its cell, and
        what is remembered of the attempt: it is never applied a second time. None when another node began it, and is
        asked. `row_of` the event that it was: what is remembered then of this body."""
        replication, operation = self.replication, body.operation
        if body.coordinator != replication.me:
            self.coordinator.forwarder.give_back(body, inbound)
            return None
        record = self.coordinator.operations.find(operation, body.key)
        if record is None:
            raise Maybe(f"{replication.me} has no record of operation {operation}: read the key")
        if record.digest != row_of(record.dot).digest:
            raise Usage(f"operation {operation} is repeated with another change")
        held = self.coordinator.held(partition, body.key)
        _, stored = split(held)
        if held is None or stored is None or stored.clock.get(record.actor, 0) < record.number:
            if is_settled(replication.stable_clock(partition), *record.dot):
                raise Maybe(f"operation {operation} is over: it was replaced, or nobody has it; read the key")
            raise Maybe(f"{replication.me} does not hold operation {operation} any more: read the key")
        return held, stored, record

    # -- puts and gets that meet a cell

    def check_object(self, key: str, versions: Versions, cell: Cell) -> None:
        """Raise WrongType for a put or delete of an object where a reader is shown a cell."""
        kind = kind_of(present(cell, self.coordinator.buckets.base_of(key), self._now_ms()))
        if kind != KIND_NONE and not visible(versions):
            raise wrong_type(key, kind, "a value")

    def _is_lww(self, key: str) -> bool:
        return self.coordinator.buckets.of(key).resolver == LWW

    def _now_ms(self) -> int:
        return int(self.coordinator.peer_clocks.wall_s() * 1000)


def check_seen(seen: Clock, cell: Cell | None, stable: StableClock) -> None:
    """Raise QuorumMissing where a context names events that no owner that answered has seen: what they added could not
    be removed, and would be there again."""
    clock = {} if cell is None else cell.clock
    for actor, number in seen.items():
        if number > clock.get(actor, 0) and not is_settled(stable, actor, number):
            raise QuorumMissing(f"what {actor} wrote has been seen by the asker, and is at no owner that answers")
