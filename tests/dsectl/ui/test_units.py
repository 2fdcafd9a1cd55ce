"""Durations, sizes and probabilities, by table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Usage
from dsectl.ui.units import (
    UNKNOWN,
    clock,
    duration,
    is_duration,
    probability,
    rfc3339,
    show_age,
    show_duration,
    show_size,
    size,
    unix_time,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5),
        ("2m", 120),
        ("1.5h", 5400),
        ("4d", 345_600),
        ("0s", 0),
        (".5s", 0.5),
        ("50us", 0.00005),
        (" 5s ", 5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)
    assert is_duration(text)


@pytest.mark.parametrize(
    "text", ["", "5", "5 s", "5x", "-5s", "s", "1e3s", "5S", "nan", "inf", "٣s", "2026-03-01T12:00:00Z"]
)
def test_what_is_no_duration(text: str) -> None:
    assert not is_duration(text)
    with pytest.raises(Usage, match="invalid duration") as caught:
        duration(text)
    assert "expected 250ms, 5s, 2m" in caught.value.message


def test_a_number_alone_is_answered_with_its_unit() -> None:
    with pytest.raises(Usage, match="did you mean 5s"):
        duration("5")


@pytest.mark.parametrize(
    ("text", "bytes"), [("512B", 512), ("64KiB", 65536), ("1MiB", 1048576), ("1.5KiB", 1536), ("10MB", 10_000_000)]
)
def test_sizes(text: str, bytes: int) -> None:
    assert size(text) == bytes


@pytest.mark.parametrize("text", ["", "64", "64K", "64kib", "-1B", "KiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(Usage, match="invalid size"):
        size(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("0.1", 0.1), ("10%", 0.1), ("1", 1), ("100%", 1), (".5", 0.5)])
def test_probabilities(text: str, value: float) -> None:
    assert probability(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "1.1", "101%", "-0.1", "x", "5s", "%"])
def test_what_is_no_probability(text: str) -> None:
    with pytest.raises(Usage, match="invalid probability"):
        probability(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "250ms"), (5, "5s"), (90, "1.5m"), (3600, "1h"), (0.00005, "50us"), (0, "0s"), (-1, "0s"), (1e-9, "0s"),
        (0.0009999, "1ms"), (0.9996, "1s"), (59.96, "1m"), (59.94, "59.9s"), (3599.9, "1h"), (12.345, "12.3s"),
        (86_399, "1d"), (82_800, "23h"), (345_600, "4d"), (360_000, "4.17d"),
    ],
)  # fmt: skip
def test_durations_are_shown_as_they_are_written(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0004, "400us"), (0.0123, "12ms"), (0.123, "123ms"), (1.34, "1.3s"), (65, "1.1m")]
)
def test_two_digits_are_enough_from_afar(seconds: float, text: str) -> None:
    assert show_duration(seconds, 2) == text


@given(st.floats(0, 1e6), st.integers(2, 3))
def test_a_duration_fits_its_column_and_is_read_back(seconds: float, digits: int) -> None:
    text = show_duration(seconds, digits)
    assert len(text) <= 6 or seconds > 1e6
    assert duration(text) == pytest.approx(seconds, rel=0.06, abs=1e-6)


def test_ages_do_not_flicker_and_nothing_is_a_dash() -> None:
    assert [show_age(value) for value in (-1, 4.9, 99.9, 180, 7200)] == ["0s", "4s", "99s", "3m", "2h"]
    assert show_duration(None) == UNKNOWN


@given(st.floats(0, 4e9))
def test_times_are_written_in_milliseconds_and_read_back(unix_s: float) -> None:
    text = rfc3339(unix_s)
    assert len(text) == 24 and unix_time(text) == pytest.approx(unix_s, abs=0.001)
    assert clock(text) == clock(unix_s) == text[11:23]


def test_the_time_of_day_as_precisely_as_there_is_room() -> None:
    at = "2026-03-01T12:00:00.250Z"
    assert (clock(at), clock(at, 1), clock(at, 0)) == ("12:00:00.250", "12:00:00.2", "12:00:00")


@pytest.mark.parametrize(("bytes", "text"), [(0, "0B"), (512, "512B"), (65536, "64KiB"), (1572864, "1.5MiB")])
def test_sizes_are_shown_as_they_are_written(bytes: int, text: str) -> None:
    assert show_size(bytes) == text
