"""Traffic and latency over time, side by side, with what was done to the cluster marked below. Pure.

A column is a second or more. Columns in which something failed are red; latency is what 99 of 100 writes and reads
stayed below.
"""

from collections.abc import Callable, Sequence
from math import log
from typing import NamedTuple

from cluster.client.vitals import quantile_s
from dsectl.ui.charts import Glyphs, chart
from dsectl.ui.text import Line, beside, fit, piece, runs
from dsectl.ui.units import UNKNOWN, rate, show_age, show_duration
from dsectl.watch.history import History, mean
from dsectl.watch.rates import Rates

GAP = 2
Bucket = tuple[list[Rates], float, float]


QUICK_S, SLOW_S = 0.05, 0.5
"""Up to the first a person waits for nothing; from the second on for something."""
FLOOR_S = 0.0001
"""Where the scale of latencies begins, which is logarithmic: a timeout must not flatten all else."""


class Chart(NamedTuple):
    """What one chart shows: a value of each bucket, and how a value is written."""

    title: str
    unit: str
    value: Callable[[Sequence[Rates]], float | None]
    write: Callable[[float | None], str]
    style: Callable[[float], str]
    scale: Callable[[float], float] = lambda value: value
    failing: Callable[[Sequence[Rates]], bool] = lambda known: False


CHARTS = (
    Chart(
        "kv", "/s", lambda known: mean([one.kv for one in known]), rate, lambda value: "good",
        failing=lambda known: any(one.failed for one in known),
    ),
    Chart(
        "p99", "", lambda known: _p99(known), lambda value: show_duration(value, 2), lambda value: slow_style(value),
        lambda value: log(max(value, FLOOR_S) / FLOOR_S),
    ),
    Chart(
        "publish", "/s", lambda known: mean([one.published for one in known]), rate, lambda value: "name",
        failing=lambda known: any(one.dropped for one in known),
    ),
    Chart("requests", "/s", lambda known: mean([one.served for one in known]), rate, lambda value: "name"),
)  # fmt: skip


def chart_lines(
    history: History, columns: int, rows: int, focus: str | None, glyphs: Glyphs, step: int, marks: dict[float, str]
) -> list[Line]:
    """All charts in a row: a heading, `rows` lines of bars, and a line with the marks. `marks` are Unix times and what
    is shown there, with the style behind a colon."""
    width = (columns - GAP * (len(CHARTS) - 1)) // len(CHARTS)
    block: list[Line] = []
    taken = 0
    for at, one in enumerate(CHARTS):
        drawn = _chart(one, history, width, rows, focus, glyphs, step, marks)
        block = drawn if at == 0 else beside(block, drawn, taken, GAP, width)
        taken += width + (GAP if at else 0)
    return block


def _chart(
    one: Chart, history: History, width: int, rows: int, focus: str | None, glyphs: Glyphs, step: int,
    marks: dict[float, str],
) -> list[Line]:  # fmt: skip
    buckets = history.buckets(focus, step, width)
    values: list[float | None] = [one.value(known) for known, _, _ in buckets]
    failing = [one.failing(known) for known, _, _ in buckets]
    top = max((value for value in values if value is not None), default=0.0)
    missing = width - len(values)
    scaled = [None if value is None else one.scale(value) for value in values]
    drawn = chart([*[None] * missing, *scaled], rows, one.scale(top), glyphs)
    bad = [False] * missing + failing
    styles = [""] * missing + [_style(one, value, fails) for value, fails in zip(values, failing, strict=True)]
    body = [runs(text, styles) for text in drawn]
    return [_heading(one, history, width, focus, top, any(bad)), *body, _marks(buckets, width, marks, glyphs)]


def _style(one: Chart, value: float | None, fails: bool) -> str:
    return "bad" if fails else one.style(value) if value else "dim"


def _heading(one: Chart, history: History, width: int, focus: str | None, top: float, failed: bool) -> Line:
    now = history.now(focus)
    value = None if now is None else one.value([now])
    text = one.write(value)
    line: Line = [(f"{one.title} ", "dim"), piece(text + (one.unit if text != UNKNOWN else ""), 8, "strong")]
    peak = f"max {one.write(top)}" if top else ""
    room = width - len(one.title) - 9
    return fit([*line, piece(peak, room, "dim", right=True)], width) if len(peak) <= room else fit(line, width)


def total_line(history: History) -> Line:
    """What the charts show, as numbers."""
    now = history.now()
    line: Line = []
    for one in CHARTS:
        text = one.write(one.value([now]) if now is not None else None)
        line += [*([("   ", "")] if line else []), (f"{one.title} ", "dim"), (text + one.unit, "strong")]
    return line


def slow_style(seconds: float) -> str:
    """How bad a latency is."""
    return "good" if seconds < QUICK_S else "warn" if seconds < SLOW_S else "bad"


def _p99(known: Sequence[Rates]) -> float | None:
    counts: dict[int, int] = {}
    for one in known:
        for bucket, number in one.kv_s.items():
            counts[bucket] = counts.get(bucket, 0) + number
    return quantile_s(counts, 0.99)


def _marks(buckets: Sequence[Bucket], width: int, marks: dict[float, str], glyphs: Glyphs) -> Line:
    """Where something began or ended, in the column of its time; a rule where nothing did."""
    signs = [glyphs.rule] * width
    styles = ["dim"] * width
    missing = width - len(buckets)
    if len(buckets) == width:
        ago = f"-{show_age(buckets[-1][2] - buckets[0][1])} "
        signs[: len(ago)] = ago
    for at, what in marks.items():
        sign, _, style = what.partition(":")
        for column, (_, start, end) in enumerate(buckets, missing):
            if start < at <= end and (styles[column] == "dim" or style == "bad"):
                signs[column], styles[column] = sign, style
    return runs("".join(signs), styles)
