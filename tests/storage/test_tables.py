"""What every table promises, held by the one in memory and by the one on the disk, over either kind of sorted rows."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cluster.env import Disk, SortedRows
from cluster.env.real_sorted import RocksRows
from cluster.ports import RowTable
from cluster.simulation.sorted import SimulatedSortedRows
from cluster.storage.disk_tables import DiskTables
from cluster.storage.memory import MemoryTable
from tests.storage.memory_disk import HandClock, MemoryDisk

KEYS = st.text("aä/", min_size=1, max_size=3)
Step = tuple[Literal["put", "delete", "scan", "prepare", "write", "written", "reopen"], str]
GENERATION_BYTES = 1
"""Each commit would write, but for the write under way."""


class Kept:
    """One table, and how time goes on for it."""

    def __init__(self, table: RowTable) -> None:
        self.table = table

    def commit(self) -> None:
        """The pass is over: what it put may be written."""

    def settle(self) -> None:
        """What is being written is there."""

    def reopen(self) -> None:
        """The process was killed, and began again."""


class KeptInMemory(Kept):
    def __init__(self) -> None:
        super().__init__(MemoryTable())


class KeptOnDisk(Kept):
    def __init__(self, open_rows: Callable[[], SortedRows], run: Callable[[], None]) -> None:
        self.clock = HandClock()
        self.open_rows = open_rows
        self.run = run
        self.end = 0
        self.boot()

    def boot(self) -> None:
        self.tables = DiskTables(self.open_rows(), self.clock, GENERATION_BYTES)
        self.table = self.tables.by_number.get(3) or self.tables.make(3)

    def commit(self) -> None:
        self.end += 1
        self.tables.commit((1, self.end))

    def settle(self) -> None:
        self.run()

    def reopen(self) -> None:
        """All that was put had been written. (What was not is in the log; the store's own tests replay it.)"""
        self.settle()
        self.commit()
        self.settle()
        written = self.tables.position
        assert not self.tables.fresh_bytes
        self.tables.close()
        self.boot()
        assert self.tables.position == written


@contextmanager
def kept(kind: str) -> Iterator[Kept]:
    if kind == "memory":
        yield KeptInMemory()
    elif kind == "simulated":
        disk = MemoryDisk()
        clock = HandClock()
        opened = lambda: SimulatedSortedRows(cast(Disk, disk), clock, "table", anew=False)  # noqa: E731

        def run() -> None:
            while disk.pending:
                disk.finish_sync()

        yield KeptOnDisk(opened, run)
    else:
        loop = asyncio.new_event_loop()
        with tempfile.TemporaryDirectory() as folder:
            store = KeptOnDisk(
                lambda: RocksRows(loop, folder + "/table", lambda: None, anew=False),
                lambda: finish(loop, store),
            )
            yield store
            store.tables.close()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def finish(loop: asyncio.AbstractEventLoop, store: KeptOnDisk) -> None:
    while store.tables._writing:
        loop.run_until_complete(asyncio.sleep(0))


def check(kind: str, steps: list[Step], prefix: str, limit: int, bytes_max: int | None) -> None:
    with kept(kind) as store:
        model = dict[str, bytes]()
        for number, (what, key) in enumerate([*steps, ("scan", "")]):
            table = store.table
            before = model.get(key)
            if what == "put":
                model[key] = b"v" * (number % 20)
                assert table.put(7, key, model[key]) == before
            elif what == "delete":
                assert table.put(7, key, None) == model.pop(key, None)
            elif what == "prepare":
                table.prepare(7)
            elif what == "write":
                store.commit()
            elif what == "written":
                store.settle()
            elif what == "reopen":
                store.reopen()
                table = store.table
            else:
                expected = sorted(item for item in model.items() if item[0].startswith(prefix) and item[0] > key)
                page, more = table.scan(7, key, limit, prefix=prefix, bytes_max=bytes_max)
                assert page == expected[: len(page)]
                assert more or len(page) == len(expected)
                assert page or not more
                assert len(page) <= limit
                if bytes_max is not None:
                    assert sum(len(value) for _, value in page[:-1]) <= bytes_max
                if more:
                    behind, _ = table.scan(7, page[-1][0], 1000, prefix=prefix)
                    assert page + behind == expected
            assert table.get(7, key) == model.get(key)
            assert table.stat(7).rows == len(model)
        assert table.get(8, "a") is None and table.stat(8).rows == 0
        assert table.scan(8, "", 1) == ([], False)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "put", "delete", "scan", "prepare", "write", "written", "reopen"]), KEYS
    ),
    max_size=60,
)


@pytest.mark.parametrize("kind", ["memory", "simulated"])
@given(STEPS, st.sampled_from(["", "a", "ä/"]), st.integers(1, 5), st.none() | st.integers(0, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([("put", "a"), ("write", "a"), ("delete", "a"), ("scan", "")], "", 1, None)
def test_it_is_a_sorted_dictionary(
    kind: str, steps: list[Step], prefix: str, limit: int, bytes_max: int | None
) -> None:
    check(kind, steps, prefix, limit, bytes_max)


@given(STEPS, st.sampled_from(["", "a", "ä/"]), st.integers(1, 5), st.none() | st.integers(0, 40))
@settings(max_examples=15)
def test_so_is_one_in_rocksdb(steps: list[Step], prefix: str, limit: int, bytes_max: int | None) -> None:
    check("rocksdb", steps, prefix, limit, bytes_max)


@pytest.mark.parametrize("kind", ["memory", "simulated", "rocksdb"])
def test_partitions_and_tables_are_apart(kind: str) -> None:
    with kept(kind) as store:
        for partition in (0, 254, 255, 256, 0xFFFE):
            store.table.put(partition, "k", str(partition).encode())
        store.commit()
        store.settle()
        for partition in (0, 254, 255, 256, 0xFFFE):
            assert store.table.scan(partition, "", 10) == ([("k", str(partition).encode())], False)
        assert sorted(store.table.partitions()) == [0, 254, 255, 256, 0xFFFE]


def test_rocksdb_is_loaded_by_nothing_else() -> None:
    """It would cost each command and each node in memory 15 ms and some megabytes."""
    found = [
        str(path)
        for path in Path("cluster").rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "rocksdict import" in line or line.startswith("from cluster.env.real_sorted")
    ]
    assert found == ["cluster/env/real_sorted.py"]
