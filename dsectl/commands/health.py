"""Whether the nodes are well, what waits for those that are not, and how complete those are that lost data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError, Failed, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.ui.table import Cell, state, table
from dsectl.ui.text import Paint, count

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console

ANSWER_S = 1.0


@command("health", "Check that every node is healthy; exit 1 if not.", group="inspect", rank=5, readonly=True)
def health() -> Answer:
    """Each node is queried directly and reports its reasons; one that does not answer is not healthy."""
    client = current().client()
    answers = client.ask_all(None, "health", timeout=min(ANSWER_S, client.timeout))
    nodes: dict[str, dict[str, Any]] = {
        name: {"healthy": False, "reasons": [answer.message.removeprefix(f"{name}: ")]}
        if isinstance(answer, ClusterError)
        else answer
        for name, answer in answers.items()
    }
    found = {"healthy": all(one["healthy"] for one in nodes.values()), "nodes": nodes}

    def view(console: Console) -> None:
        rows = [
            (name, state("healthy") if one["healthy"] else ("unwell", "bad"), "; ".join(one["reasons"]))
            for name, one in nodes.items()
        ]
        console.lines(table(("NODE", "HEALTH", "REASONS"), rows, console.paint, console.columns))

    return Answer(found, view, 0 if found["healthy"] else Failed.exit_code)


@command("hints", "Count the hints that wait for absent owners.", group="inspect", rank=6, readonly=True)
def hints() -> Answer:
    """Writes that a node keeps for an owner that could not take them, summed over all nodes."""
    client = current().client()
    answers = client.ask_all(None, "hints", timeout=min(ANSWER_S, client.timeout))
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if len(silent) == len(answers):
        raise nobody(current().cluster, silent)
    by_holder = {name: answer["by_target"] for name, answer in answers.items() if name not in silent}
    by_target: dict[str, int] = {}
    for waiting in by_holder.values():
        for target, number in waiting.items():
            by_target[target] = by_target.get(target, 0) + number
    by_holder = {name: waiting for name, waiting in by_holder.items() if waiting}
    found = {"pending": sum(by_target.values()), "by_target": by_target, "by_holder": by_holder, "silent": list(silent)}

    def view(console: Console) -> None:
        console.lines(hints_lines(found, console.paint, console.columns))
        if silent:
            console.note(f"note: no answer from {', '.join(silent)}, which may hold more")

    return Answer(found, view)


def hints_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """How many copies wait, for whom and where."""
    head = f"{count(found['pending'], 'copy waits', 'copies wait')} for absent owners"
    if not found["by_target"]:
        return [head]
    rows = [(target, str(number), _holders(found, target)) for target, number in found["by_target"].items()]
    return [head, "", *table(("OWNER", "COPIES", "HELD BY"), rows, paint, columns, right=("COPIES",))]


def _holders(found: dict[str, Any], target: str) -> str:
    return ", ".join(f"{holder}: {of[target]}" for holder, of in found["by_holder"].items() if target in of)


@command("repair", "Show the repair of nodes that lost data.", group="inspect", rank=7)
def repair(
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Node to show (default: all).")] = None,
    status: Annotated[bool, typer.Option("--status", help="Show the progress only (the default).")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Stop waiting for owners that cannot be reached.")
    ] = False,
) -> Answer:
    """A node that lost data merges each partition from its other owners, by itself, and votes again once enough of
    them, or all, were merged. It waits for those that are down: `dsectl restart` brings them back. --accept-loss is for
    owners that never return: what only they hold of the partitions printed may be lost."""
    if accept_loss and (status or node is None):
        raise Usage("--accept-loss needs one node, and no --status", help="`dsectl repair n3 --accept-loss`.")
    client = current().client()
    if accept_loss:
        return _accept_loss(str(node))
    if node is not None:
        client.addresses([node])
    answers = client.ask_all(None if node is None else [node], "repair", timeout=min(ANSWER_S, client.timeout))
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if len(silent) == len(answers):
        raise nobody(current().cluster, silent)
    found = {name: answer for name, answer in answers.items() if name not in silent}

    def view(console: Console) -> None:
        console.lines(repair_lines(found, console.paint, console.columns))
        if silent:
            console.note(f"note: no answer from {', '.join(silent)}")

    return Answer({"nodes": found, "silent": list(silent)}, view)


def _accept_loss(node: str) -> Answer:
    found: dict[str, Any] = current().client().ask(node, "accept-loss")
    if not found["partitions"]:
        raise Failed(f"{node} waits for no owner", help=f"`dsectl repair {node}` shows its progress.")
    owners, partitions = ", ".join(found["owners"]), " ".join(map(str, found["partitions"]))
    said = f"{node} goes on without {owners}, for {count(len(found['partitions']), 'partition')}: {partitions}"
    return Answer({"node": node, **found}, lambda console: console.line(said))


def repair_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """Which nodes lack data, for whom they wait, and what may have been lost."""
    rows = [
        (name, _lacking(one), ", ".join(f"{owner} ({count(n, 'partition')})" for owner, n in one["waits_for"].items()))
        for name, one in found.items()
    ]
    lines = table(("NODE", "COMPLETE", "WAITS FOR"), rows, paint, columns)
    for name, one in found.items():
        lines += [paint(f"{name}: {text}", "warn") for text in one["may_have_lost"]]
        if one["help"]:
            lines.append(f"{name}: {one['help']}")
    return lines


def _lacking(one: dict[str, Any]) -> Cell:
    missing = len(one["recovering"])
    return (f"lacks {count(missing, 'partition')}: {one['cause']}", "warn") if missing else ("yes", "good")
