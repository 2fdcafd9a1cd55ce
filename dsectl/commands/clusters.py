"""Clusters: up, down, rm, ps."""

import sys
import time
from typing import Annotated, Any

import typer

from cluster.emulator import cluster as emulator
from cluster.emulator.nodefiles import combined
from cluster.emulator.spec import ClusterSpec
from cluster.errors import Failed, Usage
from dsectl.cli.invocation import DEFAULT_CLUSTER, current
from dsectl.commands.clusters_view import progress_text, ps_lines, status_lines
from dsectl.commands.status import look
from dsectl.ui.text import count
from dsectl.ui.units import duration

SETTLE_S = 3.0
"""How long `up` lets a cluster that was started again catch up before it says how it is."""
SETTLE_POLL_S = 0.02


def up(
    nodes: Annotated[int | None, typer.Option("-n", "--nodes", metavar="N", help="How many (default 5).")] = None,
    zones: Annotated[int | None, typer.Option(metavar="Z", help="Spread over so many zones (default 1).")] = None,
    replication: Annotated[str | None, typer.Option(metavar="N/R/W", help="Quorums (default 3/2/2).")] = None,
    profile: Annotated[str | None, typer.Option(metavar="local|lan", help="How quick failures are noticed.")] = None,
    durability: Annotated[
        str | None, typer.Option(metavar="interval|always", help="What an acknowledgement promises.")
    ] = None,
    store: Annotated[str | None, typer.Option(metavar="memory", help="Where values are held (disk: not yet).")] = None,
    base_port: Annotated[int | None, typer.Option(metavar="P", help="The port of n1; the others follow.")] = None,
    ttl: Annotated[float | None, typer.Option(parser=duration, metavar="D", help="The nodes end after this.")] = None,
    wait: Annotated[
        float | None, typer.Option(parser=duration, metavar="D", help="How long to wait until it is ready (30s).")
    ] = None,
) -> None:
    """Makes the cluster, or starts a stopped one with what it was made with. Returns when every node knows every other
    and what it offers; what fails on the way is undone. A node whose own files are damaged keeps only itself down: the
    others start, and the error names the command that brings it back."""
    spec = ClusterSpec(
        name=current().cluster, nodes=nodes, zones=zones, replication=replication, profile=profile,
        durability=durability, store=store, base_port=base_port, ttl_s=ttl,
    )  # fmt: skip
    console = current().console
    listening: list[str] = []

    def progress(stage: str, node: str) -> None:
        listening.extend([node] if node else [])
        console.progress(progress_text(spec.name, nodes, len(listening), stage))

    try:
        report = emulator.up(spec, emulator.WAIT_S if wait is None else wait, progress)
    finally:
        console.progress("")
    found = {**_settled(bool(report.failed)), "ready_s": round(report.ready_s, 3), "created": report.created}
    if report.failed:
        error = combined(report.failed)
        if console.options.json:
            error.detail |= found
        else:
            console.lines(status_lines(found, console.paint, console.columns))
        raise error
    if console.options.json:
        console.value(found)
        return
    console.lines(status_lines(found, console.paint, console.columns))
    console.note(
        f"\nready after {report.ready_s:.1f} s; `dsectl{_option()} put KEY VALUE` writes, `dsectl help` lists the rest"
    )


def _settled(partly: bool) -> dict[str, Any]:
    """The status once nobody catches up any more, or after a while; not waited for when some nodes stay down."""
    deadline = time.monotonic() + (0.0 if partly else SETTLE_S)
    while True:
        found = look()
        if found["verdict"] == "green" or time.monotonic() >= deadline:
            return found
        time.sleep(SETTLE_POLL_S)


def _option() -> str:
    name = current().cluster
    return "" if name == DEFAULT_CLUSTER else f" -C {name}"


def down() -> None:
    """`dsectl up` starts them again."""
    name, console = current().cluster, current().console
    ended = emulator.down(name)
    if console.options.json:
        console.value({"cluster": name, "ended": ended})
    elif ended:
        console.line(f"{name}: ended {', '.join(ended)}; the data stays, `dsectl{_option()} up` starts it again")
    else:
        console.line(f"{name}: no node was running")


def rm(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="Its name.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Asks on a terminal; elsewhere it needs --yes. A cluster that is up is ended first."""
    known = {one.cluster: one for one in emulator.clusters()}
    if cluster in known and not yes:
        _confirm(cluster, known[cluster].alive, known[cluster].nodes)
    emulator.remove(cluster)
    console = current().console
    if console.options.json:
        console.value({"cluster": cluster, "removed": True})
    else:
        console.line(f"{cluster}: removed")


def _confirm(cluster: str, alive: int, nodes: int) -> None:
    invocation = current()
    if invocation.options.no_input or invocation.options.json or not sys.stdin.isatty():
        raise Usage("rm deletes data and cannot ask here", help=f"`dsectl rm {cluster} --yes` does not ask.")
    running = f" ({alive} of {count(nodes, 'node')} running)" if alive else ""
    invocation.console.err.write(f"Delete cluster {cluster}{running} with its data? [y/N] ")
    invocation.console.err.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failed("not removed", help="Answer y to remove it.")


def ps() -> None:
    """Those that are down too."""
    console = current().console
    found = [
        {"cluster": one.cluster, "nodes": one.nodes, "alive": one.alive, "created": one.created}
        | ({"damaged": one.damaged} if one.damaged else {})
        for one in emulator.clusters()
    ]
    if console.options.json:
        console.value(found)
        return
    if found:
        console.lines(ps_lines(found, console.paint, console.columns))
    else:
        console.note("no clusters; `dsectl up` starts one")
