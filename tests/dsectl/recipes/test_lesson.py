"""A recipe as a lesson: what is shown when, on a run that never happens."""

import io

import pytest

from cluster.emulator.home import find_home
from dsectl.cli.console import Console
from dsectl.cli.invocation import Session
from dsectl.cli.options import Options
from dsectl.recipes import lesson as lessons
from dsectl.recipes.document import Block, read_recipe
from dsectl.recipes.lesson import GUESS, HELP, STOP, Left, Lesson, rendered, value_lines
from dsectl.recipes.report import RecipeReport
from dsectl.script.execution import CommandResult
from dsectl.script.interpreter import Interpreter, Outcome
from dsectl.ui.verdicts import FAILED, PASSED
from tests.dsectl.recipes.written import FENCE, recipe

OWNERS = "explain cart .owners[0] -> $first"
ASKED = f"""# T
## Case 1
Why this?

{FENCE}predict
Who has it?
answer: $first has it, and no other.
{FENCE}

{FENCE}dsectl
{OWNERS}
{FENCE}

## Case 2
{FENCE}dsectl
get cart
{FENCE}
"""


def lesson(*answers: str | None, text: str = "") -> tuple[Lesson, io.StringIO]:
    """A lesson, and what it shows; with answers there is somebody to ask, for as long as there are any."""
    out = io.StringIO()
    given = list(answers)

    def ask(prompt: str) -> str | None:
        out.write(prompt + "\n")
        return given.pop(0)

    found = read_recipe(text, "r.md") if text else recipe(OWNERS)
    made = Lesson(found, Console(out, io.StringIO(), Options()), ask if answers else None)
    interpreter = Interpreter(Session("nowhere"))
    interpreter.variables["first"] = "n1"
    made.ready(RecipeReport("r.md", "T", cluster="r-1"), interpreter)
    out.truncate(0)
    out.seek(0)
    return made, out


def gone_through(made: Lesson, outcome: Outcome) -> list[str]:
    """The steps that were carried out."""
    done = []
    for case in made.recipe.cases:
        made.case(case)
        for part in case.parts:
            if not made.part(part) or not isinstance(part, Block):
                continue
            for line in part.steps:
                done.append(line.text)
                made.step(line)
                made.ended(line, outcome)
    return done


TAKEN = Outcome(PASSED, result=CommandResult(0, {"owners": ["n1"]}), into="first")


def test_a_block_is_shown_before_it_is_carried_out() -> None:
    made, out = lesson("")
    gone_through(made, TAKEN)
    assert out.getvalue() == f"\n## Case 1\n\n    {OWNERS}\n{STOP}\ndsectl> {OWNERS}\n  $first = n1\n"


def test_without_anybody_to_ask_nothing_is_shown_twice() -> None:
    made, out = lesson()
    gone_through(made, Outcome(PASSED, expected=".length == 1", seen="1"))
    assert out.getvalue() == f"\n## Case 1\n\ndsectl> {OWNERS}\n  ok  1\n"


def test_behind_what_did_not_pass_nothing_follows() -> None:
    made, out = lesson("me", "", text=ASKED)
    assert gone_through(made, Outcome(FAILED, expected=".length == 1", seen="2")) == [OWNERS]
    assert made.failed and "  failed: expected .length == 1\n  saw 2\n" in out.getvalue()
    assert "Case 2" not in out.getvalue() and "has it, and no other" not in out.getvalue()


def test_a_question_is_answered_by_what_happened_next() -> None:
    made, out = lesson("all of them", "", "", text=ASKED)
    gone_through(made, TAKEN)
    shown = out.getvalue()
    assert "you expected: all of them\nwhat happened: n1 has it, and no other.\n" in shown
    assert shown.index(GUESS) < shown.index("  $first = n1") < shown.index("what happened") < shown.index("Case 2")
    assert [one["answer"] for one in made.answers] == ["all of them"]


