"""When a node counts as silent: by what was sent and heard, as tables."""

import pytest

from cluster.requests.silence import (
    HEDGE_AFTER_S,
    LATE_S,
    PING_AFTER_S,
    PING_AGAIN_S,
    SILENT_AFTER_S,
    SILENT_MAX_S,
    Silence,
    Step,
)

SWEEP_S = 0.02
TICK = 0.001


def pinged(at: float = 100.0) -> Silence:
    """n2 has a call for a while, and a ping from `at` on; n3 answers."""
    silence = Silence()
    assert silence.step("n2", at - PING_AFTER_S - TICK, at, True) is Step.PING
    silence.pinged("n2", at)
    silence.heard("n3", at + TICK)
    return silence


@pytest.mark.parametrize(
    ("after", "step"),
    [
        (0.0, Step.WAIT),
        (HEDGE_AFTER_S - TICK, Step.WAIT),
        (HEDGE_AFTER_S + TICK, Step.HEDGE),
        (SILENT_AFTER_S - TICK, Step.HEDGE),
        (SILENT_AFTER_S + TICK, Step.GIVE_UP),
    ],
)
def test_the_steps_behind_a_ping(after: float, step: Step) -> None:
    assert pinged().step("n2", 99.0, 100.0 + after, True) is step


def test_a_young_call_costs_no_ping() -> None:
    assert Silence().step("n2", 100.0, 100.0 + PING_AFTER_S - TICK, True) is Step.WAIT


def test_any_answer_is_a_sign_of_life() -> None:
    silence = pinged()
    silence.heard("n2", 100.1)
    assert silence.step("n2", 99.0, 100.1 + PING_AFTER_S - TICK, True) is Step.WAIT
    assert silence.step("n2", 99.0, 100.3, True) is Step.PING, "and then all begins anew"


def test_when_nobody_is_heard_the_fault_may_be_here() -> None:
    silence = Silence()
    silence.pinged("n2", 100.0)
    silence.pinged("n3", 100.0)
    assert silence.step("n2", 99.0, 105.0, True) is Step.HEDGE
    silence.heard("n3", 105.1)
    assert silence.step("n2", 99.0, 120.0, True) is Step.GIVE_UP


def test_the_only_other_node_has_nobody_to_compare_with() -> None:
    silence = Silence()
    silence.pinged("n2", 100.0)
    assert silence.step("n2", 99.0, 100.0 + SILENT_AFTER_S + TICK, False) is Step.GIVE_UP


def test_time_in_which_this_process_did_not_run_does_not_count() -> None:
    silence = pinged()
    silence.swept(100.06, SWEEP_S)
    silence.swept(103.0, SWEEP_S)
    assert silence.step("n2", 99.0, 103.0 + SILENT_AFTER_S - 0.01, True) is not Step.GIVE_UP
    silence.heard("n3", 103.01)
    assert silence.step("n2", 99.0, 103.0 + SILENT_AFTER_S + 0.01, True) is Step.GIVE_UP


def test_a_sweep_that_is_a_little_late_is_none_of_that() -> None:
    silence = pinged()
    silence.swept(100.06, SWEEP_S)
    silence.swept(100.06 + SWEEP_S + LATE_S - TICK, SWEEP_S)
    assert silence.step("n2", 99.0, 100.0 + SILENT_AFTER_S + TICK, True) is Step.GIVE_UP


def test_after_a_rest_the_first_sweep_is_not_late() -> None:
    silence = pinged(90.0)
    silence.swept(90.06, SWEEP_S)
    silence.rest()
    silence.swept(100.0, SWEEP_S)
    assert silence.step("n2", 99.0, 100.0, True) is Step.GIVE_UP


def test_where_pings_have_lately_been_slow_more_time_is_given() -> None:
    """A starved machine: a ping took 0.4 s, so one of 0.5 s is nothing special."""
    silence = Silence()
    silence.pinged("n3", 99.0)
    silence.heard("n3", 99.4)
    silence.pinged("n2", 99.4)
    silence.heard("n3", 99.5)
    assert silence.step("n2", 99.0, 99.9, True) is Step.WAIT
    assert silence.step("n2", 99.0, 100.5, True) is Step.GIVE_UP
    silence.heard("n2", 101.0)
    silence.pinged("n2", 131.0)
    silence.heard("n3", 131.1)
    assert silence.step("n2", 130.0, 131.0 + SILENT_AFTER_S + TICK, True) is Step.GIVE_UP, "lately is not long ago"


def test_a_silent_node_is_pinged_again_and_gets_another_chance() -> None:
    silence = pinged()
    assert silence.step("n2", 99.0, 100.3, True) is Step.GIVE_UP
    assert silence.silent(100.3) == ["n2"]
    assert silence.ping_is_due("n2", 100.0 + PING_AGAIN_S + TICK)
    assert silence.silent(100.3 + SILENT_MAX_S) == []
    silence = pinged()
    assert silence.step("n2", 99.0, 100.3, True) is Step.GIVE_UP
    silence.heard("n2", 101.0)
    assert silence.silent(101.0) == []
