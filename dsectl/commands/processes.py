"""Faults of processes, with real signals: kill, restart, pause, resume."""

from random import choice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.emulator import cluster as emulator
from cluster.emulator.linkfaults import faults_readable
from cluster.emulator.restart import DRAIN_S
from cluster.emulator.restart import drain as drain_nodes
from cluster.emulator.restart import restart as restart_nodes
from cluster.emulator.spec import timestamp
from cluster.errors import ClusterError, DeadlinePassed, Failed, NotFound, Usage
from dsectl.cli.invocation import current
from dsectl.ui.faults import fault_json, receipt_line
from dsectl.ui.units import duration

if TYPE_CHECKING:
    from cluster.emulator.home import ClusterFiles

Nodes = Annotated[list[str] | None, typer.Argument(metavar="NODE...", help="Which nodes.")]


def kill(
    nodes: Nodes = None,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="All that run in this zone.")] = None,
    random: Annotated[bool, typer.Option("--random", help="One of those that run.")] = False,
) -> None:
    """Nothing is flushed and nobody is told: what the kernel was given stays. `dsectl restart` brings them back."""
    files = current().files()
    _note_unreadable_faults(files.name)
    fault = emulator.kill(files.name, _victims(files, nodes or [], zone, random))
    _receipt(fault, "restart")


def _victims(files: "ClusterFiles", nodes: list[str], zone: str | None, random: bool) -> list[str]:
    if sum((bool(nodes), zone is not None, random)) != 1:
        raise Usage("kill needs nodes, or --zone Z, or --random", help="`dsectl kill n3`, `dsectl kill --zone z1`.")
    if nodes:
        return _known(files, nodes)
    running = [name for name, process in emulator.processes(files).items() if process.alive]
    if random:
        if not running:
            raise Failed("no node runs", help="`dsectl restart --all` starts them.")
        return [choice(running)]
    zones = {place.name: place.zone for place in files.record.places}
    if zone not in zones.values():
        known = ", ".join(dict.fromkeys(zones.values()))
        raise NotFound(f"cluster {files.name!r} has no zone {zone!r}", help=f"Its zones: {known}.")
    victims = [name for name in running if zones[name] == zone]
    if not victims:
        raise Failed(f"no node of zone {zone} runs", help="`dsectl status` shows which nodes run.")
    return victims


def pause(nodes: Nodes = None) -> None:
    """The process stands still with all its connections open, as in a long collection of garbage or a stalled machine.
    `dsectl resume` lets it go on."""
    files = current().files()
    _note_unreadable_faults(files.name)
    _receipt(emulator.pause(files.name, _some(files, nodes, "pause")), "resume")


def resume(nodes: Nodes = None) -> None:
    """Ends a pause. The node finds that it did not run, and catches up before it votes again."""
    files = current().files()
    wanted = _some(files, nodes, "resume")
    states = {name: process.state for name, process in emulator.processes(files).items()}
    for name in wanted:
        if states[name] != "paused":
            cure = f" `dsectl restart {name}` starts it." if states[name] == "stopped" else ""
            raise Failed(
                f"node {name} is not paused but {states[name]}", help=f"`dsectl status` shows the states.{cure}"
            )
    at = timestamp()
    _tell("resumed", emulator.resume(files.name, wanted), at)


