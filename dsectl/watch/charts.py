"""Traffic, failures and latency over time, side by side, with what was done to the cluster marked below. Pure.

A column is a second or more. Latency is what 99 of 100 writes and reads stayed below; what failed is drawn by itself,
so that it is seen without colour, and counts as traffic nowhere.
"""

from collections.abc import Callable, Sequence
from math import log
from typing import NamedTuple

from cluster.client.vitals import quantile_s
from dsectl.ui.charts import Glyphs, chart, scale_top
from dsectl.ui.text import Line, beside, fit, length, piece, runs
from dsectl.ui.units import UNKNOWN, rate, show_age, show_duration, unix_time
from dsectl.watch.history import History, Rates, added, mean

GAP = 2
WIDTH_MIN = 14
"""Of one chart; where there is less room, the last charts are left out."""
QUICK_S, SLOW_S = 0.05, 0.5
"""Up to the first a person waits for nothing; from the second on for something."""
FLOOR_S = 0.0001
"""Where the scale of latencies begins, which is logarithmic: a timeout must not flatten all else."""


class Chart(NamedTuple):
    """What one chart shows: a value of each bucket, and how a value is written, coloured and scaled."""

    title: str
    unit: str
    value: Callable[[Sequence[Rates]], float | None]
    write: Callable[[float | None], str] = rate
    style: Callable[[float], str] = lambda value: "name"
    scale: Callable[[float], float] = lambda value: value


def slow_style(seconds: float) -> str:
    """How bad a latency is."""
    return "good" if seconds < QUICK_S else "warn" if seconds < SLOW_S else "bad"


CHARTS = (
    Chart("kv", "/s", lambda known: mean([one.kv for one in known]), style=lambda value: "good"),
    Chart("failures", "/s", lambda known: mean([one.failed for one in known]), style=lambda value: "bad"),
    Chart(
        "p99", "", lambda known: quantile_s(added(one.kv_s for one in known), 0.99),
        lambda value: show_duration(value, 2), slow_style, lambda value: log(max(value, FLOOR_S) / FLOOR_S),
    ),
    Chart("publish", "/s", lambda known: mean([one.published for one in known])),
    Chart("requests", "/s", lambda known: mean([one.served for one in known])),
)  # fmt: skip
"""The most wanted first."""


def chart_lines(history: History, columns: int, rows: int, focus: str | None, glyphs: Glyphs, step: int) -> list[Line]:
    """The charts in a row: a heading, `rows` lines of bars, and a line that marks where faults began and ended."""
    number = max(1, min(len(CHARTS), (columns + GAP) // (WIDTH_MIN + GAP)))
    width = (columns - GAP * (number - 1)) // number
    block = _chart(CHARTS[0], history, width, rows, focus, glyphs, step)
    for one in CHARTS[1:number]:
        block = beside(block, _chart(one, history, width, rows, focus, glyphs, step), length(block[0]), GAP, width)
    return block


def _chart(
    one: Chart, history: History, width: int, rows: int, focus: str | None, glyphs: Glyphs, step: int
) -> list[Line]:
    buckets = history.buckets(focus, step, width)
    missing: list[float | None] = [None] * (width - len(buckets))
    values = missing + [one.value(known) for known, _, _ in buckets]
    top = scale_top(values)
    scaled = [None if value is None else one.scale(value) for value in values]
    styles = [one.style(value) if value else "dim" for value in values]
    body = [runs(text, styles) for text in chart(scaled, rows, one.scale(top), glyphs)]
    now = history.now(focus)
    head = _figure(one, None if now is None else one.value([now]))
    scale = f"to {one.write(top)}" if top else ""
    room = width - length(head) - 1
    if len(scale) <= room:
        head = [*head, (" ", ""), piece(scale, room, "dim", right=True)]
    return [fit(head, width), *body, _marks(history, buckets, width, glyphs)]


def _figure(one: Chart, value: float | None) -> Line:
    text = one.write(value)
    style = "bad" if one.title == "failures" and value else "strong"
    return [(f"{one.title} ", "dim"), (text + (one.unit if text != UNKNOWN else ""), style)]


def figures(history: History) -> list[Line]:
    """What the charts show, as numbers."""
    now = history.now()
    return [_figure(one, None if now is None else one.value([now])) for one in CHARTS]


def _marks(history: History, buckets: Sequence[tuple[list[Rates], float, float]], width: int, glyphs: Glyphs) -> Line:
    """Where a fault began or ended, in the column of its time; a rule where none did."""
    signs = [glyphs.rule] * width
    styles = ["dim"] * width
    missing = width - len(buckets)
    if len(buckets) == width:
        ago = f"-{show_age(buckets[-1][2] - buckets[0][1])} "
        signs[: len(ago)] = ago
    faults = history.snapshot.faults if history.snapshot is not None else ()
    marks = [(unix_time(fault["at"]), glyphs.begun, "bad") for fault in faults]
    ended = [fault["ended"] for fault in faults if not fault["active"] and fault.get("ended")]
    for at, sign, style in [*marks, *((unix_time(at), glyphs.ended, "good") for at in ended)]:
        for column, (_, start, end) in enumerate(buckets, missing):
            if start < at <= end and (styles[column] == "dim" or style == "bad"):
                signs[column], styles[column] = sign, style
    return runs("".join(signs), styles)
