"""The two checks behind the verdict: owners hold the same, and every acknowledged key is read back.

Owners are asked directly, each for the digest of its own copy. What is on its way when the load stops arrives, or
becomes a hint, within the deadline of a write, so owners that differ are asked again for a while. A copy can miss one
owner for good when the coordinator itself was killed in the middle of its write; reading the key repairs that, and is
counted.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import anyio

from cluster.errors import ClusterError
from dsectl.demo.findings import Findings

if TYPE_CHECKING:
    from cluster.client.aio import Client

AT_ONCE = 32
ASK_S = 2.0
POLL_S = 0.05


async def each(keys: Iterable[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Do `work` for every key, some at a time."""
    waiting = iter(list(keys))

    async def worker() -> None:
        for key in waiting:
            await work(key)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(worker)


class Comparison:
    """What the owners of each key hold."""

    def __init__(self, client: "Client") -> None:
        self.client = client
        self.equal: dict[str, dict[str, str]] = {}
        """By key, its owners and the digest that each of them holds, where these are the same."""
        self.unequal: list[str] = []
        self.unknown: list[str] = []
        """An owner did not say."""

    async def run(self, keys: Iterable[str]) -> bool:
        """Compare the keys that are not known to be equal; returns whether all are now."""
        self.unequal, self.unknown = [], []
        await each([key for key in keys if key not in self.equal], self._compare)
        return not self.unequal and not self.unknown

    async def _compare(self, key: str) -> None:
        try:
            owners: list[str] = (await self.client.admin.explain(key))["owners"]
            answers = await self.client.ask_all(owners, "explain", {"key": key}, timeout=ASK_S)
        except ClusterError:
            self.unknown.append(key)
            return
        if any(isinstance(answer, ClusterError) for answer in answers.values()):
            self.unknown.append(key)
            return
        digests = {owner: answer["held"]["digest"] if answer["held"] else "" for owner, answer in answers.items()}
        agreed = all(answer["owners"] == owners for answer in answers.values())
        if agreed and len(set(digests.values())) == 1 and "" not in digests.values():
            self.equal[key] = digests
        else:
            self.unequal.append(key)


async def compare_owners(client: "Client", keys: list[str], found: Findings, patience_s: float) -> Comparison:
    """Compare what the owners of each key hold, again and again for `patience_s` while they differ."""
    comparison = Comparison(client)
    until = time.monotonic() + patience_s
    while not await comparison.run(keys):
        if time.monotonic() >= until:
            break
        await anyio.sleep(POLL_S)
    before = len(comparison.equal)
    if comparison.unequal:
        await each(comparison.unequal, lambda key: _repair(client, key, found.nodes))
        await comparison.run(keys)
        found.keys_repaired = len(comparison.equal) - before
    found.keys_compared = len(comparison.equal)
    found.keys_unequal = sorted(comparison.unequal)
    return comparison


async def _repair(client: "Client", key: str, nodes: int) -> None:
    """Read the key with all its owners, which brings those up to date that are behind."""
    try:
        owners = (await client.admin.explain(key))["owners"]
        await client.kv.get(key, r=min(len(owners), nodes))
    except ClusterError:
        pass  # the comparison that follows tells what came of it


async def read_back(client: "Client", expected: dict[str, bytes], found: Findings) -> None:
    """Read every acknowledged key strictly; what is there must be what was written last, and nothing else."""

    async def read(key: str) -> None:
        try:
            got = await client.kv.get(key, strict=True)
        except ClusterError:
            found.keys_unreadable.append(key)
            return
        found.keys_read += 1
        if expected[key] not in got.siblings:
            found.keys_lost.append(key)
        if any(sibling != expected[key] for sibling in got.siblings):
            found.keys_wrong.append(key)

    await each(sorted(expected), read)
