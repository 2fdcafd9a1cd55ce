"""Consumers: leases that last as long as the work, and how work that fails, ends or is lost comes back."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from cluster.client import aio_queues
from cluster.client.aio import Client
from cluster.client.aio_queues import ACK_TRIES
from cluster.client.queues import QueueMessage
from cluster.errors import Maybe, NotFound, QuorumMissing
from cluster.wire.queues import QueueAck, QueueExtend, QueueReceive
from tests.client.conftest import StartNode
from tests.client.fake_node import FakeNode, location
from tests.client.fake_queue import FakeQueue

pytestmark = pytest.mark.anyio


def open_client(*nodes: FakeNode) -> Client:
    return Client(location(*nodes), seed=1)


async def until(queue: FakeQueue, condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(queue.wait, condition)


async def test_each_turn_of_the_loop_acknowledges_the_one_before(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(*(b"%d" % number for number in range(10)))
    node = start_node("n1", queue)
    seen = []
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume(concurrency=4)
        async for message in consumer:
            assert len(queue.leased) <= 4, "no more than it has room for"
            seen.append(message.body)
            if len(seen) == 10:
                consumer.stop()
    assert seen == [b"%d" % number for number in range(10)]
    assert sorted(queue.acknowledged, key=float) == [f"{number}.1" for number in range(1, 11)]
    assert not queue.leased and consumer.done == 10
    assert {body.visibility_s for body in node.bodies(QueueReceive)} == {30.0}, "the queue's own, for it is extended"


async def test_a_loop_that_is_left_gives_back_the_message_it_was_at_and_those_it_had_not_begun(
    start_node: StartNode,
) -> None:
    queue = FakeQueue()
    queue.put(b"a", b"b", b"c")
    node = start_node("n1", queue)
    async with open_client(node) as c:
        async for message in c.queues["jobs"].consume(concurrency=3, visibility=30.0):
            assert message.body == b"a"
            break
        await until(queue, lambda: len(queue.returned) == 3)
    assert sorted(queue.returned) == [("1.1", 1.0), ("2.1", 0.0), ("3.1", 0.0)] and not queue.acknowledged
    assert sorted(queue.not_begun) == ["2.1", "3.1"], "of these the delivery does not count"


async def test_a_loop_that_is_cancelled_between_two_messages_gives_nothing_back(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"a")
    node = start_node("n1", queue)
    async with open_client(node) as c:

        async def loop() -> None:
            async for _ in c.queues["jobs"].consume(visibility=30.0):
                pass

        looping = asyncio.create_task(loop())
        await until(queue, lambda: bool(queue.acknowledged) and len(queue.parked) == 1)
        looping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looping
    assert queue.acknowledged == ["1.1"] and not queue.returned


async def test_an_exception_returns_the_message_with_a_pause_that_doubles(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"poison")
    node = start_node("n1", queue)
    async with open_client(node) as c:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async for _message in c.queues["jobs"].consume(visibility=30.0, backoff=2.0, backoff_max=5.0):
                    raise ZeroDivisionError
        await until(queue, lambda: len(queue.returned) == 3)
    assert queue.returned == [("1.1", 2.0), ("1.2", 4.0), ("1.3", 5.0)]


async def test_handlers_run_side_by_side_and_a_failed_one_stops_none(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"a", b"b", b"bad", b"c")
    node = start_node("n1", queue)
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    together, met = [], asyncio.Event()
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume(concurrency=4, visibility=30.0)

        async def handle(message: QueueMessage) -> None:
            if message.body == b"bad" and message.attempt == 1:
                raise ValueError("cannot be done")
            together.append(message.body)
            if len(together) == 3:
                met.set()
            await met.wait()  # so all of them are under way at once
            if len(together) == 4:
                consumer.stop()

        await consumer.run(handle)
    loop.set_exception_handler(before)
    assert sorted(together) == [b"a", b"b", b"bad", b"c"] and queue.returned == [("3.1", 1.0)]
    assert (consumer.done, consumer.returned) == (4, 1) and len(queue.acknowledged) == 4
    assert [str(one["exception"]) for one in reported] == ["cannot be done"] and "jobs" in reported[0]["message"]


async def test_a_lease_is_extended_as_long_as_the_work_takes(start_node: StartNode) -> None:
    queue = FakeQueue(visibility_s=0.15)
    queue.put(b"long")
    node = start_node("n1", queue)
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume()
        async for message in consumer:
            await until(queue, lambda: len(queue.extended) >= 4)
            assert set(queue.extended) == {message.receipt} and not queue.acknowledged
            consumer.stop()
    assert queue.acknowledged == ["1.1"] and consumer.lost == 0
    assert node.bodies(QueueExtend)[0].visibility_s == 0.15


async def test_a_lost_lease_is_not_extended_and_its_work_is_acknowledged_all_the_same(start_node: StartNode) -> None:
    queue = FakeQueue(visibility_s=0.15)
    queue.put(b"slow", b"not begun")
    node = start_node("n1", queue)
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume(concurrency=2)
        async for message in consumer:
            del queue.leased[message.receipt], queue.leased["2.1"]  # to somebody else, who is not here
            await until(queue, lambda: len(queue.parked) == 1)  # for the room of the one that was not begun
            assert consumer.lost == 2
            consumer.stop()
    assert queue.acknowledged == ["1.1"], "what was not begun is not worked on twice"


async def test_a_message_whose_lease_ended_while_the_process_stood_still_is_not_begun(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"under way", b"not begun")
    node = start_node("n1", queue)
    begun = []
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume(concurrency=2)

        async def stop_once_there_is_room() -> None:
            await until(queue, lambda: len(queue.parked) == 1)
            consumer.stop()

        stopping = asyncio.create_task(stop_once_there_is_room())
        async for message in consumer:
            begun.append(message.body)
            c.now = lambda: monotonic() + queue.visibility_s  # and nothing of this loop ran meanwhile
        await stopping
    assert begun == [b"under way"] and queue.acknowledged == ["1.1"] and consumer.lost == 1


async def test_an_acknowledgement_whose_outcome_is_not_known_is_repeated(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"a")
    queue.failing[QueueAck] = [Maybe("too few answered"), QuorumMissing("too few alive")]
    node = start_node("n1", queue)
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume(visibility=30.0)
        async for _ in consumer:
            consumer.stop()
        assert (consumer.done, consumer.lost) == (1, 0)
    assert queue.acknowledged == ["1.1"] and len(node.bodies(QueueAck)) == 3


async def test_an_acknowledgement_that_never_succeeds_is_given_up(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio_queues, "AGAIN_S", 0.001)
    queue = FakeQueue()
    queue.put(b"a")
    queue.failing[QueueAck] = [Maybe("too few answered") for _ in range(2 * ACK_TRIES)]
    node = start_node("n1", queue)
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume(visibility=30.0)
        async for _ in consumer:
            consumer.stop()
        assert (consumer.done, consumer.lost) == (0, 1)
    assert len(node.bodies(QueueAck)) == ACK_TRIES


async def test_it_goes_on_after_a_node_was_lost_and_ends_where_there_is_no_queue(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"a")
    queue.failing[QueueReceive] = [Maybe("lost"), QuorumMissing("too few alive")]
    node = start_node("n1", queue)
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume(visibility=30.0)
        async for message in consumer:
            assert message.body == b"a"
            consumer.stop()
        with pytest.raises(NotFound, match="no queue 'nope'"):
            async for _ in c.queues["nope"].consume(visibility=30.0):
                raise AssertionError

        async def handle(_: QueueMessage) -> None:
            raise AssertionError

        with pytest.raises(NotFound, match="no queue 'nope'"):
            await c.queues["nope"].consume(visibility=30.0).run(handle)


async def test_stopped_while_nothing_comes_it_takes_its_receive_back(start_node: StartNode) -> None:
    queue = FakeQueue()
    node = start_node("n1", queue)
    async with open_client(node) as c:
        consumer = c.queues["jobs"].consume(visibility=30.0)

        async def handle(_: QueueMessage) -> None:
            raise AssertionError

        running = asyncio.create_task(consumer.run(handle))
        await until(queue, lambda: len(queue.parked) == 1)
        consumer.stop()
        await running
        await until(queue, lambda: not queue.parked)


async def test_it_ends_with_its_client(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"a")
    node = start_node("n1", queue)
    c = open_client(node)
    await c.__aenter__()
    seen = []

    async def loop() -> None:
        seen.extend([message.body async for message in c.queues["jobs"].consume(visibility=30.0)])

    looping = asyncio.create_task(loop())
    await until(queue, lambda: bool(queue.acknowledged) and len(queue.parked) == 1)
    await c.close()
    await looping
    assert seen == [b"a"]


async def test_cancelled_it_gives_back_what_its_handlers_were_at(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"a", b"b")
    node = start_node("n1", queue)
    async with open_client(node) as c:
        begun = asyncio.Semaphore(0)

        async def handle(_: QueueMessage) -> None:
            begun.release()
            await asyncio.Event().wait()

        running = asyncio.create_task(c.queues["jobs"].consume(2, visibility=30.0).run(handle))
        await begun.acquire()
        await begun.acquire()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert sorted(receipt for receipt, _ in queue.returned) == ["1.1", "2.1"] and not queue.acknowledged
