"""`serve` and `unserve`: services of one's own, hosted by workers beside the nodes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from cluster.emulator import cluster as emulator
from cluster.emulator import workers
from cluster.emulator.spec import timestamp
from cluster.errors import ClusterError, Failed, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.ui.text import count

if TYPE_CHECKING:
    from collections.abc import Callable

    import typer

    from cluster.emulator.home import ClusterFiles
    from dsectl.cli.console import Console

KNOWN_S = 3.0
"""How long `serve` and `unserve` wait for the other nodes to learn of it."""
KNOWN_POLL_S = 0.02


@command("serve", "Host a service in workers beside nodes.", group="requests", rank=20)
def serve(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:CLASS", help="Class to host, looked for here; FILE.py:CLASS names a file.")
    ],
    on: Annotated[
        str | None, typer.Option("--on", metavar="NODE,...", help="Nodes to host it beside (default: the least used).")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Host it beside every node that runs.")] = False,
    copies: Annotated[int, typer.Option(metavar="N", min=1, help="Number of workers at each node (default: 1).")] = 1,
    reload: Annotated[
        bool, typer.Option("--reload", help="Drain and start anew when a Python file below this folder changes.")
    ] = False,
    wait: Annotated[
        float | None, typer.Option(metavar="D", help="Time to wait until they are registered (default: 30s).")
    ] = None,
) -> Answer:
    """Each worker is a process of its own, which goes on in the background and ends with its node. Returns when all
    nodes know the endpoints, named as n2/1. `dsectl logs n2/1` shows what one prints and raises; one that crashes stays
    down until `dsectl restart n2/1`, and comes back with its node. `dsectl unserve` ends them."""
    files = current().files()
    module, _, name = target.rpartition(":")
    if not module or not name:
        raise Usage(f"{target!r} does not name a class: MODULE:CLASS", help="`dsectl serve pricing:Pricing`")
    if on is not None and all:
        raise Usage("serve takes --on or --all, not both")
    running = [name for name, process in emulator.processes(files).items() if process.state == "running"]
    if not running:
        raise Failed("no node runs", help="`dsectl up` starts the cluster.")
    hosted = [endpoint.partition("/")[0] for endpoint in files.workers()]
    if on is not None:
        nodes = current().nodes([name for name in on.split(",") if name], "serve")
    else:
        nodes = running if all else [min(running, key=hosted.count)]
    client = current().client()
    taken = [end["endpoint"] for one in client.admin.services() for end in one["endpoints"] if "/" in end["endpoint"]]
    current().console.progress(f"{target}: starting {count(copies * len(nodes), 'worker')}")
    try:
        endpoints = workers.serve(
            files, target, nodes, copies, emulator.WAIT_S if wait is None else wait, reload=reload, taken=taken
        )
    finally:
        current().console.progress("")
    _wait_known(lambda states: {one for one, state in states.items() if state == "ready"}.issuperset(endpoints))
    service, version = _hosted(files, endpoints[0])

    def view(console: Console) -> None:
        console.line(f"{service} {version}: {', '.join(endpoints)}")
        console.note(f"`dsectl describe {service}` shows its operations; `dsectl unserve {service}` ends it")

    return Answer({"service": service, "version": version, "endpoints": endpoints, "at": timestamp()}, view)


def _hosted(files: ClusterFiles, endpoint: str) -> tuple[str, int]:
    return next((one.service, one.version) for one in workers.workers(files) if one.endpoint == endpoint)


def _wait_known(said: Callable[[dict[str, str]], bool]) -> None:
    """Until this is so of the states of endpoints that every node that answers lists, or for a while: then gossip
    brings it."""
    deadline = time.monotonic() + KNOWN_S
    client, missing = current().client(), True
    while missing and time.monotonic() < deadline:
        answers = client.ask_all(None, "services", timeout=1.0)
        missing = any(
            not said({end["endpoint"]: end["state"] for one in answer for end in one["endpoints"]})
            for answer in answers.values()
            if not isinstance(answer, ClusterError)
        )
        if missing:
            time.sleep(KNOWN_POLL_S)


def stopped_workers(service: str) -> str | None:
    """What helps when nobody offers a service since its workers have ended; None when it has no such worker."""
    try:
        found = [one for one in workers.workers(current().files()) if one.service == service and not one.process.alive]
    except ClusterError:
        return None
    if not found:
        return None
    names = [one.endpoint for one in found]
    are, them = (f"worker {names[0]} is", "it") if len(names) == 1 else (f"workers {', '.join(names)} are", "them")
    cure = f"`dsectl restart {' '.join(names)}` starts {them}"
    return f"Its {are} stopped: `dsectl logs {names[0]}` says why, {cure}."


@command("unserve", "Drain and end workers of a service.", group="requests", rank=21)
def unserve(
    name: Annotated[str, typer.Argument(metavar="SERVICE|WORKER", help="Service, or one worker as n2/1.")],
    wait: Annotated[
        float | None, typer.Option(metavar="D", help="Time for the requests in flight (default, and at most: 10s).")
    ] = None,
) -> Answer:
    """They take no new requests, finish those in flight, and end; nothing of them stays, the log included. Returns when
    all nodes know."""
    ended = workers.unserve(current().files(), name, workers.DRAIN_S if wait is None else wait)
    _wait_known(lambda states: not states.keys() & set(ended))
    said = f"ended {', '.join(ended)}"
    return Answer({"ended": ended, "at": timestamp()}, lambda console: console.line(said))
