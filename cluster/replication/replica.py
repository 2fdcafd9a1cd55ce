"""The side that holds copies: merges what it is sent, answers reads by digest, reports the hints that it holds."""

from functools import partial

from cluster.errors import ClusterError, Usage, from_code
from cluster.layout import PARTITIONS
from cluster.limits import BATCH_BYTES_MAX, MERGED_BYTES_CHECKED
from cluster.ports import Inbound
from cluster.replication.context import ReplicationContext
from cluster.replication.hints import HintKey
from cluster.replication.mergeable import TABLE_HINTS, check_merged
from cluster.replication.quorum import NO_VOTE, VOTING
from cluster.replication.writer import Writer
from cluster.wire.replication import (
    Attest,
    Attested,
    BatchRefused,
    Fetched,
    Found,
    Offer,
    Offered,
    Replicate,
    Replicated,
    ReplicatedBatch,
)


class Replica:
    """Handlers for the requests of other nodes."""

    def __init__(self, context: ReplicationContext, writer: Writer) -> None:
        self.context = context
        self.writer = writer
        self.expired = 0
        self._rounds: dict[str, tuple[tuple[str, int] | None, float]] = {}

    def replicate(self, inbound: Inbound) -> None:
        """Merge, and acknowledge once it is as durable as the cluster promises."""
        context = self.context
        body: Replicate = inbound.body
        elsewhere = bool(body.hint_for) and body.hint_for != context.me
        try:
            mergeable = context.check_place(body.table, body.partition, body.key)
            mergeable.check(body.blob)
            if body.hint_for and body.hint_for not in context.view.members:
                raise Usage(f"a hint for {body.hint_for}, which is not a member")
            if not elsewhere and not context.view.holds(body.partition):
                raise Usage(f"{context.me} does not own partition {body.partition}")
        except ClusterError as error:
            inbound.fail(error)
            return

        def stored(error: ClusterError | None) -> None:
            if inbound.trace:
                said = {"error": error.code} if error is not None else {"hint_for": body.hint_for} if elsewhere else {}
                context.steps.add(inbound.trace, "store", key=body.key, sender=inbound.sender, **said)
            if error is None:
                inbound.reply(Replicated())
            else:
                inbound.fail(error)

        if elsewhere:
            context.hints.add(HintKey(body.hint_for, body.table, body.partition, body.key), body.blob, stored)
            return
        try:
            # What was a hint may be older than all that is held here; a repair comes from owners that vote.
            blob: bytes | None = body.blob
            if body.synced:
                blob = context.news(body.table, body.partition, body.key, body.blob)
            elif not context.wanted(body.table, body.partition, body.key, body.blob):
                blob = None
            if blob is None:
                stored(None)  # it is over and done with: nothing of it is to be kept
                return
            merged = context.merge_in(body.table, body.partition, body.key, blob)
        except ClusterError as error:
            inbound.fail(error)
            return
        # What is held already was staged before, perhaps in this very pass: staging it again keeps the order of
        # acknowledgements without a second rule.
        context.store.put(body.table, body.partition, body.key, merged, None)
        context.store.then(stored, synced=body.synced)

    def replicate_batch(self, inbound: Inbound) -> None:
        """Merge all that has not expired, and say so in one message once it is as durable as the cluster promises."""
        context = self.context
        store, mergeables, holds = context.store, context.mergeables, context.view.holds
        stable_clock = context.stable_clock
        now = inbound.sender_time(context.env.clock.now())
        merged: list[int] = []
        old: list[int] = []  # of what is covered, or replaced and collected: nothing to keep
        failed: list[tuple[int, str, str]] = []
        for id, deadline, table, partition, key, blob in inbound.body.copies:
            if deadline <= now:
                self.expired += 1  # its sender has given up: applying it now could only surprise
                continue
            try:
                mergeable = mergeables.get(table)
                held = None if mergeable is None else store.get(table, partition, key)
                if mergeable is None or held is None or table == TABLE_HINTS:
                    mergeable = context.check_place(table, partition, key)  # where a row is held its place can be
                if not holds(partition):
                    raise Usage(f"{context.me} does not own partition {partition}")
                if held is None:
                    mergeable.check(blob)
                    if not mergeable.wanted(blob, key):
                        old.append(id)
                        continue
                if stable_clock(partition):
                    # Its coordinator may have lost data, and have added to what it still had of a deleted key.
                    news = context.news(table, partition, key, blob)
                    if news is None:
                        old.append(id)
                        continue
                    blob = news
                if held is None:
                    joined = blob
                else:
                    joined = mergeable.merge(held, blob)
                if len(joined) > MERGED_BYTES_CHECKED and joined is not held:
                    check_merged(mergeable, held, joined)
                store.put(table, partition, key, joined, None)
            except ClusterError as error:
                failed.append((id, error.code, error.message))
            else:
                merged.append(id)

        def stored(error: ClusterError | None) -> None:
            if error is None:
                inbound.push(ReplicatedBatch(merged + old, failed))
            else:
                inbound.push(ReplicatedBatch(old, failed + [(id, error.code, error.message) for id in merged]))

        if merged:
            store.then(stored)
        elif failed or old:
            stored(None)

    def fetch(self, inbound: Inbound) -> None:
        """What is held for each key, or that it is the same as what the asker holds."""
        context = self.context
        mergeables, status, store, mine = context.mergeables, context.status, context.store, context.view.mine
        now = inbound.sender_time(context.env.clock.now())
        push = inbound.push
        if inbound.trace:  # alone, as a request
            push = partial(self._reply, inbound)
        answers: list[Found] = []
        size = 0
        for id, deadline, table, partition, key, digest in inbound.body.questions:
            if deadline <= now:
                self.expired += 1
                continue
            mergeable = None if table == TABLE_HINTS else mergeables.get(table)
            held = None if mergeable is None else store.logged(table, partition, key)
            if mergeable is None or held is None:
                try:
                    mergeable = context.check_place(table, partition, key)  # where a row is held its place can be
                except ClusterError as error:
                    push(BatchRefused([id], error.code, error.message))
                    continue
            if mine(partition):
                same = (mergeable.digest(held) if held is not None else b"") == digest
                vote = status.vote(partition)
            else:
                held, same, vote = context.hints.find(table, partition, key, logged=True), False, NO_VOTE
            if same or held is None:
                answers.append((id, same, None, vote))
                continue
            answers.append((id, False, held, vote))
            size += len(held)
            if size > BATCH_BYTES_MAX:
                push(Fetched(answers))
                answers, size = [], 0
        if answers:
            push(Fetched(answers))

    def _reply(self, inbound: Inbound, body: Fetched | BatchRefused) -> bool:
        """The answer to a question that came alone and is to be explained."""
        if isinstance(body, BatchRefused):
            inbound.fail(from_code(body.code, body.message))
            return True
        _, same, blob, vote = body.answers[0]
        held = "the same" if same else "nothing" if blob is None else f"{len(blob)} other bytes"
        self.context.steps.add(inbound.trace, "look", sender=inbound.sender, held=held, votes=vote == VOTING)
        inbound.reply(body)
        return True

    def on_offer(self, inbound: Inbound) -> None:
        """Another owner has rows that this one may have missed."""
        context = self.context
        body: Offer = inbound.body
        if not (0 <= body.partition < PARTITIONS and context.view.holds(body.partition)):
            inbound.fail(Usage(f"{context.me} does not own partition {body.partition}"))
            return
        lacking: list[int] = []
        try:
            for place, (key, digest) in enumerate(body.rows):
                mergeable = context.check_place(body.table, body.partition, key)
                held = context.store.get(body.table, body.partition, key)
                if held is None or mergeable.digest(held) != digest:
                    lacking.append(place)
        except ClusterError as error:
            inbound.fail(error)
            return
        inbound.reply(Offered(lacking))

    def attest(self, inbound: Inbound) -> None:
        """How many copies wait here for the asker; writes that were in flight when its round began count as well. A
        node that lost hint records does not know, until the asker has noted that."""
        context, loss = self.context, self.context.hint_loss
        body: Attest = inbound.body
        target = body.target
        if target not in context.view.members:
            inbound.fail(Usage(f"{target} is not a member"))
            return
        if loss.unknown_to(target):
            if body.loss != loss.id:
                inbound.reply(Attested(0, 0, loss.id, loss.reason))
                return
            loss.tell(target)
            if not any(loss.unknown_to(name) for name in context.view.members if name != context.me):
                context.store.settle_hints(lambda error: loss.settle() if error is None else None)
        round, since = self._rounds.get(target, (None, 0.0))
        if round != (body.boot, body.round):
            since = context.env.clock.now()
            self._rounds[target] = ((body.boot, body.round), since)
        inbound.reply(Attested(context.hints.pending(target), self.writer.waiting_for(target, since)))
