"""The signs that the screen is drawn with, and bars and charts out of them. Pure.

Every sign says its meaning by its shape, so that nothing is lost without colour; where the terminal cannot show them,
plain letters stand in.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Glyphs(NamedTuple):
    """One set of signs, each one column wide."""

    bars: str
    """From the lowest to the full block."""
    states: dict[str, str]
    unknown: str
    begun: str
    ended: str
    rule: str
    bar: str
    more: str


UNICODE = Glyphs(
    "▁▂▃▄▅▆▇█", {"alive": "●", "suspect": "◐", "dead": "✕", "leaving": "◌", "left": "∙"}, "·", "▼", "▲", "─", "━", "…"
)
ASCII = Glyphs(
    "_.-:=+*#", {"alive": "o", "suspect": "?", "dead": "x", "leaving": "<", "left": "."}, ".", "v", "^", "-", "=", "~"
)


_SPELLED = str.maketrans({"–": "-", "…": "~", "↑": "k", "↓": "j", "±": "~"})


def spelled(text: str, glyphs: Glyphs) -> str:
    """The other signs that stand in texts, as this set can carry them; none becomes wider."""
    return text.translate(_SPELLED) if glyphs is ASCII else text


def glyphs_for(encoding: str | None) -> Glyphs:
    """The set that an encoding can carry."""
    try:
        "".join((UNICODE.bars, *UNICODE.states.values(), UNICODE.begun, UNICODE.rule)).encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return ASCII
    return UNICODE


def chart(values: Sequence[float | None], rows: int, top: float, glyphs: Glyphs) -> list[str]:
    """Columns of `values` up to `top`, as `rows` lines from the top down. Nothing is a gap; zero is the lowest bar."""
    steps = len(glyphs.bars)
    levels = [None if value is None else _level(value, top, rows * steps) for value in values]
    lines = []
    for row in range(rows - 1, -1, -1):
        lines.append("".join(_cell(level, row * steps, glyphs.bars) for level in levels))
    return lines


def spark(values: Sequence[float | None], top: float, glyphs: Glyphs) -> str:
    """A chart of one line."""
    return chart(values, 1, top, glyphs)[0]


def bar(part: float, columns: int, glyphs: Glyphs) -> str:
    """`part` (0 to 1) of so many columns, filled."""
    full = round(max(0.0, min(1.0, part)) * columns)
    return glyphs.bar * full + " " * (columns - full)


def _level(value: float, top: float, steps: int) -> int:
    if value <= 0 or top <= 0:
        return 1
    return max(1, min(steps, round(value / top * steps)))


def _cell(level: int | None, below: int, bars: str) -> str:
    if level is None or level <= below:
        return " "
    return bars[min(level - below, len(bars)) - 1]
