"""The rows of a streaming reply (see parts.py), between what brings its parts and whoever reads the rows.

Credit goes back as rows are read, so that a reader which is slow holds up the handler and at most one window of rows is
kept; a row that is larger than the window is let through to its end. Clients read them, and handlers that call others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from msgspec import DecodeError, Struct, ValidationError

from cluster.errors import BadMessage, ClusterError
from cluster.limits import PARTS_WINDOW_BYTES, VALUE_BYTES_MAX
from cluster.wire.frames import Body
from cluster.wire.requests import Call, CallDone

Row = TypeVar("Row")


class StreamUnderWay(Protocol):
    """A call whose reply comes in parts."""

    def credit(self, count: int) -> None:
        """So many bytes of them were read. Harmless when it has ended."""

    def cancel(self) -> None:
        """No outcome is wanted any more. Harmless when it has ended."""


class CallsStreams(Protocol):
    """A way to send calls whose replies come in parts."""

    def now(self) -> float:
        """The time, in seconds of the clock that deadlines are on."""

    def stream(
        self,
        body: Call,
        deadline: float,
        done: Callable[[Body | ClusterError], object],
        take: Callable[[bytes], object],
        /,
    ) -> StreamUnderWay:
        """Send a call: `take` gets each part, and `done` the outcome, perhaps before this returns."""


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

    def __init__(self, way: CallsStreams, call: Call, deadline: float, format: RowFormat[Row]) -> None:
        self.on_change: Callable[[], object] = lambda: None
        self.result: StreamResult | None = None
        """Once all has come."""
        self._call = call
        self._format = format
        self._now = way.now
        self._began = way.now()
        self._rows: deque[tuple[bytes, int]] = deque()  # each with the bytes to give credit for
        self._row = bytearray()  # that has begun
        self._given = 0  # of its bytes
        self._due = 0  # bytes that were read, and not given credit for
        self._count = 0
        self._error: Exception | None = None
        self.over = False
        """Nothing more comes; what has come may still be read."""
        call.stream = True
        self._under_way: StreamUnderWay | None = None  # who is within this process may answer at once
        self._under_way = way.stream(call, deadline, self._end, self._take)
        self._give(0)

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

    def cancel(self, why: ClusterError | None = None) -> None:
        """Nobody reads on: the handler is ended. `why` is raised for whoever does all the same, unless all had come."""
        if not self.over:
            self.over = True
            self._error = why
            if self._under_way is not None:
                self._under_way.cancel()
            self._rows.clear()
            self.on_change()

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
            self.cancel(BadMessage(f"a row of more than {VALUE_BYTES_MAX} bytes"))
            return
        # Nobody can read a row that has only begun, so it needs no reader to go on.
        begun, self._given = len(row) - self._given, len(row)
        self._give(begun)
        if lines:
            self.on_change()

    def _give(self, count: int) -> None:
        self._due += count
        if self._due >= PARTS_WINDOW_BYTES // 2 and not self.over and self._under_way is not None:
            count, self._due = self._due, 0
            self._under_way.credit(count)

    def _end(self, outcome: Body | ClusterError) -> None:
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
