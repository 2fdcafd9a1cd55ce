"""Unix time as RFC 3339 text in UTC with milliseconds, and back.

Text of one width, so that it sorts as the times do. The calendar is Howard Hinnant's `civil_from_days` and
`days_from_civil` ("chrono-Compatible Low-Level Date Algorithms", 2013): years start on 1 March, so that the leap day is
the last. Pure; no leap seconds, as in Unix time. Years 0001 to 9999.
"""

import re
from functools import lru_cache

from cluster.errors import Usage

_DAY_S = 86400
_ERA_DAYS = 146097  # 400 years
_EPOCH_SHIFT_DAYS = 719468  # from 0000-03-01 to 1970-01-01
_EARLIEST_S, _LATEST_S = -62135596800, 253402300800  # 0001-01-01 and 10000-01-01
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_PATTERN = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)


def civil_from_days(days: int) -> tuple[int, int, int]:
    """The (year, month, day) of a day counted from 1970-01-01."""
    era, day_of_era = divmod(days + _EPOCH_SHIFT_DAYS, _ERA_DAYS)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153  # 0 is March
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def days_from_civil(year: int, month: int, day: int) -> int:
    """The day counted from 1970-01-01; the inverse of `civil_from_days`."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * _ERA_DAYS + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - _EPOCH_SHIFT_DAYS


def format_time(unix_s: float) -> str:
    """`2026-03-01T12:00:00.250Z`. Times out of range are cut to it: an event is never lost over a broken clock."""
    milliseconds = round(min(max(unix_s, _EARLIEST_S), _LATEST_S - 0.001) * 1000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=2)  # events come in bursts
def _to_the_second(seconds: int) -> str:
    days, second = divmod(seconds, _DAY_S)
    year, month, day = civil_from_days(days)
    hour, minute, second = second // 3600, second // 60 % 60, second % 60
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def parse_time(text: str) -> float:
    """The Unix time of RFC 3339 text, with any offset and any fraction. Raises Usage."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise Usage(f"invalid time {text!r}: expected 2026-03-01T12:00:00Z")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    in_calendar = year >= 1 and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] + leap
    if not in_calendar or hour > 23 or minute > 59 or second > 59:
        raise Usage(f"invalid time {text!r}: that day or hour does not exist")
    offset = 0
    if found[8]:
        if int(found[9]) > 23 or int(found[10]) > 59:
            raise Usage(f"invalid time {text!r}: that offset does not exist")
        offset = (int(found[9]) * 3600 + int(found[10]) * 60) * (-1 if found[8] == "-" else 1)
    whole = days_from_civil(year, month, day) * _DAY_S + hour * 3600 + minute * 60 + second - offset
    return whole + float(found[7] or 0)
