"""Tables on the disk when the disk misbehaves: rows that cannot be read, and writes that are refused."""

import errno
from collections.abc import Callable, Iterable, Sequence

import pytest

from cluster.env import Salvaged, SortedRows
from cluster.errors import Damaged, StorageFull
from cluster.storage.disk_tables import GENERATIONS_MAX, RETRY_S, SEGMENTS_MAX, DiskTables, open_disk_tables
from cluster.storage.recovery import HINTS, TABLE_HINTS
from cluster.storage.scrubber import REST_S, ROUND_S
from cluster.storage.table_scrubber import MEND_RETRY_S
from tests.storage.memory_disk import HandClock, World

GENERATION_BYTES = 1000


class FakeRows:
    """Rows in memory. A write ends when the test says so, and reads its rows as late as that."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.bad: set[bytes] = set()
        self.closed = False
        self.under_way: list[tuple[Iterable[tuple[bytes, bytes | None]], Callable[[OSError | None], None]]] = []

    def get(self, key: bytes) -> bytes | None:
        if self.closed:
            raise OSError(errno.EIO, "closed")
        if key in self.bad:
            raise OSError(errno.EBADMSG, "checksum mismatch")
        return self.rows.get(key)

    def page(
        self, start: bytes, end: bytes, limit: int, bytes_max: int | None
    ) -> tuple[list[tuple[bytes, bytes]], bool]:
        found = sorted(item for item in self.rows.items() if start <= item[0] < end)
        if any(key in self.bad for key, _ in found[:limit]):
            raise OSError(errno.EBADMSG, "checksum mismatch")
        return found[:limit], len(found) > limit

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], done: Callable[[OSError | None], None]) -> None:
        self.under_way.append((rows, done))

    def verify(self, cursor: bytes, done: Callable[[bytes | OSError], None]) -> None:
        done(b"")

    def salvage(self, ranges: Sequence[tuple[bytes, bytes]], done: Callable[[list[Salvaged] | OSError], None]) -> None:
        self.ranges = ranges
        self.salvaged = done

    def switch(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        self.rows = {key: value for key, value in self.rows.items() if key not in self.bad}
        self.bad.clear()
        self.rows.update((key, value) for key, value in rows if value is not None)

    def abandon(self) -> None:
        self.abandoned = True

    def close(self) -> None:
        self.closed = True

    def finish(self, error: OSError | None = None) -> None:
        late, done = self.under_way.pop(0)
        if error is None:
            rows = list(late)
            self.rows |= {key: value for key, value in rows if value is not None}
            for key, value in rows:
                if value is None:
                    self.rows.pop(key, None)
        done(error)


def nothing_lost(partitions: list[int], reason: str) -> None:
    """It is known already."""


class Tables:
    def __init__(self) -> None:
        self.rows, self.clock = FakeRows(), HandClock()
        self.tables = DiskTables(self.rows, self.clock, GENERATION_BYTES)
        self.table = self.tables.by_number[0]
        self.end = 0

    def put(self, key: str, size: int = 100) -> None:
        self.end += 1
        self.table.put(1, key, bytes(size))
        self.tables.commit((1, self.end))


def test_a_generation_is_written_when_it_is_large_enough_and_its_position_is_that_of_its_end() -> None:
    held = Tables()
    for number in range(20):
        held.put(f"k{number}")
        if held.rows.under_way:
            break
    assert 1 < held.end < 20 and held.tables.position == (0, 0)
    written = held.end
    held.put("later")
    held.rows.finish()
    assert held.tables.position == (1, written)
    assert held.table.get(1, "later") == bytes(100) and held.table.stat(1).rows == written + 1
    again = DiskTables(held.rows, held.clock, GENERATION_BYTES)
    assert again.position == (1, written) and again.by_number[0].stat(1).rows == written
    assert again.by_number[0].get(1, "later") is None, "it is in the log"


def test_a_position_that_is_many_segments_behind_is_moved_however_little_was_put() -> None:
    held = Tables()
    held.put("k", 1)
    held.tables.commit((SEGMENTS_MAX, 16))
    assert not held.rows.under_way
    held.tables.commit((SEGMENTS_MAX + 1, 16))
    held.rows.finish()
    assert held.tables.position == (SEGMENTS_MAX + 1, 16)


def test_a_refused_write_is_repeated_and_the_node_is_full_when_too_much_waits() -> None:
    held, number = Tables(), 0
    while not held.tables.refuses():
        number += 1
        held.put(f"k{number}")
        if len(held.rows.under_way) == 1 and number % 2:
            held.rows.finish(OSError(errno.ENOSPC, "No space left on device"))
        held.clock.advance(RETRY_S if number % 2 else 0.0)
    assert "No space left" in held.tables.refuses()
    assert held.tables.fresh_bytes < (GENERATIONS_MAX + 1) * GENERATION_BYTES
    assert all(held.table.get(1, f"k{one}") == bytes(100) for one in range(1, number + 1)), "reads go on"
    held.clock.advance(RETRY_S)
    held.rows.finish()
    assert not held.tables.refuses(), "or no commit would ever begin the next write"
    held.put("after")
    held.rows.finish()
    assert held.tables.position == (1, held.end) and held.table.stat(1).rows == number + 1


def test_a_row_that_cannot_be_read_is_reported_once_and_can_be_set_again() -> None:
    held = Tables()
    held.put("good", 2000)
    held.rows.finish()
    held.put("bad", 2000)
    held.rows.finish()
    [key] = [key for key in held.rows.rows if key.endswith(b"bad")]
    held.rows.bad.add(key)
    said: list[tuple[int, str]] = []
    assert held.table.get(1, "bad") is None
    held.tables.watch(lambda partition, reason: said.append((partition, reason)), nothing_lost)
    assert held.table.get(1, "bad") is None and held.table.get(1, "good") == bytes(2000)
    assert said == [(1, "its table cannot be read: [Errno 74] checksum mismatch")]
    assert held.table.scan(1, "", 10) == ([], False), "nothing is shown of what cannot be read"
    held.put("bad", 3)
    assert held.table.get(1, "bad") == bytes(3)


def test_what_is_closed_is_not_damaged() -> None:
    held, said = Tables(), list[int]()
    held.put("k", 2000)
    held.rows.finish()
    held.tables.watch(lambda partition, reason: said.append(partition), nothing_lost)
    held.tables.close()
    assert held.table.get(1, "k") is None and said == []


def test_hints_are_charged_to_a_partition_of_their_own() -> None:
    held, said = Tables(), list[int]()
    held.tables.watch(lambda partition, reason: said.append(partition), nothing_lost)
    table = held.tables.make(TABLE_HINTS)
    held.rows.bad.add(bytes((TABLE_HINTS + 1, 0, 7)) + b"k")
    assert table.get(7, "k") is None and said == [HINTS]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_is_not_damaged_is_never_deleted(number: int) -> None:
    env = World().env
    asked: list[bool] = []

    def refused(folder: str, anew: bool) -> SortedRows:
        asked.append(anew)
        raise OSError(number, "no")

    env.open_sorted = refused
    with pytest.raises(Damaged, match="cannot be opened"):
        open_disk_tables(env, GENERATION_BYTES)
    assert asked == [False]


def test_what_is_damaged_is_made_anew() -> None:
    env = World().env

    def opened(folder: str, anew: bool) -> SortedRows:
        if not anew:
            raise OSError(errno.EBADMSG, "checksum mismatch")
        return FakeRows()

    env.open_sorted = opened
    tables = open_disk_tables(env, GENERATION_BYTES)
    assert "checksum mismatch" in tables.damaged and tables.by_number[0].position == (0, 0)


def damaged_tables() -> tuple[Tables, list[tuple[list[int], str]]]:
    """Two partitions of two rows each, one of which cannot be read; and what was lost of it."""
    held, lost = Tables(), list[tuple[list[int], str]]()
    for partition in (1, 2):
        for key in ("a", "b"):
            held.table.put(partition, key, bytes(600))
    held.tables.commit((1, 1))
    held.rows.finish()
    held.rows.bad.add(held.table.prefix(2) + b"a")  # type: ignore[attr-defined]
    held.tables.watch(lambda partition, reason: None, lambda partitions, reason: lost.append((partitions, reason)))
    return held, lost


def test_what_cannot_be_read_is_noted_as_lost_before_the_rest_takes_its_place() -> None:
    held, lost = damaged_tables()
    assert held.table.get(2, "a") is None
    assert [start for start, _ in held.rows.ranges] == [bytes((1, 0, 1)), bytes((1, 0, 2))]
    assert lost == []
    held.rows.salvaged([Salvaged(2, True), Salvaged(1, False)])
    assert lost == [([2], "its table cannot be read: checksum mismatch")]
    assert held.table.scan(2, "", 10)[0] == [("b", bytes(600))]
    assert held.table.stat(1).rows == 2 and held.table.stat(2).rows == 1
    again = DiskTables(held.rows, held.clock, GENERATION_BYTES)
    assert again.position == (1, 1) and again.by_number[0].stat(2).rows == 1
    assert held.tables.status()["damaged_tables"] == 1


def test_what_is_lost_and_cannot_be_noted_stays_where_it_is() -> None:
    held, _ = damaged_tables()

    def refused(partitions: list[int], reason: str) -> None:
        raise StorageFull("no room")

    held.tables._on_lost = refused
    held.table.get(2, "a")
    for _ in range(2):
        held.rows.abandoned = False
        vars(held.rows).pop("salvaged")([Salvaged(2, True), Salvaged(1, False)])  # asked for again each time
        assert held.rows.abandoned and held.rows.bad and held.table.stat(2).rows == 2
        held.clock.advance(MEND_RETRY_S)


def test_a_write_that_meets_damage_has_it_replaced() -> None:
    """As when RocksDB merges what was written with what is damaged, which fails each write from then on."""
    held, lost = damaged_tables()
    held.put("c", 2000)
    held.rows.finish(OSError(errno.EBADMSG, "checksum mismatch"))
    held.rows.salvaged([Salvaged(2, True), Salvaged(1, False)])
    assert [partitions for partitions, _ in lost] == [[2]]
    held.clock.advance(RETRY_S)
    held.rows.finish()
    assert held.tables.position == (1, held.end) and held.table.get(1, "c") == bytes(2000)
    again = DiskTables(held.rows, held.clock, GENERATION_BYTES)
    assert [again.by_number[0].stat(partition).rows for partition in (1, 2)] == [3, 1]


@pytest.mark.parametrize("value", [None, bytes(1)])
@pytest.mark.parametrize("is_written", [False, True])
def test_what_was_put_over_a_row_that_cannot_be_read_is_counted_as_it_is(value: bytes | None, is_written: bool) -> None:
    held, _ = damaged_tables()
    held.rows.bad.clear()
    held.table.put(2, "a", value)
    held.table.put(2, "b", None)
    held.table.put(2, "c", bytes(2000))
    if is_written:
        held.tables.commit((1, 2))
    held.rows.bad.add(held.table.prefix(2) + b"a")  # type: ignore[attr-defined]
    held.tables.scrubber.mend("checksum mismatch")
    held.rows.salvaged([Salvaged(2, True), Salvaged(1, False)])
    rows = 1 + (value is not None)
    assert held.table.stat(2).rows == len(held.table.keys(2)) == rows
    if is_written:
        held.rows.finish()
        again = DiskTables(held.rows, held.clock, GENERATION_BYTES)
        assert again.by_number[0].stat(2).rows == len(again.by_number[0].keys(2)) == rows


def test_nothing_is_copied_when_a_slice_is_to_be_read_again() -> None:
    """As when files were merged meanwhile."""
    held = Tables()
    asked: list[bytes] = []
    answers: list[bytes | OSError] = [b"k", OSError(errno.EAGAIN, "gone"), b"", b"", OSError(errno.EBADMSG, "damaged")]

    def verify(cursor: bytes, done: Callable[[bytes | OSError], None]) -> None:
        asked.append(cursor)
        if answers:
            done(answers.pop(0))

    held.rows.verify = verify  # type: ignore[method-assign]
    held.tables.watch(lambda partition, reason: None, nothing_lost)
    for _ in range(2):
        held.clock.advance(REST_S)
    assert asked == [b"", b"k", b"k"] and held.tables.status()["table_scrubs"] == 1
    held.clock.advance(ROUND_S)
    assert not hasattr(held.rows, "salvaged") and held.tables.status()["table_scrubs"] == 2
    held.clock.advance(ROUND_S)
    assert asked == [b"", b"k", b"k", b"", b""] and hasattr(held.rows, "salvaged")
