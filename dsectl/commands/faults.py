"""Faults: of processes, with real signals, of links, disks and clocks; and the list of all with what each touched."""

from __future__ import annotations

from collections.abc import Callable
from random import choice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.emulator import cluster as emulator
from cluster.emulator import linkfaults, nodefaults, workers
from cluster.emulator.restart import DRAIN_S
from cluster.emulator.restart import drain as drain_nodes
from cluster.emulator.restart import restart as restart_nodes
from cluster.emulator.spec import timestamp
from cluster.errors import ClusterError, DeadlinePassed, Failed, NotFound, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.ui.faults import fault_json, faults_lines, receipt_line, with_receipt
from dsectl.ui.text import count
from dsectl.ui.units import signed_duration, size

if TYPE_CHECKING:
    from cluster.emulator.home import ClusterFiles
    from dsectl.cli.console import Console

Nodes = Annotated[list[str] | None, typer.Argument(metavar="NODE...", help="Nodes, separated by spaces.")]
Processes = Annotated[
    list[str] | None, typer.Argument(metavar="NODE|WORKER...", help="Nodes, or workers as n2/1, separated by spaces.")
]
ANSWER_S = 1.0


@command("kill", "Kill nodes, or workers, with SIGKILL.", group="faults", rank=1)
def kill(
    nodes: Processes = None,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="Zone whose running nodes to kill.")] = None,
    random: Annotated[bool, typer.Option("--random", help="Kill one of the running nodes.")] = False,
) -> Answer:
    """Nothing is flushed and no other node is notified; writes that the kernel has stay. A node's workers end with it.
    `dsectl restart` brings back what was killed."""
    files = current().files()
    if endpoints := _endpoints(nodes):
        return _of_process(files, lambda: workers.kill(files, endpoints), "restart")
    if sum((bool(nodes), zone is not None, random)) != 1:
        raise Usage("kill needs nodes, or --zone Z, or --random", help="`dsectl kill n3`, `dsectl kill --zone z1`.")
    running = [name for name, process in emulator.processes(files).items() if process.alive]
    if nodes:
        victims = current().nodes(nodes, "kill")
    elif random:
        if not running:
            raise Failed("no node runs", help="`dsectl restart --all` starts them.")
        victims = [choice(running)]
    else:
        zones = {place.name: place.zone for place in files.record.places}
        if zone not in zones.values():
            known = ", ".join(dict.fromkeys(zones.values()))
            raise NotFound(f"cluster {files.name!r} has no zone {zone!r}", help=f"Its zones: {known}.")
        victims = [name for name in running if zones[name] == zone]
        if not victims:
            raise Failed(f"no node of zone {zone} runs", help="`dsectl status` shows which nodes run.")
    return _of_process(files, lambda: emulator.kill(files.name, victims), "restart")


@command("pause", "Freeze nodes, or workers, with SIGSTOP.", group="faults", rank=3)
def pause(nodes: Processes = None) -> Answer:
    """The process stops with all its connections open, as in a long GC pause or on a stalled machine. `dsectl resume`
    continues it. `n2/1` is one worker."""
    files = current().files()
    if endpoints := _endpoints(nodes):
        return _of_process(files, lambda: workers.pause(files, endpoints), "resume")
    victims = current().nodes(nodes, "pause")
    return _of_process(files, lambda: emulator.pause(files.name, victims), "resume")


@command("resume", "Resume paused nodes or workers.", group="faults", rank=4)
def resume(nodes: Processes = None) -> Answer:
    """The node notices the pause, and catches up before it votes again. `n2/1` is one worker."""
    if endpoints := _endpoints(nodes):
        return _of_workers("resumed", endpoints, workers.resume)
    files, wanted = current().files(), current().nodes(nodes, "resume")
    states = {name: process.state for name, process in emulator.processes(files).items()}
    for name in wanted:
        if states[name] != "paused":
            cure = f" `dsectl restart {name}` starts it." if states[name] == "stopped" else ""
            raise Failed(
                f"node {name} is not paused but {states[name]}", help=f"`dsectl status` shows the states.{cure}"
            )
    at = timestamp()
    return _done("resumed", emulator.resume(files.name, wanted), at)


