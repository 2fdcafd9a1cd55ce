"""Brings hints to the owners that they wait for, once these can be reached again.

A few in flight at a time, on the background lane, oldest first, and no more than the node's throttle allows. A hint is
given up only for a copy that its owner has synced: otherwise a hand-off would make a write less durable than it was
before. Dynamo (2007) section 4.6: "upon detecting that A has recovered, D will attempt to deliver the replica to A".

One bad hint holds up no other: what its owner refuses is set aside, named by an event, and offered again from time to
time; and what got no answer is sent alone from then on, behind all others, so that it shows whether it is to blame.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Final

from cluster.errors import BadMessage, ClusterError, Damaged, TooLarge, TooManySiblings, Usage
from cluster.ports import Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.hints import HintKey
from cluster.replication.marks import MarkDelivery
from cluster.replication.mergeable import MARK, TABLE_HINTS
from cluster.replication.quorum import UNANSWERED
from cluster.wire.handshake import LANE_BACKGROUND
from cluster.wire.replication import Replicate, Replicated

REFUSALS: Final = (Usage, TooManySiblings, Damaged, BadMessage)
"""Answers about this copy, which say nothing about the next."""
TRIES_SAID: Final = 5
"""After so many, of which all but the first were made alone, it is named by an event."""
REST_S: Final = 0.5
REST_MAX_S: Final = 60.0
"""A hint that got no answer rests, about twice as long each time: it may be what breaks its owner, or stood beside
that."""


class Handoff:
    """One node's deliveries."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self._sending: dict[str, dict[HintKey, bytes]] = {}
        self._delivered: dict[str, int] = {}
        self._tries: dict[HintKey, int] = {}
        """Hints that got no answer: how often."""
        self._resting: dict[HintKey, float] = {}
        """Hints that are left alone until then."""
        self._timer = False

    def start(self) -> None:
        """Hints may be there from before; look regularly while there are any."""
        self._again()

    def layout_changed(self) -> None:
        """Owners may have changed: what waits for a former one goes to those that there are now."""
        self.context.hints.layout_changed()
        self._redirect()

    def wake(self, target: str) -> None:
        """Something about `target` changed: try to deliver to it now."""
        if target != self.context.me and self.context.hints.pending(target):
            self._deliver(target)

    def member_back(self, target: str) -> None:
        """The target is alive again: whatever it did not answer, it may answer now."""
        for hint in [hint for hint in self._resting if hint.target == target]:
            del self._resting[hint]
            self._tries.pop(hint, None)
        self.wake(target)

    def _again(self) -> None:
        self._timer = False
        self._redirect()
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
        if context.avoided(target) or any(hint in self._tries for hint in sending):
            return
        if context.throttle.rest_s():  # the next regular look goes on
            return
        room = context.settings.hint_batch - len(sending)
        fresh = context.hints.waiting_for(target, lambda hint: hint not in sending and hint not in self._tries, room)
        if not fresh and not sending:
            fresh = context.hints.waiting_for(target, self._may_try, 1)
        for hint, blob in fresh:
            self._send(hint, blob)

    def _redirect(self) -> None:
        """A copy for a former owner is kept for every owner of the partition in place of it, and goes when all of them
        have one of their own. A few at a time; the rest follows at the next look."""
        context = self.context
        for hint in list(islice(context.hints.astray, context.settings.hint_batch)):
            blob = context.store.logged(TABLE_HINTS, hint.partition, hint.row())
            if blob == MARK and not context.view.holds(hint.partition):
                context.hints.delivered(hint, blob)  # the owners of now have all that this node could bring
            elif blob is not None:
                _Redirected(context, hint, blob).start()

    def _may_try(self, hint: HintKey) -> bool:
        rests_until = self._resting.get(hint)
        if rests_until is None:
            return True
        if self.context.env.clock.now() < rests_until:
            return False
        del self._resting[hint]
        return True

    def _send(self, hint: HintKey, blob: bytes) -> None:
        context = self.context
        self._sending[hint.target][hint] = blob
        if blob == MARK:
            self._send_marked(hint)
            return
        context.throttle.take(len(blob))

        def answered(target: str, outcome: Outcome) -> None:
            self._sending[target].pop(hint, None)
            if type(outcome) is Replicated:
                context.hints.delivered(hint, blob)
                self._took(hint, 1)
            elif isinstance(outcome, ClusterError):
                self._failed(hint, outcome)

        body = Replicate(hint.table, hint.partition, hint.key, blob, synced=True)
        deadline = context.env.clock.now() + context.settings.write_timeout_s
        context.messenger.request([hint.target], body, deadline, answered, LANE_BACKGROUND)

    def _send_marked(self, mark: HintKey) -> None:
        """All that a mark stands for; it goes unless it was raised again meanwhile."""
        hints = self.context.hints

        def ended(error: ClusterError | None) -> None:
            self._sending[mark.target].pop(mark, None)
            if error is not None:
                self._failed(mark, error)
                return
            if hints.raised(mark) == delivery.raised:
                hints.delivered(mark, MARK)
            self._took(mark, delivery.sent)

        delivery = MarkDelivery(self.context, mark, ended)
        # In the next pass: a row that was missed in this one is not in the log yet, where rows are looked for.
        self.context.env.clock.call_soon(delivery.start)

    def _took(self, hint: HintKey, rows: int) -> None:
        """The target has taken what this hint held."""
        context, target = self.context, hint.target
        self._tries.pop(hint, None)
        self._delivered[target] = self._delivered.get(target, 0) + rows
        if context.hints.pending(target):
            self._deliver(target)
        elif not self._sending[target]:
            count = self._delivered.pop(target)
            context.record("hint.delivered", f"{target} can be reached again", target=target, count=count)

    def _failed(self, hint: HintKey, error: ClusterError) -> None:
        context = self.context
        if isinstance(error, REFUSALS):
            self._rest(hint)
            if context.hints.set_aside(hint, error.code):
                context.record("hint.set-aside", error.message, target=hint.target, key=hint.key, code=error.code)
            self._deliver(hint.target)
            return
        if isinstance(error, UNANSWERED):
            context.reach.unanswered(hint.target, error)
        if not error.definite and self._rest(hint) == TRIES_SAID:
            cause = f"no answer {TRIES_SAID} times: {error.message}"
            context.record("hint.resting", cause, target=hint.target, key=hint.key)

    def _rest(self, hint: HintKey) -> int:
        """Leave it alone for a while, and then send it alone; returns how often it has failed."""
        tries = self._tries[hint] = self._tries.get(hint, 0) + 1
        rest_s = min(REST_S * 2 ** min(tries - 1, 10), REST_MAX_S)
        jitter = self.context.env.random.uniform(0.5, 1.0)  # or two holders would go on failing together
        self._resting[hint] = self.context.env.clock.now() + rest_s * jitter
        return tries

    def _keep_own(self) -> None:
        """A hint for this very node (its owner came back under our name): merge it into our own store."""
        context = self.context
        for hint, blob in context.hints.waiting_for(context.me, lambda hint: True, context.settings.hint_batch):
            news = None if blob == MARK else context.news(hint.table, hint.partition, hint.key, blob)
            if news is None:
                context.hints.delivered(hint, blob)
                continue
            try:
                merged = context.merge_in(hint.table, hint.partition, hint.key, news)
            except TooLarge:
                continue  # it goes home once the object has been made smaller
            context.store.put(hint.table, hint.partition, hint.key, merged, self._kept(hint, blob))

    def _kept(self, hint: HintKey, blob: bytes) -> Callable[[ClusterError | None], None]:
        def kept(error: ClusterError | None) -> None:
            if error is None:
                self.context.hints.delivered(hint, blob)

        return kept


class _Redirected:
    """A copy for a former owner on its way to those that there are now."""

    def __init__(self, context: ReplicationContext, hint: HintKey, blob: bytes) -> None:
        self.context = context
        self.hint = hint
        self.blob = blob
        takers = context.view.takers(hint.partition)
        self.left = dict.fromkeys(taker for taker in takers if taker not in context.hints.gone)

    def start(self) -> None:
        """Keep one for each."""
        hint = self.hint
        for taker in list(self.left):
            key = HintKey(taker, hint.table, hint.partition, hint.key)
            self.context.hints.add(key, self.blob, partial(self._kept, taker))

    def _kept(self, taker: str, error: ClusterError | None) -> None:
        if error is None:
            self.left.pop(taker)
            if not self.left:
                self.context.hints.delivered(self.hint, self.blob)
