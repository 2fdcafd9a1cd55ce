"""The prompt's small decisions: problems while typing, the toolbar, what is told, jobs' lines, colours, the past."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from dsectl.cli.completion.grammar import Grammar, read_grammar
from dsectl.cli.console import Console
from dsectl.cli.options import Options
from dsectl.script.execution import CommandResult, Job
from dsectl.shell.above import Above, Rate, line_of
from dsectl.shell.keyboard import BURST_MIN, HELD_BYTES_MIN, Pastes, join_bursts
from dsectl.shell.line import TYPED_MAX, fragments, problem
from dsectl.shell.past import ENTRIES_MAX, LINE_MAX, Past
from dsectl.shell.toolbar import ClusterView, announcement, toolbar
from dsectl.ui.text import Paint

GREEN = ClusterView("c", "green", ("n1", "n2"), 2)


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return read_grammar()


@pytest.mark.parametrize(
    "line,named",
    [
        ("ge", ""),
        ("get k", ""),
        ("get k --str", ""),
        ("jobs", ""),
        ("dsectl get k", ""),
        ("del k", ""),
        ("gett k", "unknown command gett"),
        ("get k --fast ", "--fast"),
        ("get k -- --fast ", ""),
        ("put k 'v", "unclosed"),
        ("within soon: get k", "soon"),
        ("within 5s: gett k .a == 1", "gett"),
        ("expect traffic .lost == 0", ""),
        ("recipe run x --fast ", "--fast"),
        ("", ""),
    ],
)
def test_a_slip_is_seen_while_it_is_typed(grammar: Grammar, line: str, named: str) -> None:
    found = problem(line, grammar)
    assert named in found and bool(found) == bool(named)


@given(st.text(max_size=40))
def test_no_line_breaks_the_prompt(line: str) -> None:
    problem(line, Grammar({}))
    assert "".join(text for _, text in fragments(line)) == line


def test_a_huge_line_has_neither_colours_nor_problems() -> None:
    assert len(fragments("x" * (TYPED_MAX + 1))) == 1
    assert problem("'" * 99_999, None) == ""


def test_colours() -> None:
    found = dict((text, style) for style, text in fragments('within 5s: get k .value == "1" # no'))
    assert found["within"] == "class:line.step" and found["get"] == "class:line.command"
    assert found[".value"] == "class:line.path" and found['"1"'] == "class:line.string"
    assert found["=="] == "class:line.operator" and found["# no"] == "class:line.comment"
    found = dict((text, style) for style, text in fragments("dsectl expect get 'a # b' .$node.state != \"half $x"))
    assert found["get"] == found["dsectl"] == "class:line.command" and found["'a # b'"] == "class:line.string"
    assert found["."] == found[".state"] == "class:line.path" and found["$node"] == "class:line.variable"
    assert found['"half '] == "class:line.string" and found["$x"] == "class:line.variable"
    found = dict((text, style) for style, text in fragments("subscribe a.* --count 3 &job"))
    assert found["--count"] == "class:line.option" and found["&job"] == "class:line.operator" and found["3"] == ""


@pytest.mark.parametrize(
    "view,jobs,problem,text",
    [
        (ClusterView(), 0, "", " …  looking"),
        (ClusterView("c", "none"), 0, "", " c  no such cluster: `up` starts one"),
        (ClusterView("c", "lost", ("n1",)), 0, "", " c  no node answers"),
        (GREEN, 0, "", " c  green  2/2 nodes"),
        (
            ClusterView("c", "amber", ("n1", "n2"), 1, 3, 1),
            2,
            "no",
            " c  amber  1/2 nodes  3 hints waiting  1 fault  2 jobs  no",
        ),
    ],
)
def test_the_toolbar(view: ClusterView, jobs: int, problem: str, text: str) -> None:
    assert "".join(part for _, part in toolbar(view, jobs, problem)) == text


def test_what_is_told_of_a_cluster() -> None:
    assert "any more" in announcement(GREEN, ClusterView("c", "lost"))
    assert "gone" in announcement(GREEN, ClusterView("c", "none"))
    assert "gone" in announcement(ClusterView("c", "lost"), ClusterView("c", "none"))  # a look fell into its removal
    assert "answers" in announcement(ClusterView("c", "lost"), GREEN)
    for quiet in (ClusterView("c", "amber", ("n1", "n2"), 1), ClusterView("d", "none"), GREEN):
        assert announcement(GREEN, quiet) == ""
    assert announcement(ClusterView(), GREEN) == ""


def test_lines_of_jobs_are_for_people_and_harmless() -> None:
    plain = Paint(False)
    message = {"subject": "a.b", "payload": "x\x1b[2J"}
    assert line_of(["subscribe", "a.*"], message, plain, 80) == 'a.b  "x\\u001b[2J"'
    event = {"id": "n1-1-1", "at": "2026-01-01T00:00:00.000Z", "node": "n1", "kind": "member.dead", "cause": "c\x07"}
    assert "member.dead" in line_of(["events", "-f"], event, plain, 80)
    assert "\x07" not in line_of(["events", "-f"], event, plain, 80)
    assert len(line_of(["x"], {"a": "b" * 500}, plain, 40)) == 40


def test_the_end_of_a_job_is_said_once() -> None:
    out = io.StringIO()
    above = Above(Console(out, out, Options()))
    load, listener = Job("l", ["load", "kv"], None), Job("s", ["subscribe", "a.*"], None)
    above.line(load, '{"verdict":"passed"}')
    above.line(listener, '{"subject":"a.b","payload":"x"}')
    above.ended(load, CommandResult(3, {"verdict": "inconclusive", "reasons": ["no samples"]}))
    listener.waited = True
    above.ended(listener, CommandResult(0, []))
    assert out.getvalue().splitlines() == ['[s] a.b  "x"', "[l] failed: no samples"]


def test_the_past_is_private_bounded_and_without_repetitions(tmp_path: Path) -> None:
    past = Past(tmp_path)
    for line in ("one", "one", " secret", "x" * (LINE_MAX + 1), "two"):
        past.append_string(line)
    assert list(Past(tmp_path).load_history_strings()) == ["two", "one"]
    path = tmp_path / "shell_history"
    assert path.stat().st_mode & 0o077 == 0
    past.store_string("three\n+four\n# five")
    assert next(iter(Past(tmp_path).load_history_strings())) == "three\n+four\n# five"
    for number in range(2 * ENTRIES_MAX + 10):
        past.store_string(f"line {number}")
    kept = list(Past(tmp_path).load_history_strings())
    assert len(kept) == ENTRIES_MAX and kept[0] == f"line {2 * ENTRIES_MAX + 9}"
    assert path.stat().st_mode & 0o077 == 0


def test_two_shells_and_damage_do_not_lose_lines(tmp_path: Path) -> None:
    first, second = Past(tmp_path), Past(tmp_path)
    for number in range(50):
        (first, second)[number % 2].append_string(f"line {number}")
    path = tmp_path / "shell_history"
    path.write_bytes(path.read_bytes() + b"\xff\x00 nothing\n\n+la\xffst")
    kept = list(Past(tmp_path).load_history_strings())
    assert kept[1:] == [f"line {number}" for number in reversed(range(50))] and kept[0] == "la\ufffdst"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Past(tmp_path).store_string(f"more {number}"), range(200)))
    assert len([line for line in Past(tmp_path).load_history_strings() if line.startswith("more")]) == 200


@given(st.lists(st.text(max_size=10)), st.text(max_size=10))
def test_a_huge_paste_is_held_and_expanded(parts: list[str], line: str) -> None:
    pastes = Pastes()
    huge = "x" * HELD_BYTES_MIN
    signs = "".join(pastes.hold(part) + pastes.hold(huge + part) for part in parts)
    assert len(signs) < HELD_BYTES_MIN
    assert pastes.expand(line + signs) == line + "".join(part + huge + part for part in parts)
    assert pastes.expand(signs) == (signs if parts else "")


def test_lines_of_jobs_have_a_rate() -> None:
    rate = Rate(2)
    assert [rate.on_line(now) for now in (1.0, 1.1, 1.2, 1.3, 2.0, 3.0)] == [
        *((True, 0), (True, 0), (False, 0), (False, 0), (True, 2), (True, 0)),
    ]


def test_what_comes_at_once_is_a_paste() -> None:
    typed = [KeyPress(one) for one in "put"]
    burst = [KeyPress(one) for one in "x" * BURST_MIN]
    enter = KeyPress(Keys.ControlM, "\r")
    found = join_bursts([*typed, enter, *burst, enter])
    assert [(one.key, one.data) for one in found] == [
        *((one, one) for one in "put"),
        (Keys.ControlM, "\r"),
        (Keys.BracketedPaste, "x" * BURST_MIN),
        (Keys.ControlM, "\r"),
    ]
