"""One message on its way: to one node, and to another while that is harmless.

What surely did nothing, or may be done twice, may go elsewhere. The entry node of a call tries again itself, within the
budget of the service: what it answers is final, and only its own loss sends the call to another. A read that was sent
to a node which has gone quiet is sent to a second one, too; whoever answers first is taken, and the other is told.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.errors import (
    ClusterError,
    DeadlinePassed,
    HandshakeRefused,
    Maybe,
    Overloaded,
    StaleLayout,
    Unreachable,
    WrongClock,
)
from cluster.wire.caller import Caller, Done, Outcome
from cluster.wire.frames import Body
from cluster.wire.kv import Keys
from cluster.wire.requests import Call, CallDone
from cluster.wire.unanswered import REPEATABLE

if TYPE_CHECKING:
    from cluster.client.router import Router

CALL_HEDGE_S = 0.1
"""Half of this ago a quiet node was probed."""
NO_ROUTE = os.strerror(errno.ENETUNREACH).lower()
"""What connecting says where 127.0.0.1 has no interface."""
LEARNED_MAX = 4096
"""Operations of services that a client remembers as repeatable."""


def may_go_elsewhere(error: ClusterError, repeatable: bool) -> bool:
    """Whether another node may be tried after `error` from one: it surely did nothing, or doing it twice is harmless.

    Definite refusals with a reason of their own (no quorum, overload, a bad argument) are answers, not obstacles. That
    its clock is wrong says something of one node alone.
    """
    return isinstance(error, Unreachable | HandshakeRefused | StaleLayout | WrongClock) or (
        repeatable and isinstance(error, DeadlinePassed | Maybe)
    )


def nobody(cluster: str, errors: dict[str, ClusterError]) -> ClusterError:
    """The one error to raise when no node could be reached; `errors` says why, by node."""
    if (unknown := unsure(errors)) is not None:
        return unknown
    for kind in (WrongClock, HandshakeRefused, DeadlinePassed, Overloaded):  # more than that a node is not there
        for error in errors.values():
            if isinstance(error, kind):
                return error
    if not errors:
        return DeadlinePassed("no time is left to try a node")
    if all(error.message.endswith(NO_ROUTE) for error in errors.values()):
        return Unreachable(
            f"no node of cluster {cluster!r} can be reached: {NO_ROUTE}",
            help="The loopback interface is down here: `ip link set lo up`, or leave this network namespace.",
        )
    if len(errors) == 1:
        return next(iter(errors.values()))
    reasons = "; ".join(error.message for error in errors.values())
    return Unreachable(f"no node of cluster {cluster!r} can be reached: {reasons}")


def unsure(errors: dict[str, ClusterError]) -> ClusterError | None:
    """The first try that may have succeeded: whatever became of the others, nobody can say that nothing was done."""
    return next((error for error in errors.values() if not error.definite), None)


class Dispatch:
    """One call on its way: the callback of its caller, and the handle to cancel it."""

    __slots__ = (
        "body", "caller", "deadline", "done", "hedge", "hedged", "id", "key", "node", "router", "trace", "tried",
    )  # fmt: skip

    def __init__(
        self,
        router: Router,
        body: Body,
        deadline: float,
        done: Done,
        key: str | None,
        node: str | None,
        trace: str = "",
    ) -> None:
        self.router = router
        self.body = body
        self.deadline = deadline
        self.done = done
        self.key = key
        self.node = node
        self.trace = trace
        self.caller: Caller | None = None
        """Where it was sent last."""
        self.id = 0
        self.hedge: tuple[Caller, int] | None = None
        """Where a read was sent, too, since that one kept quiet."""
        self.hedged = False
        """Once is enough: when the first has failed the hedge decides, and beside another one its answer could not be
        told from that one's."""
        self.tried: dict[str, ClusterError] | None = None

    @staticmethod
    def behind(done: Done) -> Dispatch | None:
        """The operation that waits for what `done` is told, if it does not insist on its node."""
        operation = getattr(done, "__self__", done)  # `on_hedge` of one waits, too
        return operation if isinstance(operation, Dispatch) and operation.is_for_any else None

    @property
    def repeatable(self) -> bool:
        """Whether it may be done twice."""
        body = self.body
        return type(body) in REPEATABLE or (
            type(body) is Call and (body.service, body.operation) in self.router.repeatable_calls
        )

    def may_repeat_after(self, error: ClusterError) -> bool:
        """Whether it may be done again elsewhere although it may have happened. Of a call only when the entry node was
        lost, which the error then names: one that answered has made all the attempts that there are to be."""
        return self.repeatable and (type(self.body) is not Call or "node" in error.detail)

    @property
    def is_for_any(self) -> bool:
        """Whether a node that falls silent is not worth waiting for: another can do it, or the others' answers will do.
        Who asks one node about itself waits for it as long as it likes."""
        return self.node is None or type(self.body) is Keys

    def may_hedge(self, quiet_s: float) -> bool:
        """Whether to send it to a second node, too, when the first has been quiet for so long. The handler of a call
        may take its time, but a node that runs answers the probe of a quiet one meanwhile."""
        if self.hedged or self.node is not None or not self.repeatable:
            return False
        return type(self.body) is not Call or quiet_s >= CALL_HEDGE_S

    def __call__(self, outcome: Outcome) -> None:
        """What the first node says: the outcome, unless another may be asked."""
        hedge = self.hedge
        if isinstance(outcome, ClusterError) and may_go_elsewhere(outcome, self.may_repeat_after(outcome)):
            assert self.caller is not None
            if not self.caller.again:
                self.failed_at(self.caller.name, outcome)
            if hedge is None:
                self.router.send(self)
            else:
                (self.caller, self.id), self.hedge = hedge, None
            return
        if hedge is not None:
            self.hedge = None
            hedge[0].cancel(hedge[1])
        if type(outcome) is CallDone and outcome.repeatable:
            body, known = self.body, self.router.repeatable_calls
            if type(body) is Call and (body.service, body.operation) not in known and len(known) < LEARNED_MAX:
                known[body.service, body.operation] = None
        if isinstance(outcome, ClusterError) and outcome.definite and self.tried:
            outcome = unsure(self.tried) or outcome
        self.done(outcome)

    def on_hedge(self, outcome: Outcome) -> None:
        """What the second node says."""
        hedge = self.hedge
        if hedge is None:  # the first has failed, and this is the only one
            self(outcome)
            return
        self.hedge = None
        if isinstance(outcome, ClusterError) and may_go_elsewhere(outcome, True):
            self.failed_at(hedge[0].name, outcome)
            return
        assert self.caller is not None
        self.caller.cancel(self.id)
        self.done(outcome)

    def failed_at(self, name: str, error: ClusterError) -> None:
        """Remember why node `name` could not do it."""
        if self.tried is None:
            self.tried = {}
        self.tried[name] = error

    on_part: Callable[[bytes], object] | None = None
    """A reply in parts comes whole."""

    def finish(self, outcome: Outcome) -> None:
        """Tell the outcome to who waits now."""
        self.done(outcome)

    def cancel(self) -> None:
        """No outcome is wanted any more, and the node is told. What was sent may still happen."""
        self.done = ignore
        if self.caller is not None:
            self.caller.cancel(self.id)
        if self.hedge is not None:
            self.hedge[0].cancel(self.hedge[1])


class StreamDispatch(Dispatch):
    """A call whose reply goes to `take` as its parts come. It stays with the node that sent the first of them: another
    would begin anew."""

    __slots__ = ("began", "take")

    def __init__(
        self,
        router: Router,
        body: Body,
        deadline: float,
        done: Done,
        key: str | None,
        node: str | None,
        trace: str,
        take: Callable[[bytes], object],
    ) -> None:
        super().__init__(router, body, deadline, done, key, node, trace)
        self.take = take
        self.began = False
        self.hedged = True  # which of two the parts came from could not be told

    def on_part(self, data: bytes) -> None:
        """A part came."""
        self.began = True
        if self.done is ignore:  # it was cancelled before a node could be found for it
            self.cancel()
        else:
            self.take(data)

    def credit(self, count: int) -> None:
        """So many bytes of the parts were read."""
        if self.caller is not None:
            self.caller.credit(self.id, count)

    def __call__(self, outcome: Outcome) -> None:
        """The outcome, unless another node may be asked."""
        if self.began:
            self.done(outcome)
        else:
            super().__call__(outcome)


def ignore(outcome: Outcome) -> None:
    """Nobody waits."""
