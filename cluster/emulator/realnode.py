"""The real node in a process: all blocks over the real world. Imported by the launcher once, before it forks."""

import asyncio
import os
from collections.abc import Callable

from cluster.emulator.home import FAULTS_FILE
from cluster.emulator.process import Runs, run
from cluster.emulator.start import NodeStart
from cluster.env.real import real_env, sleep
from cluster.gateways.host import GatewayPorts
from cluster.node import Node, NodeHooks
from cluster.observe.events import Event


def run_node(start: NodeStart) -> int:
    """Be a node; returns the exit code."""
    return run(start, make_node)


def make_node(start: NodeStart, on_fatal: Callable[[str], None]) -> Runs:
    """The node, on the running loop."""
    faults = start.cluster / FAULTS_FILE

    def read_faults() -> bytes | None:
        try:
            return faults.read_bytes()
        except FileNotFoundError:
            return None

    record = start.record
    ports = next((place.gateways for place in record.places if place.name == start.name), {})
    node = Node(
        real_env(str(start.folder)),
        name=start.name,
        secret=start.secret,
        settings=record.spec.settings(),
        hooks=NodeHooks(
            read_faults=read_faults, on_fatal=on_fatal, sleep=sleep, future=asyncio.get_running_loop().create_future
        ),
        gateways={name: GatewayPorts(port, record.shared_ports.get(name, 0)) for name, port in ports.items()},
    )
    node.events.on_event.append(write_event)
    return node


def write_event(event: Event) -> None:
    """One line of the node's log: what it decided and why. The log is standard error, unbuffered by line."""
    fields = " ".join(f"{name}={value}" for name, value in event.fields.items())
    line = f"{event.at} {event.node} {event.kind}: {event.cause}{' | ' if fields else ''}{fields}\n"
    try:
        os.write(2, line.encode(errors="backslashreplace"))
    except OSError:
        pass  # a full disk must not end the node; the event is still in its ring
