"""The local health score: deltas and scaled times (after memberlist's awareness_test.go)."""

import pytest

from cluster.membership.probe import Awareness


def test_lifeguard_4_a_scores_and_times() -> None:
    health = Awareness(8)
    # delta, score after it, a second scaled by it
    for delta, score, scaled in [
        (0, 0, 1.0),
        (-1, 0, 1.0),
        (-10, 0, 1.0),
        (1, 1, 2.0),
        (-1, 0, 1.0),
        (10, 8, 9.0),
        (-1, 7, 8.0),
        (-1, 6, 7.0),
    ]:
        health.apply(delta)
        assert health.score == score
        assert health.scale(1.0) == pytest.approx(scaled)
