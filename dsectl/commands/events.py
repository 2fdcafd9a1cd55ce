"""`events`: what the nodes decided, gathered from each directly and put in the order of time."""

import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError, NotFound, Usage
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text
from dsectl.commands.look_view import event_line, events_lines
from dsectl.ui.units import duration, is_duration

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster

EVENT_ID = re.compile(r"(.+)-\d+-\d{6,}", re.ASCII)
ANSWER_S = 1.0
FOLLOW_S = 0.2
FOLLOW_ANSWER_S = 0.3
LIMIT = 1000

Event = dict[str, Any]


def events(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME|ID|D", help="From this time on, after this event, or so long ago.")
    ] = None,
    kind: Annotated[str | None, typer.Option(metavar="K", help="Kinds that begin so, as `member` does.")] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="What concerns this key.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")] = LIMIT,
) -> None:
    """Membership, ownership, repair, faults: each decision with its cause. Nodes forget the oldest, and in a crash
    all of them."""
    client, console = current().client(), current().console
    filters = {name: check_text(value, name) for name, value in (("kind", kind), ("key", key)) if value is not None}
    found = _gather(client, since, filters)
    found = found[:limit] if since is not None else found[-limit:]
    if not console.options.json:
        console.lines(events_lines(found, console.paint, console.columns) if found and not follow else [])
        _print(found if follow else [])
    elif follow:
        _print(found)
    else:
        console.value(found)
    if follow:
        _follow(client, filters, _newest(found))
    elif not found:
        console.note("no events")


def _gather(client: "BlockingCluster", since: str | None, filters: dict[str, str]) -> list[Event]:
    """The events of all nodes, oldest first."""
    after = EVENT_ID.fullmatch(since) if since else None
    arguments: dict[str, Any] = {**filters, "limit": LIMIT}
    if since and after:
        arguments["since"] = _time_of(client, after[1], since)
    elif since:
        arguments["since"] = time.time() - duration(since) if is_duration(since) else since
    answers = client.ask_all(None, "events", arguments, timeout=min(ANSWER_S, client.timeout))
    errors = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    for error in errors.values():
        if isinstance(error, Usage):
            raise error
    if len(errors) == len(answers):
        raise nobody(client.location.name, errors)
    found = [event for name, answer in answers.items() if name not in errors for event in answer]
    return sorted((one for one in found if not after or _is_after(one, after[1], since or "")), key=_order)


def _time_of(client: "BlockingCluster", node: str, id: str) -> str:
    """When an event was, told by its node. Raises NotFound."""
    for event in client.ask(node, "events", {"limit": LIMIT}):
        if event["id"] == id:
            return str(event["at"])
    raise NotFound(f"{node} holds no event {id}", help="Nodes forget their oldest events; give --since a time instead.")


def _is_after(event: Event, node: str, id: str) -> bool:
    return event["node"] != node or _order(event)[2:] > _numbers(id)


def _order(event: Event) -> tuple[str, str, int, int]:
    return (event["at"], event["node"], *_numbers(event["id"]))


def _numbers(id: str) -> tuple[int, int]:
    _, epoch, number = id.rsplit("-", 2)
    return int(epoch), int(number)


def _newest(found: list[Event]) -> dict[str, str]:
    """The last event's id of each node."""
    return {event["node"]: event["id"] for event in sorted(found, key=lambda one: _numbers(one["id"]))}


def _follow(client: "BlockingCluster", filters: dict[str, str], newest: dict[str, str]) -> None:
    """Poll each node for what came after its last event that was seen. One that hangs is asked again the next time."""
    began: str | float = time.time()
    current().ready()
    while not current().stopped():
        time.sleep(FOLLOW_S)
        fresh: list[Event] = []
        for node in client.location.nodes:
            arguments = {**filters, "since": newest.get(node, began), "limit": LIMIT}
            try:
                fresh += client.ask(node, "events", arguments, timeout=FOLLOW_ANSWER_S)
            except ClusterError:
                continue
        newest.update(_newest(fresh))
        _print(sorted(fresh, key=_order))
        current().console.check_reader()


def _print(found: list[Event]) -> None:
    console = current().console
    for event in found:
        if console.options.json:
            console.value(event)
        else:
            console.line(event_line(event, console.paint))
    console.flush()
