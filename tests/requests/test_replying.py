"""Large replies and streams: in parts, under credit, and nothing of them is kept once nobody reads."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from cluster.errors import Maybe, ServiceError, Usage
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES, VALUE_BYTES_MAX
from cluster.observe.latency import upper_s
from cluster.requests import CallContext, operation, service
from cluster.wire.requests import Call, CallDone
from tests.requests.world import FakeInbound, World


class Size(msgspec.Struct):
    bytes: int


class Filling(msgspec.Struct):
    text: str


@service(name="fill", version=1)
class Fill:
    @operation(readonly=True)
    def text(self, request: Size) -> Filling:
        return Filling("x" * request.bytes)


def filling(*nodes: str) -> World:
    world = World(3, lambda: [])
    for node in nodes:
        world.nodes[node].host(Fill())
    return world


def read_on(world: World, inbound: FakeInbound) -> None:
    """Take what came, and give credit for it, until it ends."""
    taken = 0
    for _ in range(1000):
        world.clock.advance(0.001)
        came = sum(map(len, inbound.parts))
        if came > taken and not inbound.answers:
            inbound.give(came - taken)
            taken = came


def whole(inbound: FakeInbound) -> Any:
    (done,) = inbound.answers
    assert isinstance(done, CallDone)
    return msgspec.json.decode(b"".join([*inbound.parts, done.payload]))["text"]


@pytest.mark.parametrize("hosts", [["n1"], ["n2"]])
@pytest.mark.parametrize("size", [0, 100, PARTS_WINDOW_BYTES, PARTS_WINDOW_BYTES + 1, VALUE_BYTES_MAX - 100])
def test_a_reply_arrives_whole(hosts: list[str], size: int) -> None:
    world = filling(*hosts)
    inbound = world.send("n1", "fill.text", bytes=size)
    read_on(world, inbound)
    assert whole(inbound) == "x" * size
    assert bool(inbound.parts) == (size >= PARTS_WINDOW_BYTES)
    assert all(len(part) <= PART_BYTES_MAX for part in inbound.parts)
    world.clock.advance(6.0)
    assert world.at_rest()


def test_it_stops_at_a_window_that_is_not_read_and_ends_with_the_deadline() -> None:
    world = filling("n2")
    inbound = world.send("n1", "fill.text", bytes=1_000_000)
    world.clock.advance(1.0)
    assert sum(map(len, inbound.parts)) == PARTS_WINDOW_BYTES and not inbound.answers
    world.clock.advance(5.0)
    assert [type(answer) for answer in inbound.answers] == [Maybe]
    assert world.at_rest()


def test_nobody_is_sent_the_rest_after_a_cancel() -> None:
    world = filling("n2")
    inbound = world.send("n1", "fill.text", bytes=1_000_000)
    world.clock.advance(1.0)
    inbound.cancel()
    world.clock.advance(6.0)
    assert len(inbound.parts) == 2
    assert world.at_rest() and not inbound.answers


@pytest.mark.parametrize("host", ["n1", "n2"])
def test_a_part_that_is_lost_ends_the_call_and_no_other_follows(host: str) -> None:
    world = filling(host)
    inbound = world.send("n1", "fill.text", bytes=1_000_000)
    inbound.loses = host == "n2"
    world.clock.advance(1.0)
    if host == "n1":  # it is answered before the first part could be lost
        inbound.loses = True
        inbound.give(100)
    assert [type(answer) for answer in inbound.answers] == [Maybe]
    parts = len(inbound.parts)
    world.clock.advance(6.0)
    assert len(inbound.parts) == parts and world.at_rest()


def test_what_began_stays_with_its_endpoint() -> None:
    """The other endpoint could serve it, from its beginning."""
    world = filling("n2", "n3")
    inbound = world.send("n1", "fill.text", bytes=1_000_000)
    world.clock.advance(0.5)
    (node,) = world.messengers["n1"].sent
    assert inbound.parts
    world.messengers["n1"].reach.on_silent[0](node)
    world.clock.advance(1.0)
    assert [type(answer) for answer in inbound.answers] == [Maybe]
    assert world.messengers["n1"].sent == [node]


def test_a_reply_in_parts_took_as_long_as_its_first_part() -> None:
    """Whoever reads it slowly must not make the endpoint look slow."""
    world = filling("n2")
    inbound = world.send("n1", "fill.text", bytes=1_000_000)
    world.clock.advance(2.0)
    read_on(world, inbound)
    assert whole(inbound)
    (pool,) = world.nodes["n1"].router.pools.all(world.clock.now())
    assert all(endpoint.latency_s < 0.1 for endpoint in pool.endpoints.values())
    ((bucket, count),) = pool.operations["text"].latencies.sparse()
    assert count == 1 and upper_s(bucket) < 0.1


# -- streams


class Broken(Exception):
    """It ends here."""


class Rows(msgspec.Struct):
    count: int
    size: int = 1
    ends: str = ""


@service(name="rows", version=2)
class Streaming:
    @operation(readonly=True, errors=[Broken])
    async def send(self, request: Rows, call: CallContext) -> AsyncIterator[Filling]:
        for _ in range(request.count):
            yield Filling("x" * request.size)
        if request.ends == "declared":
            raise Broken("here")
        if request.ends == "bug":
            raise ZeroDivisionError("bug")
        if request.ends == "wrong":
            yield Size(1)  # type: ignore[misc]
        if request.ends == "large":
            yield Filling("x" * VALUE_BYTES_MAX)


def streaming(*nodes: str) -> World:
    world = World(3, lambda: [])
    for node in nodes:
        world.nodes[node].host(Streaming())
    return world


def send(world: World, **fields: Any) -> FakeInbound:
    """A call of a client that takes streams."""
    call = Call("rows", "send", msgspec.json.encode(fields), stream=True)
    inbound = FakeInbound(call, world.clock.now() + 5.0, world.clock.now())
    world.messengers["n1"].handlers[Call](inbound)
    return inbound


@pytest.mark.parametrize("host", ["n1", "n2"])
@pytest.mark.parametrize(("count", "size"), [(0, 1), (1, 1), (3000, 100), (7, 100_000)])
def test_rows_are_lines_and_the_end_counts_them(host: str, count: int, size: int) -> None:
    world = streaming(host)
    inbound = send(world, count=count, size=size)
    read_on(world, inbound)
    lines = b"".join(inbound.parts).splitlines(keepends=True)
    assert lines == [msgspec.json.encode(Filling("x" * size)) + b"\n"] * count
    (done,) = inbound.answers
    assert isinstance(done, CallDone) and (done.payload, done.replies, done.node) == (b"", count, host)
    world.clock.advance(6.0)
    assert world.at_rest()


def test_rows_of_one_pass_leave_together() -> None:
    world = streaming("n1")
    inbound = send(world, count=100)
    read_on(world, inbound)
    assert len(inbound.parts) == 1


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ("declared", "Broken"),
        ("bug", "ZeroDivisionError: bug"),
        ("wrong", "yielded a Size, not Filling"),
        ("large", "over 1048576"),
    ],
)
@pytest.mark.parametrize("host", ["n1", "n2"])
def test_what_a_handler_raises_ends_the_stream_behind_its_rows(host: str, ends: str, text: str) -> None:
    world = streaming(host)
    inbound = send(world, count=2000, size=100, ends=ends)
    read_on(world, inbound)
    assert len(b"".join(inbound.parts).splitlines()) == 2000
    (answer,) = inbound.answers
    if isinstance(answer, CallDone):
        assert ends == "declared" and (answer.error, answer.replies) == (text, 2000)
    else:
        assert isinstance(answer, ServiceError) and text in answer.message
    world.clock.advance(6.0)
    assert world.at_rest()


def test_who_takes_one_reply_is_refused_before_anything_runs() -> None:
    world = streaming("n1", "n2")
    inbound = world.send("n1", "rows.send", count=1)
    world.clock.advance(1.0)
    (answer,) = inbound.answers
    assert isinstance(answer, Usage) and "stream" in answer.message and not world.loop.tasks


def test_who_takes_streams_gets_a_plain_reply_as_well() -> None:
    world = filling("n2")
    call = Call("fill", "text", b'{"bytes":3}', stream=True)
    inbound = FakeInbound(call, world.clock.now() + 5.0, world.clock.now())
    world.messengers["n1"].handlers[Call](inbound)
    world.clock.advance(1.0)
    assert whole(inbound) == "xxx"


def test_a_stream_that_only_ends_with_its_deadline_is_no_failure_of_its_endpoint() -> None:
    world = streaming("n2")
    for _ in range(10):
        inbound = send(world, count=3000, size=100)
        world.clock.advance(6.0)
        assert len(inbound.answers) == 1
    (pool,) = world.nodes["n1"].router.pools.all(world.clock.now())
    assert all(endpoint.failures.in_row == 0 for endpoint in pool.endpoints.values())
