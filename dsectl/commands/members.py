"""Who is there, and who owns what."""

from typing import Annotated, Any

import typer

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError, NotFound, Usage
from dsectl.cli.invocation import current
from dsectl.commands.look_view import matrix_lines, members_lines, ring_lines, shares_lines

ANSWER_S = 1.0


def members(
    matrix: Annotated[bool, typer.Option("--matrix", help="Ask every node: who sees whom how.")] = False,
) -> None:
    """The view of one node, which --via chooses; nodes may differ, and --matrix shows how."""
    if matrix:
        _matrix()
        return
    invocation = current()
    client, console = invocation.client(), invocation.console
    viewer = invocation.options.via or client.ask(None, "status")["name"]
    found = client.admin.members(node=viewer)
    if console.options.json:
        console.value(found)
    else:
        console.lines(members_lines(found, viewer, console.paint, console.columns))


def _matrix() -> None:
    client, console = current().client(), current().console
    answers = client.ask_all(None, "members", timeout=min(ANSWER_S, client.timeout))
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if len(silent) == len(answers):
        raise nobody(current().cluster, silent)
    found = {
        name: {member: row["state"] for member, row in answer.items()}
        for name, answer in answers.items()
        if name not in silent
    }
    if console.options.json:
        console.value(found)
    else:
        console.lines(matrix_lines(found, list(silent), console.paint, console.columns))


def ring(
    node: Annotated[str | None, typer.Option(metavar="NODE", help="Only what this node owns.")] = None,
    partition: Annotated[int | None, typer.Option(metavar="P", help="Only this partition.")] = None,
) -> None:
    """Owners in the order of preference, then the fallbacks. Without options, how much each node owns."""
    client, console = current().client(), current().console
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
    if console.options.json:
        console.value(found)
    elif node is None and partition is None:
        console.lines(shares_lines(found, console.paint, console.columns))
        console.note("\n--node N or --partition P shows owners and fallbacks, --json all")
    else:
        console.lines(ring_lines(found, console.paint, console.columns))
