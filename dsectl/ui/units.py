"""Durations, sizes and probabilities as people write them, and back. Raises Usage with an example of what is meant."""

import re

from cluster.errors import Usage

_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)([a-zA-Z%]*)", re.ASCII)
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


def _split(text: str) -> tuple[float, str] | None:
    found = _NUMBER.fullmatch(text.strip())
    return None if found is None else (float(found[1]), found[2])


def duration(text: str) -> float:
    """Seconds: `250ms`, `5s`, `2m`, `1.5h`. A number needs its unit."""
    parts = _split(text)
    if parts is None or parts[1] not in SECONDS:
        hint = f"; did you mean {text}s?" if parts is not None and not parts[1] else ""
        raise Usage(f"{text!r} is no duration{hint}", help="A duration is a number with its unit: 250ms, 5s, 2m.")
    return parts[0] * SECONDS[parts[1]]


def is_duration(text: str) -> bool:
    """Whether `duration` accepts it."""
    parts = _split(text)
    return parts is not None and parts[1] in SECONDS


def size(text: str) -> int:
    """Bytes: `512B`, `64KiB`, `1MiB`, `10MB`. A number needs its unit."""
    parts = _split(text)
    if parts is None or parts[1] not in BYTES:
        raise Usage(f"{text!r} is no size", help=f"A size is a number with its unit: 64KiB, 1MiB ({', '.join(BYTES)}).")
    return round(parts[0] * BYTES[parts[1]])


def probability(text: str) -> float:
    """0 to 1: `0.1`, `10%`."""
    parts = _split(text)
    value = None if parts is None else parts[0] / 100 if parts[1] == "%" else parts[0] if not parts[1] else None
    if value is None or not 0 <= value <= 1:
        raise Usage(f"{text!r} is no probability", help="A probability is from 0 to 1, or in percent: 0.1, 10%.")
    return value


def show_duration(seconds: float) -> str:
    """The shortest such text: `250ms`, `5s`, `2m`."""
    for unit in ("h", "m", "s", "ms", "us"):
        count = seconds / SECONDS[unit]
        if count >= 1:
            return f"{count:.3g}{unit}"
    return "0s"


def show_size(count: float) -> str:
    """Such a text of three digits: `64KiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= BYTES[unit]:
            return f"{count / BYTES[unit]:.3g}{unit}"
    return f"{count:.0f}B"


# -- numbers in at most six columns, so that no column of the screen ever jumps

UNKNOWN = "–"


def rate(value: float | None) -> str:
    """So many a second: `0`, `3.2`, `941`, `12.3k`, `4.1M`."""
    if value is None:
        return UNKNOWN
    if value >= 999_500:
        return f"{value / 1e6:.1f}M"
    if value >= 9_995:
        return f"{value / 1e3:.1f}k"
    if 0.05 <= value < 9.95:
        return f"{value:.1f}"
    return f"{value:.0f}"


def number(value: int) -> str:
    """How many: `0`, `941`, `12.3k`."""
    return str(value) if value < 10_000 else rate(value)


def took(seconds: float | None) -> str:
    """A duration that is read from afar: `0.4ms`, `12ms`, `1.3s`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s"


def age(seconds: float) -> str:
    """How long ago or how long: `4 s`, `3 m`, `2 h`."""
    if seconds < 100:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} m"
    return f"{seconds / 3600:.0f} h"


def share(part: float) -> str:
    """A part of the whole in percent: `20%`."""
    return f"{100 * part:.0f}%"
