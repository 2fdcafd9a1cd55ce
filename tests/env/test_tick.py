"""Tick: one run a pass, the log before the sockets, by a table of what a pass does."""

import pytest

from cluster.env import OutputTick
from tests.env.stages import Stage


@pytest.mark.parametrize(
    ("passes", "written"),
    [
        ([""], ""),
        (["a"], "LS"),
        (["aaa"], "LS"),  # however many operations
        (["a", "a"], "LSLS"),
        (["a", "", "aa"], "LSLS"),
    ],
)
def test_the_log_is_written_before_the_sockets_once_a_pass(stage: Stage, passes: list[str], written: str) -> None:
    clock = stage.env("node").clock
    tick = OutputTick(clock)
    out: list[str] = []
    tick.write_log = lambda: out.append("L")
    tick.write_sockets = lambda: out.append("S")
    done: list[bool] = []

    def run(remaining: list[str]) -> None:
        if not remaining:
            done.append(True)
            return
        for _ in remaining[0]:
            tick.arm()
        clock.call_later(0.001, run, remaining[1:])

    clock.call_soon(run, passes)
    stage.until(lambda: bool(done))
    assert "".join(out) == written


@pytest.mark.parametrize(("again", "passes"), [("arm", 2), ("arm_sockets", 1)])
def test_what_the_log_queues_leaves_in_the_same_tick(stage: Stage, again: str, passes: int) -> None:
    """The log's callbacks acknowledge: the sockets are written once for it, and again only for what is for the log."""
    clock = stage.env("node").clock
    tick = OutputTick(clock)
    acknowledgements: list[str] = []
    sent: list[list[str]] = []

    def write_log() -> None:
        if not sent:
            acknowledgements.append("ok")
            getattr(tick, again)()

    def write_sockets() -> None:
        sent.append(list(acknowledgements))
        acknowledgements.clear()

    tick.write_log, tick.write_sockets = write_log, write_sockets
    tick.arm_sockets()
    stage.until(lambda: len(sent) == passes)
    done: list[bool] = []
    clock.call_later(0.01, done.append, True)
    stage.until(lambda: bool(done))
    assert sent == [["ok"], []][:passes]


def test_an_unconfigured_tick_does_nothing(stage: Stage) -> None:
    clock = stage.env("node").clock
    done: list[bool] = []
    OutputTick(clock).arm()
    clock.call_later(0.001, done.append, True)
    stage.until(lambda: bool(done))


def test_what_a_long_pass_has_produced_leaves_before_it_is_over(stage: Stage) -> None:
    clock = stage.env("node").clock
    tick = OutputTick(clock)
    out: list[str] = []
    tick.write_log = lambda: out.append("L")

    def write_sockets() -> None:
        out.append("S")
        tick.end_early()  # from within: it is ending

    tick.write_sockets = write_sockets
    done: list[bool] = []

    def long_pass() -> None:
        tick.end_early()  # nothing is queued
        for _ in range(2):
            tick.arm()
            out.append("-")
            tick.end_early()
        clock.call_later(0.01, done.append, True)

    clock.call_soon(long_pass)
    stage.until(lambda: bool(done))
    assert "".join(out) == "-LS-LS"  # and nothing more at the end of the pass


def test_a_pass_is_not_ended_by_its_own_writers(stage: Stage) -> None:
    clock = stage.env("node").clock
    tick = OutputTick(clock)
    out: list[str] = []

    def write_log() -> None:
        out.append("L")
        if len(out) == 1:
            tick.arm()
            tick.end_early()

    tick.write_log = write_log
    tick.write_sockets = lambda: out.append("S")
    clock.call_soon(tick.arm)
    stage.until(lambda: len(out) == 4)
    assert "".join(out) == "LSLS"
