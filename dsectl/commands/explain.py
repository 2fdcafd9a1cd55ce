"""`explain KEY`: where a key belongs, and what every node holds of it, asked directly."""

from typing import Annotated, Any

import typer

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text
from dsectl.commands.look_view import explain_lines

ANSWER_S = 1.0
STEPS_MAX = 20


def explain(
    id: Annotated[str, typer.Argument(metavar="KEY", help="The key.")],
    key: Annotated[bool, typer.Option("--key", help="It is a key (the default).")] = False,
) -> None:
    """Owners and fallbacks, the clock and digest of each copy, hints that wait for an owner, and the last decisions."""
    client, console = current().client(), current().console
    limit = min(ANSWER_S, client.timeout)
    answers = client.ask_all(None, "explain", {"key": check_text(id, "key")}, timeout=limit)
    told = {name: answer for name, answer in answers.items() if not isinstance(answer, ClusterError)}
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if not told:
        raise nobody(current().cluster, silent)
    found = merge(id, told, list(silent))
    if console.options.json:
        console.value(found)
    else:
        console.lines(explain_lines(found, console.paint, console.columns))


def merge(key: str, told: dict[str, dict[str, Any]], silent: list[str]) -> dict[str, Any]:
    """One account out of those of all nodes: every owner that answered, and whoever else holds a copy."""
    one = next(iter(told.values()))
    owners: list[str] = one["owners"]
    holders = [name for name in [*owners, *told] if name in told and (name in owners or told[name]["held"])]
    hints_at = {name: answer["hints_for"] for name, answer in told.items() if answer["hints_for"]}
    steps = sorted((step for answer in told.values() for step in answer["steps"]), key=lambda step: step["at"])
    return {
        "key": key,
        "partition": one["partition"],
        "token": one["token"],
        "owners": owners,
        "fallbacks": one["fallbacks"],
        "replicas": {name: _replica(told[name]) for name in dict.fromkeys(holders)},
        "hints": sum(len(targets) for targets in hints_at.values()),
        "hints_at": hints_at,
        "silent": silent,
        "steps": steps[-STEPS_MAX:],
    }


def _replica(answer: dict[str, Any]) -> dict[str, Any]:
    held = answer["held"] or {"clock": None, "digest": None, "siblings": 0}
    return {"clock": held["clock"], "digest": held["digest"], "siblings": held["siblings"], "votes": answer["voting"]}