@command("restart", "Start or restart nodes, and wait until they are ready.", group="faults", rank=2)
def restart(
    nodes: Processes = None,
    all: Annotated[bool, typer.Option("--all", help="Start all nodes that do not run.")] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Start with an empty store, completed from the peers; old data is set aside."),
    ] = False,
    wait: Annotated[
        float | None, typer.Option(metavar="D", help="Time to wait until they are ready (default: 30s).")
    ] = None,
) -> Answer:
    """A named node that runs is drained and stopped first: it takes no new requests and finishes those in flight, for
    up to half of --wait. Returns when every other reachable node sees it alive with its services, and it sees the same
    of them. Its workers come back, too; `n2/1` is one worker. --replace is for one node whose own files are damaged: it
    starts under a new id and votes again once its peers have completed it."""
    if endpoints := _endpoints(nodes):
        if replace:
            raise Usage("--replace is for nodes: a worker keeps no data")
        limit = emulator.WAIT_S if wait is None else wait
        return _of_workers("restarted", endpoints, lambda files, names: workers.restart(files, names, limit))
    if all == bool(nodes):
        raise Usage("restart needs nodes, or --all", help="`dsectl restart n3`, or `dsectl restart --all`.")
    if replace and (all or len(nodes or []) != 1):
        raise Usage("--replace takes one node: its data must come back before another gives its own away")
    files = current().files()
    states = emulator.processes(files)
    wanted = [name for name in files.nodes if not states[name].alive] if all else current().nodes(nodes, "restart")
    at = timestamp()
    if replace:
        aside = emulator.set_data_aside(files.name, wanted[0])
        current().console.note(f"{wanted[0]}: what it held is in {aside}" if aside else f"{wanted[0]} held nothing")
    if wanted:
        restart_nodes(current().client(), files, wanted, emulator.WAIT_S if wait is None else wait)
    return _done("restarted", wanted, at)


@command("drain", "Finish the requests in flight at nodes; send no new ones.", group="requests", rank=4)
def drain(
    nodes: Nodes = None,
    wait: Annotated[
        float | None, typer.Option(metavar="D", help="Time to wait for requests in flight (default: 5s).")
    ] = None,
) -> Answer:
    """Routers skip its endpoints, and its clients move to other nodes; requests in flight are finished. Lasts until
    `dsectl undrain`, through restarts too. Exit code 5 when requests are still in flight; the drain goes on."""
    files, wanted = _running(nodes, "drain")
    at = timestamp()
    late = drain_nodes(current().client(), files, wanted, DRAIN_S if wait is None else wait, keep=True)
    for name, error in late.items():
        if not isinstance(error, DeadlinePassed):
            raise error
        raise DeadlinePassed(f"{name} is draining, but {error.message}", help="`dsectl services` shows its state.")
    return _done("drained", wanted, at)


@command("undrain", "Let drained nodes take requests again.", group="requests", rank=5)
def undrain(nodes: Nodes = None) -> Answer:
    """Ends a drain: the node takes requests again."""
    _, wanted = _running(nodes, "undrain")
    at = timestamp()
    for answer in current().client().ask_all(wanted, "undrain").values():
        if isinstance(answer, ClusterError):
            raise answer
    return _done("undrained", wanted, at)


def _running(nodes: list[str] | None, command: str) -> tuple[ClusterFiles, list[str]]:
    """The cluster and these nodes, which must run. Raises Usage, NotFound or Failed."""
    files, wanted = current().files(), current().nodes(nodes, command)
    for name, process in emulator.processes(files).items():
        if name in wanted and process.state != "running":
            cure = "resume" if process.state == "paused" else "restart"
            help = f"`dsectl {cure} {name}`, then `dsectl {command} {name}`."
            raise Failed(f"node {name} is {process.state}", help=help)
    return files, wanted


def _endpoints(names: list[str] | None) -> list[str]:
    """The names, when they are those of workers; none when they are of nodes. Raises Usage or NotFound."""
    found = [name for name in dict.fromkeys(names or []) if "/" in name]
    if found and len(found) < len(names or []):
        raise Usage("nodes and workers are named apart: two commands")
    for endpoint in found:
        if "," in endpoint:
            help = f"They are separated by spaces: `{' '.join(endpoint.split(',')).strip()}`."
            raise Usage(f"{endpoint!r} is not a worker", help=help)
        current().files().worker(endpoint)
    return found


