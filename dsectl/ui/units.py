"""Durations, times, sizes and numbers as people write and read them. Pure.

The only place where it is decided how one is written. What parses text raises Usage with examples of what is expected.
"""

import re
from collections.abc import Mapping

from cluster.errors import Usage

_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)([a-zA-Z%]*)", re.ASCII)
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


def _split(text: str) -> tuple[float, str] | None:
    found = _NUMBER.fullmatch(text.strip())
    return None if found is None else (float(found[1]), found[2])


def _with_unit(text: str, units: Mapping[str, float], noun: str, expected: str) -> float:
    parts = _split(text)
    if parts is None or parts[1] not in units:
        help = f"A {noun} is a number with its unit, one of {', '.join(units)}."
        raise Usage(f'invalid {noun} "{text}": expected {expected}', help=help)
    return parts[0] * units[parts[1]]


def duration(text: str) -> float:
    """Seconds: `250ms`, `5s`, `2m`, `1.5h`, `4d`. A number needs its unit."""
    parts = _split(text)
    hint = f"; did you mean {text.strip()}s?" if parts is not None and not parts[1] else ""
    return _with_unit(text, SECONDS, "duration", f"250ms, 5s, 2m{hint}")


def signed_duration(text: str) -> float:
    """Seconds, below 0 behind a minus: `-5m`."""
    bare = text.strip()
    return -duration(bare[1:]) if bare.startswith("-") else duration(bare.removeprefix("+"))


def is_duration(text: str) -> bool:
    """Whether `duration` accepts it."""
    parts = _split(text)
    return parts is not None and parts[1] in SECONDS


def size(text: str) -> int:
    """Bytes: `512B`, `64KiB`, `1MiB`, `10MB`. A number needs its unit."""
    return round(_with_unit(text, BYTES, "size", "512B, 64KiB, 1MiB"))


def probability(text: str) -> float:
    """0 to 1: `0.1`, `10%`."""
    parts = _split(text)
    value = None if parts is None else parts[0] / 100 if parts[1] == "%" else parts[0] if not parts[1] else None
    if value is None or not 0 <= value <= 1:
        raise Usage(
            f'invalid probability "{text}": expected 0.1, 10%', help="A probability is from 0 to 1, or in percent."
        )
    return value


def show_duration(seconds: float | None, digits: int = 3) -> str:
    """`250ms`, `1.5s`, `2m`: in at most six columns, with so many digits; `duration` reads it back. A dash for None."""
    if seconds is None:
        return UNKNOWN
    value, text = seconds, ""
    if seconds < 1e-6:  # nothing that is measured here is as short
        return "0s"
    for unit, next_unit in _STEPS.items():
        # What the smaller unit rounded up to its limit is one of the next: 59.96 s is 1m and not 0.999m.
        value = max(seconds / SECONDS[unit], 1.0) if text else seconds / SECONDS[unit]
        text = f"{value:.0f}" if value >= 10 ** (digits - 1) else f"{value:.{digits}g}"
        if float(text) < next_unit:
            break
    return text + unit


_STEPS = {"us": 1000.0, "ms": 1000.0, "s": 60.0, "m": 60.0, "h": 24.0, "d": float("inf")}
"""Units and how many of one make the next."""


def as_option(seconds: float) -> str:
    """A duration as an argument of a command, to the millisecond."""
    return f"{max(1, round(seconds * 1000))}ms"


def show_age(seconds: float) -> str:
    """How long ago or for how long, in whole units, so that it does not flicker: `4s`, `3m`, `2h`."""
    whole = max(0, int(seconds))
    return f"{whole}s" if whole < 100 else f"{whole // 60}m" if whole < 6000 else f"{whole // 3600}h"


def show_size(count: float) -> str:
    """Such a text of three digits: `64KiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= BYTES[unit]:
            return f"{count / BYTES[unit]:.3g}{unit}"
    return f"{count:.0f}B"


# -- numbers in at most five columns, so that no column of the screen ever jumps

UNKNOWN = "–"


def rate(value: float | None) -> str:
    """So many a second: `0`, `3.2`, `941`, `12.3k`, `4.1M`."""
    if value is None:
        return UNKNOWN
    for least, unit, of, digits in ((999_500, "M", 1e6, 1), (99_950, "k", 1e3, 0), (9_995, "k", 1e3, 1)):
        if value >= least:
            return f"{value / of:.{digits}f}{unit}"
    if 0.05 <= value < 9.95:
        return f"{value:.1f}"
    return f"{value:.0f}"


def number(value: int) -> str:
    """How many: `0`, `941`, `12.3k`."""
    return str(value) if value < 10_000 else rate(value)


def share(part: float) -> str:
    """A part of the whole in percent: `20%`."""
    return f"{100 * part:.0f}%"


# -- times: RFC 3339 in UTC with milliseconds, as events and faults have them. The calendar is the standard library's,
# imported when it is needed: `get` and `put` show no time, and it costs them a millisecond.


def unix_time(text: str) -> float:
    """The Unix time of RFC 3339 text."""
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def rfc3339(unix_s: float) -> str:
    """`2026-03-01T12:00:00.250Z`."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(round(unix_s, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: str | float, decimals: int = 3) -> str:
    """The time of day of RFC 3339 text or of a Unix time: `12:00:00.250`."""
    text = at if isinstance(at, str) else rfc3339(at)
    return text[11 : 20 + decimals] if decimals else text[11:19]


def local_time() -> str:
    """Now, on the clock of this machine, for files that a person may open."""
    from datetime import datetime

    return str(datetime.now())
