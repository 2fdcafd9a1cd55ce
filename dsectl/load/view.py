"""A load for people: how it goes, as a picture on a terminal and a line a second elsewhere; and what it came to."""

from collections import deque
from typing import Self

from dsectl.cli.console import Console
from dsectl.load.account import Account, promises
from dsectl.load.plan import KV, PUBLISH, QUEUE, LoadPlan
from dsectl.load.tally import REPLIES, Interval, Summary
from dsectl.ui.charts import UNICODE, spark
from dsectl.ui.screen import Block
from dsectl.ui.table import table, table_lines
from dsectl.ui.text import Line, Paint, count, shown, wrapped
from dsectl.ui.units import show_age, show_duration
from dsectl.ui.verdicts import PASSED, Verdict

PERCENTILES = {"p50_ms": "P50", "p90_ms": "P90", "p99_ms": "P99", "p999_ms": "P99.9", "max_ms": "MAX"}
ALARMS = {"failed": "bad", "maybe": "warn", "declared": "warn"}
"""How a number above 0 of these is shown."""
EFFORTS = {"shed": "shed", "hedged": "hedged", "cluster_retries": "retries", "load_retries": "retries of its own"}
"""What these are called in a line, where there are any."""
HANG = 9
"""Columns of what a line of the summary is about."""
BAR_COLUMNS = 40
CURVE_COLUMNS = 60
"""Seconds of the curve of p99 that are shown."""
LAG_WORTH_TELLING_MS = 20.0
BUSY = 0.9
"""From here on a generator's own work shows in what it measures."""


