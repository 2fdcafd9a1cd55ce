"""The load on keys and its reading back, against a store that a test spoils."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from cluster.client.aio import AddItems, Got, Increment, KeysFound, Outcome, PutDone, Updated
from cluster.errors import Maybe, QuorumMissing, Unreachable
from cluster.versions.context import encode_clock
from cluster.wire.caller import Done
from dsectl.load.cells import ITEMS_MAX
from dsectl.load.kv import KvLoad
from dsectl.load.ledger import Ledger
from dsectl.load.plan import KeySpace, LoadPlan, Payloads, parse_mix
from dsectl.load.tally import LoadReport, Tally

CLOCK = encode_clock({"a1": 3})
OK = PutDone("ok", 2, 0, CLOCK, "n1", 1, "interval")


def got(*values: bytes, degraded: bool = False) -> Got:
    return Got(list(values), CLOCK, 2, 0, degraded, "n1")


class Store:
    """Stands in for `Calls`: keeps what is put, and answers when the test says. `on_put` and `on_get` may answer
    something else."""

    def __init__(self) -> None:
        self.timeout = 5.0
        self.values: dict[str, bytes] = {}
        self.counters: dict[str, int] = {}
        self.sets: dict[str, set[bytes]] = {}
        self.waiting: deque[tuple[Done, Outcome]] = deque()
        self.puts: list[tuple[str, bytes | None]] = []
        self.gets: list[tuple[str, bool]] = []
        self.on_put: Callable[[str], Outcome | None] = lambda key: None
        self.on_get: Callable[[str], Outcome | None] = lambda key: None
        self.router = type("Nodes", (), {"nodes": ["n1", "n2", "n3"]})()

    def put(self, key: str, value: bytes, context: bytes | None, done: Done) -> None:
        self.puts.append((key, context))
        answer = self.on_put(key)
        if answer is None:
            self.values[key] = value
        self.waiting.append((done, OK if answer is None else answer))

    def update(self, key: str, change: Increment | AddItems, done: Done) -> None:
        answer = self.on_put(key)
        if answer is None:
            if isinstance(change, Increment):
                self.counters[key] = self.counters.get(key, 0) + change.by
            else:
                self.sets.setdefault(key, set()).update(change.items)
        self.waiting.append((done, Updated("ok", 2, 0, CLOCK, "n1") if answer is None else answer))

    def get(self, key: str, done: Done, strict: bool = False, within: float | None = None, cell: bool = False) -> None:
        self.gets.append((key, strict))
        found = self.values.get(key)
        answer = self.on_get(key) or (got() if found is None else got(found))
        if key in self.counters:
            answer = got(b"%d" % self.counters[key])
        elif key in self.sets:
            assert cell, "a set has no value"
            answer = got(*self.sets[key])
        if strict:
            asyncio.get_running_loop().call_soon(done, answer)
        else:
            self.waiting.append((done, answer))

    def keys(self, node: str, prefix: str, after: str, limit: int, done: Done) -> None:
        found = sorted(key for key in self.values if key > after)[:limit]
        self.waiting.append((done, Unreachable("gone") if node == "n3" else KeysFound(found, "")))

    def answer(self, count: int = 1_000_000) -> None:
        while self.waiting and count:
            count -= 1
            done, outcome = self.waiting.popleft()
            done(outcome)


class Rig:
    def __init__(self, mix: str, keys: int = 10) -> None:
        plan = LoadPlan("kv", "c", "run", mix=parse_mix(mix), keys=KeySpace(keys, "uniform"))
        self.store, self.tally = Store(), Tally()
        self.ledger = Ledger("load-run-0-", keys, Payloads(plan.sizes))
        self.settled = True
        self.load = KvLoad(plan, self.store, self.tally, self.ledger, 3, self.is_settled)  # type: ignore[arg-type]
        self.ended: list[bool] = []
        self.load.ended = self.ended.append

    def offer(self, count: int) -> None:
        for _ in range(count):
            self.load.start(0.0)

    def read_back(self, patience_s: float = 0.0, settled: bool = True) -> LoadReport:
        self.settled = settled
        self.tally.found = self.load.found = LoadReport()
        asyncio.run(self.load.check(patience_s))
        self.load.end()
        return self.tally.found

    async def is_settled(self) -> bool:
        return self.settled


def test_writes_name_the_one_before_and_never_meet_on_a_key() -> None:
    rig = Rig("write=1")
    rig.offer(10)
    assert len({key for key, _ in rig.store.puts}) == 10, "each on a key of its own while the others are under way"
    rig.offer(5)
    assert len(rig.store.puts) == 10, "no key is free, so they wait"
    rig.store.answer()
    assert len(rig.store.puts) == 15 and len(rig.ended) == 15
    assert {context for _, context in rig.store.puts[10:]} == {CLOCK}
    assert rig.tally.kinds["write"].ok == 15


def test_outcomes_reach_the_ledger() -> None:
    rig = Rig("write=1", keys=1)
    outcomes: list[Outcome | None] = [
        None,
        QuorumMissing("few"),
        Maybe("?"),
        PutDone("maybe", 1, 0, CLOCK, "n1", 1),
        None,
    ]
    for outcome in outcomes:
        rig.store.on_put = lambda key, outcome=outcome: outcome  # type: ignore[misc]
        rig.offer(1)
        rig.store.answer()
    assert rig.ended == [False, True, False, False, False]
    kind = rig.tally.kinds["write"]
    assert (kind.ok, kind.failed, kind.maybe) == (2, 1, 2)
    first, second, third = rig.ledger.written()
    assert (first.acknowledged, first.doubtful, first.refused) == (1, 3, {2})
    assert (second.acknowledged, second.doubtful, third.acknowledged) == (0, 1, 1)


@pytest.mark.parametrize("letter", "ABCDEF")
def test_every_workload_goes_on_for_long_and_accuses_nobody(letter: str) -> None:
    rig = Rig(letter, keys=20)
    for _ in range(30):
        rig.offer(10)
        rig.store.answer(7)
    rig.store.answer()
    assert len(rig.ended) == 300 and not any(rig.ended)
    assert sum(kind.ok for kind in rig.tally.kinds.values()) == 300
    assert rig.tally.found.unexpected == rig.tally.found.stale == 0
    report = rig.read_back()
    assert report.lost == report.unexpected == report.unchecked == 0
    assert report.checked == len(rig.ledger.written())


def test_a_read_shows_what_nobody_wrote() -> None:
    rig = Rig("read=1")
    rig.store.on_get = lambda key: got(b"foreign")
    rig.offer(3)
    rig.store.answer()
    assert rig.tally.found.unexpected == 3 and "foreign" in rig.tally.found.examples[0]


def test_a_read_that_is_behind_is_counted_and_no_more() -> None:
    rig = Rig("read=1", keys=1)
    key = rig.ledger.keys[0]
    for _ in range(2):
        rig.ledger.begin(key)
        rig.ledger.acknowledge(key, CLOCK)
    rig.store.values[key.name] = rig.ledger.payloads.make(key.name, 1)
    rig.load.start(0.0)
    rig.store.answer()
    assert (rig.tally.found.stale, rig.tally.found.unexpected) == (1, 0)


def test_a_failed_read_of_a_read_modify_write_frees_its_key() -> None:
    rig = Rig("rmw=1", keys=1)
    rig.store.on_get = lambda key: QuorumMissing("few")
    rig.offer(2)
    rig.store.answer()
    assert rig.ended == [True, True] and rig.store.puts == [] and not rig.ledger.keys[0].busy


# -- reading back


def written(count: int = 5) -> Rig:
    rig = Rig("write=1", keys=count)
    rig.offer(count)
    rig.store.answer()
    return rig


def test_a_lost_write_is_found() -> None:
    rig = written()
    del rig.store.values[rig.ledger.keys[2].name]
    report = rig.read_back(1.0)
    assert (report.lost, report.checked, report.unchecked) == (1, 5, 0)
    assert rig.ledger.keys[2].name in report.examples[0]
    assert all(strict for _, strict in rig.store.gets)


def test_a_value_that_nobody_wrote_is_found() -> None:
    rig = written()
    rig.store.values[rig.ledger.keys[0].name] = b"foreign"
    report = rig.read_back(1.0)
    assert report.unexpected == 1 and report.lost == 0, "what was there before is not known to be lost"


def test_nothing_is_lost_for_certain_while_the_cluster_repairs_itself() -> None:
    rig = written()
    del rig.store.values[rig.ledger.keys[2].name]
    report = rig.read_back(0.3, settled=False)
    assert (report.lost, report.unchecked) == (0, 1), "a copy may be on its way: inconclusive"


def test_a_degraded_read_proves_no_loss() -> None:
    rig = written(1)
    rig.store.on_get = lambda key: got(degraded=True)
    report = rig.read_back(0.3)
    assert (report.lost, report.unchecked) == (0, 1)


def test_what_is_repaired_in_time_is_not_lost() -> None:
    rig = written(1)
    answers: Iterator[Outcome] = iter([got(), Unreachable("gone"), got(degraded=True)])
    rig.store.on_get = lambda key: next(answers, None)
    report = rig.read_back(5.0, settled=False)
    assert (report.lost, report.checked, report.unchecked) == (0, 1, 0)


def test_what_cannot_be_read_is_unchecked() -> None:
    rig = written(3)
    rig.store.on_get = lambda key: Unreachable("gone")
    report = rig.read_back(0.3)
    assert (report.lost, report.checked, report.unchecked) == (0, 0, 3)


def test_a_value_beside_the_one_that_replaced_it_is_unexpected() -> None:
    rig = Rig("write=1", keys=1)
    for _ in range(2):
        rig.offer(1)
        rig.store.answer()
    key = rig.ledger.keys[0]
    both = [rig.ledger.payloads.make(key.name, number) for number in (1, 2)]
    rig.store.on_get = lambda key: got(*both)
    assert rig.read_back(0.3, settled=False).unchecked == 1
    assert rig.read_back(1.0).unexpected == 1


def test_reading_back_ends_in_time_though_nobody_answers() -> None:
    """However many keys there are: silent nodes cost one deadline, not one for each."""
    rig = written(500)

    def silent(key: str, done: Done, strict: bool = False, within: float | None = None, cell: bool = False) -> None:
        assert within is not None
        asyncio.get_running_loop().call_later(within, done, Unreachable("silent"))

    rig.store.get = silent  # type: ignore[method-assign]
    began = time.monotonic()
    report = rig.read_back(0.2)
    assert time.monotonic() - began < 5 and report.unchecked == 500


def test_increments_and_additions_meet_on_one_key() -> None:
    rig = Rig("incr=1,sadd=1", keys=1)
    rig.offer(500)
    assert len(rig.store.waiting) == 500, "none waits for another"
    rig.store.answer()
    (total,), (items,) = rig.store.counters.values(), rig.store.sets.values()
    assert total == rig.tally.kinds["incr"].ok > 200 and len(items) == ITEMS_MAX
    found = rig.read_back()
    assert (found.checked, found.lost, found.unexpected, found.unchecked) == (2, 0, 0, 0)


@pytest.mark.parametrize("settled", [True, False])
def test_a_lost_increment_and_a_lost_item_are_found_once_all_has_settled(settled: bool) -> None:
    rig = Rig("incr=1,sadd=1", keys=1)
    rig.offer(100)
    rig.store.answer()
    (counter,), (name,) = rig.store.counters, rig.store.sets
    rig.store.counters[counter] -= 3
    rig.store.sets[name].discard(b"item-01")
    found = rig.read_back(0.2, settled=settled)
    assert (found.lost, found.unexpected, found.unchecked) == ((4, 0, 0) if settled else (0, 0, 2))
    assert not settled or "3 increments were acknowledged and are lost" in " ".join(found.examples)


def test_what_was_never_added_is_unexpected_and_what_may_have_been_is_not() -> None:
    rig = Rig("incr=1,sadd=1", keys=1)
    rig.offer(100)
    rig.store.answer()
    for outcome, number in ((QuorumMissing("few"), 50), (Maybe("?"), 50), (Updated("maybe", 1, 0, CLOCK, "n1"), 50)):
        rig.store.on_put = lambda key, outcome=outcome: outcome  # type: ignore[misc]
        rig.offer(number)
        rig.store.answer()
    (counter,), (name,) = rig.store.counters, rig.store.sets
    doubtful = rig.tally.kinds["incr"].maybe
    rig.store.counters[counter] += doubtful
    assert rig.read_back().unexpected == 0, "all that may have happened has"
    rig.store.counters[counter] += 2
    rig.store.sets[name].add(b"foreign")
    assert rig.read_back().unexpected == 3
