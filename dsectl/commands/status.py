"""`status`: the verdict on the cluster and the state of each node, as dsectl/snapshot/ judges them; `members`: how the
nodes see each other; `ring`: who owns what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cluster.client.dispatch import nobody
from cluster.emulator.workers import workers
from cluster.errors import NotFound, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.snapshot.observer import observe
from dsectl.ui.charts import Glyphs, glyphs_for, spelled
from dsectl.ui.ring import change_lines, changes_lines, moving_line, ring_lines
from dsectl.ui.table import Cell, state, table, table_lines
from dsectl.ui.text import STATES, Line, Paint, by_number, count, length, painted

if TYPE_CHECKING:
    from collections.abc import Callable

    import typer

    from cluster.emulator.home import ClusterFiles
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
    found, moving = seen.to_json(), seen.moving
    found["workers"] = workers_json(current().files(), found["nodes"])

    def view(console: Console) -> None:
        console.lines(status_lines(found, console.paint, console.columns))
        if not seen.faults_readable:
            console.note("note: the file of faults cannot be read: `dsectl heal` ends all faults and begins a new one")
        if moving is not None:
            _draw(console, lambda columns, glyphs: [[], moving_line(moving, columns, glyphs)])
            revert = "" if moving.forgotten else "`dsectl revert` takes it back, "
            console.note(f"note: {found['moving']}; {revert}`dsectl ring` shows it")
        if seen.faults_active:
            console.note(f"note: {count(seen.faults_active, 'fault')} active: `dsectl faults --active`")

    return Answer(found, view)


def status_lines(status: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """The verdict with its reason, then a line for each node, and one for each gateway."""
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
    lines = [head, "", *table(heading, rows, paint, columns, right=("PORT", "PID", "MEMORY"))]
    if beside := worker_rows(status.get("workers", {})):
        named = ("WORKER", "STATE", "SERVICE", "PID", "MEMORY", "NOTE")
        lines += ["", *table(named, beside, paint, columns, right=("PID", "MEMORY"))]
    if gateways := gateway_rows(status["nodes"]):
        titles = ("GATEWAY", "PORT", "CLIENTS", "AT EACH NODE")
        lines += ["", *table(titles, gateways, paint, columns, right=("PORT", "CLIENTS"))]
    return lines


def workers_json(files: ClusterFiles, nodes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The workers that `serve` started, by endpoint, beside the nodes as they were seen."""
    found = {}
    for one in workers(files):
        node, note = one.endpoint.partition("/")[0], one.damaged
        if not note and not one.process.alive:
            if nodes.get(node, {}).get("pid"):
                note = f"see `dsectl logs {one.endpoint}`; `dsectl restart {one.endpoint}`"
            else:
                note = f"comes back with its node: `dsectl restart {node}`"
        found[one.endpoint] = {
            "state": one.process.state,
            "service": one.service,
            "version": one.version,
            "target": one.target,
            "pid": one.process.pid,
            "rss_mb": one.process.rss_mb,
            "note": note,
        }
    return found


def worker_rows(workers: dict[str, dict[str, Any]]) -> list[tuple[Cell, ...]]:
    """Of each worker what it does and what it hosts."""
    return [
        (
            endpoint,
            state(one["state"]),
            f"{one['service']} {one['version']}" if one["service"] else one["target"],
            str(one["pid"] or ""),
            f"{one['rss_mb']:.0f} MB" if one["rss_mb"] else "",
            one["note"],
        )
        for endpoint, one in workers.items()
    ]


