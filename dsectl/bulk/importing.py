"""Writes the keys of a file into a cluster, many at a time; each is read first, and what is there not written again.

So an import needs no notes of how far it came: whoever was interrupted, at whatever point, gives the same lines again.
A line whose write may or may not have happened is repeated as the same operation, at the node that knows it. When that
node is gone, or a line is refused for what it says or for what its key holds, its number is noted and the rest goes on:
the same lines would end there each time. What the cluster takes from nobody ends the import, after all that was sent
has its answer. Of two lines with one key the later one counts.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from cluster.client.aio import Client
from cluster.client.keyed import GetResult
from cluster.client.kv import PutResult
from cluster.errors import ClockFull, ClusterError, Maybe, TooManySiblings, Usage, WrongType
from cluster.limits import COUNTER_MAX, UPDATE_ITEMS_MAX
from dsectl.bulk.line import COUNTER, SET, VALUE, KeyLine, parse_line
from dsectl.bulk.reading import Line

IN_FLIGHT_MAX = 256
BYTES_IN_FLIGHT_MAX = 16 * 1024 * 1024
"""Of lines; one alone may be larger."""
ERRORS_MAX = 100
"""So many wrong lines are no slip: it is another file."""
OF_ONE_LINE = (Maybe, Usage, WrongType, TooManySiblings, ClockFull)
"""Errors that say nothing of other lines. A `maybe` is left where only a node that died can tell."""
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
        self.ends = False
        """Whether an error ended it, so that lines may be left that nobody read."""
        self._client = client
        self._prefix = prefix
        self._on_first = on_first
        self._is_stopped = is_stopped
        self._keys: set[str] = set()
        """Of the lines that are under way."""
        self._bytes_in_flight = 0
        self._freed = asyncio.Event()

    async def run(self, lines: AsyncIterator[Line]) -> None:
        """Import all lines, or those before an error that ends it."""
        async with asyncio.TaskGroup() as tasks:
            try:
                async for number, data in lines:
                    self.lines = number
                    self.bytes += len(data or b"") + 1
                    if data is None or data.strip():
                        await self._take(number, data, tasks)
                    if self.ends:
                        break
            except Usage as error:  # the file cannot be read any further
                self.errors.append(LineError(self.lines + 1, "", error))
                self.ends = True

    async def _take(self, number: int, data: bytes | None, tasks: asyncio.TaskGroup) -> None:
        try:
            line = parse_line(number, data)
        except Usage as error:
            self.errors.append(LineError(number, "", error))
            self.ends = self.ends or len(self.errors) >= ERRORS_MAX
            return
        if not line.key.startswith(self._prefix):
            self.passed_over += 1
            return
        while not self.ends and self._must_wait_for(line):
            self._freed.clear()
            await self._freed.wait()
        if not self.ends:
            self._bytes_in_flight += line.size
            self._keys.add(line.key)
            tasks.create_task(self._import(line))

    def _must_wait_for(self, line: KeyLine) -> bool:
        full = len(self._keys) >= IN_FLIGHT_MAX or self._bytes_in_flight + line.size > BYTES_IN_FLIGHT_MAX
        return line.key in self._keys or (full and bool(self._keys))

    async def _import(self, line: KeyLine) -> None:
        try:
            try:
                written = await self._write(line, monotonic() + PATIENCE * self._client.timeout)
            except Maybe as error:  # nobody can tell that it happened, but by its being there
                try:
                    written = self._is_there(line, await read_key(self._client, line.key))
                except ClusterError:
                    written = False
                if not written:
                    raise error from None
            if written:
                self.written += 1
            else:
                self.unchanged += 1
            if self.written + self.unchanged == 1:
                self._on_first()
        except ClusterError as error:
            self.errors.append(LineError(line.number, line.key, error))
            self.ends = self.ends or not isinstance(error, OF_ONE_LINE) or len(self.errors) >= ERRORS_MAX
        finally:
            self._keys.remove(line.key)
            self._bytes_in_flight -= line.size
            self._freed.set()

    async def _write(self, line: KeyLine, until: float) -> bool:
        """Make the key hold this and nothing else; whether it did not. Raises WrongType for what is of another kind,
        also where there would be nothing to change, and what the cluster refuses."""
        kv, key = self._client.kv, line.key
        found: GetResult = await self._repeat(until, partial(read_key, self._client, key))
        there, wanted = Counter(found.siblings), Counter(line.values)
        if self._is_there(line, found):
            return False
        if found.siblings and kind_of(found) != line.kind:
            raise WrongType(f"{key!r} is a {kind_of(found) or 'value'}, not a {line.kind or 'value'}")
        if line.kind == COUNTER:
            missing = int(line.values[0]) - (int(found.siblings[0]) if found.siblings else 0)
            half = missing // 2  # from end to end it is further than one step goes; a new one may begin at 0
            for by in [missing] if abs(missing) <= COUNTER_MAX else [half, missing - half]:
                await self._repeat(until, partial(kv.incr, key, by))
            return True
        if line.kind == SET:
            new, gone = list(wanted - there), list(there - wanted)
            for first in range(0, len(new), UPDATE_ITEMS_MAX):
                await self._repeat(until, partial(kv.sadd, key, new[first : first + UPDATE_ITEMS_MAX]))
            for first in range(0, len(gone), UPDATE_ITEMS_MAX):
                items = gone[first : first + UPDATE_ITEMS_MAX]
                await self._repeat(until, partial(kv.srem, key, items, context=found.context))
            return True
        # Values beside those that stay replace nothing; else all are written as siblings, instead of what is there.
        context = found.context if there - wanted else None
        for value in (wanted if context else wanted - there).elements():
            put = partial(kv.put, key, value, context=context, blind=context is None)
            done: PutResult = await self._repeat(until, put)
        if len(line.values) > done.siblings == 1:
            raise WrongType(f"{key!r} keeps the last of {len(line.values)} siblings: its bucket has one value a key")
        return True

    def _is_there(self, line: KeyLine, found: GetResult) -> bool:
        return Counter(found.siblings) == Counter(line.values) and kind_of(found) == line.kind

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


async def read_key(client: Client, key: str) -> GetResult:
    """What a key holds, whatever kind it is of."""
    try:
        return await client.kv.get(key)
    except WrongType:
        found = await client.kv.smembers(key)
        votes = found.answered, found.repaired, found.degraded
        return GetResult(key, None, found.items, found.context, *votes, found.coordinator, found.ms, SET)


def kind_of(found: GetResult) -> str:
    """As a line has it: values are values, whether they are siblings or the last writer's."""
    return found.kind if found.kind in (COUNTER, SET) else VALUE
