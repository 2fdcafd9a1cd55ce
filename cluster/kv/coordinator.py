"""Puts, gets and deletes: any node takes them, an owner of the key coordinates them.

A put is given its dot by the coordinator, which applies it first and then replicates the whole merged object. A write
that was sent is never coordinated a second time: what is not known to have failed ends as `maybe`. Dynamo (2007)
sections 4.4, 4.5 and 6.4.
"""

from cluster.config import KEY_BYTES_MAX, VALUE_BYTES_MAX
from cluster.errors import ClusterError, Damaged, QuorumMissing, StorageFull, TooLarge, Usage
from cluster.kv.actors import ActorMint
from cluster.kv.forward import Forwarder
from cluster.layout import partition_of
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
    VOTING,
    QuorumWrite,
    ReadVerdict,
)
from cluster.replication.reader import Reader
from cluster.replication.writer import Writer
from cluster.versions import (
    EMPTY,
    SIBLINGS_WARN,
    HybridClock,
    Versions,
    check_siblings,
    context_after,
    decode,
    decode_clock,
    encode,
    encode_clock,
    has_clock,
    is_tombstone,
    proves_amnesia,
    put,
    visible,
)
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone

KEYS_PAGE_MAX = 4096
NO_CONTEXT = encode_clock({})
"""The context of who has seen nothing: a put with it is concurrent with everything, as one without."""
NOT_SURE = {
    NO_VOTE: "it does not own the key, or has lost data and is recovering",
    CATCHING_UP: "it is catching up and may have missed writes",
    MAY_MISS_HINTS: "a dead member may hold hints for it",
}
"""Why the absence of a key at one node proves nothing."""


