"""Puts and deletes where the last write wins: the value of a key is a register, the cell of a row.

A put needs no read before it. Its stamp is above the stamp of what its coordinator holds and of what its writer has
seen, so that who reads and then writes always wins over what was read, whatever the clocks say; of two writers that did
not see each other the later one wins, as far as clocks agree. So a coordinator whose clock is far from its peers' gives
no stamp at all (`peerclocks`).

What is written in a bucket with a time to live ends so long after, by the coordinator's wall clock. The end is an
absolute time and merges with the value, so that every node sees the same end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from cluster.kv.objects import joined, newest_events, split
from cluster.kv.operations import MaybeRow, digest_of
from cluster.ports import Inbound
from cluster.versions import (
    NO_CELL,
    Cell,
    CellEvent,
    Context,
    Versions,
    check_cell,
    decode_cell_context,
    encode_cell_context,
    present,
    put,
    set_value,
)
from cluster.wire.kv import Put, PutDone

if TYPE_CHECKING:
    from cluster.kv.coordinator import Coordinator


class Registers:
    """One node's part in the writes of values in lww buckets."""

    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator

    def put(self, body: Put, partition: int, inbound: Inbound) -> None:
        """Coordinate a put or delete, or pass it on. Raises what refuses it."""
        if body.coordinator:
            self._retry(body, partition, inbound)
        elif self.coordinator.coordinates(partition):
            self.coordinate(body, partition, inbound)
        else:
            self.coordinator.forwarder.put(body, partition, inbound, self.coordinate)

    def coordinate(self, body: Put, partition: int, inbound: Inbound) -> None:
        """Write it here and at the other owners."""
        try:
            blob, cell, event = self._apply(body, partition)
        except ClusterError as error:
            self.coordinator.writes_failed += 1
            inbound.fail(error)
        else:
            self._replicate(body, partition, inbound, blob, cell, event)

    def _apply(self, body: Put, partition: int) -> tuple[bytes, Cell, CellEvent]:
        """The row with this write in it, its cell, and the event of the write."""
        coordinator, key = self.coordinator, body.key
        bucket, wall_s = coordinator.buckets.of(key), coordinator.replication.env.clock.wall()
        held = coordinator.held(partition, key)
        versions, stored = parts = split(held)
        context = decode_cell_context(body.context) if body.context else None
        cell = present(stored, bucket.base, int(wall_s * 1000))
        events = newest_events(parts)
        event = coordinator.updates.event(partition, key, cell, context, events, events, lww=True)
        ends_ms = int((wall_s + bucket.ttl_s) * 1000) if bucket.ttl_s and not body.deleted else 0
        made = set_value(cell, event, None if body.deleted else body.value, ends_ms)
        blob = joined(_without_values(versions, event, body.operation), made)
        check_cell(made, stored or NO_CELL, len(blob), len(held or b""))
        if not coordinator.replication.view.mine(partition):
            coordinator.actors.gave(key, event.actor, event.number)
        return blob, made, event

    def _replicate(
        self, body: Put, partition: int, inbound: Inbound, blob: bytes, cell: Cell, event: CellEvent
    ) -> None:
        coordinator, replication = self.coordinator, self.coordinator.replication
        token, me, durability = encode_cell_context(cell), replication.me, coordinator.durability
        if inbound.trace:
            dot = [event.actor, event.number]
            replication.steps.add(inbound.trace, "coordinate", key=body.key, dot=dot, stamp=event.stamp)

        row = _row(body, event)

        def answer(outcome: str, acks: int, hints: int) -> PutDone:
            coordinator.operations.ended(body.operation, partition, row, outcome)
            return PutDone(outcome, acks, hints, token, me, 1, durability)

        coordinator.replicate(body, partition, inbound, blob, answer)

    def _retry(self, body: Put, partition: int, inbound: Inbound) -> None:
        """Bring what a first attempt wrote to the owners again, or what replaced it since."""
        found = self.coordinator.updates.again(body, partition, inbound, lambda dot: _row(body, CellEvent(0, *dot)))
        if found is not None:
            held, cell, record = found
            self._replicate(body, partition, inbound, held, cell, CellEvent(record.stamp, *record.dot))


def _row(body: Put, event: CellEvent) -> MaybeRow:
    return MaybeRow(body.key, event.actor, event.number, event.stamp, digest_of(body.value, body.deleted))


def _without_values(versions: Versions, event: CellEvent, operation: str) -> Versions:
    """The object of the row, deleted: a put that crossed the creation of the bucket may have left one, and readers
    would be shown that for ever."""
    if not versions.siblings or all(sibling.deleted for sibling in versions.siblings):
        return versions
    seen = Context(versions.clock, versions.cloud)
    return put(versions, event.actor, event.number, seen, operation, event.stamp, b"", deleted=True)
