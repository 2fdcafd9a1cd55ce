"""Steps carried out against commands that say what a test tells them to."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec import json

import dsectl.cli.app
from cluster.errors import Usage
from dsectl.cli.invocation import Session
from dsectl.script.grammar import parse
from dsectl.script.interpreter import Interpreter, Outcome, time_scale
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED

Answer = tuple[int, Any]


class World:
    """Stands where `invoke` is: each command has answers, the last of which is given again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.seen: list[list[str]] = []

    def say(self, command: str, *answers: Answer) -> None:
        self.answers[command] = list(answers)

    def invoke(
        self,
        argv: Sequence[str],
        session: Session,
        out: Any,
        err: Any,
        *,
        on_ready: Callable[[], None] | None = None,
        is_stopped: Callable[[], bool] | None = None,
    ) -> int:
        assert argv[:2] == ["--json", "--no-input"]
        words = list(argv[4:] if argv[2] == "--timeout" else argv[2:])
        self.seen.append(words)
        if words[0] == "subscribe":
            return self._subscribe(out, on_ready, is_stopped)
        answers = self.answers[words[0]]
        code, value = answers.pop(0) if len(answers) > 1 else answers[0]
        out.write(json.encode(value).decode() + "\n")
        return code

    def _subscribe(self, out: Any, on_ready: Callable[[], None] | None, is_stopped: Callable[[], bool] | None) -> int:
        assert on_ready is not None and is_stopped is not None
        out.write('{"payload":"one"}\n')
        on_ready()
        deadline = time.monotonic() + 5
        while not is_stopped() and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        out.write('{"payload":"two"}\n')
        return 0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(dsectl.cli.app, "invoke", world.invoke)
    return world


@pytest.fixture
def interpreter(world: World) -> Interpreter:
    return Interpreter(Session("test"))


def run(interpreter: Interpreter, line: str) -> Outcome:
    step = parse(line)
    assert step is not None
    return interpreter.run(step)


def test_a_value_is_taken_and_used(world: World, interpreter: Interpreter) -> None:
    world.say("explain", (0, {"owners": ["n3", "n1"]}))
    world.say("kill", (0, {}))
    assert run(interpreter, "explain cart .owners[0] -> $victim").verdict == PASSED
    run(interpreter, "kill $victim")
    assert world.seen[-1] == ["kill", "n3"] and interpreter.variables == {"victim": "n3"}


def test_a_path_that_is_not_there_takes_nothing(world: World, interpreter: Interpreter) -> None:
    world.say("explain", (0, {"owners": []}))
    found = run(interpreter, "explain cart .owners[0] -> $victim")
    assert found.verdict == FAILED and ".owners[0]" in found.expected and interpreter.variables == {}


def test_what_was_expected_names_the_node_and_not_the_variable(world: World, interpreter: Interpreter) -> None:
    world.say("explain", (0, {"owners": ["n3", "n1"]}))
    world.say("members", (0, {"n3": {"state": "dead"}}))
    run(interpreter, "explain cart .owners[0] -> $victim")
    found = run(interpreter, "expect members .$victim.state == alive")
    assert (found.verdict, found.expected, found.seen) == (FAILED, '.n3.state == "alive"', '"dead"')


@pytest.mark.parametrize(("code", "verdict"), [(0, PASSED), (1, FAILED), (7, FAILED), (3, INCONCLUSIVE)])
def test_a_step_must_exit_with_0(world: World, interpreter: Interpreter, code: int, verdict: str) -> None:
    world.say("put", (code, {"error": {"code": "quorum", "message": "too few"}}))
    found = run(interpreter, "put k v")
    assert found.verdict == verdict
    if code:
        assert found.seen == f"exit {code}: quorum: too few"


@pytest.mark.parametrize(
    ("line", "code", "verdict"),
    [
        ("! put k v", 7, PASSED),
        ("! put k v", 0, FAILED),
        ("! put k v", 3, INCONCLUSIVE),
        ("!7 put k v", 7, PASSED),
        ("!7 put k v", 5, FAILED),
        ("!7 put k v", 0, FAILED),
        ("!3 put k v", 3, PASSED),
    ],
)
def test_what_must_fail(world: World, interpreter: Interpreter, line: str, code: int, verdict: str) -> None:
    world.say("put", (code, {}))
    assert run(interpreter, line).verdict == verdict


def test_within_looks_until_it_holds(world: World, interpreter: Interpreter) -> None:
    world.say("get", (7, {}), (0, {}), (0, {"value": "old"}), (0, {"value": "new"}))
    found = run(interpreter, "within 5s: get k .value == new")
    assert found.verdict == PASSED and found.seen.startswith("4 looks: ")


def test_within_tells_what_it_saw(world: World, interpreter: Interpreter) -> None:
    world.say("get", (0, {"value": "old"}))
    found = run(interpreter, "within 120ms: get k .value == new")
    assert found.verdict == FAILED and found.expected == '.value == "new"'
    assert '"old" at ' in found.seen and "looks: " in found.seen


