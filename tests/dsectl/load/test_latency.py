"""Histograms: right to three digits, whatever the batches; nothing is dropped silently; they merge and travel."""

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from dsectl.load import tally as module
from dsectl.load.tally import HIGHEST_US, Latency, decode

values = st.lists(st.integers(0, HIGHEST_US), min_size=1, max_size=200)


def filled(microseconds: list[int]) -> Latency:
    latency = Latency()
    latency.fresh.extend(microseconds)
    return latency


def test_nothing_is_no_zero() -> None:
    assert filled([]).summary() == dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"))


@given(values)
@settings(max_examples=50)
def test_percentiles_are_right_to_three_digits(microseconds: list[int]) -> None:
    ordered = sorted(microseconds)
    latency = filled(microseconds)
    assert latency.count == len(microseconds)
    middle = ordered[(len(ordered) - 1) // 2]
    found = latency.percentile_ms(50.0)
    assert found is not None and found * 1000 == pytest.approx(max(1, middle), rel=0.001, abs=1)
    greatest = latency.percentile_ms(100.0)
    assert greatest is not None and greatest * 1000 == pytest.approx(max(1, ordered[-1]), rel=0.001, abs=1)


@given(values)
@settings(max_examples=50)
def test_recording_in_batches_is_recording_one_by_one(microseconds: list[int]) -> None:
    single = HdrHistogram(module.LOWEST_US, HIGHEST_US, module.DIGITS)
    for value in microseconds:
        assert single.record_value(max(1, value))
    latency = filled(microseconds)
    latency.record()
    assert latency._recorded.equals(single)


def test_what_is_out_of_range_counts_as_the_greatest() -> None:
    latency = filled([5, -3, HIGHEST_US * 10])
    assert latency.count == 3
    greatest = latency.percentile_ms(100.0)
    assert greatest is not None and greatest >= HIGHEST_US / 1000


def test_the_library_refuses_silently_and_that_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HdrHistogram(1, 1000, 3).record_value(10_000) is False, "the trap"
    monkeypatch.setattr(module, "HIGHEST_US", HIGHEST_US * 100)
    latency = filled([HIGHEST_US * 50])
    latency._recorded = HdrHistogram(1, 1000, 3)
    with pytest.raises(AssertionError, match="out of range"):
        latency.record()


@given(values, values)
@settings(max_examples=25)
def test_they_merge_and_travel(first: list[int], second: list[int]) -> None:
    merged = decode(filled(first).encode())
    merged.add(decode(filled(second).encode()))
    assert merged.summary() == filled(first + second).summary() and merged.count == len(first) + len(second)
    merged.clear()
    assert merged.count == 0 and decode(b"").count == 0
