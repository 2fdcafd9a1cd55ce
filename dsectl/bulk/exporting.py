"""Reads all keys with a prefix out of a cluster, in order, many at a time.

A key is written only after all before it were, so what is there of an export says how far it came, and another goes on
behind it. It is no snapshot: keys written meanwhile are in it or not. A key that cannot be read ends it, since a file
that lacks one looks like a whole one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from time import monotonic

from cluster.client.aio import Client
from cluster.client.keyed import GetResult
from cluster.client.kv import KeysResult
from cluster.errors import ClusterError, QuorumMissing
from dsectl.bulk.importing import PATIENCE, kind_of, read_key
from dsectl.bulk.line import format_line

IN_FLIGHT_MAX = 256
BYTES_IN_FLIGHT_MAX = 16 * 1024 * 1024
"""As far as the values read last tell what the next ones have."""
PAGE_KEYS = 2000
PAUSE_S = 0.05


class Export:
    """One export; its numbers grow while `run` goes on. `after`: it begins behind this key."""

    def __init__(self, client: Client, prefix: str, after: str, is_stopped: Callable[[], bool]) -> None:
        self.keys = 0
        self.bytes = 0
        self.degraded = 0
        """Keys of which a newer value may exist: fewer owners voted than a read needs."""
        self.silent: list[str] = []
        """Nodes that did not answer when they were asked for their keys."""
        self.last = after
        """The key that was written last."""
        self._client = client
        self._prefix = prefix
        self._is_stopped = is_stopped
        self._value_bytes = 0

    async def run(self, write: Callable[[bytes], object]) -> None:
        """Hand the lines to `write`, to the end or until it is stopped. Raises ClusterError, or what `write` does."""
        reads: deque[asyncio.Task[GetResult]] = deque()
        try:
            async for key in self._list():
                reads.append(asyncio.create_task(self._read(key)))
                while len(reads) * max(1, self._value_bytes) > BYTES_IN_FLIGHT_MAX or len(reads) > IN_FLIGHT_MAX:
                    self._write(await reads.popleft(), write)
                if self._is_stopped():
                    break
            while reads:
                self._write(await reads.popleft(), write)
        finally:
            for read in reads:
                read.cancel()

    def _write(self, found: GetResult, write: Callable[[bytes], object]) -> None:
        self._value_bytes = max(sum(map(len, found.siblings)), self._value_bytes * 7 // 8)
        self.last = found.key
        if found.found:  # else it was deleted since it was listed
            line = format_line(found.key, found.siblings, kind_of(found))
            write(line)
            self.keys += 1
            self.bytes += len(line)
            self.degraded += found.degraded

    async def _list(self) -> AsyncIterator[str]:
        """The keys, page by page; the next one is asked for while the values of one are read."""
        listing = asyncio.create_task(self._page(self.last))
        try:
            while True:
                page = await listing
                if page.more:
                    listing = asyncio.create_task(self._page(page.after))
                self.silent = page.silent
                for key in page.keys:
                    yield key
                if not page.more:
                    return
        finally:
            listing.cancel()

    async def _page(self, after: str) -> KeysResult:
        until = monotonic() + PATIENCE * self._client.timeout
        entry = self._client.location.entry
        while True:
            page: KeysResult | None = None
            try:
                page = await self._client.kv.keys(self._prefix, after=after, limit=PAGE_KEYS)
                if entry is None or len(page.silent) < entry.w:
                    return page
                # A write may be on W nodes alone, and then none of them has listed it.
                raise QuorumMissing(f"no answer from {', '.join(page.silent)}, so keys may be missing")
            except ClusterError as error:
                if not error.retryable or monotonic() >= until:
                    raise
            await asyncio.sleep(PAUSE_S)

    async def _read(self, key: str) -> GetResult:
        until = monotonic() + PATIENCE * self._client.timeout
        while True:
            try:
                return await read_key(self._client, key)
            except ClusterError as error:
                if not error.retryable or monotonic() >= until:
                    raise type(error)(f"cannot read {key!r}: {error.message}", error.help, **error.detail) from None
            await asyncio.sleep(PAUSE_S)
