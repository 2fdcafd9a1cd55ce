"""`status`: the verdict on the cluster and the state of each node, as dsectl/snapshot/ judges them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.snapshot.observer import observe
from dsectl.ui.table import state, table
from dsectl.ui.text import Paint, count

if TYPE_CHECKING:
    from dsectl.cli.console import Console
    from dsectl.snapshot.snapshot import Snapshot


def snapshot() -> Snapshot:
    """The cluster of this invocation now, in the view of its `--via` if it names one."""
    invocation = current()
    return observe(invocation.files(), invocation.client(), via=invocation.options.via)


@command("status", "Show the verdict and each node's state.", group="clusters", rank=5, readonly=True)
def status() -> Answer:
    """Green: all owners of every partition vote. Amber: enough for a read of each. Red: too few for some. Exits with 0
    whenever it could look; --via chooses whose view of the others counts."""
    seen = snapshot()
    found = seen.to_json()

    def view(console: Console) -> None:
        console.lines(status_lines(found, console.paint, console.columns))
        if not seen.faults_readable:
            console.note("note: the file of faults cannot be read: `dsectl heal` ends all faults and begins a new one")
        if seen.moving:
            console.note(f"note: {seen.moving}; `dsectl revert` takes it back")
        if seen.faults_active:
            console.note(f"note: {count(seen.faults_active, 'fault')} active: `dsectl faults --active`")

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
