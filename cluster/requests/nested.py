"""Calls that a handler makes: through the node's own router, bounded by the call that it serves.

Its deadline is never later, its priority never higher, and whoever no longer waits for the handler cancels what it has
called, and what that has called. Nothing is tried again here: the entry node of the call above does that, and two
layers that each try three times would make nine attempts of one (`attempt` says so to the router).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from msgspec import DecodeError, MsgspecError, Struct, json

from cluster.env import Clock
from cluster.errors import BadMessage, ClusterError, DeadlinePassed, TooLarge, Usage
from cluster.limits import NAME_BYTES_MAX, VALUE_BYTES_MAX
from cluster.ports import Inbound
from cluster.requests.declared import service_error
from cluster.wire.requests import Call, CallDone
from cluster.wire.rows import IncomingRows, RowFormat


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
        body, deadline = self._bounded(above, target, arguments, deadline, key)
        future = self.future()

        def bring(outcome: Any) -> None:
            if not future.done():
                future.set_result(outcome)

        inbound = self._begin(body, deadline, bring)
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

    def rows(self, above: CallAbove, target: str, arguments: object, deadline: float, key: str) -> IncomingRows[Any]:
        """Begin a call whose reply is a stream; its rows, decoded, as they come. Raises Usage, TooLarge or
        DeadlinePassed."""
        body, deadline = self._bounded(above, target, arguments, deadline, key)
        return IncomingRows(self, body, deadline, RowFormat(json.decode, partial(service_error, target)))

    def _bounded(
        self, above: CallAbove, target: str, arguments: object, deadline: float, key: str
    ) -> tuple[Call, float]:
        """The call with what it has of the one above, and its deadline."""
        body = _body(target, arguments)
        body.key, body.priority, body.attempt = key, above.priority, max(1, above.attempt)
        deadline = min(deadline, above.deadline)
        if self._clock.now() >= deadline:
            raise DeadlinePassed(f"{target} was not called: the deadline has passed")
        return body, deadline

    def _begin(
        self, body: Call, deadline: float, done: Callable[[Any], object], take: Callable[[bytes], object] | None = None
    ) -> "NestedCall":
        inbound = NestedCall(body, self._clock.now(), deadline, done, take)
        self._route(inbound)
        return inbound

    # -- what rows are sent with

    def now(self) -> float:
        """The time on the clock of the deadlines."""
        return self._clock.now()

    def stream(
        self, body: Call, deadline: float, done: Callable[[Any], object], take: Callable[[bytes], object]
    ) -> "NestedCall":
        """Begin a call whose reply goes to `take` in parts."""
        return self._begin(body, deadline, done, take)


async def read_rows(rows: IncomingRows[Any], future: Callable[[], HandlerFuture]) -> AsyncGenerator[Any, None]:
    """The rows one by one, as a handler reads them. Ending it cancels what has not come; so does letting go of it, in
    a later pass, since the loop closes generators that nobody has any more."""
    waiting: list[HandlerFuture] = []

    def wake() -> None:
        for one in waiting:
            if not one.done():
                one.set_result(None)

    rows.on_change = wake
    try:
        while True:
            while not rows.readable:
                waiting[:] = [future()]
                await waiting[0]
            try:
                row = rows.pop()
            except EOFError:
                return
            yield row
    finally:
        rows.cancel()


class NestedCall:
    """A call from within: a `ports.Inbound`, and the link that it came on. `then` gets its outcome, once; `take` the
    parts of a stream, whose reader gives `credit`."""

    sender = ""
    role = ""
    trace = ""
    ended = False

    def __init__(
        self,
        body: Call,
        now: float,
        deadline: float,
        then: Callable[[Any], object],
        take: Callable[[bytes], object] | None = None,
    ) -> None:
        self.body = body
        self.arrived = now
        self.deadline = deadline
        self.on_close: list[Callable[[], None]] = []
        self._then = then
        self._take = take
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
        """The answer comes in parts."""
        self._credit = function

    def part(self, data: bytes) -> bool:
        """A part of the answer. Those of a large reply are kept: each of them may be followed by another at once."""
        if self._take is not None:
            self._take(data)
        else:
            self._parts.append(data)
            self.credit(len(data))
        return True

    def credit(self, count: int) -> None:
        """So many bytes of the parts were taken."""
        assert self._credit is not None
        self._credit(count)

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
