"""Rates of services: differences of totals over each node's own time."""

from typing import Any

import msgspec
import pytest

from cluster.errors import UnknownCluster
from cluster.requests.figures import Figures
from dsectl.snapshot.services import ServicesSnapshot, ServiceStats, service_views
from dsectl.top.picture import TopChoices, top_plain
from dsectl.top.rates import Flow, FlowKey, ServiceRates, together, total
from dsectl.ui.text import PLAIN, painted
from tests.dsectl.snapshot.services import FAST, SLOW, endpoint, service, stats, totals


def look(at: float, **nodes: dict[str, Any]) -> ServicesSnapshot:
    said = {name: msgspec.convert(one, ServiceStats) for name, one in nodes.items()}
    views = {name: service_views([service("flaky", endpoint("n1"), endpoint("n2"))]) for name in nodes}
    return ServicesSnapshot("c", at, 1_700_000_000.0 + at, stats=said, views=views)


WHOLE = FlowKey("n1", "flaky", "work", "", 0)


def test_a_rate_is_the_difference_over_the_nodes_own_time() -> None:
    rates = ServiceRates()
    rates.add(look(0.0, n1=stats(10.0, totals("flaky.work", calls=100, failed=10, shed=4))))
    assert not rates.is_known and rates.flows == {}
    after = totals("flaky.work", calls=300, failed=30, shed=8, retries=5, hedges=2, declared=1, in_flight=7)
    rates.add(look(9.0, n1=stats(12.0, after)))
    flow = rates.flows[WHOLE]
    assert (flow.calls, flow.failed, flow.shed) == (100.0, 10.0, 2.0), "two seconds of the node's time"
    assert (flow.retries, flow.hedges, flow.declared, flow.in_flight) == (2.5, 1.0, 0.5, 7)
    assert flow.took == {FAST: 200} and (flow.quantile_s(0.99) or 1) < 0.001


def test_what_a_node_counts_is_shown_as_it_counts_it() -> None:
    counted = Figures()

    def said(uptime_s: float) -> dict[str, Any]:
        row = {"service": "flaky", "operation": "work", "endpoint": "", "version": 0, "in_flight": 0}
        return stats(uptime_s, {**row, **counted.told()})

    rates = ServiceRates()
    rates.add(look(0.0, n1=said(1.0)))
    counted.shed, counted.failed, counted.declared = 50, 3, 2
    for _ in range(10):
        counted.latencies.note(0.001)
    rates.add(look(1.0, n1=said(2.0)))
    flow = rates.flows[WHOLE]
    assert (flow.calls, flow.shed, flow.failed, flow.declared) == (60.0, 50.0, 3.0, 2.0)
    line = next(one for one in top_plain(rates, 110, TopChoices()) if painted(one, PLAIN).startswith("flaky.work"))
    assert painted(line, PLAIN).split()[4:7] == ["3.0", "2.0", "50"], "many that were shed hide no error"


def test_what_is_over_for_long_is_in_no_rate() -> None:
    rates = ServiceRates()
    for second in range(10):
        calls = 1000 if second else 0
        rates.add(look(second, n1=stats(1.0 + second, totals("flaky.work", calls=calls))))
        if second == 1:
            assert rates.flows[WHOLE].calls == 1000.0
    assert rates.flows[WHOLE].calls == 0.0 and rates.flows[WHOLE].took == {}


def test_a_boot_begins_from_zero_and_a_silent_node_adds_nothing() -> None:
    rates = ServiceRates()
    busy = {second: stats(5.0 + second, totals("flaky.work", calls=100 * second)) for second in range(4)}
    rates.add(look(0.0, n1=busy[0], n2=busy[0]))
    rates.add(look(1.0, n1=busy[1], n2=busy[1]))
    assert total(rates.calls().values()).calls == 200.0
    rates.add(look(2.0, n1=busy[2]))
    assert total(rates.calls().values()).calls == 100.0
    rates.add(look(3.0, n1=stats(0.5, totals("flaky.work", calls=3), epoch=2)))
    assert rates.flows == {}, "one answer of this boot"
    rates.add(look(4.0, n1=stats(1.5, totals("flaky.work", calls=13), epoch=2)))
    assert rates.flows[WHOLE].calls == 10.0


def test_another_cluster_of_the_same_name_begins_anew() -> None:
    rates = ServiceRates()
    rates.add(look(0.0, n1=stats(1.0, totals("flaky.work", calls=5))))
    rates.add(ServicesSnapshot("c", 1.0, 1.0, UnknownCluster("unknown cluster 'c'")))
    rates.add(look(2.0, n1=stats(3.0, totals("flaky.work", calls=500))))
    assert rates.flows == {}


def test_calls_and_attempts_are_kept_apart_and_add_up() -> None:
    rates = ServiceRates()
    for second in range(2):
        rows = [
            totals("flaky.work", calls=second * 10), totals("flaky.work", "n1", second * 8),
            totals("flaky.work", "n2", second * 4, SLOW), totals("echo.echo", calls=second),
        ]  # fmt: skip
        rates.add(look(second, n1=stats(1.0 + second, *rows), n2=stats(1.0 + second, *rows)))
    calls = together(rates.calls(), lambda row: f"{row.service}.{row.operation}")
    assert {name: flow.calls for name, flow in calls.items()} == {"flaky.work": 20.0, "echo.echo": 2.0}
    attempts = together(rates.attempts(), lambda row: row.endpoint)
    assert {name: flow.calls for name, flow in attempts.items()} == {"n1": 16.0, "n2": 8.0}
    assert (attempts["n2"].quantile_s(0.5) or 0) > 0.1 and attempts["n1"].quantile_s(0.99) == pytest.approx(
        0.0007, rel=1
    )
    assert total([]) == Flow()
