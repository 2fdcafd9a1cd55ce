"""`top`: services and operations on one screen, as they are called; or object by object where there is no screen."""

import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cluster.errors import Usage
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.snapshot.observer import Poller
from dsectl.snapshot.services import ServicesObserver, ServicesSnapshot
from dsectl.top.picture import COLUMNS_MIN, ROWS_MIN, TopChoices, operation_names, press, top_picture, top_plain
from dsectl.top.rates import COUNTED, Flow, ServiceRates, together
from dsectl.ui.charts import glyphs_for, spelled
from dsectl.ui.screen import Screen, page_columns
from dsectl.ui.text import painted
from dsectl.ui.units import rfc3339, show_duration

EVERY_S = 1.0
EVERY_MIN_S = 0.1
PLAIN_COLUMNS = 120
HELD_MAX = 600
"""Snapshots that are kept while the picture is frozen."""


@command(
    "top", "Watch services live.", group="inspect", rank=9, readonly=True, streams=("",), barred="it is for people"
)
def top(
    every: Annotated[float | None, typer.Option(metavar="D", help="Time between two snapshots (default: 1s).")] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, help="Number of snapshots to end after (default: no end)."),
    ] = None,
) -> Iterator[Answer]:
    """Operations with their calls a second, latency, errors, and what was shed, tried again and hedged, over the last
    3 s; below them each endpoint with its state and the attempts made there. An error is a call that failed otherwise
    than by being shed. Keys: q quits, space freezes; r, p, e and n sort by rate, p99, errors and name; the arrows
    choose one operation, 0 all; b shows the nodes that took the calls in instead of endpoints. Without a terminal it
    prints one picture as text (more with --count or --every); with --json an object for each look, until Ctrl-C."""
    if every is not None and every < EVERY_MIN_S:
        raise Usage(f"--every is at least {show_duration(EVERY_MIN_S)}")
    invocation = current()
    files, console = invocation.files(), invocation.console
    observer = ServicesObserver(lambda: files.name)
    if console.options.json or not (console.is_screen and sys.stdin.isatty()):
        goes_on = console.options.json or every is not None
        yield from _looks(observer, every or EVERY_S, count or (None if goes_on else 1))
    else:
        _show(observer, console, every or EVERY_S, count)


def _looks(observer: ServicesObserver, every_s: float, count: int | None) -> Iterator[Answer]:
    """What each look finds. Rates need two, so there is one more before the first."""
    invocation, rates = current(), ServiceRates()

    def view(console: Console) -> None:
        glyphs = glyphs_for(console.out.encoding)
        lines = top_plain(rates, max(console.columns or page_columns(PLAIN_COLUMNS), COLUMNS_MIN), TopChoices())
        console.lines([spelled(painted(line, console.paint).rstrip(), glyphs) for line in lines])

    try:
        rates.add(observer.look())
        invocation.ready()
        given = 0
        while (count is None or given < count) and not invocation.stopped():
            time.sleep(every_s)
            rates.add(observer.look())
            given += 1
            yield Answer(rates_json(rates), view)
    finally:
        observer.close()


def _show(observer: ServicesObserver, console: Console, every_s: float, count: int | None) -> None:
    """The live screen, until `q`."""
    invocation, rates, choices = current(), ServiceRates(), TopChoices()
    glyphs = glyphs_for(console.out.encoding)
    held: deque[ServicesSnapshot] = deque(maxlen=HELD_MAX)
    with Screen(console.out) as screen:
        poller = Poller(observer, every_s, screen.ring)
        poller.start()
        invocation.ready()
        try:
            while not choices.done and not invocation.stopped() and (count is None or rates.count < count):
                held.extend(poller.take())
                while held and not choices.frozen:
                    rates.add(held.popleft())
                columns, rows = screen.size
                lines = top_picture(rates, max(columns, COLUMNS_MIN), max(rows, ROWS_MIN), choices)
                screen.draw([spelled(painted(line, console.paint), glyphs) for line in lines[:rows]])
                for key in screen.wait(every_s):
                    choices = press(choices, key, operation_names(rates, choices))
        except EOFError:  # the terminal is gone
            pass
        finally:
            poller.stop()


def rates_json(rates: ServiceRates) -> dict[str, Any]:
    """The last snapshot with its rates."""
    snapshot = rates.snapshot
    assert snapshot is not None
    head = {"at": rfc3339(snapshot.wall), "cluster": snapshot.cluster}
    if snapshot.lost is not None:
        return {**head, "lost": snapshot.lost.message}
    operations = together(rates.calls(), lambda row: (row.service, row.operation))
    entries = together(rates.calls(), lambda row: (row.entry, row.service, row.operation))
    attempts = together(rates.attempts(), lambda row: (row.service, row.endpoint, row.version))
    return {
        **head,
        "answering": len(snapshot.views),
        "silent": {name: error.message for name, error in snapshot.silent.items()},
        "operations": [
            {"service": service, "operation": operation, **_flow_json(one)}
            for (service, operation), one in sorted(operations.items())
        ],
        "entries": [
            {"node": node, "service": service, "operation": operation, **_flow_json(one)}
            for (node, service, operation), one in sorted(entries.items())
        ],
        "endpoints": [
            {
                "service": one.service,
                "endpoint": one.endpoint,
                "version": one.version,
                "state": one.state,
                "reason": one.reason,
                "seen_by": list(one.by),
                **_flow_json(attempts.get((one.service, one.endpoint, one.version), Flow())),
            }
            for one in snapshot.endpoints()
        ],
        "panic": snapshot.panics(),
        "weights": snapshot.weights(),
    }


def _flow_json(flow: Flow) -> dict[str, Any]:
    found: dict[str, Any] = {f"{name}_per_s": round(getattr(flow, name), 1) for name in COUNTED}
    found["in_flight"] = flow.in_flight
    for name, part in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        seconds = flow.quantile_s(part)
        found[name] = None if seconds is None else round(seconds * 1000, 3)
    return found
