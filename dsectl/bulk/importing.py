"""Writes the keys of a file into a cluster, many at a time; each is read first, and what is there not written again.

So an import needs no notes of how far it came: whoever was interrupted, at whatever point, gives the same lines again.
A line whose write may or may not have happened is repeated as the same operation, at the node that knows it. What is
refused for what it says is noted with its number, and the rest goes on; what the cluster does not take ends the import,
after all that was sent has its answer. Of two lines with one key the later one counts.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from cluster.client.aio import Client
from cluster.errors import ClusterError, Maybe, Usage
from dsectl.bulk.line import KeyLine, parse_line
from dsectl.bulk.reading import Line

IN_FLIGHT_MAX = 256
BYTES_IN_FLIGHT_MAX = 16 * 1024 * 1024
"""Of lines; one alone may be larger."""
REFUSED_MAX = 100
"""So many wrong lines are no slip: it is another file."""
PATIENCE = 2.0
"""For so many timeouts what is refused for now is tried again; with that of the command line, longer than a node is
silent before it is declared dead."""
PAUSE_S = 0.02
PAUSE_MAX_S = 0.5


@dataclass
class LineError:
    """Why a line is not in the cluster, or may not be."""

    line: int
    key: str
    error: ClusterError


class Import:
    """One import; its numbers grow while `run` goes on. `prefix`: keys that begin otherwise are passed over. Once
    `is_stopped` says so nothing is tried again; that no more lines come is up to whoever reads them."""

    def __init__(
        self,
        client: Client,
        prefix: str = "",
        on_first: Callable[[], object] = lambda: None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.lines = 0
        """Read, empty ones included."""
        self.bytes = 0
        self.written = 0
        self.unchanged = 0
        """Keys that held these values already."""
        self.passed_over = 0
        self.errors: list[LineError] = []
        self._client = client
        self._prefix = prefix
        self._on_first = on_first
        self._is_stopped = is_stopped
        self._ends = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._bytes_in_flight = 0
        self._freed = asyncio.Event()

    async def run(self, lines: AsyncIterator[Line]) -> None:
        """Import all lines, or those before an error that ends it."""
        async for number, data in lines:
            self.lines = number
            self.bytes += len(data or b"") + 1
            if data is None or data.strip():
                await self._take(number, data)
            if self._ends:
                break
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _take(self, number: int, data: bytes | None) -> None:
        try:
            line = parse_line(number, data)
        except Usage as error:
            self.errors.append(LineError(number, "", error))
            self._ends = self._ends or len(self.errors) >= REFUSED_MAX
            return
        if not line.key.startswith(self._prefix):
            self.passed_over += 1
            return
        while not self._ends and self._must_wait_for(line):
            self._freed.clear()
            await self._freed.wait()
        if not self._ends:
            self._bytes_in_flight += line.size
            self._tasks[line.key] = asyncio.create_task(self._import(line))

    def _must_wait_for(self, line: KeyLine) -> bool:
        full = len(self._tasks) >= IN_FLIGHT_MAX or self._bytes_in_flight + line.size > BYTES_IN_FLIGHT_MAX
        return line.key in self._tasks or (full and bool(self._tasks))

    async def _import(self, line: KeyLine) -> None:
        try:
            if await self._write(line, monotonic() + PATIENCE * self._client.timeout):
                self.written += 1
            else:
                self.unchanged += 1
            if self.written + self.unchanged == 1:
                self._on_first()
        except ClusterError as error:
            self.errors.append(LineError(line.number, line.key, error))
            self._ends = True
        finally:
            del self._tasks[line.key]
            self._bytes_in_flight -= line.size
            self._freed.set()

    async def _write(self, line: KeyLine, until: float) -> bool:
        """Make the key hold these values and no others; whether it did not."""
        found = await self._repeat(until, partial(self._client.kv.get, line.key))
        there, wanted = Counter(found.siblings), Counter(line.values)
        if there == wanted:
            return False
        # Values beside those that stay replace nothing; else all are written as siblings, instead of what is there.
        context = found.context if there - wanted else None
        for value in (wanted if context else wanted - there).elements():
            put = partial(self._client.kv.put, line.key, value, context=context, blind=context is None)
            await self._repeat(until, put)
        return True

    async def _repeat(self, until: float, operation: Callable[..., Any]) -> Any:
        """Carry it out, again and again while that may help, after a `maybe` as the same operation. One that is never
        resolved is what it ends with."""
        unsure: Maybe | None = None
        pause = PAUSE_S
        while True:
            try:
                return await (operation(retry=unsure) if unsure else operation())
            except ClusterError as error:
                if isinstance(error, Maybe):
                    unsure = error
                known = unsure is None or {"operation", "coordinator"} <= unsure.detail.keys()
                helps = known and (isinstance(error, Maybe) or error.retryable)
                if not helps or monotonic() >= until or self._is_stopped():
                    raise (unsure or error) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX_S)
