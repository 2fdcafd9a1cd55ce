"""Numbers in at most six columns, so that no column of the screen ever jumps. Pure."""

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
