"""The clusters of this machine: up, down, rm, ps, env."""

from __future__ import annotations

import time
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

from cluster.emulator import cluster as emulator
from cluster.emulator import workers
from cluster.emulator.nodefiles import combined
from cluster.emulator.spec import ClusterSpec
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import DEFAULT_CLUSTER, current
from dsectl.commands.status import snapshot, status_lines, workers_json
from dsectl.ui.table import state, table
from dsectl.ui.text import count, shown
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console

SETTLE_S = 3.0
"""How long `up` lets a cluster that was started again catch up before it says how it is."""
SETTLE_POLL_S = 0.02
BARRED = "a recipe has a cluster of its own, made as its front matter says"


@command("up", "Start a cluster and wait until it is ready.", group="clusters", rank=1, barred=BARRED)
def up(
    nodes: Annotated[
        int | None, typer.Option("-n", "--nodes", metavar="N", help="Number of nodes (default: 5).")
    ] = None,
    zones: Annotated[int | None, typer.Option(metavar="Z", help="Number of zones (default: 1).")] = None,
    replication: Annotated[str | None, typer.Option(metavar="N/R/W", help="Quorums (default: 3/2/2).")] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="local|lan", help="Timing of failure detection (default: local).")
    ] = None,
    durability: Annotated[
        str | None, typer.Option(metavar="interval|always|none", help="When writes reach the disk (default: interval).")
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="memory|disk", help="Where the nodes keep their rows (default: memory).")
    ] = None,
    gateway: Annotated[
        list[str] | None,
        typer.Option(
            metavar="http|nats|redis|sqs[:PORT],...",
            help="Protocols that other programs use, at each node; PORT is that of n1 (default: none).",
        ),
    ] = None,
    base_port: Annotated[
        int | None, typer.Option(metavar="P", help="Port of n1; the others follow (default: any that are free).")
    ] = None,
    ttl: Annotated[float | None, typer.Option(metavar="D", help="Time to live of the nodes (default: no end).")] = None,
    wait: Annotated[
        float | None, typer.Option(metavar="D", help="Time to wait until it is ready (default: 30s).")
    ] = None,
) -> Answer:
    """Creates the cluster, or starts a stopped one with the options of its creation. Returns when every node sees every
    other and its services; on failure everything is undone. A node whose own files are damaged keeps only itself down:
    the others start, and the error names the command that brings it back."""
    spec = ClusterSpec(
        name=current().cluster, nodes=nodes, zones=zones, replication=replication, profile=profile,
        durability=durability, store=store, gateway=",".join(gateway) if gateway else None,
        base_port=base_port, ttl_s=ttl,
    )  # fmt: skip
    console = current().console
    listening: list[str] = []

    def progress(stage: str, node: str) -> None:
        listening.extend([node] if node else [])
        said = {
            "listening": f"{len(listening)}{'' if nodes is None else f' of {nodes}'} nodes listen",
            "ready": f"{count(len(listening), 'node')} ready",
        }
        console.progress(f"{shown(spec.name)}: {said.get(stage, 'starting nodes')}")

    try:
        report = emulator.up(spec, emulator.WAIT_S if wait is None else wait, progress)
    finally:
        console.progress("")
    found = {
        **_settled(0.0 if report.failed else SETTLE_S),
        "ready_s": round(report.ready_s, 3),
        "created": report.created,
    }
    lost = {} if report.created else workers.revive(report.files, report.files.nodes, emulator.WAIT_S)
    if not report.created:
        found["workers"] = workers_json(report.files, found["nodes"])

    def view(console: Console) -> None:
        console.lines(status_lines(found, console.paint, console.columns))
        if not report.failed:
            ready, option = f"\nready after {show_duration(report.ready_s)}", _option()
            console.note(f"{ready}; `dsectl{option} put KEY VALUE` writes, `dsectl help` lists the rest")
            for why in lost.values():
                console.note(f"note: {why}")
            for name, at in current().files().gateways.items():
                where = ", ".join(f"{node} {address}" for node, address in at.items())
                console.note(f"{name}: {where}; `dsectl{option} env` prints the password")

    if report.failed:
        error = combined(report.failed)
        if console.options.json:  # one object says both
            error.detail |= found
        else:
            view(console)
        raise error
    return Answer(found, view)


