"""The state of a cluster: what its processes do, what its nodes say of themselves, and the verdict on both.

Every node that runs is asked directly. The verdict is one node's view in one respect: whom that node suspects or
takes for dead does not count, however well it may be, since the viewer's side does without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster.client.verdict import ClusterVerdict, Serves, judge_layout
from cluster.emulator.cluster import processes
from cluster.emulator.linkfaults import faults_readable, readable_faults
from cluster.emulator.nodefiles import cure, identity_damage
from cluster.errors import ClusterError
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.ui.table import state, table
from dsectl.ui.text import Paint, count

if TYPE_CHECKING:
    from cluster.emulator.home import ClusterFiles
    from cluster.emulator.inspect import NodeProcess
    from dsectl.cli.console import Console

ANSWER_S = 1.0
"""How long a node may take to say how it is: status must come quickly also when nodes hang."""
USABLE = ("alive", "leaving")
"""In the viewer's table; the replicas that it coordinates avoid all others, suspects too."""


@command("status", "Show the verdict and each node's state.", group="clusters", rank=5, readonly=True)
def status() -> Answer:
    """Green: all owners of every partition vote. Amber: enough for a read of each. Red: too few for some. Exits with 0
    whenever it could look; --via chooses whose view of the others counts."""
    found = look()

    def view(console: Console) -> None:
        console.lines(status_lines(found, console.paint, console.columns))
        if not faults_readable(found["cluster"]):
            console.note("note: the file of faults cannot be read: `dsectl heal` ends all faults and begins a new one")
        if found["faults_active"]:
            console.note(f"note: {count(found['faults_active'], 'fault')} active: `dsectl faults --active`")

    return Answer(found, view)


def status_lines(status: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """The verdict with its reason, then a line for each node."""
    head = f"{paint(status['cluster'], 'strong')}  {paint.state(status['verdict'])}  {status['reason']}"
    rows = [
        (
            name,
            state(node["state"]),
            node["zone"],
            str(node["port"]),
            str(node["pid"] or ""),
            f"{node['rss_mb']:.0f} MB" if node["rss_mb"] else "",
            node["note"],
        )
        for name, node in status["nodes"].items()
    ]
    heading = ("NODE", "STATE", "ZONE", "PORT", "PID", "MEMORY", "NOTE")
    return [head, "", *table(heading, rows, paint, columns, right=("PORT", "PID", "MEMORY"))]


def look(files: ClusterFiles | None = None) -> dict[str, Any]:
    """The object that `status --json` prints."""
    invocation = current()
    files = files or invocation.files()
    running = processes(files)
    client = invocation.client()
    asked = [name for name, process in running.items() if process.state == "running"]
    limit = min(ANSWER_S, client.timeout)
    answers = client.ask_all(asked, "status", timeout=limit) if asked else {}
    view, unusable = _view(asked, answers)
    entry = client.location.entry
    assert entry is not None
    verdict = judge_layout(entry, {name: _serves(answers.get(name), name in unusable) for name in files.nodes})
    places = {place.name: place for place in files.record.places}
    nodes = {
        name: _node(process, answers.get(name), places[name].zone, places[name].port, unusable.get(name, ""), view)
        for name, process in running.items()
    }
    for name, process in running.items():
        if not process.alive and (damage := identity_damage(files, name)) is not None:
            nodes[name]["note"] = f"damaged: {damage}; {cure(files.name, name, len(files.nodes))}"
    return {
        "cluster": files.name,
        "verdict": verdict.colour,
        "reason": reason(verdict, entry.replicas, view),
        "view": view,
        "ready_s": None,
        "nodes": nodes,
        "layout": client.location.layout,
        "voting_owners": {str(voters): partitions for voters, partitions in verdict.by_voters.items()},
        "faults_active": sum(fault.active for fault in readable_faults(files.name)),
    }


def _view(asked: list[str], answers: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Whose view is shown, and whom it cannot count on. Nobody's when nobody answers."""
    invocation = current()
    wanted = [invocation.options.via] if invocation.options.via else asked
    for name in wanted:
        if isinstance(answers.get(name), dict):
            try:
                table = invocation.client().ask(name, "members", timeout=ANSWER_S)
            except ClusterError:
                continue
            return name, {member: row["state"] for member, row in table.items() if row["state"] not in USABLE}
    return "", {}


def _serves(answer: Any, unusable: bool) -> Serves:
    if not isinstance(answer, dict) or unusable:
        return Serves(runs=False)
    votes = answer["state"] != "catching-up"
    return Serves(True, votes, frozenset(answer["recovering"]), full=bool(answer["full"]))


def _node(process: NodeProcess, answer: Any, zone: str, port: int, unusable: str, view: str) -> dict[str, Any]:
    state, note = process.state, ""
    if isinstance(answer, dict):
        state, note = answer["state"], answer["reason"]
        if answer["draining"]:
            note = f"draining, takes nothing new{'; ' if note else ''}{note}"
        if answer["full"]:
            note = f"refuses writes, its disk is full: {answer['full']}"
        if unusable:
            note = f"{unusable} in the view of {view}"
    elif process.state == "running":
        state, note = "starting", "does not answer yet"
    return {
        "state": state,
        "pid": process.pid,
        "port": port,
        "zone": zone,
        "rss_mb": process.rss_mb,
        "note": note,
        **({one: answer[one] for one in ("epoch", "hints", "draining")} if isinstance(answer, dict) else {}),
    }


def reason(verdict: ClusterVerdict, replicas: int, view: str) -> str:
    """The verdict in words."""
    seen = f" (as {view} sees it)" if view else " (no node answers)"
    if verdict.full and verdict.fewest == replicas:
        return f"{', '.join(verdict.full)} {'refuses' if len(verdict.full) == 1 else 'refuse'} writes: disk full{seen}"
    if verdict.colour == "green":
        return f"all {replicas} owners of every partition vote{seen}"
    fewest = "no voting owner" if verdict.fewest == 0 else f"only {verdict.fewest} of {replicas} voting owners"
    return f"{count(verdict.short, 'partition has', 'partitions have')} {fewest}{seen}"
