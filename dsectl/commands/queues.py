"""Queues: which there are, what is in them, and what subjects they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text, note_late
from dsectl.ui.queues import contents, queues_table, rules, shards_table
from dsectl.ui.text import count, shown

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console

UNKNOWN = "no owner answered"


@command("queue create", "Create a queue.", group="messages", rank=11)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the queue.")],
    shards: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Shards, each on N owners of its own (default: 8).")
    ] = None,
    visibility: Annotated[
        float | None, typer.Option(metavar="D", help="Time that a lease lasts (default: 30s).")
    ] = None,
    max_receives: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Deliveries before a message is a dead letter (default: no end)."),
    ] = None,
    dead_letter: Annotated[str | None, typer.Option(metavar="QUEUE", help="Queue for dead letters.")] = None,
    retention: Annotated[
        float | None, typer.Option(metavar="D", help="Time after which a message expires (default: 4d).")
    ] = None,
    delay: Annotated[
        float | None, typer.Option(metavar="D", help="Time before a message is visible (default: none).")
    ] = None,
    max_depth: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Messages that it holds at most (default: as many as fit)."),
    ] = None,
) -> Answer:
    """A majority of the members decides, and the command returns when all that live have taken it over. Created again
    with the same options, it is there. The number of shards is fixed: more of them spread a queue over more nodes."""
    made = current().client().admin.create_queue(
        check_text(name, "queue"), shards=shards, visibility=visibility, max_receives=max_receives,
        dead_letter=dead_letter, retention=retention, delay=delay, max_depth=max_depth,
        timeout=current().options.timeout_s,
    )  # fmt: skip
    return _defined(made)


@command("queue alter", "Change options of a queue.", group="messages", rank=12)
def alter(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Queue to change.")],
    visibility: Annotated[float | None, typer.Option(metavar="D", help="Time that a lease lasts.")] = None,
    max_receives: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Deliveries before a message is a dead letter; 0: no end.")
    ] = None,
    dead_letter: Annotated[
        str | None, typer.Option(metavar="QUEUE", help="Queue for dead letters; an empty name: none.")
    ] = None,
    retention: Annotated[
        float | None, typer.Option(metavar="D", help="Time after which a message expires; of those sent from then on.")
    ] = None,
    delay: Annotated[
        float | None, typer.Option(metavar="D", help="Time before a message is visible; of those sent from then on.")
    ] = None,
    max_depth: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Messages that it holds at most; 0: as many as fit.")
    ] = None,
) -> Answer:
    """What is not named stays as it is, and so does what is in the queue; leases that run go on as they began. The
    number of shards is fixed."""
    changed = current().client().admin.alter_queue(
        check_text(queue, "queue"), visibility=visibility, max_receives=max_receives, dead_letter=dead_letter,
        retention=retention, delay=delay, max_depth=max_depth, timeout=current().options.timeout_s,
    )  # fmt: skip
    return _defined(changed)


@command("queue list", "List the queues, with what is in them.", group="messages", rank=13, readonly=True)
def list_queues() -> Answer:
    """DEPTH counts messages that are not acknowledged, IN FLIGHT those of them that are leased; REDELIVERED and DEAD
    count since the nodes booted. Each node is asked for the shards that it owns."""
    found = current().client().admin.queues()

    def view(console: Console) -> None:
        if not found:
            console.note("note: no queues; `dsectl queue create NAME` makes one")
            return
        console.lines(queues_table(found, console.paint, console.columns))
        unknown = [one["name"] for one in found if one["shards_unknown"]]
        if unknown:
            console.note(f"note: {UNKNOWN} for shards of {', '.join(unknown)}: what is in those is not counted")

    return Answer(found, view)


@command("queue show", "Show a queue and its shards.", group="messages", rank=14, readonly=True)
def show(queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Queue to show.")]) -> Answer:
    """The giver of a shard leases its messages; it is the first of its owners that is alive and votes."""
    found = current().client().admin.queue(check_text(queue, "queue"))

    def view(console: Console) -> None:
        console.line(f"queue {console.paint(found['name'], 'name')}: {rules(found)}")
        console.line(contents(found))
        console.line("")
        console.lines(shards_table(found["by_shard"], console.paint, console.columns))
        if found["shards_unknown"]:
            numbers = ", ".join(map(str, found["shards_unknown"]))
            unknown = f"shard{'s' if len(found['shards_unknown']) > 1 else ''} {numbers}"
            console.note(f"note: {UNKNOWN} for {unknown}: what is in there is not counted")

    return Answer(found, view)


@command("queue delete", "Delete a queue with all that is in it.", group="messages", rank=15)
def delete(queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Queue to delete.")]) -> Answer:
    """Refused while another queue sends its dead letters there. A queue that is created later under the same name is
    another one: it begins empty, and receipts of this one are worth nothing there."""
    done = current().client().admin.delete_queue(check_text(queue, "queue"), timeout=current().options.timeout_s)

    def view(console: Console) -> None:
        console.line(f"queue {done['name']} is deleted")
        note_late(done["late"], console)

    return Answer(done, view)


@command("queue bind", "Send to a queue what is published to matching subjects.", group="messages", rank=16)
def bind(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Queue to bind.")],
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Subjects: `*` is one token, a last `>` the rest.")],
) -> Answer:
    """Once this returns, `dsectl publish` to such a subject answers when W nodes have the message for each bound queue.
    Each queue gets a message once, by however many of its patterns it matches."""
    return _bound(queue, pattern, "bind_queue")


@command("queue unbind", "Send a queue no longer what is published.", group="messages", rank=17)
def unbind(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Queue to unbind.")],
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Pattern that it was bound to.")],
) -> Answer:
    """What is in the queue stays there."""
    return _bound(queue, pattern, "unbind_queue")


@command("queue purge", "Delete all messages of a queue.", group="messages", rank=18)
def purge(queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Queue to purge.")]) -> Answer:
    """Also those that are leased. What is sent while it runs may stay. Exit 5 says that nodes which do not answer may
    hold more."""
    done = current().client().admin.purge_queue(check_text(queue, "queue"), timeout=current().options.timeout_s)
    return Answer(done, lambda console: console.line(f"purged {count(done['purged'], 'message')} of {done['queue']}"))


@command("queue redrive", "Move dead letters back to a queue.", group="messages", rank=19)
def redrive(
    queue: Annotated[str, typer.Argument(metavar="DLQ", help="Queue that holds the dead letters.")],
    to: Annotated[
        str | None, typer.Option(metavar="QUEUE", help="Queue to move them to (default: where each came from).")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Messages to move at most (default: all).")] = 0,
) -> Answer:
    """Each gets a new id, and its deliveries count from the beginning. A message that did not come as a dead letter
    goes nowhere without --to."""
    target = None if to is None else check_text(to, "queue")
    timeout = current().options.timeout_s
    done = current().client().admin.redrive_queue(check_text(queue, "queue"), to=target, limit=limit, timeout=timeout)

    def view(console: Console) -> None:
        console.line(
            f"moved {count(done['moved'], 'message')} from {done['from']} to {done['to'] or 'where they came from'}"
        )
        if done["left"] and not limit:
            console.note("note: more are left; run it again")

    return Answer(done, view)


def _defined(queue: dict[str, Any]) -> Answer:
    def view(console: Console) -> None:
        console.line(f"queue {queue['name']}: {rules(queue)}")
        note_late(queue["late"], console)

    return Answer(queue, view)


def _bound(queue: str, pattern: str, how: str) -> Answer:
    invocation = current()
    change = getattr(invocation.client().admin, how)
    done: dict[str, Any] = change(
        check_text(queue, "queue"), check_text(pattern, "pattern"), timeout=invocation.options.timeout_s
    )

    def view(console: Console) -> None:
        patterns = ", ".join(map(shown, done["patterns"]))
        console.line(f"queue {done['name']} is bound to {patterns or 'nothing'}")
        note_late(done["late"], console)

    return Answer(done, view)
