"""Where keys belong: the same place for all, moved as little as can be, and never too many at one endpoint."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from cluster.requests.affinity import LOAD_BOUND, belongs_to, draw_of, seed_of

KEYS = [f"user-{number}" for number in range(2000)]


@dataclass
class One:
    """An endpoint."""

    name: str
    in_flight: int = 0

    @property
    def seed(self) -> int:
        return seed_of(self.name)


def some(count: int) -> list[One]:
    return [One(f"n{number + 1}") for number in range(count)]


def homes(endpoints: list[One]) -> dict[str, str]:
    return {key: belongs_to(key, endpoints).name for key in KEYS}


def test_keys_are_spread_evenly() -> None:
    shares = Counter(homes(some(5)).values())
    assert all(320 < shares[f"n{number}"] < 480 for number in range(1, 6)), shares


def test_the_order_of_endpoints_does_not_matter() -> None:
    assert homes(some(5)) == homes(some(5)[::-1])


def test_an_endpoint_that_goes_moves_only_its_own_keys() -> None:
    before, after = homes(some(5)), homes(some(4))
    assert {before[key] for key in KEYS if before[key] != after[key]} == {"n5"}


def test_a_hot_key_spills_over_when_its_endpoint_has_more_than_its_share() -> None:
    endpoints, got = some(4), Counter[str]()
    for number in range(1, 101):
        one = belongs_to("hot", endpoints)
        one.in_flight += 1
        got[one.name] += 1
        assert max(each.in_flight for each in endpoints) <= LOAD_BOUND * number / 4 + 1
    assert len(got) == 4


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.text(max_size=20))
def test_no_endpoint_gets_a_call_over_the_bound(in_flight: list[int], key: str) -> None:
    endpoints = [One(f"n{number}", count) for number, count in enumerate(in_flight)]
    chosen = belongs_to(key, endpoints)
    assert chosen.in_flight < LOAD_BOUND * (sum(in_flight) + 1) / len(in_flight) + 1


def test_draws_are_even_and_steady() -> None:
    draws = [draw_of(key) for key in KEYS]
    assert draws == [draw_of(key) for key in KEYS]
    assert 0.08 < sum(draw < 0.1 for draw in draws) / len(draws) < 0.12