def restart(
    nodes: Nodes = None,
    all: Annotated[bool, typer.Option("--all", help="All that do not run.")] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="With an empty store, completed from the peers; the old data is set aside."),
    ] = False,
    wait: Annotated[
        float | None, typer.Option(parser=duration, metavar="D", help="How long to wait until all know it (30s).")
    ] = None,
) -> None:
    """A named node that runs is drained and ended first: it takes no new requests and finishes what it has, for up to 5
    s. Returns when every other node that can be reached knows that it lives and
    what it offers, and it knows the same of them. --replace is for one node whose own files are damaged: it starts
    under a new id and votes again once its peers have completed it."""
    if all == bool(nodes):
        raise Usage("restart needs nodes, or --all", help="`dsectl restart n3`, or `dsectl restart --all`.")
    if replace and (all or len(nodes or []) != 1):
        raise Usage("--replace takes one node: its data must come back before another gives its own away")
    files = current().files()
    states = emulator.processes(files)
    wanted = [name for name in files.nodes if not states[name].alive] if all else _known(files, nodes or [])
    at = timestamp()
    if replace:
        aside = emulator.set_data_aside(files.name, wanted[0])
        current().console.note(f"{wanted[0]}: what it held is in {aside}" if aside else f"{wanted[0]} held nothing")
    if wanted:
        restart_nodes(current().client(), files, wanted, emulator.WAIT_S if wait is None else wait)
    _tell("restarted", wanted, at)


def drain(
    nodes: Nodes = None,
    wait: Annotated[
        float | None, typer.Option(parser=duration, metavar="D", help="How long it may take to finish (5s).")
    ] = None,
) -> None:
    """Routers pass its endpoints over, and its clients are told to go to other nodes; what is in flight is finished.
    Lasts until `dsectl undrain`, through restarts too. Exit code 5 when something is still in flight; it drains on."""
    files = current().files()
    wanted = _some(files, nodes, "drain")
    at = timestamp()
    _check_running(files, wanted, "drain")
    late = drain_nodes(current().client(), files, wanted, DRAIN_S if wait is None else wait, keep=True)
    for name, error in late.items():
        if not isinstance(error, DeadlinePassed):
            raise error
        raise DeadlinePassed(f"{name} is draining, but {error.message}", help="`dsectl services` shows its state.")
    _tell("drained", wanted, at)


def undrain(nodes: Nodes = None) -> None:
    """Ends a drain: the node takes requests again."""
    files = current().files()
    wanted = _some(files, nodes, "undrain")
    at = timestamp()
    _check_running(files, wanted, "undrain")
    for answer in current().client().ask_all(wanted, "undrain").values():
        if isinstance(answer, ClusterError):
            raise answer
    _tell("undrained", wanted, at)


def _check_running(files: "ClusterFiles", nodes: list[str], command: str) -> None:
    for name, process in emulator.processes(files).items():
        if name in nodes and process.state != "running":
            cure = "resume" if process.state == "paused" else "restart"
            raise Failed(
                f"node {name} is {process.state}", help=f"`dsectl {cure} {name}`, then `dsectl {command} {name}`."
            )


def _note_unreadable_faults(cluster: str) -> None:
    """Say what the next change of the faults does to a file that cannot be read."""
    if not faults_readable(cluster):
        current().console.note(
            "note: the file of faults could not be read; it is set aside as faults.json.damaged, and the link faults "
            "that it held end"
        )


def _some(files: "ClusterFiles", nodes: list[str] | None, command: str) -> list[str]:
    if not nodes:
        raise Usage(f"{command} needs at least one node", help=f"`dsectl {command} n3`, for example.")
    return _known(files, nodes)


def _known(files: "ClusterFiles", nodes: list[str]) -> list[str]:
    """The nodes, each once. Raises NotFound."""
    for name in nodes:
        files.node(name)
    return list(dict.fromkeys(nodes))


def _receipt(fault: Any, cure: str) -> None:
    console = current().console
    fields = fault_json(fault)
    if console.options.json:
        console.value(fields)
        return
    console.line(receipt_line(fields, console.paint))
    console.note(f"`dsectl {cure} {' '.join(fault.nodes)}` brings {'it' if len(fault.nodes) == 1 else 'them'} back")


def _tell(done: str, nodes: list[str], at: str) -> None:
    console = current().console
    if console.options.json:
        pids = {name: process.pid for name, process in emulator.processes(current().files()).items()}
        console.value({done: nodes, "at": at, "pids": {name: pids[name] for name in nodes}})
    else:
        console.line(f"{done} {', '.join(nodes)}" if nodes else f"nothing to be {done}: all nodes run")
