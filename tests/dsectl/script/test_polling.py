"""When a poll ends, and what it tells."""

import pytest

from dsectl.script.polling import Look, Polling
from dsectl.script.values import MISSING
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED


def look(seen: object, holds: bool) -> Look:
    return Look(0, seen, holds)


def failed(code: int) -> Look:
    return Look(code, MISSING, False, f"exit {code}")


def test_within_passes_at_the_first_look_that_holds() -> None:
    polling = Polling(False, 1.0)
    assert polling.on_look(look("alive", False), 0.01) is None
    assert polling.on_look(look("dead", True), 0.4) == PASSED


@pytest.mark.parametrize("code", [1, 4, 5, 6, 7])
def test_within_goes_on_after_failures_that_may_pass(code: int) -> None:
    assert Polling(False, 1.0).on_look(failed(code), 0.1) is None


def test_within_fails_at_once_when_the_command_is_wrong() -> None:
    assert Polling(False, 1.0).on_look(failed(2), 0.1) == FAILED


@pytest.mark.parametrize("always", [True, False])
def test_an_inconclusive_look_is_the_verdict(always: bool) -> None:
    assert Polling(always, 1.0).on_look(failed(3), 0.1) == INCONCLUSIVE


def test_within_fails_when_the_time_is_up() -> None:
    polling = Polling(False, 1.0)
    assert polling.on_look(look("alive", False), 0.5) is None
    assert polling.on_look(look("alive", False), 1.0) == FAILED


def test_what_held_too_late_does_not_count() -> None:
    polling = Polling(False, 1.0)
    assert polling.on_look(look("alive", False), 0.5) is None
    assert polling.on_look(look("dead", True), 1.5) == FAILED


def test_a_single_slow_look_counts() -> None:
    assert Polling(False, 0.1).on_look(look("dead", True), 0.3) == PASSED


def test_always_holds_to_the_end() -> None:
    polling = Polling(True, 1.0)
    assert polling.on_look(look(1, True), 0.1) is None
    assert polling.on_look(look(1, True), 1.0) == PASSED


@pytest.mark.parametrize("wrong", [look(2, False), failed(5)])
def test_always_fails_at_the_first_look_that_does_not_hold(wrong: Look) -> None:
    polling = Polling(True, 1.0)
    assert polling.on_look(look(1, True), 0.1) is None
    assert polling.on_look(wrong, 0.2) == FAILED


def test_the_last_pause_ends_with_the_time() -> None:
    polling = Polling(False, 1.0)
    pauses = [polling.pause_s(0.0) for _ in range(10)]
    assert pauses[0] == 0.05 and pauses == sorted(pauses) and pauses[-1] == 0.25
    assert polling.pause_s(0.9) == pytest.approx(0.1)
    assert polling.pause_s(2.0) == 0.0


def test_the_story_tells_each_change_once() -> None:
    polling = Polling(False, 9.0)
    for number, state in enumerate(["alive", "alive", "suspect", "suspect", "alive"]):
        polling.on_look(look(state, False), float(number))
    assert polling.story == '5 looks: "alive" at 0s, "suspect" at 2s, "alive" at 4s'


def test_a_story_has_an_end() -> None:
    polling = Polling(False, 9.0)
    for number in range(100):
        polling.on_look(look(number, False), 0.01)
    assert polling.story.endswith("and 80 more changes")
