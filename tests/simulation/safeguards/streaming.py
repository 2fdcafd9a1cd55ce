"""Streaming replies: no hop keeps more than a window, nobody streams for a reader that is gone, and no row comes
twice."""

from collections.abc import AsyncIterator

import pytest
from msgspec import Struct, json

from cluster.errors import ClusterError, Maybe
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES
from cluster.requests import CallContext, operation, service
from cluster.requests.routed import RoutedCall
from cluster.rpc.inbound import InboundSession
from cluster.simulation.fleet import Fleet
from cluster.wire.parts import Window
from cluster.wire.requests import Call, CallDone
from cluster.wire.rows import IncomingRows, RowFormat
from tests.simulation.safeguards.registry import Safeguard

SLACK_BYTES = 8192
"""Beyond a window and a part: a row or two that the generator made and the writer did not get yet."""


class Play(Struct):
    """Which rows to send."""

    count: int
    size: int = 0
    every_s: float = 0.0
    rest_s: float = 0.0
    """What the handler does behind the last of them: nothing, for so long."""


class Frame(Struct):
    """One row."""

    number: int
    node: str
    filling: str = ""


class Tapes:
    """A service of rows on some nodes, or in workers such as `n2/1`, and what became of its handlers there."""

    def __init__(self, fleet: Fleet, *places: str) -> None:
        self.made_bytes = 0
        self.opened: list[str] = []
        self.closed: list[str] = []
        tapes = self

        @service(name="tape", version=1)
        class Tape:
            @operation(readonly=True)
            async def play(self, request: Play, call: CallContext) -> AsyncIterator[Frame]:
                """Rows, as many as are asked for."""
                tapes.opened.append(call.node)
                try:
                    for number in range(request.count):
                        row = Frame(number, call.node, "x" * request.size)
                        tapes.made_bytes += len(json.encode(row)) + 1
                        yield row
                        if request.every_s:
                            await call.sleep(request.every_s)
                    await call.sleep(request.rest_s)
                finally:
                    tapes.closed.append(call.node)

        for place in places:
            node, _, worker = place.partition("/")
            if worker:
                fleet.worker(place, node, Tape())
            else:
                fleet.nodes[node].requests.host(Tape())
        fleet.world.run_for(1.5)


class Reading:
    """Rows that a client reads, and how the reply ended."""

    def __init__(self, fleet: Fleet, request: Play, *, timeout: float = 30.0, via: str = "n1") -> None:
        self.fleet = fleet
        self.frames: list[Frame] = []
        self.read_bytes = 0
        self.error: Exception | None = None
        self.ended = False
        self.rows: IncomingRows[Frame] | None = None
        self.client = fleet.client("c1", via=via)
        format = RowFormat(json.Decoder(Frame).decode, not_declared)
        call = Call("tape", "play", json.encode(request))

        def begin() -> None:
            self.rows = self.client.stream(call, timeout, format)

        self.client.env.clock.call_soon(begin)

    def read(self, count: int) -> int:
        """Take up to so many rows of those that have come; how many there were."""
        taken, rows = 0, self.rows
        while rows is not None and taken < count and rows.readable and not self.ended:
            try:
                frame = rows.pop()
            except EOFError:
                self.ended = True
            except ClusterError as error:
                self.ended, self.error = True, error
            else:
                self.frames.append(frame)
                self.read_bytes += len(json.encode(frame)) + 1
                taken += 1
        return taken

    def read_all(self, limit_s: float = 40.0) -> None:
        """Read on as rows come, to the end."""

        def over() -> bool:
            self.read(1_000_000)
            return self.ended

        self.fleet.world.run_until_true(over, limit_s, step=0.01)

    def in_order(self) -> None:
        """No row is missing before another, and none came twice."""
        assert [frame.number for frame in self.frames] == list(range(len(self.frames)))


def not_declared(done: CallDone) -> Exception:
    raise AssertionError(done.error)


def a_slow_reader(seed: int) -> None:
    """Two megabytes of rows, of which it reads some in each millisecond."""
    with Fleet.running(seed, 3) as fleet:
        tapes = Tapes(fleet, "n2")
        reading = Reading(fleet, Play(2000, 1000))
        most = 0
        for _ in range(400):
            fleet.world.run_for(0.001)
            reading.read(1)
            most = max(most, tapes.made_bytes - reading.read_bytes)
        limit = PARTS_WINDOW_BYTES + PART_BYTES_MAX + SLACK_BYTES
        assert PARTS_WINDOW_BYTES <= most <= limit, f"{most} bytes were held for a reader"
        assert len(reading.frames) > 100
        reading.read_all()
        reading.in_order()
        assert len(reading.frames) == 2000 and reading.error is None
        assert tapes.opened == tapes.closed == ["n2"]


def a_reader_that_dies(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        tapes = Tapes(fleet, "n2")
        reading = Reading(fleet, Play(5, rest_s=20.0))
        fleet.until(lambda: reading.read(1000) + len(reading.frames) >= 5, 5.0)
        fleet.world.crash("c1")
        fleet.until(lambda: tapes.closed == ["n2"], 1.0)


def an_endpoint_dies_in_the_middle(seed: int) -> None:
    """Another could serve the call, from its first row."""
    with Fleet.running(seed, 4) as fleet:
        tapes = Tapes(fleet, "n2", "n3", "n4")
        reading = Reading(fleet, Play(400, 100, every_s=0.005))
        fleet.until(lambda: reading.read(1000) + len(reading.frames) > 20, 5.0)
        (node,) = tapes.opened
        fleet.crash(node)
        reading.read_all()
        reading.in_order()
        assert tapes.opened == [node] and {frame.node for frame in reading.frames} == {node}
        assert len(reading.frames) < 400 and isinstance(reading.error, Maybe), reading.error


def send_without_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "take", lambda self, count: None)
    monkeypatch.setattr(Window, "give", lambda self, count: None)


def let_handlers_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InboundSession, "_closed", lambda self: None)


def begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoutedCall, "may_begin_anew", lambda self: True)


SAFEGUARDS = [
    Safeguard(
        "a reply in parts has a window",
        "A slow reader holds up the handler, and no hop keeps more than a window for it.",
        send_without_credit,
        a_slow_reader,
    ),
    Safeguard(
        "the end of a connection cancels its calls",
        "A client that goes away cancels what runs for it.",
        let_handlers_run_on,
        a_reader_that_dies,
    ),
    Safeguard(
        "a stream stays with the endpoint that began it",
        "A stream is never tried again once its first row was passed on.",
        begin_anew,
        an_endpoint_dies_in_the_middle,
    ),
]
