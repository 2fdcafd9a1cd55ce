"""What `@operation` makes of a method: on an instance the method itself, on the class what a client calls.

    Pricing().quote(Quote("x"))                            # the method as it was written
    await c.requests.client(Pricing).quote(Quote("x"))     # a Price, whether the method is async or not

A client of a service is typed as the class (`type[Pricing]`), so that a type checker and an editor find the operations
there: reached through the class, an operation has the types of a call, through an instance those of the method. A
blocking client needs a class that says so, `class PricingNow(Blocking, Pricing)`: Python has no way to type the
attributes of one class in two ways.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from msgspec import Struct

from cluster.errors import Usage

if TYPE_CHECKING:
    from cluster.requests.service import CallContext, Nothing, Traits

P = ParamSpec("P")
R = TypeVar("R")
Returned_co = TypeVar("Returned_co", covariant=True)
"""What a method returns as it is written: a reply, a coroutine of one, or an iterator of many."""
Request = TypeVar("Request", bound=Struct)
Method_co = TypeVar("Method_co", bound=Callable[..., Any], covariant=True)


class Blocking:
    """First base of a class whose blocking client is to be typed: `class PricingNow(Blocking, Pricing): ...`."""


class CallOptions(TypedDict, total=False):
    """`deadline` in seconds; `key` for affinity; `only` names the node or endpoint that is to answer; `hedge` allows a
    second attempt beside a slow one."""

    deadline: float | None
    key: str | None
    only: str | None
    hedge: bool


if TYPE_CHECKING:
    # In both, an iterator of replies (or a coroutine of one) would match as a plain reply, too: the first that fits
    # counts.

    class AioOperation(Generic[Request, Returned_co]):
        """An operation as the asyncio client calls it."""

        @overload
        def __call__(
            self: "AioOperation[Nothing, Coroutine[Any, Any, R]]", **options: Unpack[CallOptions]
        ) -> Coroutine[Any, Any, R]: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self: "AioOperation[Nothing, AsyncIterator[R]]", **options: Unpack[CallOptions]
        ) -> AsyncIterator[R]: ...
        @overload
        def __call__(self: "AioOperation[Nothing, R]", **options: Unpack[CallOptions]) -> Coroutine[Any, Any, R]: ...
        @overload
        def __call__(
            self: "AioOperation[Request, Coroutine[Any, Any, R]]", request: Request, **options: Unpack[CallOptions]
        ) -> Coroutine[Any, Any, R]: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self: "AioOperation[Request, AsyncIterator[R]]", request: Request, **options: Unpack[CallOptions]
        ) -> AsyncIterator[R]: ...
        @overload
        def __call__(
            self: "AioOperation[Request, R]", request: Request, **options: Unpack[CallOptions]
        ) -> Coroutine[Any, Any, R]: ...
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            """Call it."""

    class BlockingOperation(Generic[Request, Returned_co]):
        """An operation as the blocking client calls it."""

        @overload
        def __call__(
            self: "BlockingOperation[Nothing, Coroutine[Any, Any, R]]", **options: Unpack[CallOptions]
        ) -> R: ...
        @overload
        def __call__(
            self: "BlockingOperation[Nothing, AsyncIterator[R]]", **options: Unpack[CallOptions]
        ) -> Iterator[R]: ...
        @overload
        def __call__(self: "BlockingOperation[Nothing, R]", **options: Unpack[CallOptions]) -> R: ...
        @overload
        def __call__(
            self: "BlockingOperation[Request, Coroutine[Any, Any, R]]", request: Request, **options: Unpack[CallOptions]
        ) -> R: ...
        @overload
        def __call__(
            self: "BlockingOperation[Request, AsyncIterator[R]]", request: Request, **options: Unpack[CallOptions]
        ) -> Iterator[R]: ...
        @overload
        def __call__(self: "BlockingOperation[Request, R]", request: Request, **options: Unpack[CallOptions]) -> R: ...
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            """Call it."""


class OperationMethod(Generic[Method_co]):
    """A method with its traits. The overloads read the types of request and reply from the method's own."""

    __name__: str
    __qualname__: str

    def __init__(self, function: Method_co, traits: "Traits") -> None:
        update_wrapper(self, function)
        self.function = function
        self.traits = traits

    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any], R]]", instance: None, owner: type[Blocking]
    ) -> "BlockingOperation[Nothing, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any, CallContext], R]]", instance: None, owner: type[Blocking]
    ) -> "BlockingOperation[Nothing, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any, Request], R]]", instance: None, owner: type[Blocking]
    ) -> "BlockingOperation[Request, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any, Request, CallContext], R]]", instance: None, owner: type[Blocking]
    ) -> "BlockingOperation[Request, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any, CallContext, Request], R]]", instance: None, owner: type[Blocking]
    ) -> "BlockingOperation[Request, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any], R]]", instance: None, owner: type
    ) -> "AioOperation[Nothing, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any, CallContext], R]]", instance: None, owner: type
    ) -> "AioOperation[Nothing, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any, Request], R]]", instance: None, owner: type
    ) -> "AioOperation[Request, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any, Request, CallContext], R]]", instance: None, owner: type
    ) -> "AioOperation[Request, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[[Any, CallContext, Request], R]]", instance: None, owner: type
    ) -> "AioOperation[Request, R]": ...
    @overload
    def __get__(
        self: "OperationMethod[Callable[Concatenate[Any, P], R]]", instance: object, owner: type
    ) -> Callable[P, R]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self.function.__get__(instance, owner)

    def __call__(self, *arguments: object, **options: object) -> Any:
        """Not so: a class is not bound to a cluster. Raises Usage."""
        raise Usage(
            f"{self.__qualname__} is called through a client, or on an instance of its class",
            help="`c.requests.client(CLASS)` is the client of a service.",
        )
