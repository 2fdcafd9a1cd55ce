"""A node that hosts a service which has little capacity, for the benchmarks of overload. See `bench_overload`."""

import os
import time
from collections.abc import Callable

from msgspec import Struct

from cluster.emulator.process import Runs, run
from cluster.emulator.realnode import make_node
from cluster.emulator.start import NodeStart
from cluster.node import Node
from cluster.requests import CallContext, operation, service

CONCURRENCY = int(os.environ.get("CONCURRENCY", "16"))
WORK_S = 0.020
SHEDDING = os.environ.get("SHEDDING", "1") == "1"


class Trouble(Struct):
    """How many times as long the work takes from now on."""

    factor: float


@service(name="slow", concurrency=CONCURRENCY, shedding=SHEDDING)
class Slow:
    """Works for a fixed time: asleep, or on the processor."""

    def __init__(self) -> None:
        self.factor = 1.0

    @operation()
    async def sleep(self, call: CallContext) -> None:
        """Take 20 ms of one place."""
        await call.sleep(WORK_S * self.factor)

    @operation()
    def compute(self) -> None:
        """Take 1 ms of the processor."""
        end = time.thread_time() + 0.001
        while time.thread_time() < end:
            pass

    @operation()
    def trouble(self, request: Trouble) -> None:
        """Make the work take longer."""
        self.factor = request.factor


def _make(start: NodeStart, on_fatal: Callable[[str], None]) -> Runs:
    node = make_node(start, on_fatal)
    assert isinstance(node, Node)
    node.requests.host(Slow())
    return node


def run_node(start: NodeStart) -> int:
    """The child's function."""
    return run(start, _make)
