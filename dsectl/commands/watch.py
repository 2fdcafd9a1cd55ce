"""`watch`: the whole cluster on one screen, as it happens; or told object by object where there is no screen."""

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.cli.app import unknown
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.snapshot.observer import Observer, Watcher
from dsectl.snapshot.sight import Sight
from dsectl.ui.charts import glyphs_for, spelled
from dsectl.ui.screen import Screen, page_columns
from dsectl.ui.text import painted
from dsectl.ui.units import duration, show_duration
from dsectl.watch.history import TICKS_MAX, History
from dsectl.watch.picture import COLUMNS_MIN, ROWS_MIN, Desk, picture, plain_lines, press
from dsectl.watch.telling import sight_json

EVERY_S = 0.5
EVERY_MIN_S = 0.1
PLAIN_COLUMNS = 120


@command(
    "watch",
    "Watch the cluster live.",
    group="inspect",
    rank=8,
    readonly=True,
    streams=("",),
    barred="it is for people",
)
def watch(
    key: Annotated[
        str | None, typer.Argument(hidden=True, help="Key: refused, `events --key KEY -f` follows one.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(parser=duration, metavar="D", help="Time between two snapshots (default: 500ms).")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, help="Number of snapshots to end after (default: no end)."),
    ] = None,
) -> Iterator[Answer]:
    """Who sees whom how, shares of the ring, traffic and latency, hints, faults with their receipts, and the last
    events with their causes. Each node is asked directly; one that keeps silent holds up nothing. Keys: q quits, space
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
    observer = Observer(files.name, via)
    if console.options.json or not _has_screen(console):
        goes_on = console.options.json or every is not None
        yield from _looks(observer, every or EVERY_S, count or (None if goes_on else 1))
    else:
        _show(observer, console, every or EVERY_S, count)


def _has_screen(console: Console) -> bool:
    return console.is_terminal and sys.stdin.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _looks(observer: Observer, every_s: float, count: int | None) -> Iterator[Answer]:
    """What each look finds. Rates need two, so there is one more before the first."""
    invocation, history = current(), History()
    try:
        history.add(observer.look())
        invocation.ready()
        given = 0
        while (count is None or given < count) and not invocation.stopped():
            time.sleep(every_s)
            history.add(observer.look())
            given += 1
            assert history.sight is not None
            yield Answer(sight_json(history), lambda console: _print(console, history, every_s))
    finally:
        observer.close()


def _print(console: Console, history: History, every_s: float) -> None:
    glyphs = glyphs_for(console.out.encoding)
    lines = plain_lines(history, max(page_columns(PLAIN_COLUMNS), COLUMNS_MIN), glyphs, every_s)
    console.lines([spelled(painted(line, console.paint).rstrip(), glyphs) for line in lines])


def _show(observer: Observer, console: Console, every_s: float, count: int | None) -> None:
    """The live screen, until `q`."""
    invocation, history = current(), History()
    desk, glyphs = Desk(), glyphs_for(console.out.encoding)
    held: deque[Sight] = deque(maxlen=TICKS_MAX)  # what came while the picture was frozen
    with Screen(console.out) as screen:
        watcher = Watcher(observer, every_s, screen.ring)
        watcher.start()
        invocation.ready()
        try:
            while not desk.done and not invocation.stopped() and (count is None or history.count < count):
                held.extend(watcher.take())
                while held and not desk.frozen:
                    history.add(held.popleft())
                columns, rows = screen.size
                lines = picture(history, max(columns, COLUMNS_MIN), max(rows, ROWS_MIN), desk, glyphs, every_s)
                screen.draw([spelled(painted(line, console.paint), glyphs) for line in lines[:rows]])
                names = list(history.sight.nodes) if history.sight else []
                for key in screen.wait(every_s):
                    desk = press(desk, key, names)
        except EOFError:  # nobody is there any more
            pass
        finally:
            watcher.stop()
