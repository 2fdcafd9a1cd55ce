"""The real node in a process: all blocks over the real world. Imported by the launcher once, before it forks."""

import asyncio
from collections.abc import Callable

from cluster.emulator.home import FAULTS_FILE
from cluster.emulator.process import Runs, run
from cluster.emulator.start import NodeStart
from cluster.env.real import real_env
from cluster.node import Node, NodeHooks


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

    return Node(
        real_env(str(start.folder)),
        name=start.name,
        secret=start.secret,
        settings=start.record.spec.settings(),
        hooks=NodeHooks(read_faults=read_faults, on_fatal=on_fatal, sleep=asyncio.sleep),
    )
