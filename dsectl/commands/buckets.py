"""Buckets: keys with rules of their own. `put orders/7 …` writes into the bucket `orders`, once it is created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text, note_late
from dsectl.ui.cells import rules
from dsectl.ui.table import table
from dsectl.ui.text import Paint, shown
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console


@command("bucket create", "Create a bucket: keys with rules of their own.", group="kv", rank=31)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name; the keys of the bucket begin with it and a `/`.")],
    resolver: Annotated[
        str,
        typer.Option(
            metavar="siblings|lww", help="What becomes of concurrent writes (default: all stay, as siblings)."
        ),
    ] = "siblings",
    r: Annotated[int, typer.Option("--r", metavar="N", min=0, help="Owners to ask (default: the cluster's R).")] = 0,
    w: Annotated[
        int, typer.Option("--w", metavar="N", min=0, help="Copies to wait for (default: the cluster's W).")
    ] = 0,
    ttl: Annotated[
        float | None, typer.Option(metavar="D", help="Time to live of each value, with lww (default: no end).")
    ] = None,
) -> Answer:
    """All keys that begin with NAME/ belong to it. A majority of the members decides, and the command returns when all
    that live have taken it over. Refused while such keys exist. Created again with the same options, it is there.

    With siblings, concurrent writes all stay, until a writer replaces them. With lww the last writer wins, by stamps of
    a hybrid logical clock: each read has one value, and what was written meanwhile is lost. A time to live is that of
    values: counters and sets of the bucket do not end."""
    admin, timeout = current().client().admin, current().options.timeout_s
    made = admin.create_bucket(check_text(name, "bucket"), resolver=resolver, r=r, w=w, ttl=ttl, timeout=timeout)

    def view(console: Console) -> None:
        console.line(f"bucket {made['bucket']}: {rules(made)}")
        note_late(made["late"], console)

    return Answer(made, view)


@command("bucket list", "List the buckets.", group="kv", rank=32, readonly=True)
def list_buckets() -> Answer:
    """Keys that belong to none of them keep siblings, and have the cluster's R and W."""
    found = current().client().admin.buckets()

    def view(console: Console) -> None:
        if found:
            console.lines(_table(found, console.paint, console.columns))
        else:
            console.note("note: no buckets; `dsectl bucket create NAME` makes one")

    return Answer(found, view)


@command("bucket show", "Show the rules of a bucket.", group="kv", rank=33, readonly=True)
def show(bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="Bucket to show.")]) -> Answer:
    """As the node has them that answers; `dsectl keys BUCKET/` lists the keys."""
    found = current().client().admin.bucket(check_text(bucket, "bucket"))
    return Answer(found, lambda console: console.lines(_table([found], console.paint, console.columns)))


@command("bucket empty", "Delete all keys of an lww bucket at once.", group="kv", rank=34)
def empty(bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="Bucket to empty.")]) -> Answer:
    """One entry of the chain ends all that was written before, however many keys there are; what is written from now on
    stays. For a bucket with siblings, `dsectl delete` deletes single keys."""
    done = current().client().admin.empty_bucket(check_text(bucket, "bucket"), timeout=current().options.timeout_s)

    def view(console: Console) -> None:
        console.line(f"bucket {done['bucket']} is empty")
        note_late(done["late"], console)

    return Answer(done, view)


def _table(buckets: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    rows = [
        (
            shown(one["bucket"]),
            one["resolver"],
            str(one["r"]),
            str(one["w"]),
            show_duration(one["ttl_s"]) if one["ttl_s"] else "",
            one["emptied"] or "",
        )
        for one in buckets
    ]
    return table(("BUCKET", "RESOLVER", "R", "W", "TTL", "EMPTIED"), rows, paint, columns, right=("R", "W"))
