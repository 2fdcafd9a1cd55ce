"""The balancer: its arithmetic, and where a thousand calls go."""

from collections import Counter
from math import exp, isclose
from random import Random
from timeit import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.requests.balancer import FLOOR_S, PENALTY_S, TAU_S, EndpointLoad, better_of_two, nearest

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


Loads = dict[str, EndpointLoad]


def loads(*names: str) -> Loads:
    return {name: EndpointLoad() for name in names}


def spread(latencies_s: dict[str, float], calls: int = 4000, *, far: tuple[str, ...] = ()) -> Counter[str]:
    """Where `calls` calls go, one each millisecond; those in `far` are in another zone."""
    random, chosen, under_way = Random(1).random, Counter[str](), list[tuple[float, str]]()
    known = loads(*latencies_s)
    name_of = {id(load): name for name, load in known.items()}
    local = [load for name, load in known.items() if name not in far]
    others = [load for name, load in known.items() if name in far]
    for number in range(calls):
        now = number / 1000
        for end, name in [one for one in under_way if one[0] <= now]:
            known[name].in_flight -= 1
            known[name].observe(latencies_s[name], end)
        under_way = [one for one in under_way if one[0] > now]
        load = nearest(local, others, random, now)
        load.in_flight += 1
        name = name_of[id(load)]
        chosen[name] += 1
        under_way.append((now + latencies_s[name], name))
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


def test_an_endpoint_that_fails_at_once_is_avoided() -> None:
    known, random, chosen = loads("n1", "n2"), Random(1).random, Counter[str]()
    for number in range(1000):
        load = better_of_two(list(known.values()), random, number / 1000)
        failed = load is known["n1"]
        chosen["n1" if failed else "n2"] += 1
        load.observe(PENALTY_S if failed else 0.0001, number / 1000)
    assert chosen["n1"] == 1


def test_the_own_zone_comes_first() -> None:
    assert spread({"n1": 0.0005, "n2": 0.0005, "far": 0.0005}, far=("far",))["far"] == 0


def test_another_zone_takes_what_is_over() -> None:
    """Ten calls under way at a time: the own zone has to be half as busy again before one goes elsewhere."""
    shares = spread({"near": 0.010, "far": 0.010}, far=("far",))
    assert 0.5 < shares["near"] / 4000 < 0.7, shares
    assert spread({"near": 0.100, "far": 0.010}, far=("far",))["far"] > 3000


@pytest.mark.parametrize(("near_in_flight", "goes_far"), [(0, False), (1, True), (2, True)])
def test_where_it_spills(near_in_flight: int, goes_far: bool) -> None:
    near, far = EndpointLoad(), EndpointLoad()
    near.in_flight = near_in_flight
    assert (nearest([near], [far], Random(1).random, 0.0) is far) == goes_far
    near.in_flight, far.in_flight = 2, 1  # 3 : 2, which is just not too much
    assert nearest([near], [far], Random(1).random, 0.0) is near


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1000))
def test_the_chosen_is_one_of_those_offered(near: int, far: int, seed: int) -> None:
    local, others = [EndpointLoad() for _ in range(near)], [EndpointLoad() for _ in range(far)]
    if near + far:
        assert nearest(local, others, Random(seed).random, 0.0) in [*local, *others]


def test_a_cancelled_call_shows_that_it_was_slow_and_never_that_it_was_quick() -> None:
    load = EndpointLoad()
    load.observe(0.5, 0.0)
    load.took_at_least(0.1, 0.1)
    assert load.latency_s == 0.5
    load.took_at_least(2.0, 2.0)
    assert load.latency_s == 2.0


@pytest.mark.bench
def test_the_cost_of_a_choice() -> None:
    known, random = list(loads(*NODES).values()), Random(1).random
    for load in known:
        load.observe(0.01, 0.0)
    took = timeit(lambda: nearest(known, (), random, 1.0).observe(0.01, 1.0), number=100_000) / 100_000
    print(f"a choice and its end {took * 1e9:.0f} ns")  # noqa: T201
    assert took < 1e-4
