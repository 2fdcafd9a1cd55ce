"""Redial times grow, jitter, and end when the peer is heard."""

from random import Random

from cluster.transport.lane import Backoff


def test_it_doubles_up_to_the_most_and_never_waits_longer() -> None:
    backoff, random, now = Backoff(0.05, 2.0), Random(1), 0.0
    for _ in range(12):
        backoff.failed(now, random)
        assert backoff.blocked(now)
        assert not backoff.blocked(now + 2.0001)
        now += 3.0


def test_two_peers_do_not_redial_in_step() -> None:
    one, two = Backoff(0.05, 2.0), Backoff(0.05, 2.0)
    random = Random(2)
    for _ in range(6):
        one.failed(0.0, random)
        two.failed(0.0, random)
    times = [t / 1000 for t in range(2001)]
    assert [one.blocked(t) for t in times] != [two.blocked(t) for t in times]


def test_hearing_the_peer_lets_it_be_dialled_at_once() -> None:
    backoff = Backoff(0.05, 2.0)
    backoff.failed(1.0, Random(3))
    backoff.reset()
    assert not backoff.blocked(1.0)
