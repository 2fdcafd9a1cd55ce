"""A service is a class; its operations are methods from one msgspec Struct to another, with traits.

    @service(name="pricing", version=1)
    class Pricing:
        @operation(readonly=True, errors=[UnknownItem])
        async def quote(self, request: Quote, call: CallContext) -> Price: ...

A method takes at most one Struct and at most one `CallContext`, in any order, and returns a Struct or None. A plain
method runs at once and must not wait; an async one runs on the node's loop. Time comes from the node's clock and
waiting from its loop, both through the context, so a handler runs unchanged in the simulated world. An async generator
(`-> AsyncIterator[Price]`) replies with a stream of Structs. Traits are promises of the author: `readonly` changes
nothing (so a call with an unknown outcome is tried again elsewhere), `idempotent` may be repeated. What breaks the form
is a `Usage` when the class is made, not a surprise when it is called.
"""

import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from cluster.env import Clock
from cluster.errors import ClusterError, Usage
from cluster.limits import NAME_BYTES_MAX
from cluster.requests.declared import declared_types
from cluster.requests.method import OperationMethod
from cluster.requests.nested import read_rows
from cluster.requests.schemas import Schema, schemas_of
from cluster.wire.requests import Call

if TYPE_CHECKING:
    from cluster.requests.nested import NestedCalls
    from cluster.wire.rows import IncomingRows

C = TypeVar("C", bound=type)
M = TypeVar("M", bound=Callable[..., Any])
Sleep = Callable[[float], Awaitable[None]]

OPERATIONS_MAX = 64
CONCURRENCY_MAX = 65_536
VERSION_MAX = 1_000_000
PRIORITIES = ("normal", "low")
"""Their places are the numbers on the wire."""
_NAME = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)


class CallContext:
    """What a handler may know of the call it serves, its only way to wait, and its way to call other services.
    `deadline` is on the node's monotonic clock; the handler is cancelled when it passes."""

    __slots__ = ("_clock", "_nested", "_sleep", "_streams", "attempt", "deadline", "key", "node", "priority")

    def __init__(
        self, node: str, call: Call, deadline: float, clock: Clock, sleep: Sleep, nested: "NestedCalls"
    ) -> None:
        self.node = node
        self.key = call.key
        self.priority = call.priority
        """0 is normal, 1 is low; what it calls has it too."""
        self.attempt = call.attempt
        self.deadline = deadline
        self._clock = clock
        self._sleep = sleep
        self._nested = nested
        self._streams: Sequence[IncomingRows[Any]] = ()

    def remaining(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - self._clock.now())

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._sleep(seconds)

    async def call(
        self, operation: str, arguments: object = None, *, deadline: float | None = None, key: str = ""
    ) -> Any:
        """Call `SERVICE.OPERATION`, of this service or another; returns its reply as JSON values. It ends `deadline`
        seconds from now, and never later than this call. Cancelled with this handler. Raises what it ended with: a
        ServiceError for what the other handler raised."""
        until = self.deadline if deadline is None else self._clock.now() + deadline
        return await self._nested.call(self, operation, arguments, until, key)

    def stream(
        self, operation: str, arguments: object = None, *, deadline: float | None = None, key: str = ""
    ) -> AsyncGenerator[Any, None]:
        """Call `SERVICE.OPERATION`, and iterate over its replies as they come, with `async for`: each is JSON values.
        Of an operation that does not stream, the one reply. The call begins at once, and ends as that of `call` does;
        `break` cancels it, and so does the end of this handler. What ends the stream is raised after the replies that
        came before."""
        until = self.deadline if deadline is None else self._clock.now() + deadline
        rows = self._nested.rows(self, operation, arguments, until, key)
        self._streams = [*(one for one in self._streams if not one.over), rows]
        return read_rows(rows, self._nested.future)

    def end(self) -> None:
        """The handler has ended, and what it streams with it."""
        for rows in self._streams:
            rows.cancel(Usage("the handler whose stream this is has ended"))


class Nothing(msgspec.Struct):
    """The request of an operation that takes none."""


@dataclass(frozen=True)
class Traits:
    """What the author promises of an operation. `timeout_s` caps the caller's deadline; `priority` as in a call: 0 is
    normal, 1 is shed first."""

    readonly: bool = False
    idempotent: bool = False
    timeout_s: float | None = None
    priority: int = 0
    errors: tuple[type[Exception], ...] = ()


@dataclass(frozen=True)
class Operation:
    """One method, taken apart."""

    name: str
    summary: str
    traits: Traits
    request: type[msgspec.Struct]
    reply: type[msgspec.Struct] | None
    """Of a stream: one of its replies."""
    request_as: str
    """The parameter that takes the request; empty when there is none."""
    context_as: str
    """The parameter that takes the CallContext; empty when there is none."""
    is_async: bool
    streams: bool = False
    """It is an async generator."""


@dataclass(frozen=True)
class Definition:
    """One class, taken apart. `concurrency`: how many calls an endpoint runs together, None for the default;
    `shedding`: others may wait for a moment only. `schemas` are the JSON Schemas of all its types, by name;
    `references` point to them."""

    name: str
    version: int
    summary: str
    concurrency: int | None
    shedding: bool
    operations: dict[str, Operation]
    schemas: dict[str, Schema] = field(repr=False)
    references: dict[type, Schema] = field(repr=False)


class _Decorator(Protocol):
    """Generic in what it is called with, unlike a Callable that is returned."""

    def __call__(self, method: M) -> OperationMethod[M]: ...


