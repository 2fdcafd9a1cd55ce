"""A session as a recipe: what is kept, what is changed, and that `check` accepts it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsectl.recipes.check import check_recipe
from dsectl.recipes.document import read_recipe
from dsectl.recipes.frontmatter import FrontMatter
from dsectl.script.values import MISSING
from dsectl.shell.evaluate import EnteredLine
from dsectl.shell.export import changed, export


def steps(*entries: EnteredLine) -> list[str]:
    """The lines of the block; the recipe is one that check accepts."""
    text = export(entries, FrontMatter(nodes=3))
    recipe = read_recipe(text, "r.md")
    assert [one for one in check_recipe(recipe) if not one.warning] == [], text
    return text.split("```dsectl\n")[1].split("\n```")[0].split("\n")


def members(state: str) -> dict[str, Any]:
    return {"n1": {"state": "alive", "at": state}, "n3": {"state": state, "incarnation": [1, 0]}}


def test_what_went_well_is_kept_as_it_was() -> None:
    lines = ["put k 1", "get k .value -> $x", 'expect get k .value == "1"', "kill n3", "within 5s: get k . != null"]
    assert steps(*(EnteredLine(line, 0) for line in lines)) == lines


def test_a_failure_is_expected_again() -> None:
    assert steps(EnteredLine("get nothing", 6), EnteredLine("put k 1 --w 3 --strict", 7)) == [
        "!6 get nothing",
        "!7 put k 1 --w 3 --strict",
    ]


def test_a_repeated_look_waited_for_what_changed() -> None:
    seen = [members("alive"), members("suspect"), members("dead")]
    assert steps(*(EnteredLine("members", 0, value) for value in seen)) == ['within 10s: members .n3.state == "dead"']


def test_a_key_that_came_was_waited_for() -> None:
    found = {"key": "k", "value": "two words", "siblings": ["two words"], "ms": 3}
    assert steps(EnteredLine("get k", 6), EnteredLine("get k", 6), EnteredLine("get k", 0, found)) == [
        'within 10s: get k .value == "two words"',
    ]


def test_a_look_repeated_for_nothing_is_made_once() -> None:
    same = [EnteredLine("status", 0, {"verdict": "green"}) for _ in range(3)]
    assert steps(*same) == ['within 10s: status .verdict == "green"']
    assert steps(*(EnteredLine("ring", 0, [{"owners": ["n1"]}]) for _ in range(2))) == ["within 10s: ring . != null"]


def test_what_has_no_place_is_a_comment_or_left_out() -> None:
    found = steps(
        EnteredLine("up -n 3", 0),
        EnteredLine("history", 0),
        EnteredLine("jobs", 0),
        EnteredLine("gett k", 2),
        EnteredLine("get k | jq .", 0),
        EnteredLine("put k 'open", 2),
        EnteredLine("get $undefined", 0),
        EnteredLine("put k 1", 0),
    )
    assert found[-1] == "put k 1"
    assert all(line.startswith("# ") for line in found[:-1]) and len(found) == 4


def test_jobs_get_names_and_an_end() -> None:
    assert steps(EnteredLine("events -f &", 0), EnteredLine("subscribe a.* &mine", 0), EnteredLine("stop mine", 0)) == [
        "events -f &events-1",
        "subscribe a.* &mine",
        "stop mine",
        "stop events-1",
    ]


def test_a_session_without_steps_is_still_a_recipe() -> None:
    assert steps() == ["status"]


@pytest.mark.parametrize(
    "before,after,found",
    [
        ({"a": 1}, {"a": 2}, (".a", 2)),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, (".a.b[1]", 3)),
        ([1], [1, 2], (".length", 2)),
        ([{"x": 1}], [{"x": 2}], (".[0].x", 2)),
        (MISSING, {"ms": 3, "at": "now", "x": None, "y": 4}, (".y", 4)),
        ({"a b": 1}, {"a b": 2}, ('."a b"', 2)),
        ({"a": 1}, {"a": 1}, (".", None)),
    ],
)
def test_what_changed(before: Any, after: Any, found: tuple[str, Any]) -> None:
    assert changed(before, after) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
LINES = st.sampled_from(
    ["members", "get k", "put k 1", "get k .value -> $x", "kill n1", "events -f &", "sleep 1s", "x '"]
)


def test_the_cluster_is_as_it_was_made() -> None:
    meta = FrontMatter(nodes=6, zones=3, replication="5/3/3", durability="always")
    assert read_recipe(export([], meta), "r.md").meta == meta


@settings(max_examples=40)
@given(
    st.lists(st.builds(EnteredLine, LINES | st.text(max_size=20), st.sampled_from([0, 1, 6, 130]), JSON), max_size=12)
)
def test_every_session_becomes_an_accepted_recipe(entries: list[EnteredLine]) -> None:
    steps(*entries)


def test_a_comment_stays_out_of_what_is_put_behind_a_line() -> None:
    assert steps(EnteredLine("events -f & # all of them", 0))[0] == "events -f &events-1"
    look = "hints # none?"
    assert steps(EnteredLine(look, 0, {"pending": 3}), EnteredLine(look, 0, {"pending": 0})) == [
        "within 10s: hints .pending == 0"
    ]


def test_what_was_interrupted_is_no_step() -> None:
    assert steps(EnteredLine("put k 1", 0), EnteredLine("events -f", 130))[1] == "# events -f  was interrupted"
