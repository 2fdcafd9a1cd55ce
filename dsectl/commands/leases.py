"""Messages of queues: send, receive under a lease, and what is done with receipts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cluster.errors import ClusterError, Inconclusive
from cluster.limits import QUEUE_BATCH_MAX
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import as_json, check_text, one_line, read_value
from dsectl.ui.text import count, shown
from dsectl.ui.units import clock, rfc3339, show_duration

if TYPE_CHECKING:
    import typer

    from cluster.client.queues import Batch, QueueMessage, ReceiptResult
    from dsectl.cli.console import Console

RECEIPTS_MAX = 100
"""That a session remembers."""


@command("send", "Send a message to a queue.", group="messages", rank=21)
def send(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Queue to send to.")],
    body: Annotated[str, typer.Argument(metavar="BODY", help="Body; `-` is standard input, `@FILE` a file.")],
    delay: Annotated[
        float | None, typer.Option(metavar="D", help="Time before it is visible (default: the queue's).")
    ] = None,
    dedup_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Deduplication id: of those sent with it in 5 minutes one is kept.")
    ] = None,
    literal: Annotated[bool, typer.Option("--literal", help="Send `-` and `@FILE` as they are.")] = False,
) -> Answer:
    """It is delivered at least once, in no order, and is not lost once this has succeeded: W nodes have it. A send that
    ends as `maybe` (exit 5) may have succeeded; sent again with the same --dedup-id, the message is there once."""
    name, id = check_text(queue, "queue"), None if dedup_id is None else check_text(dedup_id, "deduplication id")
    try:
        done = current().client().queues[name].send(read_value(body, literal), delay=delay, dedup_id=id)
    except ClusterError as error:
        error.detail = {"queue": name, **error.detail}
        raise

    def view(console: Console) -> None:
        first = "was sent before, and is kept once" if done.duplicate else "sent"
        parts = [first, console.paint.state(done.outcome), count(done.acks, "ack")]
        console.line("  ".join([*parts, console.paint(done.id, "dim")]))

    fields = {"id": done.id, "outcome": done.outcome, "acks": done.acks, "duplicate": done.duplicate}
    return Answer({"queue": name, **fields}, view)


@command("receive", "Receive messages of a queue, under a lease.", group="messages", rank=22)
def receive(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Queue to receive from.")],
    most: Annotated[
        int | None,
        typer.Option("--max", metavar="N", min=1, max=QUEUE_BATCH_MAX, help="Messages at a time (default: 1)."),
    ] = None,
    wait: Annotated[float | None, typer.Option(metavar="D", help="Time to wait for one (default: none).")] = None,
    visibility: Annotated[
        float | None, typer.Option(metavar="D", help="Time that the lease lasts (default: the queue's).")
    ] = None,
    ack: Annotated[bool, typer.Option("--ack", help="Acknowledge what is printed.")] = False,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="Go on until the queue is empty.")] = False,
) -> Iterator[Answer]:
    """What is not acknowledged while its lease lasts is delivered again: `dsectl ack RECEIPT` says that it is done.

    When nothing comes and it exits with 0, the queue is empty, but for what is leased or delayed. Exit 3 says that this
    is not known: shards that may hold messages cannot be reached. --until-empty receives 256 at a time, or --max."""
    invocation = current()
    jobs = invocation.client().queues[check_text(queue, "queue")]
    limit = most or (QUEUE_BATCH_MAX if until_empty else 1)
    gathered: list[dict[str, Any]] = []  # and not printed yet
    try:
        while True:
            batch = jobs.receive(limit, wait=wait or 0.0, visibility=visibility)
            is_last = not until_empty or not batch or invocation.stopped()
            if not invocation.options.json:
                yield _shown(batch, ack, until_empty)
            else:
                gathered += map(_told, batch)
            if invocation.options.json and is_last:
                fields = {"messages": gathered, "shards_unreachable": list(batch.shards_unreachable)}
                if batch.shards_unreachable:
                    fields = {"error": _inconclusive(batch).to_dict(), **fields}
                gathered = []
                yield Answer(fields, lambda console: None, _code(batch))
            for message in () if ack else batch:
                invocation.session.receipts[message.receipt] = None
                if len(invocation.session.receipts) > RECEIPTS_MAX:
                    del invocation.session.receipts[next(iter(invocation.session.receipts))]
            if ack:
                _raise_first(jobs.ack_batch([message.receipt for message in batch]))
                if batch and not invocation.options.json:
                    yield _acknowledged(len(batch))
            if is_last:
                return
    # However it ends: what was acknowledged never comes again, and would be lost if it were not printed now.
    except ClusterError as error:
        if gathered:
            error.detail = {"messages": gathered, **error.detail}
        raise
    except (KeyboardInterrupt, SystemExit):
        if gathered:
            yield Answer({"messages": gathered, "shards_unreachable": []}, lambda console: None)
        raise


@command("ack", "Acknowledge messages: their work is done.", group="messages", rank=23)
def ack(
    receipts: Annotated[list[str], typer.Argument(metavar="RECEIPT...", help="Receipts, as `receive` prints them.")],
) -> Answer:
    """They are never delivered again. May be repeated, and is good with a receipt whose lease is over, too."""
    done = current().client().queues.ack_batch(receipts)
    _forget(done)
    return _settled(done, "acknowledged", lambda number: f"acknowledged {count(number, 'message')}")


@command("nack", "Give messages back, to be delivered again.", group="messages", rank=24)
def nack(
    receipts: Annotated[list[str], typer.Argument(metavar="RECEIPT...", help="Receipts, as `receive` prints them.")],
    delay: Annotated[
        float | None, typer.Option(metavar="D", help="Time before they are delivered (default: none).")
    ] = None,
) -> Answer:
    """Only the current lease of a message gives it back: another one is refused as `lease-lost`, since the message has
    been delivered again, or will be."""
    done = current().client().queues.nack_batch(receipts, delay=delay or 0.0)
    _forget(done)
    return _settled(done, "returned", lambda number: f"returned {count(number, 'message')}")


@command("extend", "Extend the leases of messages.", group="messages", rank=25)
def extend(
    receipts: Annotated[list[str], typer.Argument(metavar="RECEIPT...", help="Receipts, as `receive` prints them.")],
    visibility: Annotated[float, typer.Argument(metavar="D", help="Time that they last from now on.")],
) -> Answer:
    """Only the current lease of a message can be extended: another one is refused as `lease-lost`."""
    done = current().client().queues.extend_batch(receipts, visibility)
    lasting = f"for {show_duration(visibility)} from now"
    return _settled(done, "extended", lambda number: f"extended {count(number, 'lease')}, {lasting}")


def _told(message: QueueMessage) -> dict[str, Any]:
    told = {"id": message.id, "body": as_json(message.body), "attempt": message.attempt, "receipt": message.receipt}
    told["lease_until"] = rfc3339(message.lease_until)
    told["sent_at"] = rfc3339(message.sent_at)
    if message.headers:
        told["headers"] = message.headers
    return told | ({"dedup_id": message.dedup_id} if message.dedup_id else {})


def _shown(batch: Batch, ack: bool, until_empty: bool) -> Answer:
    def view(console: Console) -> None:
        for message in batch:
            if console.options.raw:
                console.bytes(message.body + b"\n")
                continue
            console.line(one_line(message.body))
            lease = "" if ack else f"leased until {clock(rfc3339(message.lease_until), 0)}"
            tries = f"attempt {message.attempt}" if message.attempt > 1 else ""
            name = message.id if ack else message.receipt
            console.line(console.paint("  " + "  ".join(filter(None, [shown(name), tries, lease])), "dim"))
        if batch.shards_unreachable:
            console.error(_inconclusive(batch))
        elif not batch:
            console.note("note: the queue is empty" if until_empty else "note: no messages")

    return Answer(None, view, _code(batch))


def _acknowledged(number: int) -> Answer:
    """Said once it is so: whoever reads no further than the messages gets them again."""

    def view(console: Console) -> None:
        if not console.options.raw:
            console.line(console.paint(f"acknowledged {count(number, 'message')}", "dim"))

    return Answer(None, view)


def _inconclusive(batch: Batch) -> Inconclusive:
    shards = ", ".join(map(str, batch.shards_unreachable))
    return Inconclusive(
        f"no messages came, and shards {shards} may hold some: too few of the nodes that could know answer",
        help="`dsectl members` shows which nodes are alive; `restart` or `heal` helps.",
    )


def _code(batch: Batch) -> int:
    return Inconclusive.exit_code if batch.shards_unreachable else 0


def _forget(results: list[ReceiptResult]) -> None:
    """Receipts that are worth nothing any more, nor are those of which nobody knows."""
    for result in results:
        if result.error is None or result.error.definite:
            current().session.receipts.pop(result.receipt, None)


def _raise_first(results: list[ReceiptResult]) -> None:
    for result in results:
        if result.error is not None:
            raise result.error


def _settled(results: list[ReceiptResult], field: str, said: Callable[[int], str]) -> Answer:
    """What became of receipts. A single one raises; of many the first error says how it ends."""
    if len(results) == 1:
        _raise_first(results)
    errors = [result.error for result in results if result.error is not None]
    told = [{"receipt": one.receipt, "outcome": one.outcome} for one in results]
    for one, result in zip(told, results, strict=True):
        if result.error is not None:
            one["error"] = result.error.to_dict()  # type: ignore[assignment]
    fields: dict[str, Any] = {field: len(results) - len(errors), "results": told}

    def view(console: Console) -> None:
        done = len(results) - len(errors)
        if done:
            console.line(said(done))
        for result in results:
            if result.error is not None:
                console.note(f"{shown(result.receipt)}: {shown(result.error.message)}")
        if errors:
            console.error(errors[0])

    if errors:
        fields = {"error": errors[0].to_dict(), **fields}
    return Answer(fields, view, errors[0].exit_code if errors else 0)
