"""Counters and sets: incr, decr, sadd, srem, smembers. What they change is merged: no change replaces another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from cluster.errors import Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import as_json, check_text, show_value
from dsectl.ui.text import count

if TYPE_CHECKING:
    import typer

    from cluster.client.cells import ChangeResult, CountResult
    from dsectl.cli.console import Console


@command("incr", "Add to a counter.", group="kv", rank=11)
def incr(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the counter.")],
    by: Annotated[str, typer.Argument(metavar="N", help="How much to add (default: 1).")] = "1",
    w: Annotated[
        int, typer.Option("--w", metavar="N", min=0, help="Copies to wait for (default: the cluster's W).")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Count owners only, and read them first.")] = False,
) -> Answer:
    """A counter that is not there begins at 0. Both sides of a partition count, and nothing is lost when it heals; the
    number that is printed is then what one side can see."""
    kv = current().client().kv
    return _counted(kv.incr(check_text(key, "key"), _number(by), w=w, strict=strict))


@command("decr", "Subtract from a counter.", group="kv", rank=12)
def decr(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the counter.")],
    by: Annotated[str, typer.Argument(metavar="N", help="How much to subtract (default: 1).")] = "1",
    w: Annotated[
        int, typer.Option("--w", metavar="N", min=0, help="Copies to wait for (default: the cluster's W).")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Count owners only, and read them first.")] = False,
) -> Answer:
    """As `incr`, in the other direction; a counter may go below 0."""
    kv = current().client().kv
    return _counted(kv.decr(check_text(key, "key"), _number(by), w=w, strict=strict))


@command("sadd", "Add items to a set.", group="kv", rank=13)
def sadd(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the set.")],
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Items, separated by spaces.")],
    w: Annotated[
        int, typer.Option("--w", metavar="N", min=0, help="Copies to wait for (default: the cluster's W).")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Count owners only, and read them first.")] = False,
) -> Answer:
    """An item that is there is added anew: a removal that is under way elsewhere, and has not seen it, keeps it."""
    kv = current().client().kv
    return _changed(kv.sadd(check_text(key, "key"), _bytes(items), w=w, strict=strict), "added")


@command("srem", "Remove items from a set.", group="kv", rank=14)
def srem(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the set.")],
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Items, separated by spaces.")],
    w: Annotated[
        int, typer.Option("--w", metavar="N", min=0, help="Copies to wait for (default: the cluster's W).")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Count owners only, and read them first.")] = False,
    ctx: Annotated[
        str | None, typer.Option(metavar="T", help="Context to remove (default: what the set holds now).")
    ] = None,
) -> Answer:
    """Removes what the context has seen of these items: what was added meanwhile stays. In a shell or a recipe the
    context is that of the last read or write of the key."""
    kv = current().client().kv
    done = kv.srem(check_text(key, "key"), _bytes(items), context=ctx, w=w, strict=strict)
    return _changed(done, "removed", "what is left was not there, or was added after this session read the set")


@command("smembers", "List the items of a set.", group="kv", rank=15, readonly=True)
def smembers(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the set.")],
    r: Annotated[int, typer.Option("--r", metavar="N", min=0, help="Owners to ask (default: the cluster's R).")] = 0,
    only: Annotated[str | None, typer.Option(metavar="NODE", help="Node to read from, asking no other.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Ask N-W+1 voting owners or more: see all `ok` writes.")
    ] = False,
) -> Answer:
    """One item a line, in the order of their bytes. A set without items, or one that was never there, lists none."""
    found = current().client().kv.smembers(check_text(key, "key"), r=r, strict=strict, only=only)

    def view(console: Console) -> None:
        for item in found.items:
            show_value(item, console)
        if not found.items:
            console.note("note: no items")
        if found.degraded:
            console.note("note: degraded: fewer owners voted than a read needs; there may be more items")

    fields = {"items": [as_json(item) for item in found.items], "context": found.context, "answered": found.answered}
    fields |= {"repaired": found.repaired, "degraded": found.degraded, "coordinator": found.coordinator}
    return Answer({"key": found.key, **fields, "ms": found.ms}, view)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Usage(f"invalid number {text!r}: expected a whole number, as 1 or 20") from None


def _bytes(items: list[str]) -> list[bytes]:
    return [os.fsencode(item) for item in items]


def _counted(done: CountResult) -> Answer:
    def view(console: Console) -> None:
        if console.options.raw:
            console.bytes(b"%d\n" % done.value)
        else:
            _show(console, str(done.value), done)
        if done.degraded:
            console.note("note: degraded: what was counted where no owner can be reached is not in this number")

    return Answer(done, view)


def _changed(done: ChangeResult, what: str, missing: str = "") -> Answer:
    def view(console: Console) -> None:
        _show(console, f"{done.changed} {what}", done)
        if missing and not done.changed:
            console.note(f"note: {missing}")

    return Answer(done, view)


def _show(console: Console, first: str, done: CountResult | ChangeResult) -> None:
    from dsectl.ui.units import show_duration

    parts = [first, console.paint.state(done.outcome), f"{count(done.acks, 'ack')} through {done.coordinator}"]
    if done.hints:
        parts.append(console.paint(f"{count(done.hints, 'hint')} kept for absent owners", "warn"))
    console.line("  ".join([*parts, console.paint(show_duration(done.ms / 1000), "dim")]))