def test_time_can_be_stretched(world: World) -> None:
    world.say("get", (0, {"value": "old"}))
    interpreter = Interpreter(Session("test"), time_scale=3.0)
    began = time.monotonic()
    run(interpreter, "within 100ms: get k .value == new")
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("text", "scale"), [("3", 3.0), ("0.5", 0.5), ("", None), ("x", None), ("-1", None), ("inf", None)]
)
def test_the_environment_stretches_time(monkeypatch: pytest.MonkeyPatch, text: str, scale: float | None) -> None:
    monkeypatch.setenv("DSECTL_TIME_SCALE", text)
    if scale is None:
        with pytest.raises(Usage, match="expected a number above 0"):
            time_scale()
    else:
        assert time_scale() == scale


def test_expect_fails_for_what_is_not_there(world: World, interpreter: Interpreter) -> None:
    world.say("get", (0, {"siblings": []}))
    found = run(interpreter, "expect get k .value != x")
    assert found.verdict == FAILED and found.seen == 'no .value in {"siblings":[]}'


@pytest.mark.parametrize("line", ["expect get order .value == 3", "within 50ms: get order .value == 3"])
def test_a_comparison_of_two_types_says_what_to_write(world: World, interpreter: Interpreter, line: str) -> None:
    world.say("get", (0, {"value": "3"}))
    found = run(interpreter, line)
    assert found.verdict == FAILED and found.seen.endswith('(a value is text: write == "3")')


def test_what_changes_something_is_not_polled(world: World, interpreter: Interpreter) -> None:
    with pytest.raises(Usage, match="must not be polled"):
        run(interpreter, "within 5s: put k v .acks == 2")
    assert world.seen == []


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ({"verdict": "inconclusive", "reasons": ["no samples", "late"]}, "exit 3: no samples; late"),
        ({"healthy": False, "nodes": {"n1": {"reasons": ["silent"]}, "n2": {"reasons": []}}}, "exit 3: n1: silent"),
    ],
)
def test_the_reasons_of_a_command_are_told(world: World, interpreter: Interpreter, value: Any, seen: str) -> None:
    world.say("health", (3, value))
    assert run(interpreter, "health").seen == seen


def test_a_job_is_looked_at_while_it_runs_and_when_it_was_stopped(interpreter: Interpreter) -> None:
    assert run(interpreter, "subscribe a.* &listener").verdict == PASSED
    assert run(interpreter, "within 2s: listener .length == 1").verdict == PASSED
    assert run(interpreter, "stop listener").verdict == PASSED
    assert run(interpreter, "expect listener .[1].payload == two").verdict == PASSED
    assert interpreter.end_jobs() == []


def test_a_job_that_nobody_waited_for_is_told_and_ended(interpreter: Interpreter) -> None:
    run(interpreter, "subscribe a.* &listener")
    assert interpreter.end_jobs() == ["listener"]
    assert not interpreter.jobs["listener"].is_running


def test_a_job_that_fails_at_once_is_a_failed_step(world: World, interpreter: Interpreter) -> None:
    world.say("load", (4, {"error": {"code": "unreachable", "message": "nobody"}}))
    found = run(interpreter, "load kv &traffic")
    assert found.verdict == FAILED and "nobody" in found.seen


def test_the_limit_of_all_ends_a_poll(world: World) -> None:
    world.say("get", (0, {"value": "old"}))
    interpreter = Interpreter(Session("test"), until=time.monotonic() + 0.1)
    assert run(interpreter, "within 60s: get k .value == new").verdict == FAILED


@pytest.mark.parametrize("line", ["get k", "expect get k .value == old", "sleep 10s"])
def test_a_step_that_the_limit_of_all_has_ended_fails(world: World, line: str) -> None:
    world.say("get", (0, {"value": "old"}))
    interpreter = Interpreter(Session("test"), until=time.monotonic() + (0.0 if "get" in line else 0.1))
    found = run(interpreter, line)
    assert found.verdict == FAILED and "time limit" in found.seen


def test_a_step_that_was_told_to_stop_has_not_tested(world: World) -> None:
    interpreter = Interpreter(Session("test"), is_stopped=lambda: True)
    world.say("get", (0, {"value": "old"}))
    assert run(interpreter, "sleep 10s").verdict == INCONCLUSIVE
    assert run(interpreter, "within 5s: get k .value == new").verdict == INCONCLUSIVE


def test_a_job_that_still_runs_has_no_result_to_look_at(interpreter: Interpreter) -> None:
    run(interpreter, "subscribe a.* &listener")
    assert "`wait listener` comes first" in run(interpreter, "expect listener .lost == 0").seen
    interpreter.end_jobs()


def test_an_interrupt_passes(world: World, interpreter: Interpreter) -> None:
    world.say("get", (130, {}))
    with pytest.raises(KeyboardInterrupt):
        run(interpreter, "get k")


@pytest.mark.parametrize("line", ["get $nobody", "wait nobody", "expect get k .value == $nobody"])
def test_what_does_not_exist_is_refused(world: World, interpreter: Interpreter, line: str) -> None:
    world.say("get", (0, {"value": 1}))
    with pytest.raises(Usage):
        run(interpreter, line)
