"""Lengths of suspicions, as tables of inputs and expected durations (after memberlist's suspicion_test.go)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import lan_membership, local_membership
from cluster.membership.member import Incarnation
from cluster.membership.suspicion import Suspicion, confirmations_expected, suspicion_timeout_s


# memberlist's TestSuspicion_remainingSuspicionTime, with k = 3, min = 2 s, max = 30 s; the last column is what remains.
@pytest.mark.parametrize(
    ("confirmations", "elapsed", "remaining"),
    [(0, 0, 30.0), (1, 2, 14.0), (2, 3, 4.81), (3, 4, -2.0), (4, 5, -3.0), (5, 10, -8.0)],
)
def test_lifeguard_4_b_remaining_time(confirmations: int, elapsed: float, remaining: float) -> None:
    whole = suspicion_timeout_s(confirmations, 3, 2.0, 30.0)
    assert whole - elapsed == pytest.approx(remaining, abs=0.002)


@pytest.mark.parametrize("expected", [0, -1, -2])
def test_without_anyone_to_confirm_it_is_the_shortest(expected: int) -> None:
    assert suspicion_timeout_s(0, expected, 2.0, 30.0) == 2.0


@pytest.mark.parametrize(
    ("mult", "members", "expected"), [(4, 5, 2), (4, 4, 2), (4, 3, 1), (4, 2, 0), (5, 50, 3), (2, 50, 0), (4, 1, -1)]
)
def test_who_may_confirm(mult: int, members: int, expected: int) -> None:
    assert confirmations_expected(mult, members) == expected


@pytest.mark.parametrize(
    ("preset", "members", "shortest", "longest"),
    [("local", 5, 1.6, 9.6), ("local", 50, 2.718, 16.31), ("lan", 5, 5.0, 30.0), ("lan", 100, 10.0, 60.0)],
)
def test_presets(preset: str, members: int, shortest: float, longest: float) -> None:
    settings = {"local": local_membership, "lan": lan_membership}[preset]()
    assert settings.suspicion_min_s(members) == pytest.approx(shortest, abs=0.01)
    assert settings.suspicion_max_s(members) == pytest.approx(longest, abs=0.01)


@given(st.integers(0, 6), st.integers(1, 6))
def test_each_confirmation_shortens_within_the_bounds(confirmations: int, expected: int) -> None:
    before = suspicion_timeout_s(confirmations, expected, 2.0, 30.0)
    after = suspicion_timeout_s(confirmations + 1, expected, 2.0, 30.0)
    assert 2.0 <= after <= before <= 30.0


def test_only_other_accusers_confirm_and_only_as_many_as_expected() -> None:
    suspicion = Suspicion(Incarnation(1, 0), "n1", expected=2, min_s=2.0, max_s=30.0, started=100.0)
    assert suspicion.deadline == 130.0
    assert not suspicion.confirm("n1")
    assert suspicion.confirm("n2")
    assert not suspicion.confirm("n2")
    assert suspicion.confirm("n3")
    assert suspicion.deadline == 102.0
    assert not suspicion.confirm("n4")
    assert suspicion.confirmations == 2


def test_time_that_was_slept_through_is_given_back() -> None:
    suspicion = Suspicion(Incarnation(1, 0), "n1", expected=2, min_s=2.0, max_s=30.0, started=100.0)
    suspicion.extend(125.0)
    assert suspicion.deadline == 130.0
    suspicion.extend(131.0)
    assert suspicion.deadline == 131.0
