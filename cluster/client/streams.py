"""The rows of a streaming reply, between the connection that they come on and whoever iterates over them.

Credit goes back as rows are read, so that a reader which is slow holds up the handler and at most one window of rows is
kept; a row that is larger than the window is let through to its end. `IncomingRows` is what the connection knows, and
the iterators are what the program holds: one that is let go of, by `break` for example, cancels the call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from msgspec import DecodeError, Struct, ValidationError

from cluster.errors import BadMessage, ClusterError, Unreachable
from cluster.limits import PARTS_WINDOW_BYTES, VALUE_BYTES_MAX
from cluster.wire.caller import Outcome
from cluster.wire.requests import Call, CallDone

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingSession
    from cluster.client.router import Router

Row = TypeVar("Row")


class RowFormat(Struct, Generic[Row], frozen=True):
    """What is made of a row, and of a declared error that ended the reply."""

    decode: Callable[[bytes], Row]
    declared: Callable[[CallDone], Exception]


class StreamResult(Struct, frozen=True):
    """How a streaming reply ended: who gave it, and how many `replies` it had; None: one, since it is no stream."""

    service: str
    operation: str
    replies: int | None
    node: str
    attempts: int
    hedged: bool
    ms: float
    endpoint: str
    version: int


class IncomingRows(Generic[Row]):
    """One streaming reply. `on_change` is called when a row has come, or the end."""

    def __init__(self, router: Router, call: Call, deadline: float, format: RowFormat[Row]) -> None:
        self.on_change: Callable[[], object] = lambda: None
        self.result: StreamResult | None = None
        """Once all has come."""
        self._call = call
        self._format = format
        self._now = router.now
        self._began = router.now()
        self._rows: deque[tuple[bytes, int]] = deque()  # each with the bytes to give credit for
        self._row = bytearray()  # that has begun
        self._given = 0  # of its bytes
        self._due = 0  # bytes that were read, and not given credit for
        self._count = 0
        self._error: Exception | None = None
        self.over = False
        """Nothing more comes; what has come may still be read."""
        call.stream = True
        self._dispatch = router.stream(call, deadline, self._end, self._take)

    @property
    def readable(self) -> bool:
        """Whether `pop` would give something: a row, an error, or the end."""
        return bool(self._rows) or self.over

    @property
    def held_bytes(self) -> int:
        """What has come and was not read yet."""
        return sum(len(row) for row, _ in self._rows) + len(self._row)

    def pop(self) -> Row:
        """The next row. Raises what ended the reply, or EOFError at its end."""
        if not self._rows:
            assert self.over
            if self._error is not None:
                raise self._error
            raise EOFError
        row, cost = self._rows.popleft()
        self._give(cost)
        try:
            return self._format.decode(row)
        except (DecodeError, ValidationError, UnicodeDecodeError) as error:
            self.cancel()
            raise BadMessage(
                f"{self._call.service}.{self._call.operation} sent a row of something else: {error}"
            ) from None

    def cancel(self) -> None:
        """Nobody reads on: the handler is ended."""
        if not self.over:
            self.over = True
            self._dispatch.cancel()
        self._rows.clear()

    def _take(self, data: bytes) -> None:
        first, *lines = data.split(b"\n")
        row = self._row
        row += first
        for line in lines:
            self._rows.append((bytes(row), len(row) + 1 - self._given))
            self._count += 1
            row.clear()
            row += line
            self._given = 0
        if len(row) > VALUE_BYTES_MAX:
            self.cancel()
            self._error = BadMessage(f"a row of more than {VALUE_BYTES_MAX} bytes")
            self.on_change()
            return
        # Nobody can read a row that has only begun, so it needs no reader to go on.
        begun, self._given = len(row) - self._given, len(row)
        self._give(begun)
        if lines:
            self.on_change()

    def _give(self, count: int) -> None:
        self._due += count
        if self._due >= PARTS_WINDOW_BYTES // 2 and not self.over:
            count, self._due = self._due, 0
            self._dispatch.credit(count)

    def _end(self, outcome: Outcome) -> None:
        call, row = self._call, self._row
        if isinstance(outcome, ClusterError):
            self._error = outcome
        elif not isinstance(outcome, CallDone):
            self._error = BadMessage(f"expected CallDone in reply, got {type(outcome).__name__}")
        elif outcome.error:
            try:
                self._error = self._format.declared(outcome)
            except ClusterError as error:  # its fields are not what they should be
                self._error = error
        elif outcome.replies is None:
            self._rows.append((bytes(row) + outcome.payload, 0))
        elif row or outcome.replies != self._count:
            self._error = BadMessage(f"{self._count} whole rows came of {outcome.replies}")
        if isinstance(outcome, CallDone):
            self.result = StreamResult(
                call.service,
                call.operation,
                outcome.replies,
                outcome.node,
                outcome.attempts,
                outcome.hedged,
                round((self._now() - self._began) * 1000, 3),
                outcome.endpoint or outcome.node,
                outcome.version,
            )
        self.over = True
        self.on_change()


class BlockingReplies(Generic[Row]):
    """Iterate over it. `break`, `close` or the end of a `with` cancels what has not come."""

    def __init__(self, session: BlockingSession, rows: IncomingRows[Row]) -> None:
        self._session = session
        self._router = session.router
        self._rows = rows

    @property
    def result(self) -> StreamResult | None:
        """How it ended; None before."""
        return self._rows.result

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        rows, session = self._rows, self._session
        with session.in_use():
            if not rows.readable:
                if session.router is not self._router:
                    raise Unreachable("this reply has ended with its connection")
                session.wait(lambda: rows.readable, float("inf"))
            try:
                return rows.pop()
            except EOFError:
                raise StopIteration from None

    def wait(self, timeout: float) -> bool:
        """Wait for so many seconds at most. Whether iterating goes on without waiting: with a reply, or the end."""
        rows, session = self._rows, self._session
        with session.in_use():
            if session.router is self._router:
                session.wait(lambda: rows.readable, session.now() + timeout)
            return rows.readable

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Read no more. Harmless at the end."""
        if not self._rows.over:
            with self._session.in_use():
                if self._session.router is self._router:
                    self._rows.cancel()
                    self._session.wait(lambda: True, 0.0)  # send it

    def __del__(self) -> None:
        with suppress(ClusterError):  # another thread uses the client: then the deadline ends it
            self.close()
