"""One run, on a cluster that is none: its name, and what an interrupt leaves of its report."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.emulator import cluster as emulator
from cluster.emulator.spec import ClusterSpec
from dsectl.recipes import run
from dsectl.recipes.report import RecipeReport
from dsectl.recipes.run import Listener, Plan, cluster_name
from dsectl.script import interpreter
from dsectl.script.execution import CommandResult
from dsectl.ui.verdicts import INCONCLUSIVE, PASSED
from tests.dsectl.recipes.written import recipe


@given(
    st.sampled_from(["1.md", "--.md", "", "Ünïcode.md", "9" * 40, "a-" * 20, "My Recipe.md", "x.tar.md"]) | st.text()
)
def test_any_file_gives_a_cluster_a_name(file: str) -> None:
    ClusterSpec(name=cluster_name(file), nodes=3).resolved()


def test_it_is_named_after_the_file() -> None:
    assert cluster_name("some/My Recipe.md").startswith("my-recipe-")


@pytest.mark.parametrize("at", ["ready", "case", "part", "step", "ended", "faults", "jobs", "removal"])
def test_an_interrupt_at_any_moment_leaves_no_green_report(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """On a cluster that is none: every command succeeds at once, and what the moment does is interrupted."""

    def interrupted(*others: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    def carried_out(argv: list[str], *others: Any, **more: Any) -> CommandResult:
        return CommandResult(0, [] if argv == ["faults"] else {"value": "v"})

    listener = Listener()
    if at in ("ready", "case", "part", "step", "ended"):
        monkeypatch.setattr(listener, at, interrupted)
    monkeypatch.setattr(emulator, "up", lambda *others, **more: Started())
    monkeypatch.setattr(emulator, "remove", interrupted if at == "removal" else lambda name: None)
    monkeypatch.setattr(interpreter, "carry_out", carried_out)
    if at == "faults":
        monkeypatch.setattr(run.Run, "_receipts", interrupted)
    if at == "jobs":
        monkeypatch.setattr(interpreter.Interpreter, "end_jobs", interrupted)
    made = recipe("expect get k .value == v", "expect get k .value == v")
    report = RecipeReport(made.file, made.title)
    with pytest.raises(KeyboardInterrupt):
        run.run_recipe(made, report, listener, Plan())
    assert report.interrupted and report.ended and report.verdict == INCONCLUSIVE
    assert [case.name for case in report.cases] == ["Case 1", "Case 2"]


def test_nobody_interrupts_and_it_is_green(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above stands on."""
    monkeypatch.setattr(emulator, "up", lambda *others, **more: Started())
    monkeypatch.setattr(emulator, "remove", lambda name: None)
    monkeypatch.setattr(interpreter, "carry_out", lambda argv, *others, **more: CommandResult(0, {"value": "v"}))
    made = recipe("expect get k .value == v")
    report = RecipeReport(made.file, made.title)
    run.run_recipe(made, report, Listener(), Plan())
    assert (report.verdict, report.interrupted, report.ended) == (PASSED, False, True)


@dataclass
class Started:
    """A cluster that has started."""

    ready_s: float = 0.1
    leash: None = None
