"""Changes of the members: nodes join and leave while the cluster serves."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cluster.client.vitals import Moving
from cluster.emulator import growth as emulator
from cluster.emulator.home import find_home
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.ui.charts import glyphs_for
from dsectl.ui.ring import moving_line
from dsectl.ui.screen import page_columns
from dsectl.ui.text import count, painted
from dsectl.ui.units import show_duration

WAIT_S = 120.0
Nodes = Annotated[list[str] | None, typer.Argument(metavar="NODE...", help="Nodes, separated by spaces.")]
Wait = Annotated[float | None, typer.Option(metavar="D", help="Time to wait until the data has moved (default: 2m).")]


@command("add", "Add nodes, and move their share of the data to them.", group="clusters", rank=21)
def add(
    nodes: Annotated[
        int, typer.Option("-n", "--nodes", min=1, metavar="N", help="Number of nodes to add (default: 1).")
    ] = 1,
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Zone of the new nodes (default: the one with the fewest).")
    ] = None,
    wait: Wait = None,
) -> Answer:
    """A majority of the members decides the new layout. While data moves, each write goes to the owners in force and to
    those to come, and reads go on as before. Returns when only the new owners are left; `dsectl revert` takes the
    change back until then."""
    invocation = current()
    moved = emulator.add(
        invocation.client(), find_home(), invocation.files(), nodes, zone, WAIT_S if wait is None else wait, _progress
    )
    return _answer(moved, f"{', '.join(moved.nodes)} joined")


@command("leave", "Take nodes out, after their data has moved.", group="clusters", rank=22)
def leave(nodes: Nodes = None, wait: Wait = None) -> Answer:
    """The nodes serve until others own what they did; then they end, and their folders are set aside in the cluster's
    folder. For a node that does not run, and will not again, there is `dsectl forget`."""
    return _leave(current().nodes(nodes, "leave"), wait, "left")


@command("forget", "Take out nodes that are gone for good.", group="clusters", rank=23)
def forget(
    nodes: Nodes = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on where too few other owners are left to have everything.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on without a majority of the members.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --force: go on without confirmation.")] = False,
    wait: Wait = None,
) -> Answer:
    """For nodes that do not run and are not to come back: their data is taken from the other owners. Refused, with the
    partitions, where those are too few to have all that was acknowledged; what is lost then is lost with
    --accept-loss.

    --force, where the nodes that stay are no majority: they go on alone, all of them must agree, and those to be
    forgotten are ended. Should these run elsewhere all the same, there are two clusters, until they meet: then the
    forgotten ones stop, with what only they acknowledged. Asks on a terminal; elsewhere it needs --yes."""
    names = current().nodes(nodes, "forget")
    if force and not yes:
        only = emulator.only_copies(current().files(), names)
        lost = f"; the only copies of {count(len(only), 'partition')} go: {' '.join(map(str, only))}" if only else ""
        question = f"""{", ".join(names)} will be ended and forgotten without a majority{lost}.
What only they acknowledged is lost. If they run elsewhere, there are two clusters, and they stop when the two meet.
Go on?"""
        current().confirm("forget --force may lose data", question, f"forget {' '.join(names)} --force")
    return _leave(names, wait, "forgotten", forget=True, accept_loss=accept_loss, force=force)


def _leave(names: list[str], wait: float | None, done: str, **options: bool) -> Answer:
    invocation, files = current(), current().files()
    wait_s = WAIT_S if wait is None else wait
    moved = emulator.leave(invocation.client(), find_home(), files, names, wait_s, _progress, **options)
    return _answer(moved, f"{', '.join(names)} {done}")


@command("revert", "Take back a change of members that is under way.", group="clusters", rank=24)
def revert(wait: Wait = None) -> Answer:
    """Only the owners in force are left: they have taken every write meanwhile. Nodes that were to join end."""
    invocation = current()
    moved = emulator.revert(invocation.client(), find_home(), invocation.files(), WAIT_S if wait is None else wait)
    return _answer(moved, f"{moved.what.removeprefix('revert: ')} taken back")


def _progress(state: dict[str, Any]) -> None:
    console = current().console
    glyphs = glyphs_for(console.err.encoding)
    moving = Moving(state["what"], state["waits_for"], state["joining"], state["lacking"])
    console.progress(painted(moving_line(moving, (console.columns or page_columns(80)) - 1, glyphs), console.paint_err))


def _answer(moved: emulator.Moved, what: str) -> Answer:
    current().console.progress("")
    if (error := emulator.not_over(moved)) is not None:
        raise error
    value = {"nodes": moved.nodes, "what": moved.what, "layout": moved.layout, "copies_moved": moved.moved}
    value["s"] = round(moved.seconds, 3)
    copies = f": {count(moved.moved, 'copy', 'copies')} of partitions moved" if moved.moved else ""
    text = f"{what}{copies} in {show_duration(moved.seconds)}"
    return Answer(value, lambda console: console.line(text))
