"""Calls of services: by name with JSON, or typed by the service's class. The node that is asked balances them."""

from collections.abc import Coroutine
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, TypeVar, overload

from msgspec import DecodeError, MsgspecError, Struct, ValidationError, json

from cluster.client.operation import (
    Family,
    S,
    Send,
    Steps,
    check_count,
    check_flag,
    check_name,
    check_text,
    check_timeout,
    expect,
    operation,
)
from cluster.errors import BadMessage, ServiceError, TooLarge, Usage
from cluster.limits import KEY_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX, WORKER_CALLS_MAX
from cluster.wire.requests import Call, CallDone

if TYPE_CHECKING:
    from typing import Unpack

    from cluster.client.aio import AioSession
    from cluster.client.aio_streams import AioReplies
    from cluster.client.blocking import BlockingSession
    from cluster.client.streams import BlockingReplies
    from cluster.requests.method import Blocking
    from cluster.requests.service import Definition, Operation

Service = TypeVar("Service")
BlockingService = TypeVar("BlockingService", bound="Blocking")

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What a call by name is answered with."""


class StreamOptions(TypedDict, total=False):
    """What `stream` takes beside operation and arguments."""

    deadline: float | None
    key: str | None
    only: str | None
    hedge: bool
    version: int
    strict: bool


class CallResult(Struct, frozen=True):
    """A reply of a service: `reply` is the decoded JSON, `attempts` how many endpoints were tried. `endpoint` ran it:
    `n2`, or its worker `n2/1`."""

    service: str
    operation: str
    reply: Json
    node: str
    endpoint: str
    version: int
    attempts: int
    hedged: bool
    ms: float
    trace: str


class Requests(Family[S]):
    """Request and reply; the node that is asked balances over the endpoints."""

    @operation
    def call(
        self,
        operation: str,
        arguments: object = None,
        *,
        deadline: float | None = None,
        key: str | None = None,
        only: str | None = None,
        hedge: bool = False,
        version: int = 0,
        strict: bool = False,
    ) -> Steps[CallResult]:
        """Call `SERVICE.OPERATION` with arguments that can be JSON. `deadline` in seconds. `key`: calls with the same
        one go to the same endpoint while they can. `only` names the node or endpoint (`n2/1`) that is to answer, and no
        other. `hedge` asks for a second attempt beside a slow one, of a readonly operation. `version`: of the service;
        0 is any. `strict`: arguments that the operation does not have are refused, not ignored. Raises ServiceError for
        an error of the service, Maybe when the deadline passes after the call was sent."""
        body = call_body(operation, arguments, only, key, hedge, version, strict)
        began = monotonic()
        done = expect(CallDone, (yield Send(body, check_timeout(deadline, "deadline"))))
        return call_result(body, done, monotonic() - began)

    @overload
    def stream(
        self: "Requests[AioSession]", operation: str, arguments: object = None, **options: "Unpack[StreamOptions]"
    ) -> "AioReplies[Json]": ...
    @overload
    def stream(
        self: "Requests[BlockingSession]", operation: str, arguments: object = None, **options: "Unpack[StreamOptions]"
    ) -> "BlockingReplies[Json]": ...
    def stream(
        self,
        operation: str,
        arguments: object = None,
        *,
        deadline: float | None = None,
        key: str | None = None,
        only: str | None = None,
        hedge: bool = False,
        version: int = 0,
        strict: bool = False,
    ) -> Any:
        """Call `SERVICE.OPERATION`, and iterate over its replies as they come: `async for`, or `for`. Of an operation
        that does not stream, the one reply. The call begins at once, and is cancelled when the iterator is let go of.
        `deadline` in seconds bounds the whole stream; other options as for `call`. The iterator raises what ends the
        stream, after the replies that came before."""
        from cluster.wire.rows import RowFormat

        body = call_body(operation, arguments, only, key, hedge, version, strict)
        format = RowFormat(json.decode, partial(_unknown_error, operation))
        return self._session.stream(body, check_timeout(deadline, "deadline"), format)

    @overload
    def serve(
        self: "Requests[AioSession]", service: object, *, on: str | None = None, concurrency: int | None = None
    ) -> Coroutine[Any, Any, None]: ...

    @overload
    def serve(
        self: "Requests[BlockingSession]", service: object, *, on: str | None = None, concurrency: int | None = None
    ) -> None: ...

    def serve(self, service: object, *, on: str | None = None, concurrency: int | None = None) -> Any:
        """Host `service`, an instance of a class made with `@service`, in this process, as a worker beside the node
        `on` (without: the first that runs), until this is cancelled or interrupted; then it finishes what it has.
        Takes at most `concurrency` calls at a time (without: as the service says). Dials its node again when that was
        gone. Plain methods run on the loop and must not block it: see docs/services.md. Raises Usage or NotFound."""
        from cluster.client.aio import AioSession
        from cluster.client.serving import run, serve

        limit = None if concurrency is None else check_count(concurrency, "concurrency", 1, WORKER_CALLS_MAX)
        serving = serve(self._session.location, check_name(on, "`on`"), service, limit)
        return serving if isinstance(self._session, AioSession) else run(serving)

    @overload
    def client(
        self: "Requests[AioSession]",
        service: type[Service],
        *,
        deadline: float | None = None,
        version: int | None = None,
    ) -> type[Service]: ...
    @overload
    def client(
        self: "Requests[BlockingSession]",
        service: type[BlockingService],
        *,
        deadline: float | None = None,
        version: int | None = None,
    ) -> type[BlockingService]: ...
    @overload
    def client(
        self: "Requests[BlockingSession]",
        service: type,
        *,
        deadline: float | None = None,
        version: int | None = None,
    ) -> "TypedClient[BlockingSession]": ...
    def client(self, service: type, *, deadline: float | None = None, version: int | None = None) -> Any:
        """A client whose methods are the operations of `service`, a class made with `@service`. It calls endpoints of
        that class's version, of another `version`, or of any for 0. Raises Usage.

        A type checker sees the class itself: `await client.quote(Quote(sku="x"), deadline=0.5)` is a `Price`. For a
        blocking client it does so with a class that begins with `cluster.requests.Blocking`.
        """
        from cluster.requests.service import definition_of

        definition = definition_of(service)
        wanted = definition.version if version is None else check_count(version, "a version")
        return TypedClient(self._session, definition, check_timeout(deadline, "deadline"), wanted)


class UntypedOperation(Protocol):
    """An operation whose types are not known where it is called: narrow its reply with `isinstance`."""

    def __call__(
        self,
        request: Struct | None = None,
        *,
        deadline: float | None = None,
        key: str | None = None,
        only: str | None = None,
        hedge: bool = False,
    ) -> Struct | None:
        """The operation's reply."""


