"""Redial times grow, jitter, and end when the peer is heard; and what this side lets go is no failure."""

from random import Random

import pytest

from cluster.faults import FaultBook
from cluster.simulation import World
from cluster.transport.lane import Backoff
from cluster.wire.admin import AdminQuery
from cluster.wire.handshake import LANE_BACKGROUND
from tests.transport.small import peers


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


def test_a_connection_that_ends_because_it_is_idle_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[str] = []
    monkeypatch.setattr(FaultBook, "note_failure", lambda self, peer, what: failures.append(what))
    with World(7) as world:
        one, _ = peers(world, "n1", "n2")
        ended: list[str] = []
        one.transport.on_end.append(lambda connection, reason, hidden: ended.append(reason))

        def ask() -> None:
            deadline = one.env.clock.now() + 1.0
            one.rpc.request(["n2"], AdminQuery("name", {}), deadline, one._on_answer, LANE_BACKGROUND)

        one.env.clock.call_soon(ask)
        world.run_until_true(lambda: bool(ended), timeout=100.0)
        assert (one.outcome(), ended, one.lost, failures) == ("n2", ["idle"], [], [])
