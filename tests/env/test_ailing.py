"""The contract of faults of disks and clocks: cluster/env/seam.py, `Env.ail`, real and simulated."""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.env.stages import RealStage, Stage

LATE_S = 0.05
ROUNDING_S = 1e-6


@dataclass
class Ill:
    """A disk that is as ill as a test says, and remembers when it was asked."""

    late_s: float = 0.0
    full: bool = False
    asked: list[str] = field(default_factory=list)

    def delay_s(self) -> float:
        self.asked.append("delay")
        return self.late_s

    def refuses(self, path: str) -> bool:
        self.asked.append(path)
        return self.full


def nobody() -> None:
    """Nothing counts the readings of the clock."""


def test_a_full_disk_refuses_appends_and_files_and_keeps_what_it_has(stage: Stage) -> None:
    env = stage.env("node")
    disk = env.disk
    file = disk.append("log/0001")
    file.append(b"one")
    disk.write("small", b"old")
    disk.write_in_place("mark", b"0123")
    ill = Ill(full=True)
    env.ail(ill, 0.0, nobody)
    attempts: list[Callable[[], None]] = [
        lambda: file.append(b"two"),
        lambda: disk.write("small", b"new"),
        lambda: disk.write_in_place("new", b"0"),
    ]
    for attempt in attempts:
        with pytest.raises(OSError) as caught:
            attempt()
        assert caught.value.errno == errno.ENOSPC
    disk.write_in_place("mark", b"4567")  # needs no room
    assert (file.size, disk.read("log/0001"), disk.read("small"), disk.read("mark")) == (3, b"one", b"old", b"4567")
    assert ill.asked == ["log/0001", "small", "new"]
    env.ail(None, 0.0, nobody)
    file.append(b"two")
    assert disk.read("log/0001") == b"onetwo"
    file.close()


def test_an_append_that_is_late_holds_the_loop_and_a_sync_does_not(stage: Stage) -> None:
    env = stage.env("node")
    file = env.disk.append("log")
    env.ail(Ill(late_s=LATE_S), 0.0, nobody)
    began = env.clock.now()
    times: list[float] = []
    done: list[float] = []

    def act() -> None:
        file.append(b"one")
        env.clock.call_soon(lambda: times.append(env.clock.now() - began))
        file.sync(lambda error: done.append(env.clock.now() - began))

    env.clock.call_soon(act)
    stage.until(lambda: bool(done))
    assert times[0] >= LATE_S - ROUNDING_S, "the next call of the loop had to wait for the append"
    assert done[0] >= 2 * LATE_S - ROUNDING_S and done[0] > times[0], "the loop went on while the sync was late"
    file.close()


def test_a_well_disk_asks_nobody(stage: Stage) -> None:
    env = stage.env("node")
    ill = Ill(late_s=LATE_S, full=True)
    env.ail(ill, 0.0, nobody)
    env.ail(None, 0.0, nobody)
    file = env.disk.append("log")
    file.append(b"one")
    file.flush()
    file.close()
    assert ill.asked == []


@pytest.mark.parametrize("skew_s", [3600.0, -300.0])
def test_a_skewed_clock_is_wrong_for_the_wall_alone_and_says_each_reading(stage: Stage, skew_s: float) -> None:
    env = stage.env("node")
    read: list[None] = []
    wall, now = env.clock.wall(), env.clock.now()
    env.ail(None, skew_s, lambda: read.append(None))
    assert env.clock.wall() - wall == pytest.approx(skew_s, abs=30.0) and len(read) == 1
    assert 0 <= env.clock.now() - now < 30.0
    env.ail(None, 0.0, lambda: read.append(None))
    assert abs(env.clock.wall() - wall) < 30.0 and len(read) == 1
    if isinstance(stage, RealStage):
        assert env.clock.wall is time.time, "in health it costs what it did"
