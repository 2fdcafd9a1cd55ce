"""One line for what many nodes tell."""

from dsectl.watch.story import KEPT, Story
from tests.dsectl.watch.sights import event


def told(story: Story) -> list[tuple[str, str, tuple[str, ...], int]]:
    return [(one.kind, one.subject, one.nodes, one.subjects) for one in story.last(100)]


def test_a_death_is_one_happening_with_the_first_cause() -> None:
    story = Story()
    story.add([event("member.dead", node, at, f"{node} says", member="n3") for node, at in (("n2", 1.0), ("n1", 0.9))])
    story.add([event("member.dead", "n4", 1.4, member="n3"), event("member.dead", "n4", 1.5, member="n5")])
    assert told(story) == [("member.dead", "n3", ("n1", "n2", "n4"), 1), ("member.dead", "n5", ("n4",), 1)]
    assert story.last(100)[0].cause == "n1 says"


def test_what_comes_back_later_is_another() -> None:
    story = Story()
    story.add([event("member.suspect", "n1", 0.0, member="n3"), event("member.suspect", "n1", 10.0, member="n3")])
    assert len(story.last(100)) == 2


def test_key_after_key_is_one() -> None:
    story = Story()
    story.add([event("kv.siblings", "n1", 0.1 * number, key=f"k{number}") for number in range(30)])
    assert told(story) == [("kv.siblings", "k0", ("n1",), 30)]


def test_midnight_and_clocks_that_differ() -> None:
    story = Story()
    late, early = event("node.boot", "n1"), event("node.boot", "n2")
    late["at"], early["at"] = "2026-03-01T23:59:59.900Z", "2026-03-02T00:00:00.100Z"
    story.add([late, early])
    assert told(story) == [("node.boot", "", ("n1", "n2"), 1)], "a happening may fall over midnight"
    story.add([event("node.boot", "n3", 0.0)])  # of a clock that is behind
    assert story.last(1)[0].nodes == ("n1", "n2", "n3")


def test_bounds_and_one_node() -> None:
    story = Story()
    story.add([event("fault.begun", f"n{number}", 10.0 * number, fault=f"f{number}") for number in range(KEPT + 50)])
    assert len(story.last(10_000)) == KEPT and story.last(0) == []
    story.add([event("member.dead", "n1", 9_000.0, member="n3")])
    assert [one.kind for one in story.last(5, "n3")][-1] == "member.dead"
