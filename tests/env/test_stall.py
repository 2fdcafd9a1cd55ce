"""StallWatch by tables of beats: when it sees a stall, and which windows it voids."""

import pytest

from cluster.env import StallWatch

INTERVAL, LIMIT = 0.1, 0.25


def watch(*beats: float) -> tuple[StallWatch, list[float]]:
    """A watch made at 0.0 and what each beat returned."""
    made = StallWatch(0.0, INTERVAL, LIMIT)
    return made, [made.beat(beat) for beat in beats]


@pytest.mark.parametrize(
    ("beats", "lengths", "count"),
    [
        ([0.1, 0.2, 0.3], [0.0, 0.0, 0.0], 0),
        ([0.05, 0.06], [0.0, 0.0], 0),  # early beats are none of its business
        ([0.34], [0.0], 0),  # late by less than the limit
        ([0.36], [0.26], 1),  # and by more
        ([5.1], [5.0], 1),
        ([5.1, 5.2, 9.3], [5.0, 0.0, 4.0], 2),
    ],
)
def test_what_is_a_stall(beats: list[float], lengths: list[float], count: int) -> None:
    made, returned = watch(*beats)
    assert returned == pytest.approx(lengths)
    assert made.count == count


@pytest.mark.parametrize(
    ("beats", "since", "until", "overlaps"),
    [
        ([0.1], 0.0, 0.2, False),
        ([0.1], 0.0, 0.5, True),  # a stall is under way
        ([5.1], 5.0, 5.2, True),  # the stall from 0 to 5.1 ended in the window
        ([5.1], 1.0, 2.0, True),  # the window was within it
        ([5.1, 5.2], 5.15, 5.25, False),  # the window began after it
        ([5.1], 5.1, 5.2, True),  # it ended as the window began: the window's first packet may have waited
    ],
)
def test_which_windows_meet_a_stall(beats: list[float], since: float, until: float, overlaps: bool) -> None:
    made, _ = watch(*beats)
    assert made.overlaps(since, until) is overlaps


def test_only_the_last_stall_is_remembered() -> None:
    made, _ = watch(5.0, 5.1, 9.0)
    assert (made.stall_start, made.stall_end, made.count) == (5.1, 9.0, 2)
