"""The signs that the screen is drawn with, and charts out of them. Pure.

Every sign says its meaning by its shape, so that nothing is lost without colour; where the terminal cannot show them,
plain letters are used instead.
"""

from collections.abc import Sequence
from math import floor, log10
from typing import NamedTuple

HALF_LIFE = 10.0
"""Columns after which a value counts half for the scale."""


class Glyphs(NamedTuple):
    """One set of signs, each one column wide."""

    bars: str
    """From the lowest to the full block."""
    states: dict[str, str]
    unknown: str
    failed: str
    """Before a figure of failures."""
    begun: str
    ended: str
    rule: str
    more: str


UNICODE = Glyphs(
    "▁▂▃▄▅▆▇█", {"alive": "●", "suspect": "◐", "dead": "✕", "leaving": "◌", "left": "∙"},
    unknown="·", failed="!", begun="▼", ended="▲", rule="─", more="…",
)  # fmt: skip
ASCII = Glyphs(
    "_.-:=+*#", {"alive": "o", "suspect": "?", "dead": "x", "leaving": "<", "left": "."},
    unknown=".", failed="!", begun="v", ended="^", rule="-", more="~",
)  # fmt: skip


_SPELLED = str.maketrans({"–": "-", "…": "~", "↑": "k", "↓": "j", "±": "~"})


def spelled(text: str, glyphs: Glyphs) -> str:
    """Text with its other signs as this set can write them; none becomes wider."""
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
    levels = []
    for value in values:
        level = round(value / top * (rows * steps)) if value and top > 0 else 0
        levels.append(0 if value is None else max(1, min(rows * steps, level)))
    blocks = " " + glyphs.bars
    lines = []
    for row in range(rows - 1, -1, -1):
        lines.append("".join(blocks[max(0, min(level - row * steps, steps))] for level in levels))
    return lines


def scale_top(values: Sequence[float | None]) -> float:
    """The top of a scale for values that scroll by, oldest first: 1, 2 or 5 times a power of ten, so that it stands
    still while they change a little. What is old counts less, so a burst is forgotten while it is still in the
    picture."""
    newest = len(values) - 1
    high = max((value * 0.5 ** ((newest - at) / HALF_LIFE) for at, value in enumerate(values) if value), default=0.0)
    if high <= 0:
        return 0.0
    power = 10.0 ** floor(log10(high))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= high * 0.999)


def bar(part: float, columns: int, glyphs: Glyphs) -> str:
    """So much of the whole, as one line."""
    full = round(min(1.0, max(0.0, part)) * columns)
    return glyphs.bars[-1] * full + glyphs.rule * (columns - full)


def spark(values: Sequence[float | None], top: float, glyphs: Glyphs) -> str:
    """A chart of one line."""
    return chart(values, 1, top, glyphs)[0]