def _of_workers(done: str, endpoints: list[str], act: Callable[[ClusterFiles, list[str]], None]) -> Answer:
    at = timestamp()
    act(current().files(), endpoints)
    return Answer({done: endpoints, "at": at}, lambda console: console.line(f"{done} {', '.join(endpoints)}"))


def _receipt(fault: Any, note: str) -> Answer:
    fields = fault_json(fault)

    def view(console: Console) -> None:
        console.line(receipt_line(fields, console.paint))
        console.note(note)

    return Answer(fields, view)


def _of_process(files: ClusterFiles, cause: Callable[[], Any], cure: str) -> Answer:
    if not linkfaults.faults_readable(files.name):
        aside = "it is set aside as faults.json.damaged, and the link faults that it held end"
        current().console.note(f"note: the file of faults could not be read; {aside}")
    fault = cause()
    them = "it" if len(fault.nodes) == 1 else "them"
    return _receipt(fault, f"`dsectl {cure} {' '.join(fault.nodes)}` brings {them} back")


def _done(done: str, nodes: list[str], at: str) -> Answer:
    pids = {name: process.pid for name, process in emulator.processes(current().files()).items()}
    said = f"{done} {', '.join(nodes)}" if nodes else f"nothing to be {done}: all nodes run"
    return Answer(
        {done: nodes, "at": at, "pids": {name: pids[name] for name in nodes}}, lambda console: console.line(said)
    )


@command("partition", "Cut all links between groups of nodes.", group="faults", rank=5)
def partition(
    groups: Annotated[
        list[str],
        typer.Argument(metavar="GROUP GROUP...", help="Groups of nodes, as in `n1,n2`; `rest` is all others."),
    ],
    one_way: Annotated[bool, typer.Option("--one-way", help="Drop only what the first group sends.")] = False,
) -> Answer:
    """Nodes in no group keep all their links. The way from clients to nodes stays open: `dsectl` reaches both sides."""
    if len(groups) < 2:
        raise Usage("a partition needs two groups", help="`dsectl partition n1,n2 rest` cuts n1 and n2 off the others.")
    sides = [[name for name in group.split(",") if name] for group in groups]
    return _lasting(linkfaults.partition(_cluster(), sides, one_way))


@command("slow", "Add latency or loss to a link.", group="faults", rank=6)
def slow(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Sender of the packets: a node, or `all`.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Receiver of the packets: a node, or `all`.")],
    both: Annotated[bool, typer.Option("--both", help="Slow the other direction, too.")] = False,
    delay: Annotated[float | None, typer.Option(metavar="D", help="Latency to add.")] = None,
    jitter: Annotated[float | None, typer.Option(metavar="D", help="Random part of the latency, ± D, uniform.")] = None,
    loss: Annotated[float | None, typer.Option(metavar="P", help="Share of packets lost; TCP retransmits.")] = None,
    duplicate: Annotated[float | None, typer.Option(metavar="P", help="Share of datagrams sent twice.")] = None,
    reorder: Annotated[float | None, typer.Option(metavar="P", help="Share of datagrams out of order.")] = None,
    rate: Annotated[int | None, typer.Option(parser=size, metavar="SIZE", help="Bandwidth, in bytes a second.")] = None,
) -> Answer:
    """One direction of a link, as in `dsectl slow n1 n2 --delay 50ms --loss 10%`."""
    fault = linkfaults.slow(
        _cluster(), source, target, both=both, delay_ms=(delay or 0.0) * 1000, jitter_ms=(jitter or 0.0) * 1000,
        loss=loss or 0.0, duplicate=duplicate or 0.0, reorder=reorder or 0.0, rate_bytes_s=rate or 0,
    )  # fmt: skip
    return _lasting(fault)


