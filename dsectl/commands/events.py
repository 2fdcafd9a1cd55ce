"""`events`: what the nodes decided, gathered from each directly and put in the order of time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cluster.errors import ClusterError, NotFound, Usage
from dsectl.cli.declaration import FOLLOW, Answer, Lines, command
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text
from dsectl.ui.events import event_line, events_lines
from dsectl.ui.units import duration, is_duration

if TYPE_CHECKING:
    import typer

    from cluster.client.blocking import BlockingCluster
    from dsectl.cli.console import Console

EVENT_ID = re.compile(r"(.+)-\d+-\d{6,}", re.ASCII)
ANSWER_S = 1.0
FOLLOW_S = 0.2
FOLLOW_ANSWER_S = 0.3
LIMIT = 1000

Event = dict[str, Any]


@command("events", "Show what nodes decided, and why.", group="inspect", rank=4, readonly=True, streams=FOLLOW)
def events(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME|ID|D", help="Time, event or age to begin at (default: the oldest).")
    ] = None,
    kind: Annotated[str | None, typer.Option(metavar="K", help="Beginning of the kinds, as in `member`.")] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Key that they concern.")] = None,
    node: Annotated[str | None, typer.Option(metavar="NODE", help="Node that decided, or that they concern.")] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help=f"Number of events at most (default: {LIMIT}).")
    ] = LIMIT,
) -> Iterator[Answer]:
    """Membership, ownership, repair, faults: each decision with its cause. Nodes forget the oldest, and in a crash
    all of them."""
    client = current().client()
    if node is not None and node not in client.location.nodes:
        raise NotFound(
            f"cluster {current().cluster!r} has no node called {node!r}", help="`dsectl members` lists the nodes."
        )
    filters = {name: check_text(value, name) for name, value in (("kind", kind), ("key", key)) if value is not None}
    found = [event for event in _gather(client, since, filters) if concerns(event, node)]
    found = found[:limit] if since is not None else found[-limit:]
    if follow:
        yield _stream(found)
        yield from _follow(client, filters, node, _newest(found))
        return

    def view(console: Console) -> None:
        if found:
            console.lines(events_lines(found, console.paint, console.columns))
        else:
            console.note("no events")

    yield Answer(found, view)


def concerns(event: Event, node: str | None) -> bool:
    """Whether a node decided it, or is the one that was decided about; any will do for None."""
    return node is None or node in (event["node"], event.get("member"), event.get("target"))


def _stream(found: list[Event]) -> Answer:
    return Answer(Lines(found), lambda console: console.lines([event_line(event, console.paint) for event in found]))


def _gather(client: BlockingCluster, since: str | None, filters: dict[str, str]) -> list[Event]:
    """The events of all nodes, oldest first."""
    after = EVENT_ID.fullmatch(since) if since else None
    arguments: dict[str, Any] = {**filters, "limit": LIMIT}
    if since and after:
        held = {event["id"]: event for event in client.ask(after[1], "events", {"limit": LIMIT})}
        if since not in held:
            help = "Nodes forget their oldest events; give --since a time instead."
            raise NotFound(f"{after[1]} holds no event {since}", help=help)
        arguments["since"] = held[since]["at"]
    elif since:
        arguments["since"] = time.time() - duration(since) if is_duration(since) else since
    answers = client.ask_all(None, "events", arguments, timeout=min(ANSWER_S, client.timeout))
    from cluster.client.dispatch import nobody

    errors = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    for error in errors.values():
        if isinstance(error, Usage):
            raise error
    if len(errors) == len(answers):
        raise nobody(client.location.name, errors)
    found = [event for name, answer in answers.items() if name not in errors for event in answer]
    if since and after:  # of its own node what has a later number; of the others what is as late
        found = [one for one in found if one["node"] != after[1] or _numbers(one["id"]) > _numbers(since)]
    return sorted(found, key=_order)


def _order(event: Event) -> tuple[str, str, int, int]:
    return (event["at"], event["node"], *_numbers(event["id"]))


def _numbers(id: str) -> tuple[int, int]:
    _, epoch, number = id.rsplit("-", 2)
    return int(epoch), int(number)


def _newest(found: list[Event]) -> dict[str, str]:
    """The last event's id of each node."""
    return {event["node"]: event["id"] for event in sorted(found, key=lambda one: _numbers(one["id"]))}


def _follow(
    client: BlockingCluster, filters: dict[str, str], node: str | None, newest: dict[str, str]
) -> Iterator[Answer]:
    """Poll each node for what came after its last event that was seen. One that hangs is asked again the next time."""
    began: str | float = time.time()
    current().ready()
    while not current().stopped():
        time.sleep(FOLLOW_S)
        fresh: list[Event] = []
        for name in client.location.nodes:
            arguments = {**filters, "since": newest.get(name, began), "limit": LIMIT}
            try:
                fresh += client.ask(name, "events", arguments, timeout=FOLLOW_ANSWER_S)
            except ClusterError:
                continue
        newest.update(_newest(fresh))
        yield _stream(sorted((event for event in fresh if concerns(event, node)), key=_order))
        current().console.check_reader()
