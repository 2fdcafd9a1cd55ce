"""Counts and latencies, from operations to the account: every operation once, also over several processes."""

from typing import Any

import pytest

from cluster.client.aio import Outcome
from cluster.errors import ClusterError, DeadlinePassed, Maybe, Overloaded, QuorumMissing, ServiceError
from dsectl.load.account import account_of
from dsectl.load.plan import KeySpace, LoadPlan
from dsectl.load.tally import LoadReport, Tally, merge

PLAN = LoadPlan("kv", "c", "run", rate=100.0, processes=2)


@pytest.mark.parametrize(
    ("outcome", "count", "refused", "timed"),
    [
        (ServiceError("KeyError"), "failed", False, 1),
        (Maybe("?"), "maybe", False, 1),
        (ClusterError("what?"), "maybe", False, 1),
        (DeadlinePassed("late"), "failed", True, 1),
        (QuorumMissing("few"), "failed", True, 0),
        (Overloaded("full"), "failed", True, 0),
    ],
)
def test_what_has_not_succeeded(outcome: Outcome, count: str, refused: bool, timed: int) -> None:
    """Refusals have no latency: else a cluster that refuses at once would look quick."""
    tally = Tally()
    kind = tally.kind("write")
    assert tally.went_wrong(kind, outcome, 1.0, 1.5, 2.0) is refused
    assert (getattr(kind, count), kind.service.count, kind.response.count) == (1, timed, timed)
    if timed:
        assert kind.service.percentile_ms(100.0) == pytest.approx(500, rel=0.001)
        assert kind.response.percentile_ms(100.0) == pytest.approx(1000, rel=0.001)


def offered(count: int) -> Tally:
    tally = Tally()
    for number in range(count):
        kind = tally.kind("read" if number % 2 else "write")
        kind.ok += 1
        kind.timed(0.0, 0.001, 0.002 + number / 1000)
        tally.offered += 1
        tally.lag.fresh.append(1000)
    return tally


def test_intervals_say_what_is_new_and_the_report_says_all() -> None:
    tally = offered(4)
    first = tally.interval(1.0, 1.0, 7)
    assert (first.offered, first.ok, first.in_flight) == (4, 4, 7)
    tally.kind("read").failed += 1
    tally.offered += 1
    second = tally.interval(2.0, 1.0, 0)
    assert (second.offered, second.ok, second.failed) == (1, 0, 1)
    assert second.summaries()["service"]["p99_ms"] is None
    report = tally.report()
    assert report.offered == 5 and report.kinds["read"].failed == 1
    account = account_of(PLAN, report, "now")
    assert account["ok"] == 4 and account["response"]["max_ms"] == pytest.approx(5, rel=0.001)


def test_two_processes_are_one_load() -> None:
    tallies = [offered(4), offered(10)]
    merged = merge([tally.interval(1.0, 1.0, 1) for tally in tallies])
    assert (merged.offered, merged.ok, merged.in_flight) == (14, 14, 2)
    reports = [tally.report() for tally in tallies]
    reports[0].sending_s = reports[1].sending_s = 2.0
    reports[0].lost, reports[1].unchecked, reports[1].stopped = 1, 2, True
    reports[1].errors = {"maybe": 1}
    reports[0].errors = {"maybe": 2, "no-quorum": 1}
    account = account_of(PLAN, merge(reports), "now")
    assert (account["ok"], account["offered_per_s"], account["achieved_per_s"]) == (14, 7.0, 7.0)
    assert (account["lost"], account["unchecked"], account["stopped"]) == (1, 2, True)
    assert account["errors"] == {"maybe": 3, "no-quorum": 1}
    assert account["operations"]["write"]["ok"] == 7


def test_a_process_that_never_reported_is_in_the_account() -> None:
    merged = merge([offered(2).report(), LoadReport(silent=["generator 1: it was ended"])])
    assert account_of(PLAN, merged, "now")["silent"] == ["generator 1: it was ended"]


def test_what_was_never_sent_counts_as_the_latency_that_it_had() -> None:
    tally = offered(1)
    tally.unsent.fresh.append(3_000_000)
    account = account_of(PLAN, tally.report(), "now")
    assert account["response"]["max_ms"] == pytest.approx(3000, rel=0.001)
    assert account["service"]["max_ms"] == pytest.approx(1, rel=0.001)


@pytest.mark.parametrize(
    ("options", "processes"), [({"rate": 90.0, "clients": 7}, 3), ({"rate": None, "clients": 5}, 2), ({}, 1)]
)
def test_shares_add_up(options: dict[str, Any], processes: int) -> None:
    plan = LoadPlan("kv", "c", "run", processes=processes, keys=KeySpace(100), **options)
    shares = [plan.share(process) for process in range(processes)]
    assert sum(share.keys.count for share in shares) == 100
    assert sum(share.clients or 0 for share in shares) == (plan.clients or 0)
    assert sum(share.rate or 0 for share in shares) == pytest.approx(plan.rate or 0)
    assert len({share.name for share in shares}) == len({share.seed for share in shares}) == processes