@command("disk", "Let a node's disk be slow, full, damaged or lost.", group="faults", rank=7)
def disk(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Node whose disk it is.")],
    slow: Annotated[
        float | None, typer.Option("--slow", metavar="D", help="Time to add to each append and sync of its log.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Refuse what it writes, as without room.")] = False,
    flip_byte: Annotated[
        bool,
        typer.Option("--flip-byte", help="Change one byte of its log or tables; it notices when it next reads it."),
    ] = False,
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Kill it, DELETE its data, and start it empty; peers complete it.")
    ] = False,
) -> Answer:
    """--slow and --full last until `dsectl heal`, through restarts too. An append that is late stops the whole node for
    as long; a node whose disk is full cannot start. --flip-byte and --wipe are done once, and nothing takes them back:
    a node reads its log when it starts, and the files of its tables (`up --store disk`) soon after, so `dsectl restart
    NODE` shows a flipped byte; a wiped node comes back under a new id, and votes once its peers have given it what it
    lacks."""
    if sum((slow is not None, full, flip_byte, wipe)) != 1:
        raise Usage(
            "disk needs one of --slow D, --full, --flip-byte and --wipe",
            help="`dsectl disk n3 --slow 50ms`, for example.",
        )
    files, _ = current().files(), current().nodes([node], "disk")
    if slow is not None:
        return _lasting(nodefaults.slow_disk(files.name, node, slow * 1000))
    if full:
        return _lasting(nodefaults.fill_disk(files.name, node))
    if flip_byte:
        fault = nodefaults.flip_byte(files.name, node)
        return _receipt(
            fault, f"{node} notices when it reads that file, within minutes or now: `dsectl restart {node}`"
        )
    fault = nodefaults.wipe(files.name, node)
    restart_nodes(current().client(), files, [node], emulator.WAIT_S)
    return _receipt(fault, f"{node} runs under a new id; `dsectl repair {node} --status` shows what it still lacks")


@command("clock", "Let a node's wall clock be wrong.", group="faults", rank=8)
def clock(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Node whose clock it is.")],
    skew: Annotated[
        float | None, typer.Option(parser=signed_duration, metavar="D", help="Time that it is ahead; -5m is behind.")
    ] = None,
) -> Answer:
    """Lasts until `dsectl heal`, through restarts too. Wall time dates the node's events and stamps its values, by
    which concurrent values are shown in order; timeouts go by another clock, and what replaces what is decided without
    any. A stamp more than 60 s ahead of a coordinator's clock is not followed, and `explain` shows it."""
    if skew is None:
        raise Usage("clock needs --skew D", help="`dsectl clock n3 --skew 5m`, for example; `--skew -5m` is behind.")
    current().nodes([node], "clock")
    return _lasting(nodefaults.skew_clock(_cluster(), node, skew * 1000))


@command("heal", "End faults of links, disks and clocks.", group="faults", rank=9)
def heal(
    ids: Annotated[list[str] | None, typer.Argument(metavar="FAULT...", help="Faults to end (default: all).")] = None,
) -> Answer:
    """Ends faults of links, and those of disks and clocks that last. What was killed or paused stays so: see `restart`,
    `resume`. A byte that was flipped and data that was wiped do not come back by it."""
    at, ended = linkfaults.heal(_cluster(), ids or None)
    healed = [fault_json(fault) for fault in ended]

    def view(console: Console) -> None:
        lines = [f"healed  {receipt_line(fault, console.paint)}" for fault in healed]
        console.lines(lines or ["nothing to heal"])

    return Answer({"healed": [fault.id for fault in ended], "at": at, "faults": healed}, view)


@command("faults", "List faults, and how much each affected.", group="faults", rank=10, readonly=True)
def faults(
    active: Annotated[bool, typer.Option("--active", help="List only those that have not ended.")] = False,
) -> Answer:
    """All since `up`, oldest first. Each node counts the packets that met the fault there and is queried directly; a
    stopped node reports its count when it is back."""
    name = _cluster()
    found = [fault for fault in linkfaults.faults(name) if fault.active or not active]
    answers = current().client().ask_all(None, "faults", timeout=ANSWER_S) if found else {}
    silent = [node for node, answer in answers.items() if isinstance(answer, ClusterError)]
    receipts = [answer["receipts"] for node, answer in answers.items() if node not in silent]
    rows = [with_receipt(fault_json(fault), receipts) for fault in found]

    def view(console: Console) -> None:
        if not rows:
            console.note("no faults")
            return
        console.lines(faults_lines(rows, console.paint, console.columns, complete=not silent))
        if silent:
            verb = "does" if len(silent) == 1 else "do"
            console.note(f"note: without the count of {', '.join(silent)}, which {verb} not answer")

    return Answer(rows, view)


def _cluster() -> str:
    return current().files().name


def _lasting(fault: Any) -> Answer:
    where = count(len(current().files().nodes), "node") if fault.of.scope == "link" else fault.subject
    return _receipt(fault, f"`dsectl heal {fault.id}` ends it; `dsectl faults` counts what it affects on {where}")
