"""Times as text, against the standard library's calendar."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Usage
from cluster.observe.rfc3339 import civil_from_days, days_from_civil, format_time, parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
milliseconds = st.integers(int((FIRST - EPOCH).total_seconds()) * 1000, int((LAST - EPOCH).total_seconds()) * 1000)


@given(milliseconds)
def test_text_is_what_the_standard_library_says(ms: int) -> None:
    expected = (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert format_time(ms / 1000) == expected.rjust(24, "0")


@given(milliseconds)
def test_text_read_back_is_the_same_time(ms: int) -> None:
    assert round(parse_time(format_time(ms / 1000)) * 1000) == ms


@given(milliseconds, milliseconds)
def test_text_sorts_as_the_times_do(one: int, other: int) -> None:
    assert (format_time(one / 1000) < format_time(other / 1000)) == (one < other)


@given(st.integers(-1_000_000, 4_000_000))
def test_days_and_civil_dates_are_inverse(day: int) -> None:
    assert days_from_civil(*civil_from_days(day)) == day


@given(st.datetimes(timezones=st.timezones()))
def test_any_offset_is_understood(when: datetime) -> None:
    text = when.isoformat()
    if text[-6] in "+-":  # the standard library also writes offsets with seconds, for times before standard time
        assert abs(parse_time(text) - when.timestamp()) < 1e-3


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01t00:00:00.5z", 0.5),
        ("2024-02-29 12:00:00+02:00", 1709200800.0),
        ("1969-12-31T23:59:59.250Z", -0.75),
    ],
)
def test_forms_that_are_accepted(text: str, unix_s: float) -> None:
    assert parse_time(text) == unix_s


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-10T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00+24:00",
        "２024-01-01T00:00:00Z",
    ],
)
def test_forms_that_are_refused(text: str) -> None:
    with pytest.raises(Usage):
        parse_time(text)


def test_a_broken_clock_is_cut_to_the_calendar() -> None:
    assert format_time(-1e30) == "0001-01-01T00:00:00.000Z"
    assert format_time(1e30) == "9999-12-31T23:59:59.999Z"
