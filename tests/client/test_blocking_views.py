"""Gathering from every node directly, once and again and again, and subscriptions of the blocking client."""

from time import monotonic

import pytest

from cluster.client.blocking import BlockingCluster
from cluster.errors import BadMessage, DeadlinePassed, Unreachable
from cluster.wire.admin import AdminAnswer
from cluster.wire.frames import Frame, Request
from cluster.wire.topics import Message, Subscribe, Subscribed
from tests.client.conftest import StartNode
from tests.client.fake_node import Peer, closed_address, location, silence
from tests.client.scripts import healthy, refuses


def test_ask_and_the_questions(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with BlockingCluster(location(node)) as c:
        assert c.ask("n1", "members")["what"] == "members"
        assert c.admin.explain("cart")["arguments"] == {"key": "cart"}
        assert c.admin.events(since="5s", limit=3)[0]["arguments"] == {"since": "5s", "limit": 3}
        for question in ("members", "status", "health", "hints", "metrics"):
            assert getattr(c.admin, question)(node="n1")["what"] == question
        for question in ("ring", "services"):
            assert getattr(c.admin, question)(node="n1")[0]["what"] == question


def test_an_answer_of_another_shape(start_node: StartNode) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        peer.reply(frame, AdminAnswer(5))

    with BlockingCluster(location(start_node("n1", script))) as c:
        for question in (c.admin.members, c.admin.ring):
            with pytest.raises(BadMessage, match="got int"):
                question()


def test_ask_all_with_one_silent_one_refusing_and_one_failing_node(start_node: StartNode) -> None:
    nodes = [start_node("n1", healthy("n1")), start_node("n2", silence), start_node("n3", refuses("not-found"))]
    mute = start_node("n5", greeting=b"")
    with BlockingCluster(location(*nodes, ("n4", closed_address()), mute)) as c:
        answers = c.ask_all(None, "members", timeout=0.1)
        matrix = c.admin.matrix(timeout=0.1)
    assert list(answers) == ["n1", "n2", "n3", "n4", "n5"]
    assert answers["n1"]["node"] == "n1"
    assert isinstance(answers["n2"], DeadlinePassed)
    assert answers["n3"].code == "not-found"
    assert isinstance(answers["n4"], Unreachable) and isinstance(answers["n5"], Unreachable)
    assert list(matrix) == ["n1"]


def test_ask_all_asks_at_once(start_node: StartNode) -> None:
    """Five silent nodes cost one timeout, not five."""
    nodes = [start_node(f"n{number}", silence) for number in range(5)]
    began = monotonic()
    with BlockingCluster(location(*nodes)) as c:
        c.ask_all(None, "members", timeout=1.5)
    assert monotonic() - began < 4.0


def test_a_subscription_delivers_and_ends(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with BlockingCluster(location(node)) as c, c.topics.subscribe("orders.*", group="g") as subscription:
        message = subscription.next(5.0)
        assert message is not None
        assert (message.subject, message.payload, message.id, message.node) == ("orders.new", b"hello", "m1", "n1")
        assert subscription.nodes == 5 and subscription.node == "n1" and not message.gap
        assert subscription.next(0.0) is None
    assert node.bodies(Subscribe) == [Subscribe(1, "orders.*", "g")]


def test_a_subscription_moves_and_says_so(start_node: StartNode) -> None:
    def once(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.reply(frame, Subscribed(2))
            peer.push(Message(1, "a.b", b"1", "m1", "n1", dropped=3))
            peer.hang_up()

    first, second = start_node("n1", once), start_node("n2", healthy("n2"))
    cluster = BlockingCluster(location(first, second), timeout=1.5)
    with cluster as c, c.topics.subscribe("a.b") as subscription:
        assert subscription.node in ("n1", "")  # it may be lost already
        one = subscription.next(5.0)
        first.stop()
        two = subscription.next(5.0)
        assert one is not None and two is not None
        assert (one.payload, one.gap, two.payload, two.gap) == (b"1", False, b"hello", True)
        assert (subscription.gaps, subscription.dropped, subscription.node) == (1, 3, "n2")
        second.stop()
        with pytest.raises(Unreachable):
            subscription.next(60.0)