def ms(value: float | None) -> str:
    """`0.84`, `12.3`, `1,240`, and a dash where there is nothing."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def plan_line(plan: LoadPlan) -> str:
    """What is offered, in a line."""
    if plan.family == KV:
        total = sum(plan.mix.shares.values())
        kinds = ", ".join(f"{kind} {100 * share / total:.3g}%" for kind, share in plan.mix.shares.items())
        distribution = plan.keys.distribution or plan.mix.distribution
        what = f"{kinds}; {plan.keys.count:,} keys, {distribution}"
    elif plan.family == PUBLISH:
        what = count(plan.subscribers, "subscriber")
    elif plan.family == QUEUE:
        what = count(plan.consumers, "consumer")
    else:
        what = _requests(plan)
    if plan.rate is None:
        how = f"closed loop, {count(plan.clients or 0, 'client')}"
    else:
        how = f"{plan.rate:,.10g}/s" + (f" by {count(plan.clients, 'client')} at most" if plan.clients else "")
    processes = f", {plan.processes} processes" if plan.processes > 1 else ""
    return f"load {plan.family}  {shown(what)}  {how}{processes}"


def _requests(plan: LoadPlan) -> str:
    """Which operations are called, and how."""
    options = plan.requests
    total = sum(one.share for one in options.mix)
    shares = [f" {100 * one.share / total:.3g}%" if len(options.mix) > 1 else "" for one in options.mix]
    what = ", ".join(f"{one.operation}{share}" for one, share in zip(options.mix, shares, strict=True))
    backoff = f" after up to {show_duration(options.backoff_s)}" if options.backoff_s else " at once"
    how = [
        f"deadline {show_duration(options.deadline_s)}" if options.deadline_s else "",
        count(options.retries, "retry", "retries") + backoff if options.retries else "",
        count(plan.keys.count, "key") if options.keyed else "",
        f"{100 * options.low:.3g}% of low priority" if options.low else "",
        "hedged" if options.hedge else "",
    ]
    return "; ".join([what, *filter(None, how)])


class PlainProgress:
    """A line a second on stderr."""

    def __init__(self, console: Console, plan: LoadPlan) -> None:
        self.console = console
        self.phase(plan_line(plan))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def phase(self, text: str) -> None:
        """Something else begins."""
        if text and not self.console.options.json:
            self.console.note(text)

    def interval(self, interval: Interval) -> None:
        """A second is over."""
        service, response = interval.summaries().values()
        words = {**{name: name for name in ALARMS}, **EFFORTS}
        wrong = [f"  {number:,} {word}" for name, word in words.items() if (number := getattr(interval, name))]
        self.phase(
            f"{show_duration(interval.until_s):>6}  {interval.offered / interval.seconds:8,.0f}/s offered"
            f"  {interval.ok / interval.seconds:8,.0f}/s ok"
            f"  response p50 {ms(response['p50_ms'])} p99 {ms(response['p99_ms'])} max {ms(response['max_ms'])} ms"
            f"  service p99 {ms(service['p99_ms'])} ms" + "".join(wrong)
        )


class LiveProgress(Block):
    """A picture on stderr that is redrawn in place, and gone at the end."""

    def __init__(self, console: Console, plan: LoadPlan) -> None:
        super().__init__(console.err, console.paint_err, transient=True)
        self.plan = plan
        self.last: Interval | None = None
        self.totals = {"offered": 0, "ok": 0, "failed": 0, "maybe": 0, "declared": 0}
        self.curve: deque[float | None] = deque(maxlen=CURVE_COLUMNS)
        self.phase("connecting")

    def phase(self, text: str) -> None:
        """Something else begins."""
        self.doing = text
        self.draw(self.lines())

    def interval(self, interval: Interval) -> None:
        """A second is over."""
        self.last = interval
        for name in self.totals:
            self.totals[name] += getattr(interval, name)
        self.curve.append(interval.summaries()["response"]["p99_ms"])
        self.draw(self.lines())

    def lines(self) -> list[Line]:
        """The picture."""
        head, last = [(plan_line(self.plan), "strong")], self.last
        if last is None:
            return [head, [(self.doing or "the first second", "dim")]]
        filled = round(min(1.0, last.until_s / self.plan.seconds) * BAR_COLUMNS)
        doing = self.doing or f"{show_age(last.until_s)} of {show_duration(self.plan.seconds)}"
        rates = [f"{getattr(last, name) / last.seconds:,.0f}" for name in self.totals]
        totals = [(f"{number:,}", ALARMS.get(name, "") if number else "") for name, number in self.totals.items()]
        titles = [*self.totals, "in flight"]
        latencies = [(name, *_cells(summary)) for name, summary in last.summaries().items()]
        percentiles = [title.lower() for title in PERCENTILES.values()]
        most = max((value for value in self.curve if value is not None), default=0.0)
        curve = f"{spark(self.curve, most, UNICODE)}  up to {show_duration(most / 1000)}" if most else ""
        return [
            head,
            [(f"{'━' * filled}{'╌' * (BAR_COLUMNS - filled)}  {doing}", "")],
            [],
            *table_lines(
                ["", *titles], [["a second", *rates, f"{last.in_flight:,}"], ["in all", *totals, ""]], right=titles
            ),
            [],
            *table_lines(["ms, last second", *percentiles], latencies, right=percentiles),
            [],
            [(f"p99 each second  {curve}", "name")],
        ]


def summary_lines(account: Account, verdict: Verdict, paint: Paint, columns: int | None) -> list[str]:
    """What it came to."""
    busy = account["generator_busy"]
    early = ", interrupted" if account["interrupted"] else ", stopped early" if account["stopped"] else ""
    head = f"{account['offered']:,} operations in {show_duration(account['seconds'])}{early}"
    rates = f"offered {account['offered_per_s']:,.10g}/s, achieved {account['achieved_per_s']:,.10g}/s"
    rows = [
        (shown(name), *(f"{one[field]:,}" for field in ("ok", "failed", "maybe")), f"{one['declared'] or ''}",
         *_cells(one["response"]))
        for name, one in account["operations"].items()
    ]  # fmt: skip
    titles = ("OPERATION", "OK", "FAILED", "MAYBE", "DECLARED", *PERCENTILES.values())
    both = [(name, *_cells(account[name])) for name in ("response", "service", "delivery") if name in account]
    lines = [
        f"{head}: {rates}",
        *([f"the generator used {busy:.0%} of a core: more --processes would offer more"] if busy > BUSY else []),
        "",
        *table(titles, rows, paint, columns, right=titles[1:]),
        "",
        *table(("MS", *PERCENTILES.values()), both, paint, columns, right=tuple(PERCENTILES.values())),
        paint(why_they_differ(account), "dim"),
        "",
        *([f"account  {promises(account)}"] if verdict.verdict != PASSED else []),
    ]
    efforts = [f"{account[name]:,} {word}" for name, word in EFFORTS.items() if account.get(name)]
    if efforts:
        lines.append("effort   " + ", ".join(efforts))
    streams = [(name, one) for name, one in account["operations"].items() if one.get(REPLIES)]
    if streams:
        lines.append("replies  " + ", ".join(f"{shown(name)} {one[REPLIES]:,}" for name, one in streams))
    if account.get("declared_errors"):
        lines.append("declared " + ", ".join(f"{name} {n:,}" for name, n in account["declared_errors"].items()))
    if account["errors"]:
        lines.append("errors   " + ", ".join(f"{code} {number:,}" for code, number in account["errors"].items()))
    lines += [f"example  {shown(text)}" for text in account["examples"]]
    lines.append(verdict.line(paint))
    return [part for line in lines for part in wrapped(line, columns, HANG)]


def _cells(summary: Summary) -> list[str]:
    return [ms(summary[one]) for one in PERCENTILES]


def why_they_differ(account: Account) -> str:
    """Service and response, in a line."""
    if account["rate"] is None:
        return (
            "closed loop: due when a client is free, so a slow cluster is asked less and looks better than with --rate"
        )
    waited = "the clock's next millisecond"
    lag = account["lag"]["p99_ms"]
    if account["unsent"]:
        waited = f"a free client; {account['unsent']:,} never got one, and their wait counts"
    elif lag is not None and lag > LAG_WORTH_TELLING_MS:
        waited = f"this generator itself, {show_duration(lag / 1000)} at p99"
    elif account["clients"]:
        waited = "a free client, or the clock's next millisecond"
    return f"response counts from when due, service from when sent; in between it waited for {waited}"