def test_without_a_guess_the_answer_is_told_all_the_same() -> None:
    made, out = lesson("", "", "", text=ASKED)
    gone_through(made, TAKEN)
    assert "you expected" not in out.getvalue() and "what happened: n1 has it" in out.getvalue()
    assert made.answers == []


@pytest.mark.parametrize("typed", ["?", "b", "nonsense", "gett k", "down", "x", "expect", ":", "q ", None])
def test_only_an_empty_line_carries_a_block_out(typed: str | None) -> None:
    """Whatever else is typed, the stop stays; `q` and the end of input leave the lesson."""
    made, out = lesson(typed, None)
    with pytest.raises(Left):
        gone_through(made, TAKEN)
    assert "dsectl>" not in out.getvalue()


def test_a_block_may_be_left_out() -> None:
    made, out = lesson("me", "s", "", text=ASKED)
    assert gone_through(made, TAKEN) == ["get cart"]
    assert made.skipped == 1 and "what happened" not in out.getvalue(), "nothing has happened"


def test_help_and_what_stood_before() -> None:
    made, out = lesson("?", "me", "", "b", "?", "", text=ASKED)
    gone_through(made, TAKEN)
    assert out.getvalue().count(HELP) == 2
    assert out.getvalue().count("Why this?") == 2, "once by going back"
    assert [one["answer"] for one in made.answers] == ["me"]


def test_one_looks_around_with_commands_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(lessons, "invoke", lambda argv, *others: seen.append(argv))
    made, _ = lesson(":members", "me", "dsectl get $first", "members --matrix", "", "", text=ASKED)
    assert gone_through(made, TAKEN) == [OWNERS, "get cart"]
    assert seen == [["members"], ["get", "n1"], ["members", "--matrix"]]


def test_guesses_are_kept(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))
    made, _ = lesson("me", "", "", text=ASKED)
    assert made.keep_answers() == ""
    gone_through(made, TAKEN)
    assert made.keep_answers() == str(find_home().folder / "answers.jsonl")


VALUES = [
    ("n1", ["n1"]),
    (3, ["3"]),
    (None, ["null"]),
    ([], ["none"]),
    (["n1", "n2"], ["n1, n2"]),
    ({"key": "k", "acks": 2, "siblings": []}, ["key k · acks 2 · siblings none"]),
    ({"a": "x" * 30, "b": "y" * 30}, ["a " + "x" * 30, "b " + "y" * 30]),
    ({"n1": {"state": "alive"}}, ["n1:", "  state alive"]),
    ([{"at": 1, "on": ["n1"]}, {"at": 2}], ["AT  ON", "1   n1", "2   null"]),
    (list(range(100)), ["0", "1", "2", "3", "4", "and 95 more"]),
    ("\x1b[2J" + "x" * 90, ["\\x1b[2J" + "x" * 32 + "…"]),
]


@pytest.mark.parametrize("value,lines", VALUES)
def test_values_are_shown_as_people_read_them(value: object, lines: list[str]) -> None:
    assert value_lines(value, 40) == lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


MARKDOWN = """Some *emphasis* and `code`, a [link](https://x.example).

| a | b |
| - | - |
| 1 | 2 |

- one
- two\x1b[2J
"""


def test_prose_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = "\n".join(rendered(MARKDOWN, Console(Terminal(), io.StringIO(), Options())))
    assert "\x1b[4memphasis\x1b[0m" in text and "\x1b[1mcode\x1b[0m" in text
    assert "https://x.example" in text and "| a |" not in text and "• \x1b[0mone" in text
    assert "\x1b[2J" not in text


def test_prose_stays_as_it_is_where_nothing_can_be_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off a terminal, and on one that would lose the emphasis."""
    monkeypatch.setenv("TERM", "dumb")
    for out in (Terminal(), io.StringIO()):
        assert rendered(MARKDOWN, Console(out, io.StringIO(), Options()))[0].startswith("Some *emphasis* and `code`")
