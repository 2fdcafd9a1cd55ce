"""The balancer: its arithmetic, and where a thousand calls go."""

from collections import Counter
from math import exp, isclose
from random import Random
from timeit import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.requests.balancer import FLOOR_S, PENALTY_S, TAU_S, Balancer, EndpointLoad

NODES = ("n1", "n2", "n3", "n4")


def test_a_worse_latency_counts_at_once_and_fades() -> None:
    load = EndpointLoad()
    load.observe(0.010, 0.0)
    load.observe(0.200, 1.0)
    assert load.latency_s == 0.200
    load.observe(0.010, 1.0 + TAU_S)
    assert isclose(load.latency_s, 0.200 * exp(-1) + 0.010 * (1 - exp(-1)))


def test_what_is_not_called_looks_better_with_time() -> None:
    load = EndpointLoad()
    load.observe(1.0, 0.0)
    costs = [load.cost(seconds) for seconds in (0, 1, 5, 100)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == 1.0 and costs[-1] == FLOOR_S


def test_calls_in_flight_multiply_the_cost() -> None:
    load = EndpointLoad()
    load.observe(0.5, 0.0)
    load.in_flight = 3
    assert load.cost(0.0) == 2.0


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=20))
def test_a_latency_stays_between_the_observed_ones(observed: list[tuple[float, float]]) -> None:
    load, now = EndpointLoad(), 0.0
    for latency, gap in observed:
        now += gap
        load.observe(latency, now)
        assert 0 <= load.latency_s <= max(one for one, _ in observed)
        assert load.cost(now) >= FLOOR_S


@given(st.lists(st.sampled_from(NODES), min_size=1, unique=True), st.integers(0, 1000))
def test_the_chosen_is_one_of_those_offered(nodes: list[str], seed: int) -> None:
    assert Balancer(Random(seed)).choose(nodes, 0.0) in nodes


def spread(latencies_s: dict[str, float], calls: int = 4000) -> Counter[str]:
    """Where `calls` calls go, one each millisecond."""
    balancer, chosen, under_way = Balancer(Random(1)), Counter[str](), list[tuple[float, str, EndpointLoad]]()
    for number in range(calls):
        now = number / 1000
        for end, node, load in [one for one in under_way if one[0] <= now]:
            balancer.end(load, latencies_s[node], end)
        under_way = [one for one in under_way if one[0] > now]
        node = balancer.choose(tuple(latencies_s), now)
        chosen[node] += 1
        under_way.append((now + latencies_s[node], node, balancer.begin(node)))
    return chosen


def test_equal_endpoints_get_equal_shares() -> None:
    shares = spread(dict.fromkeys(NODES, 0.02))
    assert all(900 < shares[node] < 1100 for node in NODES)


def test_differences_below_the_floor_do_not_matter() -> None:
    shares = spread({"here": 0.000_01, "there": 0.000_9})
    assert 1800 < shares["here"] < 2200


def test_a_slow_endpoint_gets_little() -> None:
    shares = spread({"n1": 0.02, "n2": 0.02, "n3": 0.02, "slow": 1.0})
    assert 0 < shares["slow"] < 250  # a quarter of the first second, before anything is known, and a trickle


def test_an_endpoint_that_refuses_at_once_is_avoided() -> None:
    balancer = Balancer(Random(1))
    chosen = Counter[str]()
    for number in range(1000):
        now = number / 1000
        node = balancer.choose(NODES[:2], now)
        chosen[node] += 1
        balancer.end(balancer.begin(node), 0.0001, now, answered=node != "n1")
    assert chosen["n1"] == 1
    assert balancer.load("n1").latency_s == PENALTY_S


def test_what_is_forgotten_starts_anew() -> None:
    balancer = Balancer(Random(1))
    under_way = balancer.begin("n1")
    balancer.forget("n1")
    balancer.end(under_way, 9.0, 0.0)
    assert balancer.load("n1").in_flight == 0 and balancer.load("n1").latency_s == 0.0


@pytest.mark.bench
def test_the_cost_of_a_choice() -> None:
    balancer = Balancer(Random(1))
    for node in NODES:
        balancer.load(node).observe(0.01, 0.0)
    took = (
        timeit(lambda: balancer.end(balancer.begin(balancer.choose(NODES, 1.0)), 0.01, 1.0), number=100_000) / 100_000
    )
    print(f"a choice and its end {took * 1e9:.0f} ns")  # noqa: T201
    assert took < 1e-4
