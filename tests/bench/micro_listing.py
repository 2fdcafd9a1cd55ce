"""What a listing costs a node with many keys, and its neighbours in the loop: thread CPU of each pass, in one process.

`KEYS=1000000 python -m tests.bench.micro_listing`. The rows are put straight into the store, in random
order, as hashed keys arrive; then pages are listed slice by slice, while puts of new keys go on, and across many keys
that are deleted, and then collected.
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
OBJECTS = KvRows(lambda: 0.0, lambda key: BASE)


class CpuClock(HandClock):
    """Time by hand, but `now` is the thread's CPU time."""

    def now(self) -> float:
        return time.thread_time()


def blob(deleted: bool = False) -> bytes:
    """One value of 100 bytes, or a tombstone, as the coordinator encodes it."""
    value = b"" if deleted else b"v" * 100
    return encode(put(EMPTY, "n1-5f3a9c1e.4.0", 1, None, "operation", 1, value, deleted=deleted))


def set_all(store: Store, world: World, numbers: range, value: bytes | None) -> float:
    """Put these keys; seconds of CPU that it took."""
    keys = [f"key-{number:09}" for number in numbers]
    Random(1).shuffle(keys)
    started = time.thread_time()
    for first in range(0, len(keys), 1000):
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
        OBJECTS,
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


def rows_between(store: Store, clock: CpuClock, after: str, wanted: int) -> str:
    """Pages of one key until one is found, as a client asks for them: how many, and the CPU that they took."""
    pages, took = 0, 0.0
    while True:
        ends: list[str] = []
        found: list[str] = []

        def listed(keys: list[str], end: str, error: object, found: list[str] = found, ends: list[str] = ends) -> None:
            found += keys
            ends.append(end)

        listing = Listing(store, OBJECTS, clock, PARTITIONS, after, "", 1, 1e9, listed)
        started = time.thread_time()
        while listing.step():
            pass
        pages, took, after = pages + 1, took + time.thread_time() - started, ends[0]
        if found:
            assert found == [f"key-{wanted:09}"], found
            return f"{pages} pages, {took * 1e3:.1f} ms"


def main() -> None:
    world = World(segment_bytes=1 << 50)
    clock = CpuClock()
    rows: list[list[str]] = []
    rows.append(["fill", f"{set_all(world.store, world, range(KEYS), blob()) / KEYS * 1e6:.2f} us a key", "", ""])
    for what, after, prefix, limit, extra in (
        ("first page of 1000", "", "", 1000, 0),
        ("limit 1", "", "", 1, 0),
        ("next 1000", "key-000000999", "", 1000, 0),
        ("by prefix", "", f"key-{KEYS // 2:09}"[:-3], 1000, 0),
        ("while 10 keys a pass are new", "", "", 1000, 10),
    ):
        found, slices = page(world.store, clock, after, prefix, limit, extra)
        assert found == sorted(found) and found
        rows.append(
            [what, f"{sum(slices) * 1e3:.1f} ms", f"{len(slices)} slices", f"longest {max(slices) * 1e3:.2f} ms"]
        )
    gone = range(KEYS // 10, KEYS - KEYS // 10)
    before, behind = f"key-{gone.start - 1:09}", gone.stop
    for what, value in (("deleted", blob(deleted=True)), ("collected", None)):
        set_all(world.store, world, gone, value)
        for times in ("first", "again"):
            rows.append(
                [f"limit 1 over {len(gone)} {what}, {times}", rows_between(world.store, clock, before, behind), "", ""]
            )
    for row in rows:
        show("  ".join(row))


if __name__ == "__main__":
    main()
