"""`watch`: the whole cluster on one screen, as it happens; or object by object where there is no screen."""

import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cluster.errors import Usage
from dsectl.cli.app import unknown
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.snapshot.observer import Observer, Poller
from dsectl.snapshot.snapshot import Snapshot
from dsectl.ui.charts import glyphs_for, spelled
from dsectl.ui.screen import Screen, page_columns
from dsectl.ui.text import painted
from dsectl.ui.units import rfc3339, show_duration
from dsectl.watch.history import TICKS_MAX, History, Rates
from dsectl.watch.picture import COLUMNS_MIN, ROWS_MIN, Choices, picture, plain_lines, press

EVERY_S = 0.5
EVERY_MIN_S = 0.1
PLAIN_COLUMNS = 120
FLOWS = ("writes", "reads", "failed", "published", "served", "moved_bytes")
"""The rates that the JSON has."""


@command(
    "watch", "Watch the cluster live.", group="inspect", rank=8, readonly=True, streams=("",), barred="it is for people"
)
def watch(
    key: Annotated[
        str | None, typer.Argument(hidden=True, metavar="KEY", help="Key: refused, `events --key KEY -f` follows one.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(metavar="D", help="Time between two snapshots (default: 500ms).")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, help="Number of snapshots to end after (default: no end)."),
    ] = None,
) -> Iterator[Answer]:
    """Nodes and whom they see how, traffic, failures and latency, hints, faults with receipts, and the last events
    with their causes. Each node is asked directly; one that does not answer holds up nothing. Keys: q quits, space
    freezes, 1-9 and the arrows show one node, 0 all. Without a terminal it prints one picture as text (more with
    --count or --every); with --json an object for each look, until Ctrl-C."""
    if key is not None:
        raise unknown("watch", [key])
    if every is not None and every < EVERY_MIN_S:
        raise Usage(f"--every is at least {show_duration(EVERY_MIN_S)}")
    invocation = current()
    files, via, console = invocation.files(), invocation.options.via, invocation.console
    if via is not None:
        files.node(via)
    observer = Observer(lambda: files.name, via)
    if console.options.json or not (console.is_screen and sys.stdin.isatty()):
        goes_on = console.options.json or every is not None
        yield from _looks(observer, every or EVERY_S, count or (None if goes_on else 1))
    else:
        _show(observer, console, every or EVERY_S, count)


def _looks(observer: Observer, every_s: float, count: int | None) -> Iterator[Answer]:
    """What each look finds. Rates need two, so there is one more before the first."""
    invocation, history = current(), History()

    def view(console: Console) -> None:
        glyphs = glyphs_for(console.out.encoding)
        lines = plain_lines(history, max(console.columns or page_columns(PLAIN_COLUMNS), COLUMNS_MIN), glyphs, every_s)
        console.lines([spelled(painted(line, console.paint).rstrip(), glyphs) for line in lines])

    try:
        history.add(observer.look())
        invocation.ready()
        given = 0
        while (count is None or given < count) and not invocation.stopped():
            time.sleep(every_s)
            history.add(observer.look())
            given += 1
            assert history.snapshot is not None
            yield Answer(snapshot_json(history), view)
    finally:
        observer.close()


def _show(observer: Observer, console: Console, every_s: float, count: int | None) -> None:
    """The live screen, until `q`."""
    invocation, history = current(), History()
    choices, glyphs = Choices(), glyphs_for(console.out.encoding)
    held: deque[Snapshot] = deque(maxlen=TICKS_MAX)  # what came while the picture was frozen
    with Screen(console.out) as screen:
        poller = Poller(observer, every_s, screen.ring)
        poller.start()
        invocation.ready()
        try:
            while not choices.done and not invocation.stopped() and (count is None or history.count < count):
                held.extend(poller.take())
                while held and not choices.frozen:
                    history.add(held.popleft())
                columns, rows = screen.size
                lines = picture(history, max(columns, COLUMNS_MIN), max(rows, ROWS_MIN), choices, glyphs, every_s)
                screen.draw([spelled(painted(line, console.paint), glyphs) for line in lines[:rows]])
                names = list(history.snapshot.nodes) if history.snapshot else []
                for key in screen.wait(every_s):
                    choices = press(choices, key, names)
        except EOFError:  # the terminal is gone
            pass
        finally:
            poller.stop()


# -- one object a look


def snapshot_json(history: History) -> dict[str, Any]:
    """The last snapshot with its rates; rates are null where they are not known."""
    snapshot = history.snapshot
    assert snapshot is not None
    if snapshot.lost:
        return {"at": rfc3339(snapshot.wall), "cluster": snapshot.cluster, "lost": snapshot.lost.message}
    hints = snapshot.hints()
    total = max(1, sum(node.owned for node in snapshot.nodes.values()))
    rates = history.ticks[-1].rates
    events = [event for node in snapshot.nodes.values() if node.vitals for event in node.vitals.events]
    return {
        "at": rfc3339(snapshot.wall),
        **snapshot.to_json(),
        "answering": snapshot.answering,
        "nodes": {
            name: node.to_json()
            | {"sees": snapshot.matrix.get(name), "partitions": node.owned, "share": round(node.owned / total, 4)}
            | {"hints": hints.get(name, 0), **_rates_json(rates.get(name))}
            for name, node in snapshot.nodes.items()
        },
        "total": _rates_json(rates[None]),
        "hints": {"pending": sum(hints.values()), "by_target": hints},
        "queues": snapshot.queues(),
        "faults": [fault for fault in history.faults() if fault["active"]],
        "events": sorted(events, key=lambda event: (event["at"], event["node"])),
    }


def _rates_json(rates: Rates | None) -> dict[str, Any]:
    found = {f"{name}_per_s": None if rates is None else round(getattr(rates, name), 1) for name in FLOWS}
    for name, part in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        seconds = None if rates is None else rates.kv_quantile_s(part)
        found[name] = None if seconds is None else round(seconds * 1000, 3)
    return found