class Coordinator:
    """One node's part in the key-value store."""

    def __init__(
        self, replication: ReplicationContext, writer: Writer, reader: Reader, actors: ActorMint, durability: str
    ) -> None:
        self.replication = replication
        self.writer = writer
        self.reader = reader
        self.actors = actors
        self.durability = durability
        self.clock = HybridClock()
        self.forwarder = Forwarder(replication)
        self.writes = Latencies()
        """Of the writes that this node coordinated, from their arrival here to the verdict; so `reads`."""
        self.reads = Latencies()
        self.writes_failed = 0
        """Those of them that ended without an acknowledgement: `maybe`, or a definite no."""
        self.reads_failed = 0

    # -- writes

    def put(self, inbound: Inbound) -> None:
        """Handle a put or delete."""
        body: Put = inbound.body
        inbound.deadline = min(inbound.deadline, inbound.arrived + self.replication.settings.write_timeout_s)
        key_bytes = len(body.key.encode())
        if not 0 < key_bytes <= KEY_BYTES_MAX:
            inbound.fail(TooLarge(f"a key has 1 to {KEY_BYTES_MAX} bytes, this one {key_bytes}"))
        elif len(body.value) > VALUE_BYTES_MAX:
            inbound.fail(TooLarge(f"a value has at most {VALUE_BYTES_MAX} bytes, this one {len(body.value)}"))
        elif body.w < 0 or body.w > self.replication.settings.n:
            inbound.fail(Usage(f"w is 1 to {self.replication.settings.n} (N), not {body.w}"))
        else:
            partition = partition_of(body.key)
            if self.replication.view.mine(partition):
                self._coordinate(body, partition, inbound)
            else:
                self.forwarder.put(body, partition, inbound, self._coordinate)

    def _coordinate(self, body: Put, partition: int, inbound: Inbound) -> None:
        replication = self.replication
        try:
            context = (body.context and decode_clock(body.context)) or None
            mine = replication.view.mine(partition)
            held = replication.store.get(TABLE_KV, partition, body.key) if mine else None
            if held is None:
                stored = EMPTY
            elif context and has_clock(held, body.context or b"") and body.operation.encode() not in held:
                stored = Versions(context, ())  # all that is here was read, so it is not worth decoding what goes
            else:
                stored = decode(held)
                check_siblings(stored, context)
        except Damaged:
            inbound.fail(Damaged(f"what this node holds under {body.key!r} cannot be read"))
            return
        except ClusterError as error:
            inbound.fail(error)
            return
        actor = self.actors.actor if mine else self.actors.once()
        if proves_amnesia(stored, actor, context):
            replication.record(
                "actor.minted", "a context names a write of this node that it does not know", key=body.key
            )
            actor = self.actors.renew()
        written = put(
            stored,
            actor,
            context,
            body.operation,
            self.clock.tick(replication.env.clock.wall()),
            body.value,
            body.deleted,
        )
        siblings = len(written.siblings)
        seen = written.clock if siblings == 1 else context_after(written, body.operation, context)
        token = NO_CONTEXT if seen is None else encode_clock(seen)
        if siblings == SIBLINGS_WARN and siblings > len(stored.siblings):  # once on the way up, not for each write
            replication.record(
                "kv.siblings", f"{siblings} concurrent values: writers do not read what they replace", key=body.key
            )

        def decided(outcome: str, counts: QuorumWrite, hints: int, error: ClusterError | None) -> None:
            self.writes.note(replication.env.clock.now() - inbound.arrived)
            if outcome in (NO, MAYBE):
                self.writes_failed += 1
            if outcome == NO:
                inbound.fail(error if isinstance(error, StorageFull) else QuorumMissing(str(error)))
            else:
                inbound.reply(PutDone(outcome, counts.acks, hints, token, replication.me, siblings, self.durability))

        try:
            self.writer.write(
                TABLE_KV,
                partition,
                body.key,
                encode(written),
                w=body.w,
                strict=body.strict,
                deadline=inbound.deadline,
                done=decided,
            )
        except ClusterError as error:
            self.writes_failed += 1
            self.writes.note(replication.env.clock.now() - inbound.arrived)
            inbound.fail(error)

    # -- reads

    def get(self, inbound: Inbound) -> None:
        """Handle a get."""
        body: Get = inbound.body
        if body.r < 0 or body.r > self.replication.settings.n:
            inbound.fail(Usage(f"r is 1 to {self.replication.settings.n} (N), not {body.r}"))
            return
        inbound.deadline = min(inbound.deadline, inbound.arrived + self.replication.settings.read_timeout_s)
        partition = partition_of(body.key)
        if body.local:
            self._local(body, partition, inbound)
        elif self.replication.view.mine(partition):
            self._read(body, partition, inbound)
        else:
            self.forwarder.get(body, partition, inbound, self._read)

    def _read(self, body: Get, partition: int, inbound: Inbound) -> None:
        def found(verdict: ReadVerdict | None, repaired: int, error: ClusterError | None) -> None:
            self.reads.note(self.replication.env.clock.now() - inbound.arrived)
            if verdict is None:
                assert error is not None
                self.reads_failed += 1
                inbound.fail(error)
            else:
                self._answer(verdict.blob, verdict.answered, repaired, verdict.degraded, inbound)

        self.reader.read(
            TABLE_KV, partition, body.key, r=body.r, strict=body.strict, deadline=inbound.deadline, done=found
        )

    def _local(self, body: Get, partition: int, inbound: Inbound) -> None:
        """What this node alone holds. Its absence is an answer only with a vote behind it."""
        replication = self.replication
        vote = replication.status.vote(partition) if replication.view.mine(partition) else NO_VOTE
        blob = replication.store.get(TABLE_KV, partition, body.key)
        if vote != VOTING and (blob is None or not replication.mergeables[TABLE_KV].shows(blob)):
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
        inbound.reply(
            Got(visible(versions), encode_clock(versions.clock), answered, repaired, degraded, self.replication.me)
        )

    def keys(self, inbound: Inbound) -> None:
        """Live keys that this node owns, in order: one page."""
        replication = self.replication
        body: Keys = inbound.body
        limit = max(1, min(body.limit, KEYS_PAGE_MAX))
        found = sorted(
            key
            for partition in replication.store.partitions(TABLE_KV)
            if replication.view.mine(partition)
            for key, blob in replication.store.rows(TABLE_KV, partition).items()
            if key > body.after and key.startswith(body.prefix) and not is_tombstone(decode(blob))
        )
        inbound.reply(KeysFound(found[:limit], len(found) > limit))
