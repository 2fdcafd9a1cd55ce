"""Publish and subscribe: at most once, to whoever listens now."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Annotated

from cluster.errors import DeadlinePassed, Failed
from dsectl.cli.invocation import current
from dsectl.cli.values import as_json, check_text, one_line, read_value
from dsectl.ui.text import count, shown
from dsectl.ui.units import duration, show_duration

if TYPE_CHECKING:
    import typer

    from cluster.client.blocking_topics import BlockingSubscription
    from cluster.client.topics import TopicMessage
    from dsectl.cli.console import Console

LOOK_S = 0.25
"""How often a subscription without messages looks whether it shall end."""
NOT_KEPT = "Messages published before the subscription are not delivered; `dsectl publish` sends one."


def publish(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="As in `orders.eu.new`.")],
    payload: Annotated[str, typer.Argument(metavar="PAYLOAD", help="`-` is standard input, `@FILE` a file.")],
    literal: Annotated[bool, typer.Option("--literal", help="`-` and `@FILE` mean themselves.")] = False,
) -> None:
    """It goes to every subscription whose pattern matches, and is not kept: who listens later does not get it."""
    done = current().client().topics.publish(check_text(subject, "subject"), read_value(payload, literal))
    console = current().console
    if console.options.json:
        console.value(done)
        return
    parts = [f"sent to {count(done.subscribers, 'subscription')}"]
    if done.queues:
        parts.append(count(done.queues, "queue"))
    console.line("  ".join([" and ".join(parts), console.paint(done.id, "dim")]))


def subscribe(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="`*` is one word, a last `>` the rest.")],
    group: Annotated[str, typer.Option(metavar="G", help="Of each group, one member gets a message.")] = "",
    count: Annotated[int, typer.Option(metavar="N", min=0, help="End after so many messages.")] = 0,
    wait: Annotated[float | None, typer.Option(parser=duration, metavar="D", help="End after so long.")] = None,
) -> None:
    """One line a message, until Ctrl-C. With --count, fewer messages are a failure: exit 5 when --wait has passed, and
    exit 1 when a job was stopped before."""
    invocation = current()
    client = invocation.client()
    with client.topics.subscribe(check_text(pattern, "pattern"), group=group) as subscription:
        nodes = "1 node knows" if subscription.nodes == 1 else f"{subscription.nodes} nodes know"
        invocation.console.note(f"listening to {shown(pattern)} at {subscription.node}; {nodes} of it")
        invocation.ready()
        seen = _listen(subscription, count, None if wait is None else monotonic() + wait)
    if count and seen < count and wait is not None:
        raise DeadlinePassed(
            f"{seen} of {count} messages came within {show_duration(wait)}",
            help=NOT_KEPT,
        )
    if count and seen < count:
        raise Failed(f"{seen} of {count} messages came before it was stopped", help=NOT_KEPT)


def _listen(subscription: BlockingSubscription, limit: int, until: float | None) -> int:
    """Print what comes; returns how many it were."""
    invocation = current()
    seen, dropped = 0, 0
    while not (limit and seen >= limit) and not invocation.stopped():
        remaining = LOOK_S if until is None else min(LOOK_S, until - monotonic())
        message = subscription.next(max(0.0, remaining))
        if subscription.dropped > dropped:
            dropped = subscription.dropped
            invocation.console.note(f"note: {dropped} messages dropped so far: this reader is too slow")
        if message is not None:
            seen += 1
            _show(message, invocation.console)
        elif until is not None and monotonic() >= until:
            break
    return seen


def _show(message: TopicMessage, console: Console) -> None:
    if message.gap:
        console.note(f"note: the subscription moved to {message.node}; messages may be missing before this one")
    if console.options.json:
        fields = {"subject": message.subject, "payload": as_json(message.payload), "id": message.id}
        console.value({**fields, "node": message.node, **({"headers": message.headers} if message.headers else {})})
    elif console.options.raw:
        console.bytes(message.payload + b"\n")
    else:
        console.line(f"{console.paint(shown(message.subject), 'name')}  {one_line(message.payload)}")
    console.flush()
