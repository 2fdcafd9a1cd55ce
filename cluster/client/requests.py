"""Calls of services: by name with JSON, or typed by the service's class. The node that is asked balances them."""

from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload

from msgspec import DecodeError, MsgspecError, Struct, ValidationError, json

from cluster.client.operation import Family, S, Send, Steps, check_name, check_text, check_timeout, expect, operation
from cluster.errors import BadMessage, TooLarge, Usage
from cluster.limits import NAME_BYTES_MAX, VALUE_BYTES_MAX
from cluster.wire.requests import Call, CallDone

if TYPE_CHECKING:
    from cluster.client.aio import AioSession
    from cluster.client.blocking import BlockingSession
    from cluster.requests.service import Definition

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What a call by name is answered with."""


class CallResult(Struct, frozen=True):
    """A reply of a service: `reply` is the decoded JSON, `attempts` how many endpoints were tried."""

    service: str
    operation: str
    reply: Json
    node: str
    attempts: int
    hedged: bool
    ms: float
    trace: str


class Requests(Family[S]):
    """Request and reply; the node that is asked balances over the endpoints."""

    @operation
    def call(
        self, operation: str, arguments: object = None, *, deadline: float | None = None, only: str | None = None
    ) -> Steps[CallResult]:
        """Call `SERVICE.OPERATION` with arguments that can be JSON. `deadline` in seconds; `only` names the node
        whose endpoint is to answer, and no other. Raises ServiceError for what the service refuses, Maybe when the
        deadline passes after the call was sent."""
        body = call_body(operation, arguments, only)
        began = monotonic()
        done = expect(CallDone, (yield Send(body, check_timeout(deadline, "deadline"))))
        return call_result(body, done, monotonic() - began)

    def client(self, service: object, *, deadline: float | None = None) -> "TypedClient[S]":
        """A client whose methods are the operations of `service`, a class made with `@service`. Raises Usage."""
        from cluster.requests.service import definition_of

        return TypedClient(self._session, definition_of(service), check_timeout(deadline, "deadline"))


class AioOperation(Protocol):
    """An operation of a service, called through the asyncio client."""

    async def __call__(
        self, request: Struct | None = None, *, deadline: float | None = None, only: str | None = None
    ) -> Struct | None:
        """The operation's reply."""


class BlockingOperation(Protocol):
    """An operation of a service, called through the blocking client."""

    def __call__(
        self, request: Struct | None = None, *, deadline: float | None = None, only: str | None = None
    ) -> Struct | None:
        """The operation's reply."""


class TypedClient(Family[S]):
    """`await client.quote(Quote(sku="x"), deadline=0.5)`: a msgspec Struct in, the operation's Struct (or None) out.

    A type checker sees no more than `Struct | None`, since a class of services says nothing of its clients: narrow it
    with `isinstance`. At run time the reply is always of the type that the operation declares.
    """

    def __init__(self, session: S, definition: "Definition", deadline: float | None) -> None:
        super().__init__(session)
        self._definition = definition
        self._deadline = deadline

    @overload
    def __getattr__(self: "TypedClient[AioSession]", name: str) -> AioOperation: ...

    @overload
    def __getattr__(self: "TypedClient[BlockingSession]", name: str) -> BlockingOperation: ...

    def __getattr__(self, name: str) -> Any:
        found = self._definition.operations.get(name)
        if found is None:
            raise AttributeError(f"service {self._definition.name} has no operation {name!r}")

        def call(request: object = None, *, deadline: float | None = None, only: str | None = None) -> object:
            return self._session.run(self._steps(name, request, deadline, only))

        call.__name__, call.__doc__ = name, found.summary
        return call

    def __dir__(self) -> list[str]:
        return sorted(self._definition.operations)

    def _steps(self, name: str, request: object, deadline: float | None, only: str | None) -> Steps[Struct | None]:
        service, found = self._definition.name, self._definition.operations[name]
        if request is None:
            request = found.request()
        if not isinstance(request, found.request):
            raise Usage(f"{service}.{name} takes {found.request.__name__}, not {type(request).__name__}")
        body = call_body(f"{service}.{name}", request, only)
        try:  # a Struct takes any value in its fields
            json.decode(body.payload, type=found.request)
        except MsgspecError as error:
            raise Usage(f"{found.request.__name__} of {service}.{name}: {error}") from None
        limit = self._deadline if deadline is None else check_timeout(deadline, "deadline")
        done = expect(CallDone, (yield Send(body, limit)))
        try:
            return json.decode(done.payload, type=found.reply)
        except (DecodeError, ValidationError, UnicodeDecodeError) as error:
            raise BadMessage(f"{service}.{name} replied with something else: {error}") from None


def call_body(target: object, arguments: object, only: object = None) -> Call:
    """The request for `service.operation`; the operation is what follows the last dot. Raises Usage or TooLarge."""
    service, _, name = check_text(target, "an operation").rpartition(".")
    if not service or not name:
        raise Usage(f"{target!r} does not name an operation: SERVICE.OPERATION")
    for text in (service, name):
        if len(text.encode()) > NAME_BYTES_MAX:
            raise TooLarge(f"a name has {len(text.encode())} bytes; {NAME_BYTES_MAX} are allowed")
    try:
        payload = json.encode({} if arguments is None else arguments)
    except (TypeError, ValueError, OverflowError, RecursionError, MsgspecError) as error:
        raise Usage(f"the arguments of {target} cannot be JSON: {error}") from None
    if len(payload) > VALUE_BYTES_MAX:
        raise TooLarge(f"the arguments have {len(payload)} bytes; {VALUE_BYTES_MAX} are allowed")
    return Call(service, name, payload, only=check_name(only, "`only`") or "")


def call_result(call: Call, done: CallDone, seconds: float) -> CallResult:
    """The result of a request. Raises BadMessage when the reply is not JSON."""
    try:
        reply = json.decode(done.payload)
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadMessage(f"{call.service}.{call.operation} did not reply with JSON: {error}") from None
    hedged = bool(getattr(done, "hedged", False))
    ms = round(seconds * 1000, 3)
    return CallResult(call.service, call.operation, reply, done.node, done.attempts, hedged, ms, "")
