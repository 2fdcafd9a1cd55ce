"""A node that hosts a service which writes down when each of its calls began, and until when it might."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from cluster.emulator.process import Runs, run
from cluster.emulator.realnode import make_node
from cluster.emulator.start import NodeStart
from cluster.node import Node
from cluster.requests import CallContext, operation, service

FOLDER = "DSECTL_TEST_LEDGER"
"""The variable that says where."""
CONCURRENCY = 4


class Entry(Struct):
    """One call, and for how long it works."""

    number: int
    seconds: float = 0.0


class Recorded(Struct):
    """Which node did it."""

    node: str


@service(name="ledger", concurrency=CONCURRENCY)
class RecordedCalls:
    """Must not do anything twice, nor too late."""

    def __init__(self) -> None:
        self.file = os.open(Path(os.environ[FOLDER], f"{os.getpid()}.txt"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    @operation()
    async def enter(self, request: Entry, call: CallContext) -> Recorded:
        """Write it down, then work."""
        self._begin(request.number, call)
        await call.sleep(request.seconds)
        return Recorded(call.node)

    @operation()
    def enter_at_once(self, request: Entry, call: CallContext) -> Recorded:
        """Write it down, and keep the loop meanwhile."""
        self._begin(request.number, call)
        time.sleep(request.seconds)  # as a handler that computes would
        return Recorded(call.node)

    @operation()
    async def pass_on(self, request: Entry, call: CallContext) -> Recorded:
        """Have another one write it down."""
        return Recorded(**await call.call("ledger.enter", request))

    def _begin(self, number: int, call: CallContext) -> None:
        os.write(self.file, f"{number} {time.monotonic()} {call.deadline}\n".encode())


def read_ledger(folder: Path) -> dict[int, list[tuple[float, float]]]:
    """By number of the call when it began, and its deadline there; one machine has one clock."""
    found: dict[int, list[tuple[float, float]]] = {}
    for path in sorted(folder.iterdir()):
        for line in path.read_text(encoding="ascii").splitlines():
            number, began, deadline = line.split()
            found.setdefault(int(number), []).append((float(began), float(deadline)))
    return found


def _make(start: NodeStart, on_fatal: Callable[[str], None]) -> Runs:
    node = make_node(start, on_fatal)
    assert isinstance(node, Node)
    node.requests.host(RecordedCalls())
    return node


def run_node(start: NodeStart) -> int:
    """The child's function."""
    return run(start, _make)
