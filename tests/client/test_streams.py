"""Streaming replies in both clients: rows in order, credit for what was read, and a cancel when nobody reads on."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

import cluster
from cluster.client.aio import Client
from cluster.client.blocking import BlockingCluster
from cluster.client.dispatch import StreamDispatch
from cluster.errors import BadMessage, ClusterError, DeadlinePassed, Maybe, ServiceError
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES, VALUE_BYTES_MAX
from cluster.wire.frames import Cancel, Credit, Frame, Part, Request, encode_frame
from cluster.wire.requests import Call, CallDone
from cluster.wire.rows import IncomingRows, RowFormat
from tests.client.conftest import StartNode
from tests.client.fake_node import CLUSTER, SECRET, FakeNode, Peer

FORMAT: RowFormat[Any] = RowFormat(json.decode, lambda done: ServiceError(done.error))
pytestmark = pytest.mark.anyio


class FakeRouter:
    """What one streaming call meets: itself."""

    def __init__(self) -> None:
        self.given = 0
        self.cancelled = False

    def now(self) -> float:
        return 1.0

    def stream(self, body: Call, deadline: float, done: Callable[..., object], take: Callable[..., object]) -> Any:
        assert body.stream
        self.done, self.take = done, take
        return self

    def credit(self, count: int) -> None:
        self.given += count

    def cancel(self) -> None:
        self.cancelled = True


def incoming() -> tuple[FakeRouter, IncomingRows[Any]]:
    router: Any = FakeRouter()
    return router, IncomingRows(router, Call("a", "b", b"{}"), 9.0, FORMAT)


def read(rows: IncomingRows[Any]) -> Iterator[Any]:
    while rows.readable:
        try:
            yield rows.pop()
        except EOFError:
            return


values = st.one_of(st.integers(), st.text(max_size=30), st.integers(0, 90_000).map(lambda size: "x" * size))


@given(st.lists(values, max_size=12), st.data())
def test_rows_are_cut_anywhere_and_credit_comes_for_what_is_read(expected: list[Any], data: st.DataObject) -> None:
    """Rows larger than a window, too; a reader that reads everything is never without credit."""
    router, rows = incoming()
    stream = b"".join(json.encode(value) + b"\n" for value in expected)
    sent, seen = 0, list[Any]()
    while sent < len(stream):
        room = PARTS_WINDOW_BYTES - (sent - router.given)
        assert 0 < room <= PARTS_WINDOW_BYTES
        size = data.draw(st.integers(1, min(room, PART_BYTES_MAX)))
        router.take(stream[sent : sent + size])
        sent = min(len(stream), sent + size)
        seen += read(rows)
        assert rows.held_bytes <= VALUE_BYTES_MAX
    router.done(CallDone(b"", "n2", replies=len(expected)))
    seen += read(rows)
    assert seen == expected and rows.over and rows.result is not None and rows.result.replies == len(expected)


def test_a_reader_that_does_not_read_gives_no_credit() -> None:
    router, rows = incoming()
    row = json.encode("x" * 1021) + b"\n"
    for _ in range(PARTS_WINDOW_BYTES // len(row)):
        router.take(row)
    assert router.given == 0 and rows.held_bytes == PARTS_WINDOW_BYTES - 64
    for _ in range(40):
        rows.pop()
    assert PARTS_WINDOW_BYTES // 2 <= router.given <= 40 * 1024


@pytest.mark.parametrize(
    ("parts", "outcome", "error"),
    [
        ([b"1\n2\n"], Maybe("lost"), Maybe),
        ([b"1\n2\n"], CallDone(b"", "n2", replies=3), BadMessage),
        ([b"1\n2\n3"], CallDone(b"", "n2", replies=2), BadMessage),
        ([b"1\n2\n"], CallDone(b"{}", "n2", error="Broke", replies=2), ServiceError),
    ],
)
def test_what_came_is_read_before_what_ended_it(
    parts: list[bytes], outcome: CallDone | ClusterError, error: type[ClusterError]
) -> None:
    router, rows = incoming()
    for part in parts:
        router.take(part)
    router.done(outcome)
    assert [rows.pop(), rows.pop()] == [1, 2]
    for _ in range(2):
        with pytest.raises(error):
            rows.pop()


def test_a_plain_reply_is_one_row_also_when_it_is_large() -> None:
    router, rows = incoming()
    router.take(b'"one ')
    router.done(CallDone(b'reply"', "n2"))
    assert list(read(rows)) == ["one reply"]
    assert rows.result is not None and rows.result.replies is None


def test_a_row_without_end_is_refused() -> None:
    router, rows = incoming()
    for _ in range(VALUE_BYTES_MAX // PART_BYTES_MAX + 1):
        router.take(bytes(PART_BYTES_MAX))
    assert router.cancelled and rows.held_bytes <= VALUE_BYTES_MAX + PART_BYTES_MAX
    with pytest.raises(BadMessage):
        rows.pop()


def test_a_row_that_is_no_json_ends_it() -> None:
    router, rows = incoming()
    router.take(b"{\n1\n")
    with pytest.raises(BadMessage):
        rows.pop()
    assert router.cancelled


def test_what_is_cancelled_before_it_is_sent_ends_with_its_first_part() -> None:
    parts: list[bytes] = []
    router: Any = None
    dispatch = StreamDispatch(router, Call("a", "b", b""), 9.0, lambda outcome: None, None, None, "", parts.append)
    dispatch.cancel()
    cancelled: list[int] = []
    caller: Any = SimpleNamespace(cancel=cancelled.append)
    dispatch.caller, dispatch.id = caller, 7
    dispatch.on_part(b"1")
    assert cancelled == [7] and not parts


# -- over sockets


class Counting:
    """Answers a call with the numbers from 0 on, a part each, as credit allows; and notes a cancel."""

    def __init__(self, count: int, filling: int = 0, *, ends: bool = True) -> None:
        self.count = count
        self.filling = "x" * filling
        self.ends = ends
        self.room = PARTS_WINDOW_BYTES
        self.next = 0
        self.id = 0

    def __call__(self, peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Call) and frame.body.stream:
            self.id, self.next, self.room = frame.id, 0, PARTS_WINDOW_BYTES
        elif isinstance(frame, Credit):
            self.room += frame.count
            assert self.room <= PARTS_WINDOW_BYTES
        else:
            return
        while self.next < self.count:
            row = json.encode([self.next, self.filling]) + b"\n"
            if len(row) > self.room:
                return
            self.room -= len(row)
            self.next += 1
            peer.raw(encode_frame(Part(self.id, row)))
        if self.ends and self.next == self.count:
            self.next += 1
            frame = Request(self.id, 0.0, 0, Call("a", "b", b""))
            peer.reply(frame, CallDone(b"", "n1", replies=self.count))


def number_of(row: Any) -> int:
    number: int = row[0]
    return number


def cancelled(node: FakeNode) -> bool:
    return any(isinstance(frame, Cancel) for frame in list(node.frames))


def blocking(node: FakeNode) -> BlockingCluster:
    return cluster.connect_blocking([node.address], secret=SECRET, cluster=CLUSTER)


def asynchronous(node: FakeNode) -> Client:
    return cluster.connect([node.address], secret=SECRET, cluster=CLUSTER)


def test_the_blocking_client_iterates(start_node: StartNode) -> None:
    node = start_node(script=Counting(1000, 1000))
    with blocking(node) as c:
        stream = c.requests.stream("a.count", {"to": 1000})
        assert [number_of(row) for row in stream] == list(range(1000))
        assert stream.result is not None and stream.result.replies == 1000 and list(stream) == []


async def test_the_asyncio_client_iterates(start_node: StartNode) -> None:
    node = start_node(script=Counting(1000, 1000))
    async with asynchronous(node) as c:
        stream = c.requests.stream("a.count", {"to": 1000})
        assert [number_of(row) async for row in stream] == list(range(1000))
        assert stream.result is not None and stream.result.replies == 1000


def test_the_blocking_client_cancels_what_it_breaks_off(start_node: StartNode) -> None:
    node = start_node(script=Counting(100_000, 1000))
    with blocking(node) as c:
        for row in c.requests.stream("a.count"):
            if number_of(row) == 100:
                break
        node.wait(lambda: cancelled(node))
        with c.requests.stream("a.count") as stream:
            next(stream)
        assert list(stream) == []


@pytest.mark.parametrize("how", ["break", "with", "task"])
async def test_the_asyncio_client_cancels_what_it_breaks_off(start_node: StartNode, how: str) -> None:
    node, read = start_node(script=Counting(200, 1000, ends=False)), asyncio.Event()

    async def reading(c: Client) -> None:
        if how == "with":
            async with c.requests.stream("a.count") as stream:
                await anext(stream)
            return
        async for row in c.requests.stream("a.count"):
            if number_of(row) == 100 and how == "break":
                break
            if number_of(row) == 199:
                read.set()

    async with asynchronous(node) as c:
        task = asyncio.ensure_future(reading(c))
        if how == "task":
            await read.wait()
            task.cancel()
        await asyncio.wait([task])
        gc.collect()
        await asyncio.to_thread(node.wait, lambda: cancelled(node))


async def test_both_end_with_their_deadline(start_node: StartNode) -> None:
    node = start_node(script=Counting(3, ends=False))
    with blocking(node) as c:
        seen: list[Any] = []
        with pytest.raises((Maybe, DeadlinePassed)):
            seen.extend(c.requests.stream("a.count", deadline=0.2))
    async with asynchronous(node) as other:
        with pytest.raises((Maybe, DeadlinePassed)):
            async for _ in other.requests.stream("a.count", deadline=0.2):
                pass


def test_other_operations_go_on_between_two_rows(start_node: StartNode) -> None:
    node = start_node(script=Counting(200, 1000))
    with blocking(node) as c:
        stream = c.requests.stream("a.count")
        numbers = [number_of(next(stream))]
        with pytest.raises(Maybe):
            c.requests.call("a.silent", deadline=0.05)
        numbers += [number_of(row) for row in stream]
        assert numbers == list(range(200))
