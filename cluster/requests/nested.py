"""Calls that a handler makes: through the node's own router, bounded by the call that it serves.

Its deadline is never later, its priority never higher, and whoever no longer waits for the handler cancels what it has
called, and what that has called. Nothing is tried again here: the entry node of the call above does that, and two
layers that each try three times would make nine attempts of one (`attempt` says so to the router).
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from msgspec import DecodeError, MsgspecError, Struct, json

from cluster.env import Clock
from cluster.errors import BadMessage, ClusterError, DeadlinePassed, TooLarge, Usage
from cluster.limits import NAME_BYTES_MAX, VALUE_BYTES_MAX
from cluster.ports import Inbound
from cluster.requests.declared import service_error
from cluster.wire.requests import Call, CallDone


class HandlerFuture(Awaitable[Any], Protocol):
    """What a coroutine waits for, and a callback brings; `asyncio.Future` is one."""

    def done(self) -> bool:
        """Whether it was brought, or nobody waits any more."""

    def set_result(self, result: Any, /) -> None:
        """Bring it."""


class CallAbove(Protocol):
    """The call that is served."""

    deadline: float
    priority: int
    attempt: int


class NestedCalls:
    """Those of the handlers of one node, or of one worker. `route` takes a call as a client's is taken; `future` makes
    what a handler waits for."""

    def __init__(self, clock: Clock, route: Callable[[Inbound], None], future: Callable[[], HandlerFuture]) -> None:
        self._clock = clock
        self._route = route
        self.future = future

    async def call(self, above: CallAbove, target: str, arguments: object, deadline: float, key: str) -> Any:
        """The decoded reply. Raises what the call ended with."""
        call = _body(target, arguments)
        call.key, call.priority, call.attempt = key, above.priority, max(1, above.attempt)
        deadline, now = min(deadline, above.deadline), self._clock.now()
        if now >= deadline:
            raise DeadlinePassed(f"{target} was not called: the deadline has passed")
        future = self.future()

        def bring(outcome: Any) -> None:
            if not future.done():
                future.set_result(outcome)

        inbound = NestedCall(call, now, deadline, bring)
        self._route(inbound)
        try:
            outcome = await future
        except BaseException:
            inbound.cancel()
            raise
        if isinstance(outcome, ClusterError):
            raise outcome
        assert type(outcome) is CallDone
        if outcome.error:
            raise service_error(target, outcome)
        try:
            return json.decode(outcome.payload)
        except (DecodeError, UnicodeDecodeError) as error:
            raise BadMessage(f"{target} did not reply with JSON: {error}") from None


class NestedCall:
    """A call from within: a `ports.Inbound`, and the link that it came on. `then` gets its outcome, once."""

    sender = ""
    role = ""
    trace = ""
    ended = False

    def __init__(self, body: Call, now: float, deadline: float, then: Callable[[Any], None]) -> None:
        self.body = body
        self.arrived = now
        self.deadline = deadline
        self.on_close: list[Callable[[], None]] = []
        self._then = then
        self._cancels: list[Callable[[], None]] = []
        self._credit: Callable[[int], None] | None = None
        self._parts: list[bytes] = []

    @property
    def link(self) -> "NestedCall":
        """Where it came from."""
        return self

    def sender_time(self, at: float) -> float:
        """It has the same clock."""
        return at

    def on_credit(self, function: Callable[[int], None]) -> None:
        """A large reply comes in parts, which are kept: each of them may be followed by another at once."""
        self._credit = function

    def part(self, data: bytes) -> bool:
        """A part of the answer."""
        assert self._credit is not None
        self._parts.append(data)
        self._credit(len(data))
        return True

    def reply(self, body: Struct) -> None:
        """Answer."""
        if self._parts:
            assert type(body) is CallDone
            body.payload = b"".join([*self._parts, body.payload])
        self._then(body)

    def fail(self, error: ClusterError) -> None:
        """Answer with an error."""
        self._then(error)

    def push(self, body: Struct, small: bool = False) -> bool:
        """Nothing is pushed to a handler."""
        return False

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Called by `cancel`."""
        self._cancels.append(function)

    def cancel(self) -> None:
        """The handler does not wait any more."""
        for function in self._cancels:
            function()


def _body(target: str, arguments: object) -> Call:
    service, _, operation = target.rpartition(".")
    if not service or not operation or max(len(service.encode()), len(operation.encode())) > NAME_BYTES_MAX:
        raise Usage(f"{target!r} does not name an operation: SERVICE.OPERATION")
    try:
        payload = json.encode({} if arguments is None else arguments)
    except (TypeError, ValueError, OverflowError, RecursionError, MsgspecError) as error:
        raise Usage(f"the arguments of {target} cannot be JSON: {error}") from None
    if len(payload) > VALUE_BYTES_MAX:
        raise TooLarge(f"the arguments have {len(payload)} bytes; {VALUE_BYTES_MAX} are allowed")
    return Call(service, operation, payload)
