"""Puts, gets and deletes: any node takes them, an owner of the key coordinates them.

A put is given its dot by the coordinator, which applies it first and then replicates the whole merged object. A write
that was sent is never coordinated a second time: what is not known to have failed ends as `maybe`. Dynamo (2007)
sections 4.4, 4.5 and 6.4.
"""

from collections.abc import Callable
from functools import partial

from cluster.chain.bucket import LWW
from cluster.errors import ClusterError, Damaged, Maybe, QuorumMissing, TooLarge, Usage
from cluster.kv.actors import Actors
from cluster.kv.buckets import Buckets
from cluster.kv.forward import Forwarder
from cluster.kv.objects import split, with_object
from cluster.kv.operations import MaybeRow, Operations, digest_of
from cluster.kv.peerclocks import PeerClocks
from cluster.kv.reads import ANSWER_S, Reads, check_key, leave_time_to_answer
from cluster.kv.registers import Registers
from cluster.kv.updates import Updates
from cluster.layout import partition_of
from cluster.limits import (
    CLOCK_ACTORS_MAX,
    KEY_CHARS,
    OPERATION_BYTES_MAX,
    SIBLINGS_WARN,
    VALUE_BYTES_MAX,
)
from cluster.observe.events import LimitedRecorder
from cluster.observe.latency import Latencies
from cluster.ports import Inbound
from cluster.replication.context import ReplicationContext
from cluster.replication.mergeable import TABLE_KV
from cluster.replication.quorum import (
    MAYBE,
    NO,
    UNANSWERED,
)
from cluster.replication.reader import Reader
from cluster.replication.writer import WriteOperation, Writer
from cluster.versions import (
    EMPTY,
    Context,
    Dot,
    HybridClock,
    Sibling,
    check_growth,
    context_after,
    covers,
    decode,
    decode_cell_context,
    decode_clock,
    decode_context,
    encode,
    encode_context,
    has_clock,
    is_settled,
    join_dot,
    proves_amnesia,
    put,
    replace_all,
    restore,
    visible,
    wall_of,
)
from cluster.wire.kv import Put, PutDone, Update, Updated

Answer = Callable[[str, int, int], PutDone | Updated]
"""`(outcome, acks, hints)`: the reply to a write, which notes what a retry of it is to find."""


def check_write(body: Put | Update, w_max: int) -> None:
    """Raise TooLarge or Usage for a write that no coordinator may take."""
    if not 0 < len(body.key) <= KEY_CHARS:
        check_key(body.key)
    operation = body.operation
    if len(operation) > OPERATION_BYTES_MAX:
        raise TooLarge(f"an operation id has at most {OPERATION_BYTES_MAX} bytes, this one {len(operation.encode())}")
    if not (operation.isascii() and operation.isprintable() and operation):
        raise Usage("an operation id is printable ASCII")
    if body.w < 0 or body.w > w_max:
        raise Usage(f"w is 1 to {w_max} (N), not {body.w}")


