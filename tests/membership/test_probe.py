"""One probe's answers and verdict, and the order of the rounds."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.membership.probe import Probe, ProbeOrder, ProbeOutcome


def probe(*helpers: str) -> Probe:
    made = Probe("n9", sequence=7, started=10.0, timeout_s=0.2)
    if helpers:
        made.ask(list(helpers))
    return made


def test_swim_3_1_the_target_or_a_helper_may_answer_once() -> None:
    direct = probe()
    assert not direct.on_ack("n2"), "not asked"
    assert direct.on_ack("n9")
    assert not direct.on_ack("n9")
    assert direct.verdict(stalled=False) is ProbeOutcome.ANSWERED
    helped = probe("n2", "n3")
    assert helped.on_ack("n3")
    assert helped.answered_by == "n3"


def test_silence_is_failure() -> None:
    assert probe("n2").verdict(stalled=False) is ProbeOutcome.FAILED


def test_a_stall_makes_silence_void_but_not_an_answer() -> None:
    starved = probe("n2")
    assert starved.verdict(stalled=True) is ProbeOutcome.VOID
    starved.on_ack("n9")
    assert starved.verdict(stalled=True) is ProbeOutcome.ANSWERED


# Lifeguard (2018) section IV.A: helpers asked, those still believed alive, nacks, and how health changes on failure.
@pytest.mark.parametrize(
    ("helpers", "live", "nacks", "delta"),
    [
        ("", "", "", 1),
        ("abc", "abc", "abc", 0),
        ("abc", "abc", "a", 2),
        ("abc", "abc", "", 3),
        ("abc", "ab", "a", 1),
        ("abc", "abc", "xyz", 3),
    ],
)
def test_lifeguard_4_a_missing_nacks_accuse_ourselves(helpers: str, live: str, nacks: str, delta: int) -> None:
    failed = probe(*helpers)
    for helper in nacks:
        failed.on_nack(helper)
    assert failed.health_delta(ProbeOutcome.FAILED, list(live)) == delta
    assert failed.health_delta(ProbeOutcome.ANSWERED, list(live)) == -1
    assert failed.health_delta(ProbeOutcome.VOID, list(live)) == 1


def test_evidence_is_told_in_words() -> None:
    failed = probe("n1", "n4")
    failed.on_nack("n4")
    failed.stream_asked = True
    expected = "no ack from n9 in 200 ms, nor through n1, n4 (1 of 2 sent a nack), nor over a stream"
    assert failed.evidence() == expected


@given(st.integers(1, 20), st.integers())
def test_swim_4_3_every_member_is_probed_once_a_round(count: int, seed: int) -> None:
    order = ProbeOrder(Random(seed))
    names = [f"n{number}" for number in range(count)]
    for _ in range(3):
        assert sorted(str(order.next(names)) for _ in names) == sorted(names)


def test_swim_4_3_bounds_the_time_between_two_probes_of_a_member() -> None:
    order = ProbeOrder(Random(3))
    names = [f"n{number}" for number in range(10)]
    seen = [order.next(names) for _ in range(1000)]
    for name in names:
        places = [place for place, probed in enumerate(seen) if probed == name]
        assert max(after - before for before, after in pairwise(places)) <= 2 * len(names) - 1


def test_a_new_member_is_probed_within_the_round_that_runs() -> None:
    order = ProbeOrder(Random(5))
    names = ["n1", "n2", "n3", "n4"]
    order.next(names)
    order.add("n5")
    assert "n5" in [order.next([*names, "n5"]) for _ in range(4)]


def test_nobody_to_probe() -> None:
    order = ProbeOrder(Random(1))
    assert order.next([]) is None
    order.add("n1")
    assert order.next([]) is None, "it has left since"
