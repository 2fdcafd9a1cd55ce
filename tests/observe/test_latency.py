"""Durations in buckets: how far off a figure can be, and what a difference of two looks is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.observe.latency import BUCKETS, Latencies, quantile_s, upper_s


@given(st.floats(min_value=8e-6, max_value=60.0))
def test_no_figure_is_off_by_more_than_a_quarter(seconds: float) -> None:
    latencies = Latencies()
    latencies.note(seconds)
    [(bucket, count)] = latencies.sparse()
    assert count == 1 and seconds < upper_s(bucket) <= seconds * 1.25 + 1e-6


def test_buckets_follow_each_other_without_a_gap() -> None:
    edges = [upper_s(bucket) for bucket in range(BUCKETS)]
    assert edges == sorted(set(edges)) and edges[0] == pytest.approx(1e-6) and edges[-1] > 60


@pytest.mark.parametrize("seconds,bucket", [(-1.0, 0), (0.0, 0), (1e-6, 1), (1e9, BUCKETS - 1)])
def test_the_ends(seconds: float, bucket: int) -> None:
    latencies = Latencies()
    latencies.note(seconds)
    assert latencies.sparse() == [(bucket, 1)]


def test_quantiles() -> None:
    latencies = Latencies()
    for milliseconds in range(1, 101):
        latencies.note(milliseconds / 1000)
    counts = dict(latencies.sparse())
    for part in (0.5, 0.9, 0.99):
        found = quantile_s(counts, part)
        assert found is not None and part / 10 <= found <= part / 10 * 1.26
    assert quantile_s({}, 0.5) is None and quantile_s({3: 0}, 0.5) is None
