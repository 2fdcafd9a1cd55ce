"""Subscriptions of the asyncio client: registered, bounded, moved to another node, ended."""

import asyncio

import pytest

from cluster.client.aio import Client
from cluster.errors import LimitReached, Unreachable, Usage
from cluster.wire.frames import Frame, Request
from cluster.wire.topics import Message, Subscribe, Subscribed, Unsubscribe
from tests.client.conftest import StartNode
from tests.client.fake_node import FakeNode, Peer, Script, location, silence
from tests.client.scripts import healthy, refuses

pytestmark = pytest.mark.anyio


def sends(*payloads: bytes, name: str = "n1", then_hang_up: bool = False) -> Script:
    """Takes a subscription, and pushes messages to it."""

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.reply(frame, Subscribed(1))
            if isinstance(frame.body, Subscribe):
                for number, payload in enumerate(payloads):
                    dropped = 2 if number == 1 else 0
                    peer.push(Message(frame.body.subscription, "a.b", payload, f"m{number}", name, dropped, {"h": "v"}))
                if then_hang_up:
                    peer.hang_up()

    return script


def open_client(*nodes: FakeNode, timeout: float = 5.0) -> Client:
    return Client(location(*nodes), timeout=timeout, seed=1)


async def test_messages_arrive_in_order(start_node: StartNode) -> None:
    node = start_node("n1", sends(b"1", b"2"))
    async with open_client(node) as c, c.topics.subscribe("a.*", group="g") as subscription:
        assert (subscription.nodes, subscription.node) == (1, "n1")
        first, second = await subscription.next(), await subscription.next(5.0)
        assert first is not None and second is not None
        assert (first.payload, first.subject, first.id, first.headers) == (b"1", "a.b", "m0", {"h": "v"})
        assert second.payload == b"2" and not second.gap
        assert (subscription.dropped, subscription.gaps) == (2, 0)
        assert await subscription.next(0.0) is None
    body = node.bodies(Subscribe)[0]
    assert (body.pattern, body.group) == ("a.*", "g")


async def test_async_for_registers_and_break_unsubscribes(start_node: StartNode) -> None:
    node = start_node("n1", sends(b"1", b"2"))
    async with open_client(node) as c:
        async for message in c.topics.subscribe("a.*"):
            assert message.payload == b"1"
            break
        await asyncio.to_thread(node.wait, lambda: len(node.bodies(Unsubscribe)) == 1)
        assert c.router.receivers == {}
    assert node.bodies(Unsubscribe)[0].subscription == node.bodies(Subscribe)[0].subscription


async def test_the_oldest_are_dropped_and_counted(start_node: StartNode) -> None:
    node = start_node("n1", sends(*(b"%d" % number for number in range(10))))
    async with open_client(node) as c, c.topics.subscribe("a.*", buffer=3) as subscription:
        await c.ask_all(["n1"], "members")  # its reply comes behind the messages
        assert subscription.dropped == 2 + 7
        payloads = [message.payload for _ in range(3) if (message := await subscription.next(0.0)) is not None]
    assert payloads == [b"7", b"8", b"9"]


async def test_a_message_that_has_come_costs_no_timer(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start_node("n1", sends(b"1", b"2"))
    async with open_client(node) as c, c.topics.subscribe("a.*") as subscription:
        await c.ask_all(["n1"], "members")  # its reply comes behind the messages
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "timeout", None)
            first, second = await subscription.next(5.0), await subscription.next()
    assert first is not None and second is not None
    assert (first.payload, second.payload) == (b"1", b"2")


async def test_a_lost_subscription_moves_and_says_so(start_node: StartNode) -> None:
    first, second = start_node("n1", sends(b"1", then_hang_up=True)), start_node("n2", sends(b"2", name="n2"))
    async with Client(location(first), seed=1) as c, c.topics.subscribe("a.*") as subscription:
        entry = location(first, second).entry
        assert entry is not None
        c.use_layout(entry)
        assert subscription.node in ("n1", "")  # it may be lost already
        one = await subscription.next()
        first.stop()
        two = await subscription.next()
        while two is not None and two.payload == b"1":  # the first node may have been found again before it stopped
            two = await subscription.next()
        assert one is not None and two is not None
        assert (one.payload, one.gap, two.payload, two.gap) == (b"1", False, b"2", True)
        assert subscription.gaps >= 1 and subscription.node == "n2"


async def test_a_refused_pattern_is_not_tried_elsewhere(start_node: StartNode) -> None:
    nodes = [start_node(f"n{number}", refuses("usage")) for number in (1, 2)]
    async with open_client(*nodes) as c:
        with pytest.raises(Usage):
            async with c.topics.subscribe("a..b"):
                pass
        assert c.router.receivers == {}
    assert sum(len(node.bodies(Subscribe)) for node in nodes) == 1


async def test_a_node_that_cannot_serve_is_left(start_node: StartNode) -> None:
    nodes = [start_node("n1", refuses("overloaded")), start_node("n2", sends(b"x", name="n2"))]
    async with open_client(*nodes) as c:
        for _ in range(3):
            async with c.topics.subscribe("a.b") as subscription:
                assert subscription.node == "n2"


async def test_no_node_takes_it(start_node: StartNode) -> None:
    node = start_node("n1", silence)
    async with open_client(node, timeout=0.1) as c:
        with pytest.raises(Unreachable, match=r"a\.b"):
            async for _ in c.topics.subscribe("a.b"):
                pass


async def test_when_all_nodes_are_full_the_limit_is_named_at_once(start_node: StartNode) -> None:
    full = refuses("limit")
    async with open_client(start_node("n1", full), start_node("n2", full), timeout=60.0) as c:
        with pytest.raises(LimitReached):
            await c.topics.subscribe("a").start()


async def test_giving_up_while_it_registers_tells_the_node(start_node: StartNode) -> None:
    node = start_node("n1", silence)
    async with open_client(node) as c:
        entering = asyncio.ensure_future(c.topics.subscribe("a.b").__aenter__())
        await asyncio.to_thread(node.wait, lambda: len(node.bodies(Subscribe)) == 1)
        entering.cancel()
        await asyncio.to_thread(node.wait, lambda: len(node.bodies(Unsubscribe)) == 1)
        assert c.router.receivers == {}


async def test_a_node_that_may_have_registered_it_too_late_is_told(start_node: StartNode) -> None:
    late, node = start_node("n1", refuses("deadline")), start_node("n2", sends(name="n2"))
    async with open_client(late, node) as c:
        for _ in range(4):
            async with c.topics.subscribe("a.b") as subscription:
                assert subscription.node == "n2"
        numbers = [body.subscription for body in late.bodies(Subscribe)]
        await asyncio.to_thread(late.wait, lambda: len(late.bodies(Unsubscribe)) == len(numbers))
    assert numbers and [body.subscription for body in late.bodies(Unsubscribe)] == numbers


async def test_closing_the_client_ends_the_iteration(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    seen = []
    arrived = asyncio.Event()
    async with open_client(node) as c:

        async def read() -> None:
            async for message in c.topics.subscribe("orders.*"):
                seen.append(message.payload)
                arrived.set()

        reading = asyncio.ensure_future(read())
        await arrived.wait()
    await reading
    assert seen == [b"hello"]
