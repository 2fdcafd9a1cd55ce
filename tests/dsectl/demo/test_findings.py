"""The verdict of the demo: red when a promise broke, inconclusive when nothing was proven, and green only otherwise."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from msgspec import json

from dsectl.demo.findings import Findings, Step, judge
from dsectl.load.account import Account, account_of
from dsectl.load.plan import KV, PUBLISH, QUEUE, REQUEST, LoadPlan
from dsectl.load.tally import LoadReport
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED


def account(family: str, **changes: Any) -> Account:
    """Of a load that was answered and checked, though its generator was late: the demo promises no rate."""
    return account_of(LoadPlan(family, "demo-1", "run", 100.0), LoadReport(prepared=1000), "now") | {
        "ok": 100, "checked": 100, "delivered": 100, "missed": 90, "unanswered": 0, **changes,
    }  # fmt: skip


def good() -> Findings:
    """A run in which everything happened, was checked, and held."""
    return Findings(
        cluster="demo-1",
        nodes=5,
        victim="n1",
        ready_s=0.4,
        load={family: account(family) for family in (KV, PUBLISH, REQUEST, QUEUE)},
        writes=101,
        messages=49,
        requests=50,
        coordinators={"n1": 20, "n2": 81},
        answered_by={"n1": 20, "n2": 30},
        messages_across=40,
        outage_s=3.0,
        writes_in_outage=40,
        messages_in_outage=20,
        requests_in_outage={"n2": 20},
        jobs_in_outage=20,
        longest_gap_s=0.02,
        avoided_s=0.02,
        not_alive_s=0.02,
        dead_s=1.6,
        hints_peak=12,
        restart_s=0.3,
        alive_again_s=0.01,
        hints_delivered_s=0.1,
        hints_left=0,
        keys_acknowledged=100,
        keys_compared=100,
        keys_caught_up=12,
        showcase_kept=True,
    )


def test_a_good_run_passes() -> None:
    verdict = judge(good())
    assert verdict.verdict == PASSED and verdict.exit_code == 0


def _set(name: str, value: object) -> Callable[[Findings], object]:
    return lambda found: setattr(found, name, value)


def _load(family: str, **changes: Any) -> Callable[[Findings], object]:
    return lambda found: found.load[family].update(changes)


BREAKS: list[tuple[str, Callable[[Findings], object]]] = [
    ("1 acknowledged writes are lost (load kv)", _load(KV, lost=1)),
    ("was read or received that was never sent (load kv)", _load(KV, unexpected=1)),
    ("does not hold what was acknowledged", _set("showcase_kept", False)),
    ("the owners of 1 key differ: order-1", _set("keys_unequal", ["order-1"])),
    ("the owners of 9 keys differ: 0, 1, 2, …", _set("keys_unequal", [*"012345678"])),
    ("1 hint was not delivered", _set("hints_left", 1)),
    ("n1 was not considered alive again", _set("alive_again_s", None)),
    ("1 messages came twice (load publish)", _load(PUBLISH, duplicated=1)),
    ("never sent (load publish)", _load(PUBLISH, unexpected=1)),
    ("never sent (load request)", _load(REQUEST, unexpected=1)),
    ("1 acknowledged messages are lost (load queue)", _load(QUEUE, lost=1)),
]


@pytest.mark.parametrize(("words", "break_it"), BREAKS, ids=[words for words, _ in BREAKS])
def test_a_broken_promise_is_red(words: str, break_it: Callable[[Findings], object]) -> None:
    found = good()
    break_it(found)
    verdict = judge(found)
    assert verdict.verdict == FAILED and verdict.exit_code == 1
    assert len(verdict.reasons) == 1 and words in verdict.reasons[0]


GAPS: list[tuple[str, Callable[[Findings], object]]] = [
    ("no operation succeeded (load kv)", _load(KV, ok=0)),
    ("3 keys could not be read back strictly", _load(KV, unchecked=3)),
    ("no message arrived at all (load publish)", _load(PUBLISH, delivered=0)),
    ("not every load gave its account", lambda found: found.load.pop(REQUEST)),
    ("not coordinated by different nodes", _set("coordinators", {"n2": 101})),
    ("no message went from one node to another", _set("messages_across", 0)),
    ("not answered by different nodes", _set("answered_by", {"n1": 50})),
    ("not noticed", _set("not_alive_s", None)),
    ("not noticed", _set("dead_s", None)),
    ("no write had to avoid", _set("avoided_s", None)),
    ("n1 answered after it was killed", _set("requests_in_outage", {"n1": 1, "n2": 9})),
    ("no write was acknowledged while", _set("writes_in_outage", 0)),
    ("no message arrived while", _set("messages_in_outage", 0)),
    ("no request was answered while", _set("requests_in_outage", {})),
    ("no job was done while", _set("jobs_in_outage", 0)),
    ("the queue was not drained", _load(QUEUE, unchecked=1)),
    ("no hint was ever stored", _set("hints_peak", 0)),
    ("could not be counted", _set("hints_left", None)),
    ("time was up", _set("cut_short", True)),
    ("was not read back", _set("showcase_kept", None)),
    ("the owners of 1 key were not compared", _set("keys_compared", 99)),
    ("owns nothing", _set("keys_caught_up", 0)),
]


@pytest.mark.parametrize(("words", "leave_out"), GAPS, ids=[f"{at} {words}" for at, (words, _) in enumerate(GAPS)])
def test_what_did_not_happen_proves_nothing(words: str, leave_out: Callable[[Findings], object]) -> None:
    found = good()
    leave_out(found)
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
    found.load[KV]["lost"] = 1
    assert judge(found).verdict == FAILED


def test_an_empty_run_is_not_green() -> None:
    assert judge(Findings()).verdict == INCONCLUSIVE


def test_every_finding_is_in_the_json() -> None:
    found = good()
    found.steps.append(Step(0.0, "A cluster starts", ["all see all"]))
    told = json.decode(json.encode(found))
    assert {field.name for field in fields(Findings)} <= set(told)
    assert told["steps"] == [{"at_s": 0.0, "title": "A cluster starts", "seen": ["all see all"]}]
