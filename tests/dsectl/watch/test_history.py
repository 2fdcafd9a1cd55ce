"""The reducer: snapshots in; what flows, what happened and what is known out."""

import pytest

from cluster.client.vitals import Vitals
from dsectl.watch.history import GROUPS_MAX, TICKS_MAX, EventGroups, History, Rates, rates, together
from tests.dsectl.snapshot.snapshots import FAST, LOST, SLOW, event, snapshot, vitals

FAULT = {"id": "f1", "kind": "kill", "target": "n3", "at": "2026-03-01T12:00:00.000Z", "active": True}


def test_what_flows_and_what_is_not_known() -> None:
    history = History()
    history.add(snapshot(0.0, {"n1": vitals(1.0, 10), "n2": vitals(1.0, 10)}))
    assert history.now() is None, "one look knows no rate"
    history.add(snapshot(0.5, {"n1": vitals(1.5, 20), "n2": "running"}))
    now = history.now()
    assert now is not None and now.writes == 20.0
    assert history.now("n2") is None
    history.add(snapshot(1.0, {"n1": vitals(2.0, 40), "n2": vitals(2.0, 30)}))
    two = history.now("n2")
    assert two is not None and two.writes == 20.0, "over the time in which it was not heard"


def test_a_lost_cluster_begins_anew() -> None:
    history = History()
    history.add(snapshot(0.0, {"n1": vitals(5.0, 10, events=[event("node.boot", "n1")], receipts={"f1": {"a->b": 3}})}))
    history.add(snapshot(0.5, lost=LOST))
    assert history.now() is None and history.groups.last(5) == []
    history.add(snapshot(1.0, {"n1": vitals(0.5, 10)}, faults=(FAULT,)))
    assert history.now() is None and history.faults()[0]["affected"] == 0


def test_the_receipts_of_a_node_that_is_silent_now_still_count() -> None:
    history = History()
    heard = {"n1": vitals(receipts={"f1": {"n1->n3": 4}}), "n2": vitals(receipts={"f1": {"n2->n3": 3}})}
    history.add(snapshot(0.0, {**heard, "n3": "stopped"}, faults=(FAULT,)))
    history.add(snapshot(0.5, {"n1": heard["n1"], "n2": "paused", "n3": "stopped"}, faults=(FAULT,)))
    [fault] = history.faults()
    assert fault["affected"] == 7 and fault["links"] == {"n1->n3": 4, "n2->n3": 3}


def test_the_columns_of_a_chart_keep_their_looks_while_others_come() -> None:
    history = History()
    for tick in range(8):
        history.add(snapshot(tick / 2, {"n1": vitals(1.0 + tick / 2, 10 * tick)}))
    before = history.buckets(None, 2, 10)
    assert [len(known) for known, _, _ in before] == [1, 2, 2, 2], "the first look has no rate"
    history.add(snapshot(4.0, {"n1": vitals(5.0, 80)}))
    after = history.buckets(None, 2, 10)
    assert after[:-1] == before and len(after[-1][0]) == 1
    assert [end for _, _, end in after[:-1]] == [start for _, start, _ in after[1:]], "no time is between them"
    assert history.buckets(None, 2, 2) == after[-2:]


def test_it_is_bounded() -> None:
    history = History()
    for tick in range(TICKS_MAX + 10):
        history.add(snapshot(float(tick), {"n1": vitals(1.0 + tick)}))
    assert len(history.ticks) == TICKS_MAX and history.count == TICKS_MAX + 10


@pytest.mark.parametrize(
    "before,after,writes_per_s",
    [
        (None, vitals(10.0, 500), None),
        (vitals(10.0, 500), vitals(10.5, 550), 100.0),
        (vitals(10.0, 500), vitals(20.0, 550), 5.0),  # it was silent for a while
        (vitals(10.0, 500), vitals(10.0, 500), None),  # the same answer twice
        (vitals(10.0, 500), vitals(2.0, 50, epoch=2), 25.0),  # it booted: from zero, over its new life
        (vitals(10.0), vitals(10.5), 0.0),
    ],
)
def test_rates(before: Vitals | None, after: Vitals, writes_per_s: float | None) -> None:
    found = rates(before, after)
    assert (None if found is None else found.writes) == writes_per_s


