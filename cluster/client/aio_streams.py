"""Streaming replies of the asyncio client: the waiting that `cluster.wire.rows` leaves out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, Self

from cluster.client.aio_topics import check_loop
from cluster.wire.rows import IncomingRows, Row, StreamResult


class AioReplies(Generic[Row]):
    """Iterate over it with `async for`. `break`, `aclose` or the end of an `async with` cancels what has not come."""

    def __init__(self, rows: IncomingRows[Row], loop: asyncio.AbstractEventLoop) -> None:
        self._rows = rows
        self._loop = loop
        self._changed = asyncio.Event()
        rows.on_change = self._changed.set

    @property
    def result(self) -> StreamResult | None:
        """How it ended; None before."""
        return self._rows.result

    def __aiter__(self) -> AsyncIterator[Row]:
        return self

    async def __anext__(self) -> Row:
        check_loop(self._loop)
        while not self._rows.readable:
            self._changed.clear()
            try:
                await self._changed.wait()
            except asyncio.CancelledError:
                self._rows.cancel()
                raise
        try:
            return self._rows.pop()
        except EOFError:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Read no more. Harmless at the end."""
        check_loop(self._loop)
        self._rows.cancel()

    def __del__(self) -> None:
        if not self._rows.over and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rows.cancel)  # the collector runs in any thread