def gateway_rows(nodes: dict[str, dict[str, Any]]) -> list[tuple[Cell, ...]]:
    """Of each gateway its shared port, its clients, and the port and the clients at each node that answers."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for node, of in nodes.items():
        for name, one in of.get("gateways", {}).items():
            found.setdefault(name, {})[node] = one
    rows: list[tuple[Cell, ...]] = []
    for name, at in found.items():
        shared = max(one["shared"] for one in at.values())
        each = [f"{node}:{one['port']} ({one['clients']})" for node, one in at.items()]
        clients = sum(one["clients"] for one in at.values())
        rows.append((name, str(shared or ""), str(clients), "  ".join(each)))
    return rows


@command("members", "Show which nodes are alive, as one node or all see it.", group="inspect", rank=1, readonly=True)
def members(matrix: Annotated[bool, typer.Option("--matrix", help="Show the view of every node.")] = False) -> Answer:
    """The view of one node, which --via chooses. Views may differ: --matrix shows them all."""
    if matrix:
        seen = snapshot()
        if not seen.matrix:
            raise nobody(seen.cluster, seen.silent)
        return Answer(seen.matrix, lambda console: _draw(console, matrix_lines, seen.matrix, list(seen.silent)))
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


def matrix_lines(
    matrix: dict[str, dict[str, str]], silent: list[str], columns: int | None, glyphs: Glyphs
) -> list[Line]:
    """Who sees whom how: a row for each observer. In words, or by signs where the terminal is too narrow for words."""
    subjects = sorted({name for row in matrix.values() for name in row}, key=by_number)
    heading = ("OBSERVER", *subjects)

    def rows(signs: dict[str, str]) -> list[tuple[Cell, ...]]:
        states = {observer: [row.get(name, "?") for name in subjects] for observer, row in matrix.items()}
        return [(name, *((signs.get(one, one), STATES.get(one, "")) for one in row)) for name, row in states.items()]

    lines = table_lines(heading, rows({}))
    if columns is not None and length(lines[0]) > columns:
        lines = table_lines(heading, rows(glyphs.states))
        lines.append([(f"{sign} {name}  ", STATES.get(name, "")) for name, sign in glyphs.states.items()])
    if silent:
        lines.append([(f"silent: {', '.join(silent)}", "dim")])
    return lines


@command("ring", "Draw which nodes own which partitions.", group="inspect", rank=2, readonly=True)
def ring(
    node: Annotated[str | None, typer.Option(metavar="NODE", help="Node whose partitions to show.")] = None,
    partition: Annotated[int | None, typer.Option(metavar="P", help="Partition to show (default: all).")] = None,
    changes: Annotated[bool, typer.Option("--changes", help="Show what the last changes of members moved.")] = False,
) -> Answer:
    """A column is a partition, its owners from the top down in the order of preference, by letter and colour. While
    members change, also which partitions move, from whom to whom. With --node or --partition a list, with fallbacks."""
    client = current().client()
    if changes:
        if node is not None or partition is not None:
            raise Usage("--changes takes no --node and no --partition")
        changed: list[dict[str, Any]] = client.ask(None, "changes")
        return Answer(changed, lambda console: _draw(console, changes_lines, changed))
    found: list[dict[str, Any]] = client.admin.ring()
    changing = client.ask(None, "changes")[-1:] if "coming" in found[0] else []
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
            entry = client.location.entry
            zones = {member.name: member.zone for member in entry.all_members} if entry is not None else {}
            _draw(console, ring_lines, found, zones)
            for change in changing:
                console.line("")
                _draw(console, change_lines, change)
            console.note("--node N or --partition P lists fallbacks, --changes shows what moved")
            return
        rows = [(str(one["partition"]), " ".join(one["owners"]), " ".join(one["fallbacks"])) for one in found]
        heading = ("PARTITION", "OWNERS", "FALLBACKS")
        console.lines(table(heading, rows, console.paint, console.columns, right=("PARTITION",)))

    return Answer(found, view)


def _draw(console: Console, lines: Callable[..., list[Line]], *of: Any) -> None:
    glyphs = glyphs_for(console.out.encoding)
    drawn = lines(*of, console.columns, glyphs)
    console.lines([spelled(painted(line, console.paint), glyphs).rstrip() for line in drawn])
