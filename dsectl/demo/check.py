"""The two checks behind the verdict: owners hold the same, and every acknowledged write is read back.

Owners are asked directly, each for its own digest. A copy can miss one owner without a hint when the coordinator itself
was killed in the middle of its write; reading the key repairs that, and is counted.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import anyio

from cluster.errors import ClusterError
from dsectl.demo.findings import Findings

if TYPE_CHECKING:
    from cluster.client.aio import Client

AT_ONCE = 32


async def each(keys: Iterable[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Do `work` for every key, some at a time."""
    waiting = iter(list(keys))

    async def worker() -> None:
        for key in waiting:
            await work(key)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(worker)


async def compare_owners(client: "Client", keys: list[str], found: Findings) -> None:
    """Compare the digests that the owners of each key hold."""
    unequal: list[str] = []

    async def compare(key: str) -> None:
        if await _equal(client, key):
            found.keys_compared += 1
        else:
            unequal.append(key)

    await each(keys, compare)
    for key in sorted(unequal):
        await client.kv.get(key, r=3)
        if await _equal(client, key):
            found.keys_compared += 1
            found.keys_repaired += 1
        else:
            found.keys_unequal.append(key)


async def _equal(client: "Client", key: str) -> bool:
    try:
        owners = (await client.admin.explain(key))["owners"]
        answers = await client.ask_all(owners, "explain", {"key": key}, timeout=2.0)
    except ClusterError:
        return False
    digests = [
        None if isinstance(one, ClusterError) or not one["held"] else one["held"]["digest"] for one in answers.values()
    ]
    return None not in digests and len(set(digests)) == 1


async def read_back(client: "Client", expected: dict[str, bytes], written: dict[str, bytes], found: Findings) -> None:
    """Read every acknowledged key strictly; what is there must be what was written."""

    async def read(key: str) -> None:
        try:
            got = await client.kv.get(key, strict=True)
        except ClusterError:
            return  # could not be read: `keys_read` stays behind, and the verdict says so
        found.keys_read += 1
        if expected[key] not in got.siblings:
            found.keys_lost.append(key)
        if any(sibling != written[key] for sibling in got.siblings):
            found.keys_wrong.append(key)

    await each(sorted(expected), read)
