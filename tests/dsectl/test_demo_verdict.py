"""The verdict of the demo: red when a promise broke, inconclusive when nothing was proven, and green only otherwise."""

from collections.abc import Callable
from dataclasses import fields

import pytest
from msgspec import json

from dsectl.demo.findings import Findings, Step, judge
from dsectl.ui.verdict import FAILED, INCONCLUSIVE, PASSED


def good() -> Findings:
    """A run in which everything happened, was checked, and held."""
    return Findings(
        cluster="demo-1",
        nodes=5,
        victim="n1",
        ready_s=0.4,
        writes={"ok": 91, "ok-sloppy": 10, "maybe": 1, "refused": 0},
        keys_acknowledged=100,
        coordinators={"n1": 20, "n2": 81},
        published=50,
        received=49,
        received_across=40,
        requests={"n1": 20, "n2": 30},
        outage_s=3.0,
        writes_in_outage=40,
        received_in_outage=20,
        requests_in_outage={"n2": 20},
        longest_gap_s=0.02,
        avoided_s=0.02,
        not_alive_s=0.02,
        dead_s=1.6,
        hints_peak=12,
        restart_s=0.3,
        alive_again_s=0.01,
        hints_delivered_s=0.1,
        hints_left=0,
        keys_compared=100,
        keys_caught_up=12,
        owners_equal_s=0.5,
        keys_read=100,
    )


def test_a_good_run_passes() -> None:
    verdict = judge(good())
    assert verdict.verdict == PASSED and verdict.exit_code == 0


BREAKS: list[tuple[str, Callable[[Findings], object]]] = [
    ("acknowledged and lost: 1 key (order-1)", lambda found: found.keys_lost.append("order-1")),
    ("not written last", lambda found: found.keys_wrong.append("order-1")),
    ("owners differ", lambda found: found.keys_unequal.append("order-1")),
    ("could not be read back", lambda found: found.keys_unreadable.append("order-1")),
    ("1 hints were not delivered", lambda found: setattr(found, "hints_left", 1)),
    ("n1 was not alive again", lambda found: setattr(found, "alive_again_s", None)),
    ("came twice", lambda found: setattr(found, "received_twice", 1)),
    ("nobody published", lambda found: setattr(found, "received_wrong", 1)),
    ("wrong answer", lambda found: setattr(found, "requests_wrong", 1)),
]


@pytest.mark.parametrize(("words", "break_it"), BREAKS, ids=[words for words, _ in BREAKS])
def test_a_broken_promise_is_red(words: str, break_it: Callable[[Findings], object]) -> None:
    found = good()
    break_it(found)
    verdict = judge(found)
    assert verdict.verdict == FAILED and verdict.exit_code == 1
    assert len(verdict.reasons) == 1 and words in verdict.reasons[0]


GAPS: list[tuple[str, object, str]] = [
    ("writes", {"ok": 0, "ok-sloppy": 0, "maybe": 3, "refused": 0}, "no write was acknowledged"),
    ("coordinators", {"n2": 101}, "not taken by different nodes"),
    ("received_across", 0, "no message went from one node to another"),
    ("requests", {"n1": 50}, "not answered by different nodes"),
    ("not_alive_s", None, "not noticed"),
    ("dead_s", None, "not noticed"),
    ("avoided_s", None, "no write had to go round"),
    ("requests_in_outage", {"n1": 1, "n2": 9}, "n1 answered after it was killed"),
    ("writes_in_outage", 0, "no write was acknowledged while"),
    ("received_in_outage", 0, "no message arrived while"),
    ("requests_in_outage", {}, "no request was answered while"),
    ("hints_peak", 0, "no hint was ever made"),
    ("hints_left", None, "could not be counted"),
    ("cut_short", True, "time was up"),
    ("keys_compared", 99, "the owners of 1 keys were not compared"),
    ("keys_read", 99, "1 keys were not read back"),
    ("keys_caught_up", 0, "owns nothing"),
]


@pytest.mark.parametrize(("name", "value", "words"), GAPS, ids=[f"{name}={value}" for name, value, _ in GAPS])
def test_what_did_not_happen_proves_nothing(name: str, value: object, words: str) -> None:
    found = good()
    setattr(found, name, value)
    verdict = judge(found)
    assert verdict.verdict == INCONCLUSIVE and verdict.exit_code == 3
    assert any(words in reason for reason in verdict.reasons), verdict.reasons


def test_a_run_that_was_cut_short_before_the_restart_is_not_red() -> None:
    found = good()
    found.cut_short, found.restart_s, found.alive_again_s, found.hints_left = True, None, None, 12
    assert judge(found).verdict == INCONCLUSIVE


def test_red_wins_over_inconclusive() -> None:
    found = good()
    found.hints_peak = 0
    found.keys_lost.append("order-1")
    assert judge(found).verdict == FAILED


def test_an_empty_run_is_not_green() -> None:
    assert judge(Findings()).verdict == INCONCLUSIVE


def test_every_finding_is_in_the_json() -> None:
    found = good()
    found.steps.append(Step(0.0, "A cluster starts", ["all see all"]))
    told = json.decode(json.encode(found.to_dict()))
    assert {field.name for field in fields(Findings)} <= set(told)
    assert told["steps"] == [{"at_s": 0.0, "title": "A cluster starts", "seen": ["all see all"]}]


def test_many_keys_are_told_by_number_and_example() -> None:
    found = good()
    found.keys_lost = [f"order-{number}" for number in range(9)]
    assert judge(found).reasons == ["acknowledged and lost: 9 keys (order-0, order-1, order-2, …)"]
