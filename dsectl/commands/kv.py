"""The key-value store: put, get, delete, keys.

These are typed most, so this module imports what they need and no more: Typer stands in annotations alone, which are
text until a command line with options is parsed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cluster.errors import Failed, NotFound, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import as_json, check_text, read_value, show_value
from dsectl.ui.text import as_word, count, shown

if TYPE_CHECKING:
    import typer

    from cluster.client.kv import PutResult
    from dsectl.cli.console import Console

KEYS_LIMIT = 1000


@command("put", "Write a value.", group="kv", rank=1)
def put(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key to write.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Value; `-` is standard input, `@FILE` a file.")],
    w: Annotated[
        int, typer.Option("--w", metavar="N", min=0, help="Copies to wait for (default: the cluster's W).")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Count owners only, no fallbacks.")] = False,
    ctx: Annotated[
        str | None, typer.Option(metavar="T", help="Context to replace (default: what the key holds now).")
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Replace nothing: add a sibling to what is there.")] = False,
    literal: Annotated[bool, typer.Option("--literal", help="Store `-` and `@FILE` as they are.")] = False,
) -> Answer:
    """The context is read first, so that the new value replaces what the key holds now."""
    _check_one_context(ctx, blind)
    data = read_value(value, literal)
    kv = current().client().kv
    return _written(kv.put(check_text(key, "key"), data, context=ctx, blind=blind, w=w, strict=strict))


@command("delete", "Delete a key.", group="kv", rank=3, alias="del")
def delete(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key to delete.")],
    w: Annotated[
        int, typer.Option("--w", metavar="N", min=0, help="Copies to wait for (default: the cluster's W).")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Count owners only, no fallbacks.")] = False,
    ctx: Annotated[
        str | None, typer.Option(metavar="T", help="Context to delete (default: what the key holds now).")
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Delete nothing that is there: add a tombstone.")] = False,
) -> Answer:
    """The context is read first, so that what the key holds now is deleted. A missing key is no error."""
    _check_one_context(ctx, blind)
    kv = current().client().kv
    return _written(kv.delete(check_text(key, "key"), context=ctx, blind=blind, w=w, strict=strict))


@command("get", "Read a value.", group="kv", rank=2, readonly=True)
def get(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key to read.")],
    r: Annotated[int, typer.Option("--r", metavar="N", min=0, help="Owners to ask (default: the cluster's R).")] = 0,
    only: Annotated[str | None, typer.Option(metavar="NODE", help="Node to read from, asking no other.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Ask N-W+1 voting owners or more: see all `ok` writes.")
    ] = False,
) -> Answer:
    """A key that is not there exits with 6. Several siblings are printed one after the other, newest last."""
    found = current().client().kv.get(check_text(key, "key"), r=r, strict=strict, only=only)
    fields: dict[str, Any] = {
        "value": None if found.value is None else as_json(found.value),
        "siblings": [as_json(value) for value in found.siblings],
        "context": found.context,
        "answered": found.answered,
        "repaired": found.repaired,
        "degraded": found.degraded,
        "coordinator": found.coordinator,
        "ms": found.ms,
    }
    if found.kind:
        fields["kind"] = found.kind
    if not found.found:
        message = f"no key {key!r}" + (f" at {only}" if only else "")
        if found.degraded:
            message += ", of what ended ok: an owner that answered may miss what ended ok-sloppy"
        similar = f"`dsectl keys {as_word(key[: max(1, len(key) // 2)])}` lists similar keys"
        raise NotFound(message, help=f"{similar}; `dsectl explain {as_word(key)}` shows its owners.", key=key, **fields)

    def view(console: Console) -> None:
        siblings = len(found.siblings)
        if console.options.raw and siblings > 1:
            raise Failed(f"{key!r} has {siblings} siblings", help="--json shows them all, --raw one value.")
        for value in found.siblings:
            show_value(value, console)
        if siblings > 1:
            console.note(f"note: {siblings} siblings, from concurrent writes; the next put replaces them all")
        if found.degraded:
            console.note("note: degraded: fewer owners voted than a read needs; a newer value may exist")

    return Answer({"key": found.key, **fields}, view)


@command("keys", "List live keys.", group="kv", rank=4, readonly=True)
def keys(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="Beginning of the keys (default: all).")] = "",
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help=f"Number of keys at most (default: {KEYS_LIMIT}).")
    ] = KEYS_LIMIT,
    after: Annotated[str, typer.Option(metavar="KEY", help="Key after which to begin.")] = "",
) -> Answer:
    """All live nodes are queried; the union of their keys is printed in order."""
    found = current().client().kv.keys(check_text(prefix, "prefix"), limit=limit, after=check_text(after, "key"))

    def view(console: Console) -> None:
        console.lines([shown(key) for key in found.keys])
        if found.more:
            console.note(f"note: there may be more; go on with --after {as_word(found.after)}")
        if found.silent:
            console.note(
                f"note: no answer from {', '.join(found.silent)}; keys whose owners are all silent are missing"
            )

    return Answer(found, view)


def _check_one_context(ctx: str | None, blind: bool) -> None:
    if ctx is not None and blind:
        raise Usage("--ctx and --blind exclude each other", help="--ctx T replaces what T covers; --blind nothing.")


def _written(done: PutResult) -> Answer:
    def view(console: Console) -> None:
        from dsectl.ui.units import show_duration

        parts = [console.paint.state(done.outcome), f"{count(done.acks, 'ack')} through {done.coordinator}"]
        if done.hints:
            parts.append(console.paint(f"{count(done.hints, 'hint')} kept for absent owners", "warn"))
        if done.siblings > 1:
            parts.append(console.paint(f"{done.siblings} siblings now", "warn"))
        console.line("  ".join([*parts, console.paint(show_duration(done.ms / 1000), "dim")]))

    return Answer(done, view)
