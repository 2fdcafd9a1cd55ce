"""What a listing costs a node with many keys, and its neighbours in the loop: thread CPU of each pass, in one process.

`KEYS=1000000 python -m tests.bench.micro_listing`. The rows are put straight into the store, in random
order, as hashed keys arrive; then pages are listed slice by slice, while puts of new keys go on.
"""

import os
import time
from random import Random

from cluster.kv.listing import Listing
from cluster.kv.objects import KvRows
from cluster.layout import partition_of
from cluster.replication.mergeable import TABLE_KV
from cluster.storage import Store
from cluster.versions import BASE, EMPTY, encode, put
from tests.bench.harness import show
from tests.storage.memory_disk import HandClock, World

KEYS = int(os.environ.get("KEYS", "1000000"))
PARTITIONS = range(256)


class CpuClock(HandClock):
    """Time by hand, but `now` is the thread's CPU time."""

    def now(self) -> float:
        return time.thread_time()


def blob() -> bytes:
    """One value of 100 bytes, as the coordinator encodes it."""
    return encode(put(EMPTY, "n1-5f3a9c1e.4.0", 1, None, "operation", 1, b"v" * 100))


def filled(store: Store, world: World) -> float:
    """Put all keys; seconds of CPU that it took."""
    keys = [f"key-{number:09}" for number in range(KEYS)]
    Random(1).shuffle(keys)
    value, started = blob(), time.thread_time()
    for first in range(0, KEYS, 1000):
        for key in keys[first : first + 1000]:
            store.put(TABLE_KV, partition_of(key), key, value, None)
        world.clock.run()
        for path in world.disk.segments:
            world.disk.files[path].clear()
    return time.thread_time() - started


def page(
    store: Store, clock: CpuClock, after: str, prefix: str, limit: int, extra: int = 0
) -> tuple[list[str], list[float]]:
    """List one page; the CPU of each slice. `extra` new keys are put between two slices."""
    found: list[str] = []
    listing = Listing(
        store,
        KvRows(lambda: 0.0, lambda key: BASE),
        clock,
        PARTITIONS,
        after,
        prefix,
        limit,
        1e9,
        lambda keys, more, error: found.extend(keys),
    )
    slices: list[float] = []
    more, value, random = True, blob(), Random(2)
    while more:
        started = time.thread_time()
        more = listing.step()
        slices.append(time.thread_time() - started)
        for _ in range(extra):
            key = f"new-{random.randrange(10**12)}"
            store.put(TABLE_KV, partition_of(key), key, value, None)
    return found, slices


def main() -> None:
    world = World(segment_bytes=1 << 50)
    clock = CpuClock()
    rows: list[list[str]] = []
    rows.append(["fill", f"{filled(world.store, world) / KEYS * 1e6:.2f} us a key", "", ""])
    for what, after, prefix, limit, extra in (
        ("first page of 1000", "", "", 1000, 0),
        ("limit 1", "", "", 1, 0),
        ("next 1000", "key-000000999", "", 1000, 0),
        ("by prefix", "", "key-0005", 1000, 0),
        ("while 10 keys a pass are new", "", "", 1000, 10),
    ):
        found, slices = page(world.store, clock, after, prefix, limit, extra)
        assert found == sorted(found) and found
        rows.append(
            [what, f"{sum(slices) * 1e3:.1f} ms", f"{len(slices)} slices", f"longest {max(slices) * 1e3:.2f} ms"]
        )
    for row in rows:
        show("  ".join(row))


if __name__ == "__main__":
    main()
