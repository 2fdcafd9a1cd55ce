"""The ring of what was done with items."""

from cluster.queues.rows import ItemId
from cluster.queues.steps import ACKNOWLEDGED, LEASED, STEPS_MAX, ItemSteps


def test_the_steps_of_one_item_are_found_among_those_of_many() -> None:
    steps = ItemSteps(lambda: 0.0)
    steps.note(LEASED, 7, 1, "a.1.0", [3, 5], to="worker")
    steps.note(LEASED, 7, 2, "a.1.0", [3, 5], to="other shard")
    steps.note(LEASED, 8, 1, "a.1.0", [3, 5], to="other queue")
    steps.note(LEASED, 7, 1, "b.1.0", [3, 5], to="other actor")
    steps.note(ACKNOWLEDGED, 7, 1, "a.1.0", range(0, 5), outcome="ok")
    told = steps.of(ItemId(7, 1, "a.1.0", 3))
    assert [(one["step"], one.get("to"), one.get("outcome")) for one in told] == [
        ("leased", "worker", None),
        ("acknowledged", None, "ok"),
    ]
    assert [one["step"] for one in steps.of(ItemId(7, 1, "a.1.0", 5))] == ["leased"]


def test_the_oldest_are_forgotten_first() -> None:
    steps = ItemSteps(lambda: 0.0)
    for number in range(STEPS_MAX + 1):
        steps.note(LEASED, 7, 1, "a.1.0", [number])
    assert not steps.of(ItemId(7, 1, "a.1.0", 0)) and steps.of(ItemId(7, 1, "a.1.0", 1))
