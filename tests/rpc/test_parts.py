"""Answers in parts between nodes: one window ahead at most, and whoever breaks the rules ends what they broke."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.config import TransportSettings
from cluster.errors import ClusterError, Maybe
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES
from cluster.rpc.inbound import InboundMessage, InboundSession
from cluster.rpc.rpc import Rpc
from cluster.wire.clock import SenderClock
from cluster.wire.frames import Cancel, Credit, Frame, FrameReader, Part, Reply, Request, encode_frame
from cluster.wire.handshake import Party
from cluster.wire.requests import Call, CallDone
from tests.observe.hand_clock import HandClock


class HalfConnection:
    """A connection whose other end is a list of frames."""

    def __init__(self, name: str, target: str = "") -> None:
        self.peer = Party("c", "node", name, "id", 1)
        self.target = target
        self.clock = SenderClock(same=True)
        self.end = SimpleNamespace(settings=TransportSettings())
        self.on_close: list[Callable[[], None]] = []
        self.ended = False
        self.refused: list[str] = []
        self.full = False
        self.frames: list[Frame] = []

    def send(self, frame: Frame) -> bool:
        if not self.full:
            self.frames.append(frame)
        return not self.full

    def send_encoded(self, data: bytes) -> bool:
        self.frames += FrameReader().feed(data)
        return True

    def refuse(self, error: ClusterError) -> None:
        self.refused.append(error.message)


class Node:
    """An Rpc that reaches `n2` over one connection, and the session of what comes on it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.connection = HalfConnection("n2", "n2")
        nothing = lambda *_, **__: None  # noqa: E731
        transport = SimpleNamespace(
            settings=SimpleNamespace(sweep_interval_s=0.02),
            receive=nothing,
            on_end=[],
            connection=lambda peer, lane: self.connection,
            faults=SimpleNamespace(note_failure=nothing),
            record=nothing,
        )
        self.rpc = Rpc(self.clock, cast(Any, transport))
        self.session = InboundSession(self.rpc, self.clock, cast(Any, self.connection))
        self.parts: list[bytes] = []
        self.outcomes: list[Any] = []

    def call(self, parts: bool = True) -> int:
        return self.rpc.request(
            ["n2"],
            Call("a", "b", b"{}"),
            self.clock.now() + 1.0,
            lambda peer, outcome: self.outcomes.append(outcome),
            on_part=self.parts.append if parts else None,
        )

    def receive(self, *frames: Frame) -> None:
        self.session.take(b"".join(map(encode_frame, frames)))

    def sent(self) -> list[Frame]:
        frames, self.connection.frames = self.connection.frames, []
        return frames


def test_parts_come_before_the_reply_and_credit_goes_back() -> None:
    node = Node()
    id = node.call()
    node.receive(Part(id, b"one"), Part(id, b"two"))
    node.rpc.credit(id, 6)
    node.receive(Part(id, b"three"), Reply(id, CallDone(b"", "n2")))
    assert node.parts == [b"one", b"two", b"three"] and node.outcomes == [CallDone(b"", "n2")]
    assert [type(frame) for frame in node.sent()] == [Request, Credit]
    node.receive(Part(id, b"late"))
    node.rpc.credit(id, 5)
    assert len(node.parts) == 3 and not node.sent(), "parts and credit after the end are passed over"


@pytest.mark.parametrize("sizes", [[PARTS_WINDOW_BYTES, 1], [0], [PARTS_WINDOW_BYTES + 1]])
def test_more_than_a_window_ends_the_call_and_no_other(sizes: list[int]) -> None:
    node = Node()
    id, other = node.call(), node.call()
    node.receive(*(Part(id, bytes(size)) for size in sizes))
    assert [type(outcome) for outcome in node.outcomes] == [Maybe]
    assert node.sent()[2:] == [Cancel(id)]
    node.receive(Reply(other, CallDone(b"", "n2")))
    assert len(node.outcomes) == 2 and not node.connection.refused


def test_parts_that_nobody_takes_end_the_call() -> None:
    node = Node()
    id = node.call(parts=False)
    node.receive(Part(id, b"one"), Part(99, b"never asked for"))
    assert [type(outcome) for outcome in node.outcomes] == [Maybe]


def test_credit_that_cannot_be_sent_ends_the_call() -> None:
    node = Node()
    id = node.call()
    node.receive(Part(id, b"one"))
    node.connection.full = True
    node.rpc.credit(id, 3)
    node.clock.advance(0.001)
    assert [type(outcome) for outcome in node.outcomes] == [Maybe]


# -- the callee


def inbound_at(node: Node) -> tuple[InboundMessage, list[int]]:
    """A request that arrived, whose answer will have parts; and the credit that comes for them."""
    arrived: list[Any] = []
    node.rpc.handle(Call, arrived.append)
    node.receive(Request(7, node.clock.now() + 1.0, 0, Call("a", "b", b"{}")))
    credits: list[int] = []
    arrived[0].on_credit(credits.append)
    return arrived[0], credits


def test_credit_reaches_who_sends_the_parts() -> None:
    node = Node()
    inbound, credits = inbound_at(node)
    assert inbound.part(bytes(PART_BYTES_MAX)) and inbound.part(bytes(PART_BYTES_MAX))
    node.receive(Credit(7, PART_BYTES_MAX), Credit(8, 1))
    assert credits == [PART_BYTES_MAX] and inbound.part(b"x")
    inbound.reply(CallDone(b"", "n1"))
    node.receive(Credit(7, 1))
    assert credits == [PART_BYTES_MAX] and not node.session.windows
    assert [type(frame) for frame in node.sent()] == [Part, Part, Part, Reply]


@pytest.mark.parametrize("count", [0, -5, 4, 2**62])
def test_credit_for_more_than_was_sent_ends_the_connection(count: int) -> None:
    node = Node()
    inbound, credits = inbound_at(node)
    inbound.part(b"abc")
    node.receive(Credit(7, count))
    assert node.connection.refused and not credits


def test_nobody_is_sent_parts_after_a_cancel() -> None:
    node = Node()
    inbound, _ = inbound_at(node)
    cancelled: list[bool] = []
    inbound.on_cancel(lambda: cancelled.append(True))
    node.receive(Cancel(7))
    assert cancelled and not inbound.part(b"abc") and not node.sent() and not node.session.windows


def test_the_end_of_the_connection_forgets_the_windows() -> None:
    node = Node()
    inbound, _ = inbound_at(node)
    for closed in node.connection.on_close:
        closed()
    assert not inbound.part(b"abc") and not node.session.windows
