"""The verdict of the demo: red when a promise broke, inconclusive when nothing was proven, and green only otherwise."""

from collections.abc import Callable
from dataclasses import fields

import pytest

from dsectl.demo.findings import FAILED, INCONCLUSIVE, PASSED, Findings, judge


def good() -> Findings:
    """A run in which everything happened and held."""
    return Findings(
        nodes=5,
        victim="n1",
        ready_s=0.4,
        writes={"ok": 90, "ok-sloppy": 10, "maybe": 1, "refused": 0},
        acknowledged_in_outage=40,
        longest_gap_s=0.02,
        published=50,
        received=49,
        requests={"n1": 20, "n2": 30},
        not_alive_s=0.02,
        dead_s=1.6,
        hints_peak=12,
        alive_again_s=0.01,
        hints_delivered_s=0.1,
        keys_compared=100,
        keys_read=100,
    )


def test_a_good_run_passes() -> None:
    verdict = judge(good())
    assert verdict.verdict == PASSED and verdict.exit_code == 0


BREAKS: list[tuple[str, Callable[[Findings], object]]] = [
    ("lost", lambda found: found.keys_lost.append("order-1")),
    ("never written", lambda found: found.keys_wrong.append("order-1")),
    ("differ", lambda found: found.keys_unequal.append("order-1")),
    ("not delivered", lambda found: setattr(found, "hints_left", 1)),
    ("not alive again", lambda found: setattr(found, "alive_again_s", None)),
    ("could not be read back", lambda found: setattr(found, "keys_read", 99)),
]


@pytest.mark.parametrize(("words", "break_it"), BREAKS)
def test_a_broken_promise_is_red(words: str, break_it: Callable[[Findings], object]) -> None:
    found = good()
    break_it(found)
    verdict = judge(found)
    assert verdict.verdict == FAILED and verdict.exit_code == 1
    assert any(words in reason for reason in verdict.reasons), verdict.reasons


GAPS: list[tuple[str, object]] = [
    ("writes", {"ok": 0, "ok-sloppy": 0, "maybe": 3, "refused": 0}),
    ("acknowledged_in_outage", 0),
    ("not_alive_s", None),
    ("dead_s", None),
    ("hints_peak", 0),
    ("received", 0),
    ("requests", {"n1": 50}),
    ("keys_compared", 0),
]


@pytest.mark.parametrize(("name", "value"), GAPS)
def test_what_did_not_happen_proves_nothing(name: str, value: object) -> None:
    found = good()
    setattr(found, name, value)
    verdict = judge(found)
    assert verdict.verdict == INCONCLUSIVE and verdict.exit_code == 3 and verdict.reasons


def test_red_wins_over_inconclusive() -> None:
    found = good()
    found.hints_peak = 0
    found.keys_lost.append("order-1")
    assert judge(found).verdict == FAILED


def test_an_empty_run_is_not_green() -> None:
    assert judge(Findings()).verdict == INCONCLUSIVE


def test_the_json_holds_every_finding() -> None:
    assert {field.name for field in fields(Findings)} <= set(good().to_dict())
