"""Brings hints to the owners that they wait for, once these can be reached again.

A few in flight at a time, on the background lane, oldest first. A hint is given up only for a copy that its owner has
synced: otherwise a hand-off would make a write less durable than it was before. Dynamo (2007) section 4.6: "upon
detecting that A has recovered, D will attempt to deliver the replica to A".
"""

from collections.abc import Callable

from cluster.errors import ClusterError
from cluster.ports import Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.hints import HintKey
from cluster.wire.handshake import LANE_BACKGROUND
from cluster.wire.replication import Replicate, Replicated


class Handoff:
    """One node's deliveries."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self._sending: dict[str, dict[HintKey, bytes]] = {}
        self._delivered: dict[str, int] = {}
        self._timer = False

    def start(self) -> None:
        """Hints may be there from before; look regularly while there are any."""
        self._again()

    def poke(self, target: str) -> None:
        """Something about `target` changed: try to deliver to it now."""
        if target != self.context.me and self.context.hints.pending(target):
            self._deliver(target)

    def _again(self) -> None:
        self._timer = False
        for target in self.context.hints.by_target():
            self._deliver(target)
        if not self._timer:
            self._timer = True
            self.context.env.clock.call_later(self.context.settings.hint_retry_s, self._again)

    def _deliver(self, target: str) -> None:
        context = self.context
        if target == context.me:
            self._keep_own()
            return
        sending = self._sending.setdefault(target, {})
        if context.avoided(target):
            return
        room = context.settings.hint_batch - len(sending)
        deadline = context.env.clock.now() + context.settings.write_timeout_s
        for hint, blob in context.hints.waiting_for(target, sending, room):
            sending[hint] = blob
            body = Replicate(hint.table, hint.partition, hint.key, blob, synced=True)
            context.messenger.request([target], body, deadline, self._on_answer(target, hint, blob), LANE_BACKGROUND)

    def _on_answer(self, target: str, hint: HintKey, blob: bytes) -> Callable[[str, Outcome], None]:
        def answered(_: str, outcome: Outcome) -> None:
            self._sending[target].pop(hint, None)
            if type(outcome) is not Replicated:
                self.context.reach.failed(target)
                return
            self.context.hints.delivered(hint, blob)
            self._delivered[target] = self._delivered.get(target, 0) + 1
            if self.context.hints.pending(target):
                self._deliver(target)
            elif not self._sending[target]:
                count = self._delivered.pop(target)
                self.context.record("hint.delivered", f"{target} can be reached again", target=target, count=count)

        return answered

    def _keep_own(self) -> None:
        """A hint for this very node (its owner came back under our name): merge it into our own store."""
        context = self.context
        for hint, blob in context.hints.waiting_for(context.me, {}, context.settings.hint_batch):
            merged = context.merge_in(hint.table, hint.partition, hint.key, blob)
            context.store.put(hint.table, hint.partition, hint.key, merged, self._kept(hint, blob))

    def _kept(self, hint: HintKey, blob: bytes) -> Callable[[ClusterError | None], None]:
        def kept(error: ClusterError | None) -> None:
            if error is None:
                self.context.hints.delivered(hint, blob)

        return kept