class TypedClient(Family[S]):
    """A msgspec Struct in, the operation's Struct (or None) out; a declared error is raised as the class it is."""

    def __init__(self, session: S, definition: "Definition", deadline: float | None, version: int) -> None:
        super().__init__(session)
        self._definition = definition
        self._deadline = deadline
        self._version = version

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> UntypedOperation: ...

    else:

        def __getattr__(self, name: str) -> Any:
            found = self._definition.operations.get(name)
            if found is None:
                raise AttributeError(f"service {self._definition.name} has no operation {name!r}")

            def call(
                request: object = None,
                *,
                deadline: float | None = None,
                key: str | None = None,
                only: str | None = None,
                hedge: bool = False,
            ) -> object:
                if not found.streams:
                    return self._session.run(self._steps(found, request, deadline, key, only, hedge))
                from cluster.wire.rows import RowFormat

                body = self._body(found, request, key, only, hedge)
                declared = partial(self._declared, f"{body.service}.{body.operation}", found)
                format = RowFormat(json.Decoder(found.reply).decode, declared)
                return self._session.stream(body, self._limit(deadline), format)

            call.__name__, call.__doc__ = name, found.summary
            return call

    def __dir__(self) -> list[str]:
        return sorted(self._definition.operations)

    def _steps(
        self, found: "Operation", request: object, deadline: object, key: object, only: object, hedge: object
    ) -> Steps[Struct | None]:
        body = self._body(found, request, key, only, hedge)
        done = expect(CallDone, (yield Send(body, self._limit(deadline))))
        name = f"{body.service}.{body.operation}"
        if done.error:
            raise self._declared(name, found, done)
        try:
            return json.decode(done.payload, type=found.reply)
        except (DecodeError, ValidationError, UnicodeDecodeError) as error:
            raise BadMessage(f"{name} replied with something else: {error}") from None

    def _limit(self, deadline: object) -> float | None:
        return self._deadline if deadline is None else check_timeout(deadline, "deadline")

    def _body(self, found: "Operation", request: object, key: object, only: object, hedge: object) -> Call:
        """The call. Raises Usage."""
        from cluster.requests.fields import field_problem

        name = f"{self._definition.name}.{found.name}"
        if request is None:
            request = found.request()
        if not isinstance(request, found.request):
            raise Usage(f"{name} takes {found.request.__name__}, not {type(request).__name__}")
        body = call_body(name, request, only, key, hedge, self._version)
        try:  # a Struct takes any value in its fields
            json.decode(body.payload, type=found.request)
        except DecodeError as error:
            raise Usage(f"{name}: {field_problem(error)}") from None
        return body

    def _declared(self, name: str, found: "Operation", done: CallDone) -> Exception:
        """The exception that the handler raised; a ServiceError when this class does not declare it."""
        from cluster.requests.declared import decode_error

        for kind in found.traits.errors:
            if kind.__name__ == done.error:
                return decode_error(kind, done.payload)
        return _unknown_error(name, done)


def call_body(
    target: object,
    arguments: object,
    only: object = None,
    key: object = None,
    hedge: object = False,
    version: object = 0,
    strict: object = False,
) -> Call:
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
    affinity = check_name(key, "`key`") or ""
    if len(affinity.encode()) > KEY_BYTES_MAX:
        raise TooLarge(f"`key` has {len(affinity.encode())} bytes; {KEY_BYTES_MAX} are allowed")
    return Call(
        service,
        name,
        payload,
        key=affinity,
        only=check_name(only, "`only`") or "",
        hedge=check_flag(hedge, "`hedge`"),
        version=check_count(version, "a version"),
        strict=check_flag(strict, "`strict`"),
    )


def call_result(call: Call, done: CallDone, seconds: float) -> CallResult:
    """The result of a request. Raises ServiceError for a declared error, BadMessage when the reply is not JSON."""
    name = f"{call.service}.{call.operation}"
    if done.error:
        raise _unknown_error(name, done)
    try:
        reply = json.decode(done.payload)
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadMessage(f"{name} did not reply with JSON: {error}") from None
    return CallResult(
        call.service,
        call.operation,
        reply,
        done.node,
        done.endpoint or done.node,
        done.version,
        done.attempts,
        done.hedged,
        round(seconds * 1000, 3),
        "",
    )


def _unknown_error(name: str, done: CallDone) -> ServiceError:
    """A declared error of which nobody here has the class. Loads what that needs."""
    from cluster.requests.declared import service_error

    return service_error(name, done)
