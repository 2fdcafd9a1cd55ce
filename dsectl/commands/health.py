"""Whether the nodes are healthy, what waits for those that are not, and how complete those are that lost data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError, DeadlinePassed, Failed, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.commands.services import STATE_TITLES, panic_lines, state_rows
from dsectl.commands.status import snapshot
from dsectl.snapshot.observer import COMMAND_ANSWER_S
from dsectl.snapshot.services import observe_services
from dsectl.ui.table import Cell, state, table
from dsectl.ui.text import Paint, count
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console

LEFT_OUT = ("ejected", "draining")
"""States of endpoints that `health` shows; those of a node that is gone are told with the node."""
POLL_S = 0.1
WAIT_S = 30.0
STANDSTILL_S = 1.0
"""When an owner is down, what is left after so long without progress is not waited for."""


@command("health", "Check that every node is healthy; exit 1 if not.", group="inspect", rank=5, readonly=True)
def health() -> Answer:
    """Each node is queried directly and reports its reasons; one that does not answer is not healthy. Below the nodes
    stand the endpoints of services that a node leaves out, with its reason, and the services of which so many are left
    out that all are used (panic): those are not healthy."""
    seen = snapshot()
    called = observe_services(current().client(), with_stats=False)
    panics = called.panics()
    services: dict[str, dict[str, Any]] = {}
    for one in called.endpoints():
        reasons = panic_lines({one.service: panics[one.service]}) if one.service in panics else []
        service = services.setdefault(one.service, {"healthy": not reasons, "reasons": reasons, "endpoints": {}})
        if one.state in LEFT_OUT:
            service["endpoints"][one.endpoint] = {"state": one.state, "reason": one.reason, "seen_by": one.by}
    nodes: dict[str, dict[str, Any]] = {}
    for name, node in seen.nodes.items():
        nodes[name] = {"healthy": not node.problems, "reasons": node.problems}
        if node.vitals is not None:
            nodes[name] |= {"may_have_lost": node.vitals.may_have_lost, "draining": node.vitals.draining}
            if node.vitals.gateways:
                nodes[name]["gateways"] = node.vitals.gateways

    def view(console: Console) -> None:
        rows = [
            (
                name,
                ("unhealthy", "bad") if node.problems else state("healthy"),
                ", ".join(f"{one} {of['clients']}" for one, of in node.vitals.gateways.items()) if node.vitals else "",
                "; ".join(node.problems),
            )
            for name, node in seen.nodes.items()
        ]
        console.lines(table(("NODE", "HEALTH", "CLIENTS OF", "REASONS"), rows, console.paint, console.columns))
        if left_out := state_rows(called.views, LEFT_OUT):
            console.lines(["", *table(STATE_TITLES, left_out, console.paint, console.columns)])
        console.lines([console.paint(line, "bad") for line in panic_lines(panics)])

    healthy = seen.healthy and not panics
    found = {"healthy": healthy, "nodes": nodes, "services": services}
    return Answer(found, view, 0 if healthy else Failed.exit_code)


@command("hints", "Count the hints that wait for absent owners.", group="inspect", rank=6, readonly=True)
def hints() -> Answer:
    """Writes that a node keeps for an owner that could not take them, summed over all nodes."""
    seen = snapshot()
    by_target, silent = seen.hints(), list(seen.silent)
    if len(silent) == len(seen.nodes):
        raise nobody(seen.cluster, seen.silent)
    by_holder = {name: node.vitals.hints for name, node in seen.nodes.items() if node.vitals and node.vitals.hints}
    found = {"pending": sum(by_target.values()), "by_target": by_target, "by_holder": by_holder, "silent": silent}

    def view(console: Console) -> None:
        console.line(f"{count(sum(by_target.values()), 'copy waits', 'copies wait')} for absent owners")
        rows = []
        for target, number in by_target.items():
            holders = [f"{holder}: {of[target]}" for holder, of in by_holder.items() if target in of]
            rows.append((target, str(number), ", ".join(holders)))
        if rows:
            heading = ("OWNER", "COPIES", "HELD BY")
            console.lines(["", *table(heading, rows, console.paint, console.columns, right=("COPIES",))])
        if silent:
            console.note(f"note: no answer from {', '.join(silent)}, which may hold more")

    return Answer(found, view)


@command("repair", "Compare all replicas, and make equal what differs.", group="inspect", rank=7)
def repair(
    node: Annotated[
        str | None, typer.Argument(metavar="NODE", help="Node whose replicas to compare (default: all).")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Show the progress only.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Stop waiting for owners that cannot be reached.")
    ] = False,
    wait: Annotated[float | None, typer.Option(metavar="D", help="Time to wait for equality (default: 30s).")] = None,
) -> Answer:
    """Owners compare what they hold by themselves, soon after it was written and while there is little else to do; this
    compares everything now, and waits. Exit code 5 when that is not over in time; it goes on.

    A node that lost data merges each partition from its other owners, by itself, and votes again once enough of
    them, or all, were merged. It waits for those that are down: `dsectl restart` brings them back. --accept-loss is for
    owners that never return: what only they hold of the partitions printed may be lost."""
    if accept_loss and (status or node is None):
        raise Usage("--accept-loss needs one node, and no --status", help="`dsectl repair n3 --accept-loss`.")
    client = current().client()
    if accept_loss:
        accepted: dict[str, Any] = client.ask(node, "accept-loss")
        if not accepted["partitions"]:
            raise Failed(f"{node} waits for no owner", help=f"`dsectl repair {node}` shows its progress.")
        owners, partitions = ", ".join(accepted["owners"]), " ".join(map(str, accepted["partitions"]))
        said = f"{node} goes on without {owners}, for {count(len(accepted['partitions']), 'partition')}: {partitions}"
        return Answer({"node": node, **accepted}, lambda console: console.line(said))
    if node is not None:
        client.addresses([node])
    nodes, timeout = None if node is None else [node], min(COMMAND_ANSWER_S, client.timeout)
    answers = client.ask_all(nodes, "repair", timeout=timeout) if status else _compared(nodes, wait or WAIT_S)
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if len(silent) == len(answers):
        raise nobody(current().cluster, silent)
    found = {name: answer for name, answer in answers.items() if name not in silent}

    def view(console: Console) -> None:
        console.lines(repair_lines(found, console.paint, console.columns))
        if silent:
            console.note(f"note: no answer from {', '.join(silent)}")

    return Answer({"nodes": found, "silent": list(silent)}, view)


def _compared(nodes: list[str] | None, wait_s: float) -> dict[str, Any]:
    """The state of each node once all replicas of those that answer were found equal. Raises DeadlinePassed."""
    client, console = current().client(), current().console
    deadline = time.monotonic() + wait_s
    before = client.ask_all(nodes, "repair", timeout=min(COMMAND_ANSWER_S, client.timeout))
    client.ask_all(nodes, "compare", timeout=min(COMMAND_ANSWER_S, client.timeout))
    last, since = -1, time.monotonic()
    while True:
        answers = client.ask_all(nodes, "repair", timeout=min(COMMAND_ANSWER_S, client.timeout))
        left = {name: one["equal"]["unverified"] for name, one in answers.items() if not isinstance(one, ClusterError)}
        console.progress(f"{sum(left.values())} partitions to compare" if any(left.values()) else "")
        now = time.monotonic()
        if sum(left.values()) != last:
            last, since = sum(left.values()), now
        if not any(left.values()) or now >= deadline or (_waits(answers) and now - since >= STANDSTILL_S):
            break
        time.sleep(POLL_S)
    console.progress("")
    for name, one in answers.items():
        was = before.get(name)
        if not isinstance(one, ClusterError) and not isinstance(was, ClusterError) and was is not None:
            one["equal"]["repaired"] -= was["equal"]["repaired"]
    if any(left.values()) and not _waits(answers):
        names = ", ".join(f"{name} ({number} partitions)" for name, number in left.items() if number)
        raise DeadlinePassed(
            f"not compared after {show_duration(wait_s)}: {names}", help="`dsectl repair --status` shows the rest."
        )
    return answers


def _waits(answers: dict[str, Any]) -> bool:
    """Whether somebody cannot be compared before an owner that is down returns: that is shown, and not waited for."""
    found = [one for one in answers.values() if not isinstance(one, ClusterError)]
    return len(found) < len(answers) or any(one["waits_for"] or one["recovering"] for one in found)


def repair_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """Which nodes lack data, for whom they wait, and what may have been lost."""
    rows: list[tuple[Cell, ...]] = []
    for name, one in found.items():
        missing, left, deleted = len(one["recovering"]), one["equal"]["unverified"], one["deleted"]
        lacking: Cell = (f"lacks {count(missing, 'partition')}: {one['cause']}", "warn") if missing else ("yes", "good")
        done = {"repaired": one["equal"]["repaired"], "left": deleted["left"], "collected": deleted["collected"]}
        equal = [f"{count(left, 'partition')} to compare" if left else "yes"]
        equal += [f"{count(n, 'key' if how == 'repaired' else 'tombstone')} {how}" for how, n in done.items() if n]
        waits = ", ".join(f"{owner} ({count(n, 'partition')})" for owner, n in one["waits_for"].items())
        rows.append((name, lacking, (", ".join(equal), "warn" if left else "good"), waits))
    lines = table(("NODE", "COMPLETE", "EQUAL", "WAITS FOR"), rows, paint, columns)
    for name, one in found.items():
        lines += [paint(f"{name}: {text}", "warn") for text in one["may_have_lost"]]
        if one["help"]:
            lines.append(f"{name}: {one['help']}")
    return lines
