"""Gets and listings: any node takes them, an owner of the key reads, and what is found is shown.

A row shows the values of its object; without any, what its cell shows. Dynamo (2007) section 4.4.
"""

from functools import partial

from cluster.chain.bucket import LWW
from cluster.env import Slices
from cluster.errors import ClusterError, Overloaded, QuorumMissing, TooLarge, Usage
from cluster.kv.buckets import Buckets
from cluster.kv.changes import wrong_type
from cluster.kv.forward import Forwarder
from cluster.kv.listing import LISTINGS_MAX, Listed, Listing
from cluster.kv.objects import split
from cluster.kv.peerclocks import PeerClocks
from cluster.layout import partition_of
from cluster.limits import FRAME_BYTES_MAX, KEY_BYTES_MAX, KEY_CHARS
from cluster.observe.latency import Latencies
from cluster.ports import Inbound
from cluster.replication.context import ReplicationContext
from cluster.replication.mergeable import TABLE_KV
from cluster.replication.quorum import CATCHING_UP, MAY_MISS_HINTS, NO_VOTE, VOTING
from cluster.replication.reader import Reader, ReadOperation
from cluster.versions import (
    FRONT_SHORT,
    KIND_NONE,
    KIND_SET,
    KIND_VALUE,
    NOTHING,
    Cell,
    Context,
    Versions,
    decode_short,
    distinct,
    encode_cell_context,
    encode_clock,
    encode_context,
    expires_ms,
    kind_of,
    present,
    text_of,
    visible,
)
from cluster.wire.kv import Get, Got, Keys, KeysFound

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


class Reads:
    """One node's part in reading the key-value store."""

    def __init__(
        self,
        replication: ReplicationContext,
        reader: Reader,
        buckets: Buckets,
        peer_clocks: PeerClocks,
        forwarder: Forwarder,
    ) -> None:
        self.replication = replication
        self.peer_clocks = peer_clocks
        self.reader = reader
        self.buckets = buckets
        self.forwarder = forwarder
        self.slices = Slices(replication.env.clock)
        self.latencies = Latencies()
        """Of the reads that this node coordinated, from their arrival here to the verdict."""
        self.failed = 0
        """Those of them that ended without an answer."""
        self._read_s = replication.settings.read_timeout_s - ANSWER_S

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
            self.latencies.note(self.replication.env.clock.now() - inbound.arrived)
            if error is None:
                self._answer(body, read.merged, len(read.answers), read.repaired, read.degraded, inbound)
            else:
                self.failed += 1
                inbound.fail(error)

        read, steps = self.reader.read, self.replication.steps
        if inbound.trace:
            steps.add(inbound.trace, "coordinate", key=body.key)
            read = partial(read, trace=inbound.trace)
        r = body.r
        if not r and self.buckets.defined:
            r = self.buckets.of(body.key).r
        read(TABLE_KV, partition, body.key, r=r, strict=body.strict, deadline=inbound.deadline, done=found)

    def _local(self, body: Get, partition: int, inbound: Inbound) -> None:
        """What this node alone holds. Its absence is an answer only with a vote behind it."""
        replication = self.replication
        blob = replication.store.logged(TABLE_KV, partition, body.key)  # first: reading may find damage
        vote = replication.status.vote(partition) if replication.view.mine(partition) else NO_VOTE
        if vote != VOTING and (blob is None or not replication.mergeables[TABLE_KV].shows(blob, body.key)):
            inbound.fail(QuorumMissing(f"{replication.me} holds nothing under {body.key!r}: {NOT_SURE[vote]}"))
        else:
            self._answer(body, blob, 1, 0, vote != VOTING, inbound)

    def _answer(
        self, body: Get, blob: bytes | None, answered: int, repaired: int, degraded: bool, inbound: Inbound
    ) -> None:
        if blob is None:
            inbound.reply(Got([], NO_CONTEXT, answered, repaired, degraded, self.replication.me))
            return
        try:
            if blob[0] == FRONT_SHORT and len(blob) <= GOT_BYTES_MAX:  # the usual row, of which only this is looked at
                short = decode_short(blob)
                values = [] if short.value is None else [short.value]
                token = encode_clock(short.clock)
                inbound.reply(Got(values, token, answered, repaired, degraded, self.replication.me))
                return
            versions, cell = split(blob)
            values = visible(versions)
            if cell is not None and not values and (got := self._shown_cell(body, cell)) is not None:
                values, token, kind, ends_ms = got
                me = self.replication.me
                inbound.reply(Got(values, token, answered, repaired, degraded, me, kind, ends_ms))
                return
        except ClusterError as error:
            inbound.fail(error)
            return
        if len(blob) <= GOT_BYTES_MAX and not versions.cloud:
            token = encode_clock(versions.clock)
        else:
            values, token = shown(versions)
        inbound.reply(Got(values, token, answered, repaired, degraded, self.replication.me))

    def _shown_cell(self, body: Get, cell: Cell) -> tuple[list[bytes], bytes, str, int] | None:
        """What a reader is given of a cell: values or items, its context, its kind, and its end; None for nothing.
        Raises WrongType for a set where a value is asked for."""
        bucket = self.buckets.of(body.key)
        # What never ends costs no look at a clock.
        now_ms = int(self.peer_clocks.wall_s() * 1000) if cell.expires[3] else 0
        cell = present(cell, bucket.base, now_ms)
        kind = kind_of(cell)
        if kind == KIND_NONE:
            # Of a register that was deleted, too, the next write of this reader has to win over what it has seen.
            return ([], encode_cell_context(cell), kind, 0) if bucket.resolver == LWW else None
        if kind == KIND_SET and not body.cell:
            raise wrong_type(body.key, kind, "a value")
        text = cell.value if kind == KIND_VALUE and not cell.counts else text_of(cell)
        values = sorted(cell.members) if text is None else [text]
        return values, encode_cell_context(cell), kind, expires_ms(cell)

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
