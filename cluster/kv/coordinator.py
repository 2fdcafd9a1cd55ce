"""Puts, gets and deletes: any node takes them, an owner of the key coordinates them.

A put is given its dot by the coordinator, which applies it first and then replicates the whole merged object. A write
that was sent is never coordinated a second time: what is not known to have failed ends as `maybe`. Dynamo (2007)
sections 4.4, 4.5 and 6.4.
"""

from functools import partial

from cluster.env import Slices
from cluster.errors import ClusterError, Damaged, Maybe, Overloaded, QuorumMissing, TooLarge, Usage
from cluster.kv.actors import Actors
from cluster.kv.buckets import Buckets
from cluster.kv.forward import Forwarder
from cluster.kv.listing import LISTINGS_MAX, Listed, Listing
from cluster.kv.operations import Operations, digest_of
from cluster.kv.peerclocks import PeerClocks
from cluster.layout import partition_of
from cluster.limits import (
    CLOCK_ACTORS_MAX,
    FRAME_BYTES_MAX,
    KEY_BYTES_MAX,
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
    CATCHING_UP,
    MAY_MISS_HINTS,
    MAYBE,
    NO,
    NO_VOTE,
    UNANSWERED,
    VOTING,
)
from cluster.replication.reader import Reader, ReadOperation
from cluster.replication.writer import WriteOperation, Writer
from cluster.versions import (
    EMPTY,
    NOTHING,
    Context,
    Dot,
    HybridClock,
    Sibling,
    Versions,
    check_growth,
    context_after,
    covers,
    decode,
    decode_clock,
    decode_context,
    distinct,
    encode,
    encode_clock,
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
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone

ANSWER_S = 0.06
"""An operation has its second, however long its client would wait, and ends by then: sweeps and calls are up to two
beats late, and the answer has a way to go."""
KEYS_PAGE_MAX = 4096
GOT_BYTES_MAX = FRAME_BYTES_MAX - 1024 * 1024
"""Of the values in one answer, so that it fits a frame with its context."""
NO_CONTEXT = encode_context(NOTHING)
"""The context of who has seen nothing: a put with it is concurrent with everything, as one without."""
NOT_SURE = {
    NO_VOTE: "it does not own the key, or has lost data and is recovering",
    CATCHING_UP: "it is catching up and may have missed writes",
    MAY_MISS_HINTS: "a dead member may hold hints for it",
}
"""Why the absence of a key at one node proves nothing."""


def check_key(key: str) -> None:
    """Raise TooLarge for what cannot be a key."""
    if not 0 < len(key) <= KEY_BYTES_MAX or not (key.isascii() or len(key.encode()) <= KEY_BYTES_MAX):
        raise TooLarge(f"a key has 1 to {KEY_BYTES_MAX} bytes, this one {len(key.encode())}")


def leave_time_to_answer(inbound: Inbound) -> None:
    """Of an operation with less time than most: the same, or a share of what it has. The next node has what is left."""
    left = inbound.deadline - inbound.arrived
    inbound.deadline -= ANSWER_S if left > 8 * ANSWER_S else left / 8


def check_put(body: Put, w_max: int) -> None:
    """Raise TooLarge or Usage for a put that no coordinator may take."""
    if not 0 < len(body.key) <= KEY_CHARS:
        check_key(body.key)
    if len(body.value) > VALUE_BYTES_MAX:
        raise TooLarge(f"a value has at most {VALUE_BYTES_MAX} bytes, this one {len(body.value)}")
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
        self._read_s = replication.settings.read_timeout_s - ANSWER_S
        self.clock = HybridClock()
        self._limited = LimitedRecorder(replication.env.clock, replication.record)
        self.forwarder = Forwarder(replication, durability)
        self.slices = Slices(replication.env.clock)
        self.writes = Latencies()
        """Of the writes that this node coordinated, from their arrival here to the verdict; so `reads`."""
        self.reads = Latencies()
        self.writes_failed = 0
        """Those of them that ended without an acknowledgement: `maybe`, or a definite no."""
        self.reads_failed = 0
        self.operations = Operations(replication.store)

    # -- writes

    def put(self, inbound: Inbound) -> None:
        """Handle a put or delete. Raises TooLarge or Usage for one that no coordinator may take."""
        body: Put = inbound.body
        latest = inbound.arrived + self._write_s
        if latest < inbound.deadline:
            inbound.deadline = latest
        elif not body.hops:
            leave_time_to_answer(inbound)
        check_put(body, self.replication.settings.n)
        partition = partition_of(body.key)
        if body.coordinator:
            self._retry(body, partition, inbound)
        elif self.replication.view.mine(partition):
            self._coordinate(body, partition, inbound)
        else:
            self.forwarder.put(body, partition, inbound, self._coordinate)

    def _coordinate(self, body: Put, partition: int, inbound: Inbound) -> None:
        try:
            blob, token, siblings, dot = self._apply(body, partition)
        except ClusterError as error:
            inbound.fail(error)
        else:
            self._write(body, partition, inbound, blob, token, siblings, dot)

    def _write(
        self, body: Put, partition: int, inbound: Inbound, blob: bytes, token: bytes, siblings: int, dot: Dot
    ) -> None:
        """Replicate the object, and answer with the verdict."""
        replication = self.replication
        if inbound.trace:
            fields = {"key": body.key, "dot": list(dot), "siblings": siblings}
            replication.steps.add(inbound.trace, "coordinate", **fields)

        def decided(outcome: str, write: WriteOperation) -> None:
            if write.trace:
                slots = dict(write.filled)
                replication.steps.add(write.trace, "decided", outcome=outcome, slots=slots, hints=write.hints)
            self.writes.note(replication.env.clock.now() - inbound.arrived)
            if outcome in (NO, MAYBE):
                self.writes_failed += 1
            if outcome == MAYBE:
                for written in decode(blob).siblings:
                    if written.dot == dot:  # else it was replaced since, and this is a retry
                        self.operations.remember(body.operation, partition, body.key, written)
            if outcome == NO:  # what was refused for a reason of its own is refused for that reason
                error = write.error
                reached = error is not None and not isinstance(error, UNANSWERED)
                refuse(body, inbound, error if error is not None and reached else QuorumMissing(str(error)))
            else:
                acks, me = len(write.filled), replication.view.me
                inbound.reply(PutDone(outcome, acks, write.hints, token, me, siblings, self.durability))

        write = partial(self.writer.write, trace=inbound.trace) if inbound.trace else self.writer.write
        try:
            write(
                TABLE_KV,
                partition,
                body.key,
                blob,
                w=body.w or self.buckets.of(body.key).w,
                strict=body.strict,
                deadline=inbound.deadline,
                done=decided,
            )
        except ClusterError as error:
            self.writes_failed += 1
            self.writes.note(replication.env.clock.now() - inbound.arrived)
            refuse(body, inbound, error)

    def _apply(self, body: Put, partition: int) -> tuple[bytes, bytes, int, Dot]:
        """The bytes of the object with this write in it, the writer's new context, how many siblings there are, and the
        dot of the write. Nothing is stored yet: raises for a context, or an object, that may not be."""
        replication, actors, key, operation = self.replication, self.actors, body.key, body.operation
        mine, seen = replication.view.mine(partition), body.context
        if mine:
            held = replication.store.get(TABLE_KV, partition, key)
        else:
            held = replication.hints.find(TABLE_KV, partition, key)
        number = actors.number = actors.number + 1
        stamp = self.clock.tick(replication.env.clock.wall())
        if mine and held is not None and seen and has_clock(held, seen):
            clock, actor = decode_clock(seen), actors.actor
            if operation.encode() not in held and clock.get(actor, 0) < number and len(clock) < CLOCK_ACTORS_MAX:
                # All that is here was read, so it is not worth decoding what goes, and one value is under every limit.
                blob, token = replace_all(clock, actor, number, operation, stamp, body.value, body.deleted)
                return blob, token, 1, (actor, number)
        context = decode_context(seen) if seen else None
        try:
            stored = EMPTY if held is None else decode(held)
        except Damaged:
            raise Damaged(f"the stored copy of {key!r} cannot be read") from None
        for sibling in stored.siblings:
            if sibling.stamp > stamp:
                stamp = self._follow(sibling.stamp, key)
        actor = actors.actor if mine else actors.for_fallback(key, stored.clock)
        complete = replication.status.complete(partition)
        stable = replication.stable_clock(partition) if complete else {}  # else the row may be lost, not collected
        if proves_amnesia(stored, actor, number, context, stable):
            actor = self._mint(mine, key)
        written = put(stored, actor, number, context, operation, stamp, body.value, body.deleted)
        blob = encode(written)
        check_growth(stored, len(held or b""), written, len(blob))
        if not mine and written is not stored:
            actors.gave(key, actor, number)
        siblings = len(written.siblings)
        if siblings == SIBLINGS_WARN > len(stored.siblings):  # once on the way up, not for each write
            replication.record(
                "kv.siblings", f"{siblings} concurrent values: writers do not read what they replace", key=key
            )
        dot = next(s.dot for s in written.siblings if s.operation == operation)
        return blob, encode_context(context_after(written, operation, context)), siblings, dot

    def _follow(self, heard: int, key: str) -> int:
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
            context = decode_context(body.context) if body.context else None
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
            blob = encode(restored)
            try:
                check_growth(stored, len(held or b""), restored, len(blob))
            except ClusterError as error:
                refuse(body, inbound, error)
                return
            held, stored = blob, restored
        token = encode_context(join_dot(context, dot))
        self._write(body, partition, inbound, held, token, len(stored.siblings), dot)

    def _mint(self, mine: bool, key: str) -> str:
        if not mine:
            return self.actors.mint()
        self.actors.renew()
        self.replication.record("actor.minted", "a context names a write of this node that it does not know", key=key)
        return self.actors.actor

    # -- reads

    def get(self, inbound: Inbound) -> None:
        """Handle a get. Raises TooLarge or Usage."""
        body: Get = inbound.body
        if not 0 < len(body.key) <= KEY_CHARS:
            check_key(body.key)
        if body.r < 0 or body.r > self.replication.settings.n:
            raise Usage(f"r is 1 to {self.replication.settings.n} (N), not {body.r}")
        latest = inbound.arrived + self._read_s
        if latest < inbound.deadline:
            inbound.deadline = latest
        elif not body.hops:
            leave_time_to_answer(inbound)
        partition = partition_of(body.key)
        if body.local:
            self._local(body, partition, inbound)
        elif self.replication.view.mine(partition):
            self._read(body, partition, inbound)
        else:
            self.forwarder.get(body, partition, inbound, self._read)

    def _read(self, body: Get, partition: int, inbound: Inbound) -> None:
        def found(read: ReadOperation, error: ClusterError | None) -> None:
            if read.trace:
                outcome = "ok" if error is None else error.code
                answers, repaired = sorted(read.answers), read.repaired
                steps.add(read.trace, "decided", outcome=outcome, answered=answers, repaired=repaired)
            self.reads.note(self.replication.env.clock.now() - inbound.arrived)
            if error is None:
                self._answer(read.merged, len(read.answers), read.repaired, read.degraded, inbound)
            else:
                self.reads_failed += 1
                inbound.fail(error)

        read, steps = self.reader.read, self.replication.steps
        if inbound.trace:
            steps.add(inbound.trace, "coordinate", key=body.key)
            read = partial(read, trace=inbound.trace)
        r = body.r or self.buckets.of(body.key).r
        read(TABLE_KV, partition, body.key, r=r, strict=body.strict, deadline=inbound.deadline, done=found)

    def _local(self, body: Get, partition: int, inbound: Inbound) -> None:
        """What this node alone holds. Its absence is an answer only with a vote behind it."""
        replication = self.replication
        vote = replication.status.vote(partition) if replication.view.mine(partition) else NO_VOTE
        blob = replication.store.logged(TABLE_KV, partition, body.key)
        if vote != VOTING and (blob is None or not replication.mergeables[TABLE_KV].shows(blob, body.key)):
            inbound.fail(QuorumMissing(f"{replication.me} holds nothing under {body.key!r}: {NOT_SURE[vote]}"))
        else:
            self._answer(blob, 1, 0, vote != VOTING, inbound)

    def _answer(self, blob: bytes | None, answered: int, repaired: int, degraded: bool, inbound: Inbound) -> None:
        if blob is None:
            inbound.reply(Got([], NO_CONTEXT, answered, repaired, degraded, self.replication.me))
            return
        try:
            versions = decode(blob)
        except Damaged as error:
            inbound.fail(error)
            return
        if len(blob) <= GOT_BYTES_MAX and not versions.cloud:
            values, token = visible(versions), encode_clock(versions.clock)
        else:
            values, token = shown(versions)
        inbound.reply(Got(values, token, answered, repaired, degraded, self.replication.me))

    def keys(self, inbound: Inbound) -> None:
        """Live keys that this node owns, in order: one page. Raises TooLarge or Overloaded."""
        body: Keys = inbound.body
        for text in filter(None, (body.prefix, body.after)):
            check_key(text)

        def listed(keys: list[str], after: str, error: ClusterError | None) -> None:
            if error is None:
                inbound.reply(KeysFound(keys, after))
            else:
                inbound.fail(error)

        inbound.on_cancel(self.list_keys(body.prefix, body.after, body.limit, inbound.deadline, listed).cancel)

    def list_keys(self, prefix: str, after: str, limit: int, deadline: float, listed: Listed) -> Listing:
        """Begin a page. Raises Overloaded."""
        replication = self.replication
        if len(self.slices) >= LISTINGS_MAX:
            raise Overloaded(f"{replication.me} has {LISTINGS_MAX} listings under way")
        listing = Listing(
            replication.store,
            replication.mergeables[TABLE_KV],
            replication.env.clock,
            replication.view.my_partitions(),
            after,
            prefix,
            max(1, min(limit, KEYS_PAGE_MAX)),
            deadline,
            listed,
        )
        self.slices.begin(listing.step)
        return listing


def refuse(body: Put, inbound: Inbound, error: ClusterError) -> None:
    """Answer a put that came to nothing; of a retry, what is a definite no says nothing of the first attempt."""
    inbound.fail(Maybe(f"it was not repeated: {error.message}") if body.coordinator else error)


def shown(versions: Versions) -> tuple[list[bytes], bytes]:
    """The values that a reader is given, and the context that covers just them: all, as long as they fit an answer.

    More than that is only there when many nodes that did not hear of each other each took what they may. A reader then
    gets the oldest that fit, replaces them with what it makes of them, and finds the others at its next read.
    """
    siblings = distinct(versions)
    if sum(len(sibling.value) for sibling in siblings) <= GOT_BYTES_MAX:
        return [s.value for s in siblings if not s.deleted], encode_context(Context(versions.clock, versions.cloud))
    room, given = GOT_BYTES_MAX, 0
    for sibling in siblings:
        room -= len(sibling.value)
        if room < 0:
            break
        given += 1
    operations = {sibling.operation for sibling in siblings[:given]}
    dots = tuple(s.dot for s in versions.siblings if s.operation in operations)
    return [s.value for s in siblings[:given] if not s.deleted], encode_context(Context({}, dots))
