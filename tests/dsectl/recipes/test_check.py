"""Whatever is wrong with a recipe is known, with its line, before a cluster starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Usage
from dsectl.recipes.check import check_recipe, reddened
from dsectl.recipes.document import read_recipe
from tests.dsectl.recipes.written import FENCE, problems, recipe, recipe_text

RED = 'red: {replace: "restart n1", with: "members"}'
STEP_LINE = 8

WRONG = {
    "unknown command": ("gett k", "unknown command"),
    "unknown option": ("get k --fast", "--fast"),
    "missing argument": ("put k", "VALUE"),
    "bad path": ("expect get k .a[ == 1", "a command and a path"),
    "no value": ("expect get k .value ==", ""),
    "undefined variable": ("get $nobody", "$nobody"),
    "unwaited job": ("subscribe a &j", "j"),
    "unknown job": ("wait j", "j"),
    "polling a write": ("within 1s: put k v .acks == 2", "polled"),
    "polling a fault": ("always 1s: kill n1 .at == 1", "polled"),
    "bad duration": ("within soon: get k .value == 1", "soon"),
    "an open quote": ("put k 'v", "unclosed"),
    "the cluster is the runner's": ("down", "a cluster of its own"),
    "for people": ("watch", "people"),
    "a pipe": ("get k | jq .", "shell"),
    "a bad expression": ("expect get k .value matches '['", "["),
}


@pytest.mark.parametrize("step,named", WRONG.values(), ids=WRONG)
def test_a_wrong_step_is_told_with_its_line(step: str, named: str) -> None:
    found = [problem for problem in problems(recipe_text(step)) if not problem.warning]
    assert found and found[0].line == STEP_LINE, found
    assert named in f"{found[0].message} {found[0].help}", found


def test_a_right_one_has_no_problems() -> None:
    assert problems(recipe_text("put k v\n! get k\nrestart n1", front=f"nodes: 3\n{RED}")) == []


UNKNOWN = {
    "kill n9": "'n9'",
    "kill n1,n2": "'n1,n2'",
    "restart N1": "'N1'",
    "pause 1": "'1'",
    "kill n1 $node n4": "'n4'",
    "partition n1,n9 rest": "'n9'",
    "partition $node,n7 rest": "",
    "slow n1 n9 --delay 1s": "'n9'",
    "get k --only n9": "'n9'",
    "get k --only=n9": "'n9'",
    "put k v --via n4": "'n4'",
    "kill --zone z2": "'z2'",
    "ring --node n4 -> $ring": "'n4'",
    "logs n4": "'n4'",
    "expect members .n4.state == dead": "'n4'",
    "members --matrix .n1.n4 -> $seen": "'n4'",
    "put k @no/such/file": "No such file",
    "publish news @no/such/file": "No such file",
}


@pytest.mark.parametrize("step,named", UNKNOWN.items(), ids=UNKNOWN)
def test_what_will_not_be_there_is_refused(step: str, named: str) -> None:
    found = [one for one in problems(recipe_text(f"get k -> $node\n{step}")) if not one.warning]
    assert [one.line for one in found] == ([STEP_LINE + 1] if named else []), found
    assert all(named in one.message for one in found)


@pytest.mark.parametrize(
    "step",
    [
        *(
            "kill $node",
            "partition $node,n2 rest",
            "partition n1 n2 n3",
            "slow all n3 --delay 1s",
            "put k v --via $node",
        ),
        *("put k @no/such/file --literal", "kill --zone z1", "expect members .$node.state == dead"),
    ],
)
def test_what_may_be_there_is_not_refused(step: str) -> None:
    assert [one for one in problems(recipe_text(f"get k -> $node\n{step}")) if not one.warning] == []


def test_the_nodes_of_a_cluster_that_stands_count() -> None:
    made = recipe("kill n9\nexpect members .n9.state == dead\nget k --only n1")
    assert [one.line for one in check_recipe(made, ["n1", "n9"]) if not one.warning] == []
    assert [one.line for one in check_recipe(made, ["n9"]) if not one.warning] == [STEP_LINE + 2]


SLIPS = {
    "get k .value == v": "`expect get k .value == v`",
    "explain k .owners": "`explain k .owners -> $name`",
    "dsectl put k v": "`put k v`",
    "Expect get k .value == v": "`expect`",
    "assert get k .value == v": "`expect get k .value == v`",
    "expect get k .value = v": "`==`",
    "put k v; get k": "line of its own",
    "put k v && get k": "line of its own",
    "wait 5s": "`sleep 5s`",
    "$seen = get k .context": "-> $seen",
    "kill n1,n2": "n1 n2",
}


@pytest.mark.parametrize("step,help", SLIPS.items(), ids=SLIPS)
def test_a_usual_slip_is_answered_with_what_to_write(step: str, help: str) -> None:
    found = [problem for problem in problems(recipe_text(step)) if not problem.warning]
    assert len(found) == 1 and help in found[0].help, found


@pytest.mark.parametrize("step", ["put k v", "subscribe a &job\nstop job", "kill n1\nrestart n1"])
def test_a_recipe_that_tests_nothing_is_warned_of(step: str) -> None:
    (found,) = problems(recipe_text(step))
    assert found.warning and "no step tests" in found.message


@pytest.mark.parametrize(
    "step", ["health", "load kv --for 1s", "subscribe a --count 1", "! get k", "always 1s: get k .value == 1"]
)
def test_a_step_that_can_fail_by_what_it_finds_is_a_test(step: str) -> None:
    assert problems(recipe_text(step)) == []


def test_the_same_is_not_told_twice() -> None:
    """A job with the name of a command: its later uses are no new problems, nor are those once red is applied."""
    steps = "subscribe a.* &slow\nwithin 1s: slow .length == 1\nstop slow\nrestart n1"
    (found,) = problems(recipe_text(steps, front=f"nodes: 3\n{RED}"))
    assert found.line == STEP_LINE + 1 and "slow is a command" in found.message
    (found,) = problems(recipe_text("restart n1\ngett k", front=f"nodes: 3\n{RED}"))
    assert "unknown command" in found.message
    warned, refused = problems(recipe_text("! get k\nsleep 1s", front=f"nodes: 3\n{RED}"))
    assert {warned.warning, refused.warning} == {True, False}, "a warning hides nothing"


def test_a_sleep_is_a_warning() -> None:
    (found,) = problems(recipe_text("! get k\nsleep 1s"))
    assert found.warning and found.line == STEP_LINE + 1


def test_a_title_is_wanted() -> None:
    (found,) = problems(f"## Case\n{FENCE}dsectl\n! get k\n{FENCE}\n")
    assert "title" in found.message


@pytest.mark.parametrize("steps", ["get k", "restart n1\nrestart n1"])
def test_red_is_text_of_exactly_one_step(steps: str) -> None:
    found = problems(recipe_text(steps, front=RED))
    assert any("must be in one" in problem.message for problem in found)


def test_red_must_leave_a_recipe() -> None:
    found = problems(recipe_text("restart n1\n! get k", front='red: {replace: "restart n1", with: "restrat n1"}'))
    assert ["once red is applied" in problem.message for problem in found] == [True]


def test_a_warning_is_told_once_and_is_one_also_when_red_is_applied() -> None:
    (found,) = problems(
        recipe_text("put k v1\nsleep 1s\nexpect get k .value == v1", front="red: {replace: == v1, with: == v2}")
    )
    assert found.warning and "sleep" in found.message


def test_reddened_changes_that_step_alone() -> None:
    before = recipe("get restart\nrestart n1", front=RED)
    after = reddened(before)
    assert [step.text for step in after.steps] == ["get restart", "members"]
    assert [step.number for step in after.steps] == [step.number for step in before.steps]
    with pytest.raises(Usage):
        reddened(recipe("get k"))


def test_red_finds_its_line_in_a_joined_step() -> None:
    after = reddened(recipe("put k \\\n  v1", front="red: {replace: v1, with: v2}"))
    assert [step.text for step in after.steps] == ["put k    v2"]


PIECES = st.sampled_from(
    [
        *("---\n", "nodes: 3\n", "nodes: {\n", "red: {replace: get, with: put}\n", "# T\n", "## C\n", "\n", "- ", "> "),
        *(f"{FENCE}dsectl\n", f"{FENCE}\n", "~~~dsectl\n", "~~~\n", f"{FENCE}predict\n", "    ", "\t", "\r\n", "\x00"),
        *("get k\n", "put k v &j\n", "wait j\n", "within 1s: get k .value == 1\n", "expect j .lost == 0\n", "\\\n"),
        *("kill $x .at -> $y\n", "'", '"', "# no\n", "!7 get k\n", "\u2028", "\ud7ff", "𝕏", "<!--", "-->", "<div>\n"),
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_text_breaks_the_check(text: str) -> None:
    """It answers, tells problems on lines that exist in order, and refuses what has no steps."""
    found = read_recipe(text, "r.md")
    told = check_recipe(found)
    lines = len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    assert all(1 <= problem.line <= lines for problem in told)
    assert [problem.line for problem in told] == sorted(problem.line for problem in told)
    assert found.steps or told


@given(st.text(max_size=300))
def test_no_characters_break_the_check(text: str) -> None:
    assert check_recipe(read_recipe(text, "r.md"))
    check_recipe(read_recipe(recipe_text(text), "r.md"))


@given(st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_no_front_matter_breaks_the_check(front: str) -> None:
    check_recipe(read_recipe(recipe_text("get k", front=front), "r.md"))


@pytest.mark.parametrize("name,lines", [("node", []), ("nobody", [4])])
def test_an_answer_names_variables_that_a_step_gives_a_value(name: str, lines: list[int]) -> None:
    question = f"{FENCE}predict\nWho?\nanswer: ${name}\n{FENCE}\n"
    text = f"# T\n\n\n{question}{FENCE}dsectl\n! get k\nget k -> $node\n{FENCE}\n"
    assert [one.line for one in problems(text)] == lines
