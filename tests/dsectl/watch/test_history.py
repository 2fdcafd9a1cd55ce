"""The reducer: sights in, what flows and what is known out."""

import pytest

from dsectl.snapshot.sight import pick_viewer, serving
from dsectl.watch.history import TICKS_MAX, History
from tests.dsectl.watch.sights import event, sight, vitals

FAULT = {"id": "f1", "kind": "kill", "target": "n3", "at": "2026-03-01T12:00:00.000Z", "active": True}


def test_what_flows_and_what_is_not_known() -> None:
    history = History()
    history.add(sight(0.0, {"n1": vitals(1.0, 10), "n2": vitals(1.0, 10)}))
    assert history.now() is None, "one look knows no rate"
    history.add(sight(0.5, {"n1": vitals(1.5, 20), "n2": "running"}))
    now = history.now()
    assert now is not None and now.writes == 20.0
    assert history.now("n2") is None
    history.add(sight(1.0, {"n1": vitals(2.0, 40), "n2": vitals(2.0, 30)}))
    two = history.now("n2")
    assert two is not None and two.writes == 20.0, "over the time in which it was not heard"


def test_a_lost_cluster_begins_anew() -> None:
    history = History()
    history.add(sight(0.0, {"n1": vitals(5.0, 10, events=[event("node.boot", "n1")], receipts={"f1": {"a->b": 3}})}))
    history.add(sight(0.5, lost="unknown cluster 'default'"))
    assert history.now() is None and history.story.last(5) == []
    history.add(sight(1.0, {"n1": vitals(0.5, 10)}, faults=(FAULT,)))
    assert history.now() is None and history.faults()[0]["affected"] == 0


def test_the_receipts_of_a_node_that_is_silent_now_still_count() -> None:
    history = History()
    heard = {"n1": vitals(receipts={"f1": {"n1->n3": 4}}), "n2": vitals(receipts={"f1": {"n2->n3": 3}})}
    history.add(sight(0.0, {**heard, "n3": "stopped"}, faults=(FAULT,)))
    history.add(sight(0.5, {"n1": heard["n1"], "n2": "paused", "n3": "stopped"}, faults=(FAULT,)))
    [fault] = history.faults()
    assert fault["affected"] == 7 and fault["links"] == {"n1->n3": 4, "n2->n3": 3}


def test_the_columns_of_a_chart_keep_their_looks_while_others_come() -> None:
    history = History()
    for tick in range(8):
        history.add(sight(tick / 2, {"n1": vitals(1.0 + tick / 2, 10 * tick)}))
    before = history.buckets(None, 2, 10)
    assert [len(known) for known, _, _ in before] == [1, 2, 2, 2], "the first look has no rate"
    history.add(sight(4.0, {"n1": vitals(5.0, 80)}))
    after = history.buckets(None, 2, 10)
    assert after[:-1] == before and len(after[-1][0]) == 1
    assert [end for _, _, end in after[:-1]] == [start for _, start, _ in after[1:]], "no time is between them"
    assert history.buckets(None, 2, 2) == after[-2:]


def test_it_is_bounded() -> None:
    history = History()
    for tick in range(TICKS_MAX + 10):
        history.add(sight(float(tick), {"n1": vitals(1.0 + tick)}))
    assert len(history.ticks) == TICKS_MAX and history.count == TICKS_MAX + 10


@pytest.mark.parametrize(
    "nodes,wanted,viewer,voting",
    [
        ({"n1": vitals(), "n2": vitals()}, None, "n1", ["n1", "n2"]),
        ({"n1": "paused", "n2": vitals()}, None, "n2", ["n2"]),
        ({"n1": vitals(), "n2": "running"}, "n2", "", ["n1"]),
        ({"n1": vitals(sees={"n2": "dead"}), "n2": vitals()}, None, "n1", ["n1"]),
        ({"n1": vitals(sees={"n2": "dead"}), "n2": vitals()}, "n2", "n2", ["n1", "n2"]),
        ({"n1": vitals(), "n2": vitals(state="catching-up")}, None, "n1", ["n1"]),
        ({"n1": "stopped"}, None, "", []),
    ],
)
def test_whose_view_and_who_votes(nodes: dict, wanted: str | None, viewer: str, voting: list[str]) -> None:  # type: ignore[type-arg]
    found = sight(0.0, nodes)
    assert pick_viewer(found.nodes, wanted) == viewer
    assert [name for name, one in serving(found.nodes, viewer).items() if one.runs and one.votes] == voting


def test_states_and_hints() -> None:
    found = sight(0.0, {"n1": vitals(hints={"n3": 2}), "n2": vitals(hints={"n3": 1}), "n3": "stopped", "n4": "running",
                        "n5": "paused", "n6": "starting"})  # fmt: skip
    assert [node.state for node in found.nodes.values()] == ["running"] * 2 + [
        "stopped",
        "silent",
        "paused",
        "starting",
    ]
    assert found.hints() == {"n3": 3} and found.answering == 2
