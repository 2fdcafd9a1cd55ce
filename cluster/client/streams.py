"""Streaming replies of the blocking client: the waiting that `cluster.wire.rows` leaves out. An iterator that is let go
of, by `break` for example, cancels the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Self

from cluster.errors import ClusterError, Unreachable
from cluster.wire.rows import IncomingRows, Row, StreamResult

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingSession

__all__ = ["BlockingReplies", "StreamResult"]


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