def test_everything_that_is_counted() -> None:
    before = vitals(10.0, 10, published=5, delivered=7, dropped=1, served=4, writes_failed=1)
    after = vitals(12.0, 30, published=9, delivered=17, dropped=3, served=8, writes_failed=3, calls_failed=2)
    found = rates(before, after)
    assert found is not None
    assert (found.published, found.dropped, found.served) == (2.0, 1.0, 2.0)
    assert (found.kv, found.failed) == (9.0, 2.0), "what failed is no traffic"
    assert found.kv_s == {FAST: 20} and (found.kv_quantile_s(0.99) or 0) < 0.001


def test_sums_and_means() -> None:
    one, two = Rates(writes=2.0, kv_s={FAST: 1}), Rates(writes=4.0, served=1.0, kv_s={FAST: 1, SLOW: 2})
    summed = together([one, two])
    assert summed == Rates(writes=6.0, served=1.0, kv_s={FAST: 2, SLOW: 2})
    assert together([one, two], mean=True) == Rates(writes=3.0, served=0.5, kv_s={FAST: 2, SLOW: 2})
    assert together([]) is None and together([], mean=True) is None


def told(groups: EventGroups) -> list[tuple[str, str, tuple[str, ...], int]]:
    return [(one.kind, one.subject, one.nodes, one.subjects) for one in groups.last(100)]


def test_a_death_is_one_happening_with_the_first_cause() -> None:
    groups = EventGroups()
    groups.add([event("member.dead", node, at, f"{node} says", member="n3") for node, at in (("n2", 1.0), ("n1", 0.9))])
    groups.add([event("member.dead", "n4", 1.4, member="n3"), event("member.dead", "n4", 1.5, member="n5")])
    assert told(groups) == [("member.dead", "n3", ("n1", "n2", "n4"), 1), ("member.dead", "n5", ("n4",), 1)]
    assert groups.last(100)[0].cause == "n1 says"


def test_what_comes_back_later_is_another() -> None:
    groups = EventGroups()
    groups.add([event("member.suspect", "n1", 0.0, member="n3"), event("member.suspect", "n1", 10.0, member="n3")])
    assert len(groups.last(100)) == 2


def test_key_after_key_is_one() -> None:
    groups = EventGroups()
    groups.add([event("kv.siblings", "n1", 0.1 * number, key=f"k{number}") for number in range(30)])
    assert told(groups) == [("kv.siblings", "k0", ("n1",), 30)]


def test_the_begin_and_the_end_of_a_quick_change_are_two() -> None:
    groups = EventGroups()
    for slot, what in ((2, "add n6"), (3, "add n6: done")):
        groups.add([event("chain.decided", node, slot / 2, what, slot=slot, layout=slot) for node in ("n1", "n2")])
    assert [(one.cause, one.nodes) for one in groups.last(5)] == [
        ("add n6", ("n1", "n2")),
        ("add n6: done", ("n1", "n2")),
    ]


def test_midnight_and_clocks_that_differ() -> None:
    groups = EventGroups()
    late, early = event("node.boot", "n1"), event("node.boot", "n2")
    late["at"], early["at"] = "2026-03-01T23:59:59.900Z", "2026-03-02T00:00:00.100Z"
    groups.add([late, early])
    assert told(groups) == [("node.boot", "", ("n1", "n2"), 1)], "a happening may fall over midnight"
    groups.add([event("node.boot", "n3", 0.0)])  # of a clock that is behind
    assert groups.last(1)[0].nodes == ("n1", "n2", "n3")


def test_bounds_and_one_node() -> None:
    groups = EventGroups()
    groups.add(
        [event("fault.begun", f"n{number}", 10.0 * number, fault=f"f{number}") for number in range(GROUPS_MAX + 50)]
    )
    assert len(groups.last(10_000)) == GROUPS_MAX and groups.last(0) == []
    groups.add([event("member.dead", "n1", 9_000.0, member="n3")])
    assert [one.kind for one in groups.last(5, "n3")][-1] == "member.dead"
