"""The median of all clocks, a node's own among them, without sorting them for each write."""

from statistics import median
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.env import Env
from cluster.errors import WrongClock
from cluster.kv.peerclocks import KEPT_S, PeerClocks
from cluster.ports import Messenger


class Clock:
    """Both times of a node, set by hand."""

    def __init__(self) -> None:
        self.at, self.wall_s = 1000.0, 0.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.wall_s


class World:
    """An environment and a messenger that do nothing."""

    def __init__(self) -> None:
        self.clock = Clock()

    def handle(self, body_type: type, handler: object) -> None:
        pass


def peer_clocks(world: World, events: list[str] | None = None) -> PeerClocks:
    def record(kind: str, cause: str, **_: Any) -> None:
        if events is not None:
            events.append(f"{kind}: {cause}")

    env, messenger = cast(Env, world), cast(Messenger, world)
    return PeerClocks(env, "n1", messenger, list, record, needed=lambda: True, newest_stamp=lambda: 0)


@given(st.floats(-1e4, 1e4), st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8))
def test_it_is_the_median(own: float, others: list[float]) -> None:
    world = World()
    clocks = peer_clocks(world)
    for number, origin in enumerate(others):
        clocks.note(f"n{number + 2}", origin, 1000.0)
    world.clock.wall_s = 1000.0 + own
    expected = median([own, *others])
    assert clocks.ahead_s == pytest.approx(own - expected, abs=1e-6)
    right = 1000.0 + (own if abs(own - expected) <= 60.0 else expected)
    assert clocks.wall_s() == pytest.approx(right, abs=1e-6)


def test_who_is_wrong_says_so_once_and_is_right_again() -> None:
    world, events = World(), list[str]()
    clocks = peer_clocks(world, events)
    world.clock.wall_s = 5000.0
    clocks.check()  # alone it has nobody to disagree with
    for name in ("n2", "n3"):
        clocks.note(name, 4000.0 - 90.0, 1000.0)
    for _ in range(2):
        with pytest.raises(WrongClock, match="the clock of n1 is 90 s ahead of"):
            clocks.check()
    assert len(events) == 1 and events[0].startswith("clock.wrong: the clock of n1")
    world.clock.wall_s = 4910.0
    clocks.check()
    world.clock.wall_s = 4800.0
    with pytest.raises(WrongClock, match="110 s behind"):
        clocks.check()
    assert len(events) == 2


def test_what_a_peer_said_long_ago_does_not_count() -> None:
    world = World()
    clocks = peer_clocks(world)
    clocks.note("n2", 500.0, 1000.0)
    clocks.note("n3", 0.0, 1000.0 + KEPT_S + 1.0)
    world.clock.wall_s = 1000.0
    assert clocks.ahead_s == 0.0
