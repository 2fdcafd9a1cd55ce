"""How far nodes that lost data are complete again, and the way on when an owner that they wait for never returns."""

from typing import Annotated, Any

import typer

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError, Failed, Usage
from dsectl.cli.invocation import current
from dsectl.commands.look_view import repair_lines
from dsectl.ui.text import count

ANSWER_S = 1.0


def repair(
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Which node (default: all).")] = None,
    status: Annotated[bool, typer.Option("--status", help="Only show how far it is, as without options.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on without the owners that cannot be reached.")
    ] = False,
) -> None:
    """A node that lost data merges each partition from its other owners, by itself, and votes again once enough of
    them, or all, were merged. It waits for those that are down: `dsectl restart` brings them back. --accept-loss is for
    owners that never return: what only they hold of the partitions printed may be lost."""
    if accept_loss and (status or node is None):
        raise Usage("--accept-loss needs one node, and no --status", help="`dsectl repair n3 --accept-loss`.")
    client, console = current().client(), current().console
    if accept_loss:
        _accept_loss(str(node))
        return
    if node is not None:
        client.addresses([node])
    answers = client.ask_all(None if node is None else [node], "repair", timeout=min(ANSWER_S, client.timeout))
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if len(silent) == len(answers):
        raise nobody(current().cluster, silent)
    found = {name: answer for name, answer in answers.items() if name not in silent}
    if console.options.json:
        console.value({"nodes": found, "silent": list(silent)})
        return
    console.lines(repair_lines(found, console.paint, console.columns))
    if silent:
        console.note(f"note: no answer from {', '.join(silent)}")


def _accept_loss(node: str) -> None:
    console = current().console
    found: dict[str, Any] = current().client().ask(node, "accept-loss")
    if not found["partitions"]:
        raise Failed(f"{node} waits for no owner", help=f"`dsectl repair {node}` shows how far it is.")
    if console.options.json:
        console.value({"node": node, **found})
        return
    owners, partitions = ", ".join(found["owners"]), " ".join(map(str, found["partitions"]))
    console.line(f"{node} goes on without {owners}, for {count(len(found['partitions']), 'partition')}: {partitions}")
