"""One family of operations, written once for both kinds of client: arguments to message, reply to result.

A family's method is a generator: it checks its arguments, yields what is to be sent, is resumed with the reply (or the
error is thrown into it), and returns the result. `@operation` makes it a plain call on a blocking session and a
coroutine on an asyncio one; the session's `run` only carries. Nothing here waits or knows a socket.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Generator, Mapping
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from msgspec import Struct

from cluster.errors import BadMessage, NotFound, Usage
from cluster.limits import CLIENT_TIMEOUT_S
from cluster.wire.frames import Body

if TYPE_CHECKING:
    from typing import Protocol

    from cluster.client.aio import AioSession
    from cluster.client.blocking import BlockingSession
    from cluster.client.keyed import Contexts
    from cluster.client.locate import Location
    from cluster.wire.requests import Call
    from cluster.wire.rows import RowFormat

    class ClientSession(Protocol):
        """What a family wants of either session."""

        location: Location
        timeout: float
        contexts: Contexts

        def operation_id(self) -> str:
            """For a write: the same in each retry of it, and of no other write of any client."""

        def run(self, steps: Steps[Any]) -> Any:
            """Carry an operation: its result, or a coroutine of it."""

        def stream(self, call: Call, timeout: float | None, format: RowFormat[Any]) -> Any:
            """Begin a call whose reply is a stream; what to iterate over."""


TIMEOUT_MAX_S = 86_400.0


class Send(Struct, gc=False):
    """One message to an owner of `key`, to any node, or to `node` only. The reply comes back, or the error."""

    body: Body
    timeout: float | None
    key: str | None = None
    node: str | None = None
    trace: str = ""
    """A W3C traceparent, when it is to be explained."""


class Gather(Struct):
    """A message to each of some nodes, directly and at once. What each replies, or its error, comes back by name."""

    bodies: Mapping[str, Body]
    timeout: float | None


S = TypeVar("S", bound="ClientSession")
P = ParamSpec("P")
R = TypeVar("R")
Kind = TypeVar("Kind", bound=Struct)
Steps = Generator[Send | Gather, Any, R]
"""An operation: what it sends, what it is resumed with, what it returns."""


class Bounded:
    """A session whose operations take `timeout` seconds at most, unless they are given a limit of their own."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    @property
    def timeout(self) -> float:
        """Seconds. Raises Usage when it is set to anything else."""
        return self._timeout

    @timeout.setter
    def timeout(self, value: float) -> None:
        self._timeout = check_timeout(value) or CLIENT_TIMEOUT_S

    def __reduce__(self) -> str:
        raise Usage(
            "a client cannot be copied or sent to another process",
            help="Open a client of its own in each process; a forked one may go on with its parent's.",
        )


class Family(Generic[S]):
    """The operations of one kind, over a session."""

    def __init__(self, session: S) -> None:
        self._session = session


class operation(Generic[P, R]):
    """A method of a Family, carried by its session."""

    def __init__(self, steps: Callable[Concatenate[Any, P], Steps[R]]) -> None:
        self.steps = steps
        self.__doc__ = steps.__doc__
        self.__name__ = steps.__name__
        self.__wrapped__ = steps

    @overload
    def __get__(self, family: None, owner: type) -> operation[P, R]: ...

    @overload
    def __get__(self, family: Family[AioSession], owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...

    @overload
    def __get__(self, family: Family[BlockingSession], owner: type) -> Callable[P, R]: ...

    def __get__(self, family: Any, owner: type) -> Any:
        if family is None:
            return self
        run, steps = family._session.run, self.steps

        def call(*arguments: P.args, **options: P.kwargs) -> Any:
            return run(steps(family, *arguments, **options))

        call.__name__, call.__doc__ = self.__name__, self.__doc__
        family.__dict__[self.__name__] = call  # found first from now on

        return call


def expect(kind: type[Kind], body: Any) -> Kind:
    """`body`, which must be a `kind`. Raises BadMessage."""
    if isinstance(body, kind):
        return body
    raise BadMessage(f"expected {kind.__name__} in reply, got {type(body).__name__}")


# -- Arguments are checked before anything is sent: a node closes the connection over a frame of the wrong types, and
# -- what else waits on it ends as `maybe`.


def check_text(value: object, what: str) -> str:
    """`value`, which must be text that UTF-8 can write. Raises Usage."""
    if not isinstance(value, str):
        raise Usage(f"{what} is text (str), not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Usage(f"{what} holds an invalid character: {error.reason}") from None
    return value if type(value) is str else str.__str__(value)  # a subclass may compare as it likes


def check_name(value: object, what: str) -> str | None:
    """A text that may be missing."""
    return None if value is None else check_text(value, what)


def check_nodes(value: object, known: Collection[str], cluster: str) -> list[str]:
    """Names of nodes, all of them for None. Raises Usage, or NotFound for one that the cluster does not have."""
    if value is None:
        return list(known)
    if not isinstance(value, list | tuple):
        raise Usage(f"nodes are a list of names, not {type(value).__name__}")
    names = [check_text(name, "a node") for name in value]
    for name in names:
        if name not in known:
            raise NotFound(f"cluster {cluster!r} has no node called {name!r}", help="`dsectl members` lists the nodes.")
    return names


def check_bytes(value: object, what: str) -> bytes:
    """`value` as bytes. Raises Usage for text: who encodes it knows how."""
    if type(value) is bytes:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    advice = ": encode the text first" if isinstance(value, str) else ""
    raise Usage(f"{what} is bytes, not {type(value).__name__}{advice}")


def check_count(value: object, what: str, lowest: int = 0, highest: int = 1 << 31) -> int:
    """A whole number within bounds. Raises Usage."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise Usage(f"{what} is a whole number, not {type(value).__name__}")
    if not lowest <= value <= highest:
        raise Usage(f"{what} is {lowest} to {highest}, not {value}")
    return value


def check_flag(value: object, what: str) -> bool:
    """True or False. Raises Usage."""
    if not isinstance(value, bool):
        raise Usage(f"{what} is True or False, not {type(value).__name__}")
    return value


def check_wait(value: object) -> float:
    """Seconds to wait, as long as it takes for None; 0: only look. Raises Usage."""
    if type(value) in (int, float) and value == 0:
        return 0.0
    limit = check_timeout(value)
    return inf if limit is None else limit


def check_delay(value: object, what: str = "the delay") -> float | None:
    """Seconds, also none; None stays. Raises Usage."""
    return 0.0 if type(value) in (int, float) and value == 0 else check_seconds(value, what)


def check_timeout(value: object, what: str = "timeout") -> float | None:
    """Seconds that somebody waits, None for the session's own: a day is as good as any longer. Raises Usage."""
    seconds = check_seconds(value, what)
    return None if seconds is None else min(seconds, TIMEOUT_MAX_S)


def check_seconds(value: object, what: str) -> float | None:
    """Seconds as they are meant, however many: what is kept, or promised to others. None stays. Raises Usage."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Usage(f"{what} is a number of seconds, not {type(value).__name__}")
    if not isfinite(value) or value <= 0:
        raise Usage(f"{what} is above 0 seconds, not {value}")
    return float(value)
