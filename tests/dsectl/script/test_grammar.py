"""Lines as steps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Usage
from dsectl.script.grammar import Expect, Fails, Pipe, Run, Sleep, Start, Step, Wait, parse
from dsectl.script.values import OPERATORS


def written(test: Any) -> str:
    return f"{test.path.raw} {test.operator} {test.value.raw}"


def told(step: Step | None) -> str:
    """A step in words, so that the tables below can be read."""
    match step:
        case Run(command, path, into):
            return f"run {command.raw}" + (f" at {path.raw if path else '-'} into {into}" if into else "")
        case Start(command, job):
            return f"start {command.raw} as {job}"
        case Fails(command, code):
            return f"fails {command.raw} with {code}"
        case Expect(source, test, None):
            return f"expect {source.raw} | {written(test)}"
        case Expect(source, test, float(seconds), always):
            return f"{'always' if always else 'within'} {seconds:g} {source.raw} | {written(test)}"
        case Wait(job, stop):
            return f"{'stop' if stop else 'wait'} {job}"
        case Sleep(seconds):
            return f"sleep {seconds:g}"
        case Pipe(command, shell):
            return f"pipe {command.raw} to {shell}"
    return "nothing"


STEPS = [
    ("", "nothing"),
    ("# a comment", "nothing"),
    ("put cart book", "run put cart book"),
    ("put cart book # why", "run put cart book"),
    ("explain cart .owners[0] -> $victim", "run explain cart at .owners[0] into victim"),
    ("get cart -> $all", "run get cart at - into all"),
    ("put k .hidden -> $x", "run put k at .hidden into x"),
    ("put k ./file -> $x", "run put k ./file at - into x"),
    ("put k '.quoted' -> $x", "run put k '.quoted' at - into x"),
    ("put k .x", "run put k .x"),
    ("put k x;", "run put k x;"),
    ("put k ';'", "run put k ';'"),
    ("subscribe a.* &listener", "start subscribe a.* as listener"),
    ("! get k", "fails get k with None"),
    ("!7 put k v --strict", "fails put k v --strict with 7"),
    ("expect traffic .lost == 0", "expect traffic | .lost == 0"),
    ('expect get k .value in \'["a", "b"]\'', 'expect get k | .value in \'["a", "b"]\''),
    ('expect get "==" .value == "=="', 'expect get "==" | .value == "=="'),
    ("expect put a == .outcome == ok", "expect put a == | .outcome == ok"),
    ("expect keys .x . != y", "expect keys .x | . != y"),
    ("within 5s: members --via $w .$v.state == dead", "within 5 members --via $w | .$v.state == dead"),
    ("always 250ms: get cart .value == x", "always 0.25 get cart | .value == x"),
    ("wait traffic", "wait traffic"),
    ("stop traffic", "stop traffic"),
    ("sleep 500ms", "sleep 0.5"),
    ("put 'a -> $b' '&x'", "run put 'a -> $b' '&x'"),
    ('"expect" x', 'run "expect" x'),
]


@pytest.mark.parametrize(("line", "step"), STEPS)
def test_steps(line: str, step: str) -> None:
    assert told(parse(line)) == step


SHELL = [
    ("status | jq .verdict", "pipe status to jq .verdict"),
    ("get 'a|b' | grep 'x | y' | wc", "pipe get 'a|b' to grep 'x | y' | wc"),
    ("events -f &", "start events -f as None"),
    ("put k 'a | b'", "run put k 'a | b'"),
]


@pytest.mark.parametrize(("line", "step"), SHELL)
def test_what_only_the_shell_knows(line: str, step: str) -> None:
    assert told(parse(line, shell=True)) == step


REFUSED = [
    ("events -f &", "needs a name"),
    ("status | jq .", "does not belong"),
    ("get k &within", "invalid job name"),
    ("get k &9x", "invalid job name"),
    ("get k ->", "needs a variable"),
    ("get k -> name", "expected a variable"),
    ("-> $x", "command is missing"),
    (".value -> $x", "run .value"),
    ("& ", "needs a name"),
    ("expect get k", "needs a test"),
    ("expect get k .value ==", "needs a value"),
    ("expect get k .value == two words", "2 values"),
    ("expect get k value == x", "a path before it"),
    ("expect .value == x", "a path before it"),
    ("expect get k '.value' == x", "a path before it"),
    ("expect get k .value '==' x", "needs a test"),
    ("within 5s get k .value == x", "a duration and a colon"),
    ("within: 5s: get k .value == x", "within needs a duration and a colon"),
    ("always: get k .value == x", "always needs a duration and a colon"),
    ("within 5: get k .value == x", "invalid duration"),
    ("within 5s: get k .value == x &", "a test does not run in the background"),
    ("expect get k .value == x &job", "a test does not run in the background"),
    ("always 5x: get k .value == x", "invalid duration"),
    ("!", "command is missing"),
    ("!x get k", "expected ! or !CODE"),
    ("wait", "name of one job"),
    ("stop a b", "name of one job"),
    ("sleep", "one duration"),
    ("sleep soon", "invalid duration"),
    ("get k -> $a -> $b", "does not belong"),
    ("get a; get b", "; does not end a step"),
    ("get a ; get b", "; does not belong"),
    ("get a && get b", "&& does not belong"),
    ("get a || get b", "|| does not belong"),
    ("get k > file", "> does not belong"),
    ("get k .value == book", "a test begins with"),
]


@pytest.mark.parametrize(("line", "reason"), REFUSED)
def test_what_is_refused_says_why(line: str, reason: str) -> None:
    if reason.startswith("run "):
        assert told(parse(line)).startswith(reason)
        return
    with pytest.raises(Usage) as caught:
        parse(line)
    assert reason in caught.value.message


WORDS = st.sampled_from(
    ["expect", "within", "5s:", "always", "!", "!7", "get", "k", "->", "$x", "&", "&j", "|", "'q'", '"$x"', ".a", ".",
     "#", *OPERATORS, "sleep", "wait", "\\", "'", '"']
)  # fmt: skip


@given(st.lists(WORDS, max_size=9).map(" ".join), st.booleans())
def test_any_line_is_a_step_or_refused(line: str, shell: bool) -> None:
    try:
        parse(line, shell=shell)
    except Usage as error:
        assert error.message
