"""Exports of a store that stands in for a cluster: all of it, in order, and where it ends."""

import asyncio

import pytest

from cluster.errors import QuorumMissing
from dsectl.bulk import exporting
from dsectl.bulk.exporting import BYTES_IN_FLIGHT_MAX, IN_FLIGHT_MAX, PAGE_KEYS, Export
from dsectl.bulk.line import COUNTER, SET, format_line
from tests.dsectl.bulk.store import FakeClient


def run(fake: FakeClient, prefix: str = "", after: str = "", stop_after: int | None = None) -> list[bytes]:
    lines: list[bytes] = []
    job = Export(fake.client, prefix, after, lambda: stop_after is not None and len(lines) >= stop_after)
    asyncio.run(job.run(lines.append))
    assert (job.keys, job.bytes) == (len(lines), sum(map(len, lines)))
    return lines


def filled(count: int, size: int = 1) -> FakeClient:
    fake = FakeClient()
    fake.kv.rows = {f"k{number:06}": [b"v" * size] for number in range(count)}
    return fake


def test_all_keys_in_order_with_all_their_values() -> None:
    fake = filled(2 * PAGE_KEYS + 100)
    fake.kv.rows["k000007"] = [b"a", b"\xff"]
    assert run(fake) == [format_line(key, values) for key, values in sorted(fake.kv.rows.items())]
    assert fake.kv.in_flight_max <= IN_FLIGHT_MAX + 2


def test_counters_and_sets() -> None:
    fake = filled(1)
    fake.kv.rows |= {"counter": [], "set": []}
    fake.kv.counters, fake.kv.sets = {"counter": 7}, {"set": {b"a", b"b"}}
    assert run(fake)[::2] == [format_line("counter", [b"7"], COUNTER), format_line("set", [b"a", b"b"], SET)]


def test_a_prefix_and_a_beginning() -> None:
    fake = filled(100)
    assert len(run(fake, prefix="k00001")) == 10
    assert run(fake, after="k000097") == [format_line(f"k{number:06}", [b"v"]) for number in (98, 99)]


def test_what_was_deleted_since_it_was_listed_is_left_out() -> None:
    fake = filled(10)
    fake.kv.rows["k000004"] = []
    assert len(run(fake)) == 9


def test_large_values_are_not_all_held_at_once() -> None:
    fake = filled(300, BYTES_IN_FLIGHT_MAX // 20)
    held = 0

    def write(line: bytes) -> None:
        nonlocal held
        held = max(held, fake.kv.in_flight)

    job = Export(fake.client, "", "", lambda: False)
    asyncio.run(job.run(write))
    assert job.keys == 300 and held <= IN_FLIGHT_MAX


def test_it_stops_behind_whole_lines_and_goes_on() -> None:
    fake = filled(1000)
    first = run(fake, stop_after=100)
    assert 100 <= len(first) < 1000
    assert first + run(fake, after=f"k{len(first) - 1:06}") == run(fake)


def test_a_key_that_cannot_be_read_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PATIENCE", 0.0)
    fake = filled(1000)
    fake.kv.unreadable.add("k000500")
    lines: list[bytes] = []
    with pytest.raises(QuorumMissing, match="k000500"):
        asyncio.run(Export(fake.client, "", "", lambda: False).run(lines.append))
    assert lines == [format_line(f"k{number:06}", [b"v"]) for number in range(500)]


def test_keys_that_may_be_missing_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        w = 2

    monkeypatch.setattr(exporting, "PATIENCE", 0.0)
    fake = filled(10)
    fake.location.entry = Entry()
    fake.kv.silent = ["n1"]
    assert len(run(fake)) == 10
    fake.kv.silent = ["n1", "n2"]
    with pytest.raises(QuorumMissing, match="n1, n2"):
        run(fake)
