"""When a connection is quiet, and when silent: beats of 20 ms, by table."""

import pytest

from cluster.wire.silence import SILENT_MAX_S, Silence

BEAT_S = 0.02


def after(silence: Silence, seconds: float) -> Silence:
    """So long without a byte."""
    for _ in range(round(seconds / BEAT_S)):
        silence.beat(BEAT_S)
    return silence


@pytest.mark.parametrize(
    ("seconds", "quiet", "silent"),
    [(0.0, False, False), (0.04, False, False), (0.06, True, False), (0.18, True, False), (0.22, True, True)],
)
def test_thresholds(seconds: float, quiet: bool, silent: bool) -> None:
    silence = after(Silence(), seconds)
    assert (silence.quiet, silence.silent) == (quiet, silent)


def test_a_byte_ends_it() -> None:
    silence = after(Silence(), 0.5)
    silence.heard()
    assert not silence.quiet and not silence.silent


def test_the_observers_own_stall_does_not_count() -> None:
    silence = after(Silence(), 0.1)
    silence.beat(5.0)
    assert silence.quiet and not silence.silent


@pytest.mark.parametrize(("pause", "limit"), [(0.04, 0.2), (0.1, 0.4), (0.16, 0.64), (0.5, SILENT_MAX_S)])
def test_who_answered_slowly_lately_is_given_longer(pause: float, limit: float) -> None:
    silence = after(Silence(), pause)
    silence.heard()
    assert not after(silence, 0.75 * limit).silent
    assert after(silence, 0.35 * limit).silent


def test_a_stop_is_no_slowness() -> None:
    silence = after(Silence(), 3.0)
    silence.heard()
    assert after(silence, 0.22).silent


def test_slowness_fades() -> None:
    silence = after(Silence(), 0.16)
    silence.heard()
    for _ in range(500):
        silence.beat(BEAT_S)
        silence.heard()
    assert after(silence, 0.24).silent