class Coordinator:
    """One node's part in the key-value store."""

    def __init__(
        self,
        replication: ReplicationContext,
        writer: Writer,
        reader: Reader,
        actors: Actors,
        buckets: Buckets,
        peer_clocks: PeerClocks,
        durability: str,
    ) -> None:
        self.replication = replication
        self.writer = writer
        self.reader = reader
        self.actors = actors
        self.buckets = buckets
        self.peer_clocks = peer_clocks
        self.durability = durability
        self._write_s = replication.settings.write_timeout_s - ANSWER_S
        self.clock = HybridClock()
        self._limited = LimitedRecorder(replication.env.clock, replication.record)
        self.forwarder = Forwarder(replication, durability)
        self.reading = Reads(replication, reader, buckets, peer_clocks, self.forwarder)
        self.writes = Latencies()
        """Of the writes that this node coordinated, from their arrival here to the verdict."""
        self.writes_failed = 0
        """Those of them that ended without an acknowledgement: `maybe`, or a definite no."""
        self.operations = Operations(replication.store)
        self.updates = Updates(self)
        self.registers = Registers(self)

    # -- writes

    def put(self, inbound: Inbound) -> None:
        """Handle a put or delete. Raises TooLarge or Usage for one that no coordinator may take."""
        body: Put = inbound.body
        self.begin_write(inbound, body.hops)
        check_write(body, self.replication.settings.n)
        if len(body.value) > VALUE_BYTES_MAX:
            raise TooLarge(f"a value has at most {VALUE_BYTES_MAX} bytes, this one {len(body.value)}")
        partition = partition_of(body.key)
        if self.buckets.defined and self.buckets.of(body.key).resolver == LWW:
            self.registers.put(body, partition, inbound)
        elif body.coordinator:
            self._retry(body, partition, inbound)
        elif self.coordinates(partition):
            self._coordinate(body, partition, inbound)
        else:
            self.forwarder.put(body, partition, inbound, self._coordinate)

    def coordinates(self, partition: int) -> bool:
        """Whether a write of the partition is this node's own to coordinate, before any other owner's. Not while its
        disk is full: it would need a new actor for each write, because it keeps none, and clocks are never pruned."""
        return self.replication.view.mine(partition) and not self.replication.store.full

    def begin_write(self, inbound: Inbound, hops: int) -> None:
        """Leave time to answer within the deadline of a write."""
        latest = inbound.arrived + self._write_s
        if latest < inbound.deadline:
            inbound.deadline = latest
        elif not hops:
            leave_time_to_answer(inbound)

    def _coordinate(self, body: Put, partition: int, inbound: Inbound) -> None:
        try:
            blob, token, siblings, dot = self._apply(body, partition)
        except ClusterError as error:
            inbound.fail(error)
        else:
            self._put(body, partition, inbound, blob, token, siblings, dot)

    def _put(
        self, body: Put, partition: int, inbound: Inbound, blob: bytes, token: bytes, siblings: int, dot: Dot
    ) -> None:
        if inbound.trace:
            fields = {"key": body.key, "dot": list(dot), "siblings": siblings}
            self.replication.steps.add(inbound.trace, "coordinate", **fields)

        def answer(outcome: str, acks: int, hints: int) -> PutDone:
            if outcome == MAYBE and (row := maybe_row(body, blob, dot)):
                self.operations.remember(body.operation, partition, row)
            return PutDone(outcome, acks, hints, token, self.replication.me, siblings, self.durability)

        self.replicate(body, partition, inbound, blob, answer)

    def replicate(self, body: Put | Update, partition: int, inbound: Inbound, blob: bytes, answer: Answer) -> None:
        """Replicate a row with a write in it, and answer with the verdict; not with `answer` when that is a no."""
        replication = self.replication

        def decided(outcome: str, write: WriteOperation) -> None:
            if write.trace:
                slots = dict(write.filled)
                replication.steps.add(write.trace, "decided", outcome=outcome, slots=slots, hints=write.hints)
            self.writes.note(replication.env.clock.now() - inbound.arrived)
            if outcome in (NO, MAYBE):
                self.writes_failed += 1
            if outcome == NO:  # what was refused for a reason of its own is refused for that reason
                error = write.error
                reached = error is not None and not isinstance(error, UNANSWERED)
                refuse(body, inbound, error if error is not None and reached else QuorumMissing(str(error)))
            else:
                inbound.reply(answer(outcome, len(write.filled), write.hints))

        write = partial(self.writer.write, trace=inbound.trace) if inbound.trace else self.writer.write
        w = body.w
        if not w and self.buckets.defined:
            w = self.buckets.of(body.key).w
        try:
            write(
                TABLE_KV,
                partition,
                body.key,
                blob,
                w=w,
                strict=body.strict,
                deadline=inbound.deadline,
                done=decided,
            )
        except ClusterError as error:
            self.writes_failed += 1
            self.writes.note(replication.env.clock.now() - inbound.arrived)
            refuse(body, inbound, error)

    def held(self, partition: int, key: str) -> bytes | None:
        """What this node has of a key, as an owner, or for others."""
        if self.replication.view.mine(partition):
            return self.replication.store.get(TABLE_KV, partition, key)
        return self.replication.hints.find(TABLE_KV, partition, key)

    def _apply(self, body: Put, partition: int) -> tuple[bytes, bytes, int, Dot]:
        """The bytes of the object with this write in it, the writer's new context, how many siblings a reader sees, and
        the dot of the write. Nothing is stored yet: raises for a context, or an object, that may not be."""
        replication, actors, key, operation = self.replication, self.actors, body.key, body.operation
        mine, seen = replication.view.mine(partition), body.context
        held = replication.store.get(TABLE_KV, partition, key) if mine else self.held(partition, key)
        number = actors.number = actors.number + 1
        stamp = self.clock.tick(replication.env.clock.wall())
        if mine and held is not None and seen and has_clock(held, seen):
            clock, actor = decode_clock(seen), actors.actor
            if operation.encode() not in held and clock.get(actor, 0) < number and len(clock) < CLOCK_ACTORS_MAX:
                # All that is here was read, so it is not worth decoding what goes, and one value is under every limit.
                blob, token = replace_all(clock, actor, number, operation, stamp, body.value, body.deleted)
                return blob, token, int(not body.deleted), (actor, number)
        context = object_context(seen)
        try:
            stored, cell = split(held)
        except Damaged:
            raise Damaged(f"the stored copy of {key!r} cannot be read") from None
        if cell is not None:
            self.updates.check_object(key, stored, cell)
        for sibling in stored.siblings:
            if sibling.stamp > stamp:
                stamp = self.follow(sibling.stamp, key)
        actor = actors.actor if mine else actors.for_fallback(key, stored.clock)
        complete = replication.status.complete(partition)
        stable = replication.stable_clock(partition) if complete else {}  # else the row may be lost, not collected
        if proves_amnesia(stored, actor, number, context, stable):
            actor = self.mint(mine, key)
        written = put(stored, actor, number, context, operation, stamp, body.value, body.deleted)
        blob = encode(written) if held is None else with_object(held, encode(written))
        check_growth(stored, len(held or b""), written, len(blob))
        if not mine and written is not stored:
            actors.gave(key, actor, number)
        siblings = len(written.siblings)
        if siblings == SIBLINGS_WARN > len(stored.siblings):  # once on the way up, not for each write
            replication.record(
                "kv.siblings", f"{siblings} concurrent values: writers do not read what they replace", key=key
            )
        dot = next(s.dot for s in written.siblings if s.operation == operation)
        return blob, encode_context(context_after(written, operation, context)), len(visible(written)), dot

    def follow(self, heard: int, key: str) -> int:
        """A stamp above one that stands in the store, unless that comes from a clock that is wrong by too much."""
        wall = self.replication.env.clock.wall()
        if not self.clock.observe(heard, wall):
            ahead_s = wall_of(heard) - wall
            self._limited("clock.ahead", f"a stamp {ahead_s:.0f} s ahead of this clock is not followed", key=key)
        return self.clock.tick(wall)

    def _retry(self, body: Put, partition: int, inbound: Inbound) -> None:
        """Take a write again whose first attempt ended as `maybe`, if it began here: never under a second dot.

        What is held has the write, or what replaced it since: it is brought to the owners again, whichever it is.
        """
        replication, key, operation = self.replication, body.key, body.operation
        if body.coordinator != replication.me:
            self.forwarder.give_back(body, inbound)
            return
        mine = replication.view.mine(partition)
        held = replication.store.get(TABLE_KV, partition, key) if mine else None
        if held is None:
            held = replication.hints.find(TABLE_KV, partition, key)
        try:
            stored = EMPTY if held is None else decode(held)
            context = object_context(body.context)
        except ClusterError as error:
            inbound.fail(error)
            return
        there = [s.dot for s in stored.siblings if s.operation == operation]
        row = self.operations.find(operation, key)
        dot = there[0] if there else row.dot if row is not None else None
        if dot is None:
            inbound.fail(Maybe(f"{replication.me} has no record of operation {operation}: read the key"))
            return
        if held is None or not covers(stored.clock, stored.cloud, *dot):
            assert row is not None
            if is_settled(replication.stable_clock(partition), *row.dot):
                inbound.fail(Maybe(f"operation {operation} is over: it was replaced, or nobody has it; read the key"))
                return
            if not mine:
                inbound.fail(Maybe(f"{replication.me} has handed operation {operation} to an owner: read the key"))
                return
            # The log refused it here, and copies may be elsewhere: it is made again as the event that it was.
            if row.digest != digest_of(body.value, body.deleted):
                inbound.fail(Usage(f"operation {operation} is repeated with another value"))
                return
            written = Sibling(*dot, operation, row.stamp, body.deleted, body.value)
            restored = restore(stored, written, context)
            blob = with_object(held, encode(restored))
            try:
                check_growth(stored, len(held or b""), restored, len(blob))
            except ClusterError as error:
                refuse(body, inbound, error)
                return
            held, stored = blob, restored
        token = encode_context(join_dot(context, dot))
        self._put(body, partition, inbound, held, token, len(visible(stored)), dot)

    def mint(self, mine: bool, key: str) -> str:
        """An actor for a write of a key of which something may be lost."""
        if not mine:
            return self.actors.mint()
        self.actors.renew()
        self.replication.record("actor.minted", "a context names a write of this node that it does not know", key=key)
        return self.actors.actor

    def update(self, inbound: Inbound) -> None:
        """Handle an update. Raises what refuses it before anything is sent."""
        body: Update = inbound.body
        self.begin_write(inbound, body.hops)
        check_write(body, self.replication.settings.n)
        self.updates.update(body, partition_of(body.key), inbound)


def object_context(blob: bytes | None) -> Context | None:
    """What has been seen of an object; nothing for who has seen a cell of that key. Raises BadContext."""
    if not blob:
        return None
    return decode_context(blob) if decode_cell_context(blob) is None else None


def maybe_row(body: Put, blob: bytes, dot: Dot) -> MaybeRow | None:
    """What is to be remembered of a write that ends as `maybe`; None for a retry of what was replaced since."""
    for written in decode(blob).siblings:
        if written.dot == dot:
            return MaybeRow(body.key, *dot, written.stamp, digest_of(written.value, written.deleted))
    return None


def refuse(body: Put | Update, inbound: Inbound, error: ClusterError) -> None:
    """Answer a put that came to nothing; of a retry, what is a definite no says nothing of the first attempt."""
    inbound.fail(Maybe(f"it was not repeated: {error.message}") if body.coordinator else error)
