"""Publish and subscribe: at most once, to whoever listens now."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Annotated

from cluster.errors import ClusterError, DeadlinePassed, Failed, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import as_json, check_text, one_line, read_value
from dsectl.ui.table import table
from dsectl.ui.text import count, shown
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from cluster.client.topics import TopicMessage
    from dsectl.cli.console import Console

POLL_S = 0.25
"""How often a subscription without messages checks whether it shall end."""
NOT_KEPT = "Messages published before the subscription are not delivered; `dsectl publish` sends one."


@command("publish", "Publish a message to the subscribers of its subject.", group="messages", rank=1)
def publish(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Subject, as in `orders.eu.new`.")],
    payload: Annotated[str, typer.Argument(metavar="PAYLOAD", help="Payload; `-` is standard input, `@FILE` a file.")],
    literal: Annotated[bool, typer.Option("--literal", help="Send `-` and `@FILE` as they are.")] = False,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TEXT", help="Header of the message; may be repeated.")
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Id of the message; repeated with it, it is kept once by each queue."),
    ] = None,
    request: Annotated[bool, typer.Option("--request", help="Wait for one answer, and print it.")] = False,
) -> Answer:
    """It goes to every subscription whose pattern matches, of each group to one, and is not kept: later subscribers do
    not get it. With --request the message names an inbox: what a subscriber publishes there is the answer.

    Queues that are bound to such a pattern (`dsectl queue bind`) keep it; where one may not have it, the exit code is
    5. With --id the same command may then be repeated: each queue keeps one message of an id within 5 minutes."""
    topics, headers = current().client().topics, _headers(header or [])
    if request and id is not None:
        raise Usage("a request gets an id from its node: --id is for a message that nobody answers")
    if id == "":  # as of a variable that is not set: kept twice, it would be done twice
        raise Usage("an id of a message has at least one character")
    if request:
        return _shown(topics.request(check_text(subject, "subject"), read_value(payload, literal), headers=headers))
    done = topics.publish(check_text(subject, "subject"), read_value(payload, literal), headers=headers, id=id or "")

    def view(console: Console) -> None:
        parts = [f"sent to {count(done.subscribers, 'subscription')}"]
        if done.queues:
            kept = ", ".join(f"{one.queue} ({console.paint.state(one.outcome)})" for one in done.queues)
            parts.append(f"kept by {'queue' if len(done.queues) == 1 else 'queues'} {kept}")
        console.line("  ".join([", ".join(parts), console.paint(done.id, "dim")]))

    return Answer(done, view)


@command("subscribe", "Print messages as they arrive.", group="messages", rank=2, streams=("",))
def subscribe(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Subjects: `*` is one token, a last `>` the rest.")],
    group: Annotated[
        str, typer.Option(metavar="G", help="Group, of which one member gets each message (default: none).")
    ] = "",
    count: Annotated[
        int, typer.Option(metavar="N", min=0, help="Number of messages to end after (default: no end).")
    ] = 0,
    wait: Annotated[float | None, typer.Option(metavar="D", help="Time to end after (default: no end).")] = None,
) -> Iterator[Answer]:
    """One line a message, until Ctrl-C. With --count, fewer messages are a failure: exit 5 when --wait has passed, and
    exit 1 when a job was stopped before."""
    invocation, seen = current(), 0
    with invocation.client().topics.subscribe(check_text(pattern, "pattern"), group=group) as subscription:
        announced = f"announced to {subscription.nodes} node{'' if subscription.nodes == 1 else 's'}"
        invocation.console.note(f"subscribed to {shown(pattern)} at {subscription.node}; {announced}")
        invocation.ready()
        until, dropped = None if wait is None else monotonic() + wait, 0
        while not (count and seen >= count) and not invocation.stopped():
            message = subscription.next(POLL_S if until is None else max(0.0, min(POLL_S, until - monotonic())))
            if subscription.dropped > dropped:
                dropped = subscription.dropped
                invocation.console.note(f"note: {dropped} messages dropped so far: this reader is too slow")
            if message is None:
                if until is not None and monotonic() >= until:
                    break
                continue
            seen += 1
            if message.gap:
                where = f"to {subscription.node}" if subscription.node else "to another node"  # and left it by now
                note = f"note: the subscription moved {where}; messages may be missing before this one"
                invocation.console.note(note)
            yield _shown(message)
    if count and seen < count and wait is not None:
        raise DeadlinePassed(f"{seen} of {count} messages came within {show_duration(wait)}", help=NOT_KEPT)
    if count and seen < count:
        raise Failed(f"{seen} of {count} messages came before it was stopped", help=NOT_KEPT)


@command("subscriptions", "List subscriptions, and what each got and missed.", group="messages", rank=3, readonly=True)
def subscriptions() -> Answer:
    """Of the clients of all nodes that answer, those of gateways among them; counted since each subscribed."""
    from cluster.client.dispatch import nobody

    answers = current().client().ask_all(None, "subscriptions")
    reached = {node: answer for node, answer in answers.items() if not isinstance(answer, ClusterError)}
    if not reached:
        raise nobody(current().cluster, answers)
    found = [{"node": node, **one} for node, answer in reached.items() for one in answer]

    def view(console: Console) -> None:
        rows = [
            (one["node"], shown(one["pattern"]), shown(one["group"]), str(one["delivered"]), str(one["dropped"]))
            for one in found
        ]
        if rows:
            headings = ("NODE", "PATTERN", "GROUP", "DELIVERED", "DROPPED")
            console.lines(table(headings, rows, console.paint, console.columns))
        else:
            console.note("nobody is subscribed to anything")
        if len(reached) < len(answers):
            silent = ", ".join(node for node in answers if node not in reached)
            console.note(f"note: without the subscriptions of {silent}, which did not answer")

    return Answer(found, view)


def _headers(given: list[str]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not name or not equals:
            raise Usage(f"invalid header {one!r}: expected NAME=TEXT")
        headers[check_text(name, "header")] = check_text(text, "header")
    return headers or None


def _shown(message: TopicMessage) -> Answer:
    def view(console: Console) -> None:
        if console.options.raw:
            console.bytes(message.payload + b"\n")
        else:
            said = [f"{name}={text}" for name, text in message.headers.items()]
            if message.reply:
                said.append(f"answer to {message.reply}")
            headers = "  ".join(shown(one) for one in said)
            line = f"{console.paint(shown(message.subject), 'name')}  {one_line(message.payload)}"
            console.line(f"{line}  {console.paint(headers, 'dim')}" if headers else line)

    fields = {"subject": message.subject, "payload": as_json(message.payload), "id": message.id, "node": message.node}
    more = {"headers": message.headers, "reply": message.reply}
    return Answer(fields | {name: value for name, value in more.items() if value}, view)
