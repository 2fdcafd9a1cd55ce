"""A table in memory is a sorted dictionary, in whatever order it was put to and read, and forgets what is gone."""

from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.storage import memory, order
from cluster.storage.memory import MemoryTable

KEYS = st.text("ab/", min_size=1, max_size=3)
Step = tuple[Literal["put", "delete", "scan", "prepare", "pass over", "list"], str]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few keys are many."""
    monkeypatch.setattr(memory, "SPARE_MAX", 3)
    monkeypatch.setattr(order, "BLOCK", 2)
    monkeypatch.setattr(order, "CHUNK", 4)
    monkeypatch.setattr(order, "FEW_SHARE", 2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "put", "put", "delete", "scan", "prepare", "pass over", "list"]), KEYS),
        max_size=60,
    ),
    st.sampled_from(["", "a", "b/"]),
    st.integers(1, 5),
    st.none() | st.integers(0, 40),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_a_sorted_dictionary(
    small: None, steps: list[Step], prefix: str, limit: int, bytes_max: int | None
) -> None:
    table, model, passed = MemoryTable(), dict[str, bytes](), set[str]()
    for number, (what, key) in enumerate([*steps, ("scan", "")]):
        if what == "put":
            model[key] = b"v" * (number % 20)
            table.put(7, key, model[key])
            passed.discard(key)
        elif what == "delete":
            model.pop(key, None)
            table.put(7, key, None)
            passed.discard(key)
        elif what == "pass over":
            keys = [one for one in model if one >= key][::2]
            table.pass_over(7, [*keys, "never there"])
            passed.update(keys)
        elif what == "prepare":
            table.prepare(7)
        else:
            hidden = passed if what == "list" else ()
            expected = sorted(
                item for item in model.items() if item[0].startswith(prefix) and item[0] > key and item[0] not in hidden
            )
            page, more = table.scan(7, key, limit, prefix=prefix, bytes_max=bytes_max, passed=what != "list")
            assert page == expected[: len(page)] and more == (len(page) < len(expected))
            assert len(page) <= limit and (page or not expected)
            if bytes_max is not None:
                assert sum(len(value) for _, value in page[:-1]) <= bytes_max
            if more:
                assert len(page) == limit or sum(len(value) for _, value in page) > (bytes_max or 0)
        assert table.get(7, key) == model.get(key)
    assert table.stat(7).rows == len(model) and table.get(8, "a") is None and table.stat(8).rows == 0
    assert table.scan(8, "", 1) == ([], False)


def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    """Hints do, and nobody reads them in order."""
    table = MemoryTable()
    for number in range(20_000):
        table.put(0, f"hint-{number}", b"copy")
        table.put(0, f"hint-{number}", None)
    rows = table._partitions[0]
    assert len(rows._order.fresh) + rows._order.length <= 2 * memory.SPARE_MAX


def test_keys_that_were_deleted_all_at_once_are_passed_over_once() -> None:
    table = MemoryTable()
    for number in range(5_000):
        table.put(0, f"key-{number:05}", b"value")
    assert table.scan(0, "", 1) == ([("key-00000", b"value")], True)
    for number in range(5_000 - 1):
        table.put(0, f"key-{number:05}", None)
    assert table.scan(0, "", 1) == ([("key-04999", b"value")], False)
    assert table._partitions[0]._order.length == 1


def test_order_is_made_in_steps() -> None:
    """A first reader of many keys has to sort them, and must not stop its node for it."""
    table = MemoryTable()
    for number in range(15 * order.CHUNK):
        table.put(0, f"key-{number * 7919 % 100_003:06}", b"value")
    steps = 1
    while table.prepare(0):
        steps += 1
        assert len(table._partitions[0]._order.fresh) % order.CHUNK == 0
    assert steps == 15 and not table.prepare(0) and not table.prepare(1)
    blocks = table._partitions[0]._order._blocks
    assert max(map(len, blocks)) <= 2 * order.BLOCK
    keys = [key for block in blocks for key in block]
    assert keys == sorted(keys) and len(keys) == 15 * order.CHUNK