def _settled(within_s: float) -> dict[str, Any]:
    """How the cluster is once it is green, or after this time."""
    deadline = time.monotonic() + within_s
    while (now := snapshot().to_json())["verdict"] != "green" and time.monotonic() < deadline:
        time.sleep(SETTLE_POLL_S)
    return now


def _option() -> str:
    name = current().cluster
    return "" if name == DEFAULT_CLUSTER else f" -C {name}"


@command("down", "Stop all nodes; the data stays.", group="clusters", rank=2, barred=BARRED)
def down() -> Answer:
    """`dsectl up` starts them again."""
    name, again = current().cluster, f"`dsectl{_option()} up` starts it again"
    ended = emulator.down(name)
    said = f"ended {', '.join(ended)}; the data stays, {again}" if ended else "no node was running"
    return Answer({"cluster": name, "ended": ended}, lambda console: console.line(f"{name}: {said}"))


@command("rm", "Stop a cluster and delete its data.", group="clusters", rank=3, barred=BARRED)
def rm(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="Name of the cluster.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without confirmation.")] = False,
) -> Answer:
    """Asks on a terminal; elsewhere it needs --yes. A cluster that runs is stopped first."""
    invocation, known = current(), {one.cluster: one for one in emulator.clusters()}
    if cluster in known and not yes:
        alive, nodes = known[cluster].alive, known[cluster].nodes
        running = f" ({alive} of {count(nodes, 'node')} running)" if alive else ""
        question = f"Delete cluster {cluster}{running} with its data?"
        invocation.confirm("rm deletes data", question, f"rm {cluster}")
    emulator.remove(cluster)
    return Answer({"cluster": cluster, "removed": True}, lambda console: console.line(f"{cluster}: removed"))


@command("ps", "List the clusters of this machine.", group="clusters", rank=4, readonly=True, aside=True)
def ps() -> Answer:
    """Stopped clusters are listed, too."""
    found: list[dict[str, Any]] = [
        {"cluster": one.cluster, "nodes": one.nodes, "alive": one.alive, "workers": one.workers, "created": one.created}
        | ({"damaged": one.damaged} if one.damaged else {})
        for one in emulator.clusters()
    ]

    def view(console: Console) -> None:
        rows = [
            (
                one["cluster"],
                state("damaged" if one.get("damaged") else "running" if one["alive"] else "stopped"),
                f"{one['alive']} of {one['nodes']}",
                one["created"],
                one.get("damaged", "") or (count(one["workers"], "worker") if one["workers"] else ""),
            )
            for one in found
        ]
        if rows:
            heading = ("CLUSTER", "STATE", "ALIVE", "CREATED", "NOTE")
            console.lines(table(heading, rows, console.paint, console.columns))
        else:
            console.note("no clusters; `dsectl up` starts one")

    return Answer(found, view)


@command(
    "env",
    "Print addresses, and what programs read, for a shell.",
    group="clusters",
    rank=6,
    readonly=True,
    aside=True,
)
def env() -> Answer:
    """`eval "$(dsectl env)"` sets the variables, with gateways those that unmodified programs read, as NATS_URL. The
    secret itself is not printed; the password of the gateways, which is made from it, is part of their addresses."""
    files = current().files()
    addresses = {name: f"{host}:{port}" for name, (host, port) in files.addresses.items()}
    folder, secret = str(files.folder), str(files.secret_path)
    variables = {
        "DSECTL_CLUSTER": files.name,
        "DSECTL_FOLDER": folder,
        "DSECTL_SECRET_FILE": secret,
        "DSECTL_NODES": " ".join(addresses.values()),
        **{f"DSECTL_{name.upper().replace('-', '_')}": address for name, address in addresses.items()},
        **files.gateway_variables,
    }
    found: dict[str, Any] = {"cluster": files.name, "folder": folder, "secret": secret, "nodes": addresses}
    if files.gateways:
        found |= {"gateways": files.gateways, "gateway_password": files.gateway_password}
    return Answer(
        found,
        lambda console: console.lines([f"export {name}={quote(value)}" for name, value in variables.items()]),
    )
