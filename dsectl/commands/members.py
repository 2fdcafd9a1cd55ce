"""Who is there, and who owns what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cluster.errors import NotFound, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.ui.table import state, table
from dsectl.ui.text import Paint, by_number, count

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console


@command("members", "Show which nodes are alive, as one node or all see it.", group="inspect", rank=1, readonly=True)
def members(
    matrix: Annotated[bool, typer.Option("--matrix", help="Show the view of every node.")] = False,
) -> Answer:
    """The view of one node, which --via chooses. Views may differ: --matrix shows them all."""
    if matrix:
        return _matrix()
    invocation = current()
    client = invocation.client()
    viewer = invocation.options.via or client.ask(None, "status")["name"]
    answer = client.admin.members(node=viewer)
    found = {name: answer[name] for name in sorted(answer, key=by_number)}

    def view(console: Console) -> None:
        rows = [
            (name, state(one["state"]), "{}.{}".format(*one["incarnation"]), one["zone"], one["address"])
            for name, one in found.items()
        ]
        heading = ("NODE", "STATE", "INCARNATION", "ZONE", "ADDRESS")
        head = console.paint(f"as {viewer} sees it", "dim")
        console.lines([head, *table(heading, rows, console.paint, console.columns)])

    return Answer(found, view)


def _matrix() -> Answer:
    from cluster.client.dispatch import nobody
    from dsectl.commands.status import snapshot

    seen = snapshot()
    if not seen.matrix:
        raise nobody(seen.cluster, seen.silent)
    found, silent = seen.matrix, list(seen.silent)
    return Answer(found, lambda console: console.lines(matrix_lines(found, silent, console.paint, console.columns)))


def matrix_lines(matrix: dict[str, dict[str, str]], silent: list[str], paint: Paint, columns: int | None) -> list[str]:
    """Who sees whom how: a row for each observer."""
    subjects = sorted({name for row in matrix.values() for name in row}, key=by_number)
    rows = [(observer, *(state(row.get(name, "?")) for name in subjects)) for observer, row in matrix.items()]
    lines = table(("OBSERVER", *subjects), rows, paint, columns)
    return [*lines, *([paint(f"silent: {', '.join(silent)}", "dim")] if silent else [])]


@command("ring", "Show which nodes own which partitions.", group="inspect", rank=2, readonly=True)
def ring(
    node: Annotated[str | None, typer.Option(metavar="NODE", help="Node whose partitions to show.")] = None,
    partition: Annotated[int | None, typer.Option(metavar="P", help="Partition to show (default: all).")] = None,
) -> Answer:
    """Owners in the order of preference, then the fallbacks. Without options, how much each node owns."""
    client = current().client()
    found: list[dict[str, Any]] = client.admin.ring()
    if node is not None:
        client.addresses([node])
        found = [one for one in found if node in one["owners"]]
    if partition is not None:
        if not 0 <= partition < len(found) and node is None:
            raise Usage(f"there is no partition {partition}", help=f"Partitions are 0 to {len(found) - 1}.")
        found = [one for one in found if one["partition"] == partition]
        if not found:
            raise NotFound(f"{node} does not own partition {partition}", help=f"`dsectl ring --partition {partition}`")

    def view(console: Console) -> None:
        if node is None and partition is None:
            console.lines(shares_lines(found, console.paint, console.columns))
            console.note("\n--node N or --partition P shows owners and fallbacks, --json all")
        else:
            rows = [(str(one["partition"]), " ".join(one["owners"]), " ".join(one["fallbacks"])) for one in found]
            heading = ("PARTITION", "OWNERS", "FALLBACKS")
            console.lines(table(heading, rows, console.paint, console.columns, right=("PARTITION",)))

    return Answer(found, view)


def shares_lines(ring: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """How many partitions each node owns: what a glance at the ring is for."""
    owned: dict[str, int] = {}
    first: dict[str, int] = {}
    for one in ring:
        for at, name in enumerate(one["owners"]):
            owned[name] = owned.get(name, 0) + 1
            first[name] = first.get(name, 0) + (at == 0)
    total = sum(owned.values()) or 1
    rows = [
        (name, str(owned[name]), str(first[name]), f"{100 * owned[name] / total:.1f} %")
        for name in sorted(owned, key=by_number)
    ]
    head = (
        f"{count(len(ring), 'partition')}, {count(max((len(one['owners']) for one in ring), default=0), 'owner')} each"
    )
    heading = ("NODE", "OWNS", "FIRST", "SHARE")
    return [head, "", *table(heading, rows, paint, columns, right=("OWNS", "FIRST", "SHARE"))]