def operation(
    *,
    readonly: bool = False,
    idempotent: bool = False,
    timeout_s: float | None = None,
    priority: Literal["normal", "low"] = "normal",
    errors: Sequence[type[Exception]] = (),
) -> _Decorator:
    """Make a method an operation. `errors` are what it raises on purpose, and what its callers get; a readonly
    operation is idempotent too; one of low priority is the first that an endpoint with too much to do refuses."""
    if priority not in PRIORITIES:
        raise Usage(f"the priority of an operation is {' or '.join(PRIORITIES)}, not {priority!r}")
    traits = Traits(readonly, idempotent or readonly, timeout_s, PRIORITIES.index(priority), tuple(errors))
    return lambda method: OperationMethod(method, traits)


def service(*, name: str, version: int = 1, concurrency: int | None = None, shedding: bool = True) -> Callable[[C], C]:
    """Make a class a service. Raises Usage when it is not one."""

    def define(made: C) -> C:
        check_name(name, "service")
        if not 1 <= version <= VERSION_MAX:
            raise Usage(f"the version of service {name} is 1 or more, not {version}")
        if concurrency is not None and not 1 <= concurrency <= CONCURRENCY_MAX:
            raise Usage(f"the concurrency of service {name} is 1 to {CONCURRENCY_MAX}, not {concurrency}")
        members = {key: value for kind in reversed(made.__mro__) for key, value in vars(kind).items()}
        methods = {key: value for key, value in members.items() if isinstance(value, OperationMethod)}
        if not 0 < len(methods) <= OPERATIONS_MAX:
            raise Usage(
                f"service {name} has {len(methods)} operations: decorate 1 to {OPERATIONS_MAX} with @operation()"
            )
        operations = {key: _operation(f"{name}.{key}", key, method) for key, method in methods.items()}
        types: dict[type, None] = {}
        for one in operations.values():
            types |= dict.fromkeys(kind for kind in (one.request, one.reply) if kind)
            types |= dict.fromkeys(declared_types(one.traits.errors))
        try:
            references, schemas = schemas_of(types)
        except (TypeError, RuntimeError) as error:
            raise Usage(f"service {name} has a type that JSON cannot carry: {error}") from None
        made.__service__ = Definition(  # type: ignore[attr-defined]
            name, version, _summary(made), concurrency, shedding, operations, schemas, references
        )
        return made

    return define


def definition_of(made: Any) -> Definition:
    """The definition of a service class, or of an instance of one. Raises Usage."""
    found = getattr(made, "__service__", None)
    if not isinstance(found, Definition):
        named = made.__name__ if isinstance(made, type) else type(made).__name__
        raise Usage(f"{named} is not a service: decorate the class with @service(name=...)")
    return found


def _operation(full: str, name: str, method: OperationMethod[Any]) -> Operation:
    check_name(name, "operation")
    traits, function = method.traits, method.function
    if not inspect.isfunction(function):
        raise Usage(f"{full} is not a plain method: put @operation() directly above its def")
    if traits.timeout_s is not None and not 0 < traits.timeout_s < float("inf"):
        raise Usage(f"timeout_s of {full} is above 0, not {traits.timeout_s}")
    for error in traits.errors:
        if not (isinstance(error, type) and issubclass(error, Exception)) or issubclass(error, ClusterError):
            raise Usage(f"{full} declares {error!r}: an error is an exception class of the service's own")
    if len({error.__name__ for error in traits.errors}) < len(traits.errors):
        raise Usage(f"{full} declares two errors of one name: a caller knows them by their names")
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError) as why:
        raise Usage(f"the types of {full} cannot be found: {why}") from None
    request, request_as, context_as = _parameters(full, function, hints)
    reply, streams = hints.get("return", ...), inspect.isasyncgenfunction(function)
    if streams:
        rows = get_args(reply) if get_origin(reply) in (AsyncIterator, AsyncIterable, AsyncGenerator) else ()
        if not rows or not _is_struct(rows[0]):
            raise Usage(f"{full} yields its replies: it must say that it returns an AsyncIterator of a msgspec.Struct")
        reply = rows[0]
    elif reply is type(None):
        reply = None
    elif not _is_struct(reply):
        raise Usage(f"{full} must say that it returns a msgspec.Struct, or None")
    is_async = streams or inspect.iscoroutinefunction(function)
    return Operation(name, _summary(function), traits, request, reply, request_as, context_as, is_async, streams)


def _parameters(full: str, method: Any, hints: dict[str, Any]) -> tuple[type[msgspec.Struct], str, str]:
    """The request's type, and the names of the parameters for it and for the context."""
    request, request_as, context_as = Nothing, "", ""
    parameters = list(inspect.signature(method).parameters.values())
    for parameter in parameters[1:]:
        hint = hints.get(parameter.name)
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise Usage(f"{full} takes `{parameter.name}` in a way that a call cannot give it: use a plain parameter")
        if hint is CallContext and not context_as:
            context_as = parameter.name
        elif _is_struct(hint) and not request_as:
            request, request_as = hint, parameter.name  # type: ignore[assignment]
        else:
            raise Usage(f"{full} takes one msgspec.Struct and one CallContext at most; `{parameter.name}` is neither")
    return request, request_as, context_as


def check_name(name: str, what: str) -> None:
    """Raise Usage for what cannot name a service or an operation."""
    if not _NAME.fullmatch(name) or len(name) > NAME_BYTES_MAX:
        raise Usage(f"{what} {name!r} is invalid: expected a-z, then a-z 0-9 _ -, at most {NAME_BYTES_MAX} bytes")


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _summary(thing: Any) -> str:
    return (inspect.cleandoc(thing.__doc__ or "")).partition("\n")[0]
