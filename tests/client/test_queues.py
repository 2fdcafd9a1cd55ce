"""Queues through both clients: what is sent, what comes back, and what is said of what is not known."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from cluster.client.blocking import BlockingCluster
from cluster.client.operation import TIMEOUT_MAX_S
from cluster.client.queue_admin import PURGE_AGAIN, REDRIVE_AGAIN
from cluster.client.queues import (
    ACK_AGAIN,
    EXTEND_AGAIN,
    LEASED_IN_VAIN,
    NACK_AGAIN,
    SENT_ONCE,
    SENT_TWICE,
    Batch,
    OutgoingMessage,
)
from cluster.errors import (
    AlreadyExists,
    BadMessage,
    ClusterError,
    LeaseLost,
    Maybe,
    NotFound,
    Overloaded,
    QueueFull,
    TooLarge,
    Usage,
)
from cluster.limits import DEDUP_ID_BYTES_MAX, QUEUE_BATCH_MAX
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Body, Frame, Request
from cluster.wire.queues import QueueAck, QueueAnswered, QueueExtend, QueueReceive, QueueReturn, QueueSend, QueueSent
from tests.client.conftest import StartNode
from tests.client.fake_node import FakeNode, Peer, Script, location
from tests.client.fake_queue import FakeQueue
from tests.client.scripts import hangs_up


def open_cluster(*nodes: FakeNode, timeout: float = 5.0) -> BlockingCluster:
    return BlockingCluster(location(*nodes), timeout=timeout)


def answers(body: Body) -> Script:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.reply(frame, body)

    return script


def refuses(error: ClusterError) -> Script:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.fail(frame, error.code, error.message)

    return script


def test_a_message_is_sent_received_and_acknowledged(start_node: StartNode) -> None:
    queue = FakeQueue()
    node = start_node("n1", queue)
    with open_cluster(node) as c:
        jobs = c.queues["jobs"]
        sent = jobs.send(b"resize 7", headers={"kind": "image"}, dedup_id="42")
        assert (sent.id, sent.outcome, sent.acks, sent.duplicate, sent.error) == ("q2-0-a-1", "ok", 2, False, None)
        jobs.send(b"later", delay=5.0)
        [message] = jobs.receive(visibility=2.5, receiver="me")
        assert (message.id, message.body, message.attempt) == (sent.id, b"resize 7", 1)
        assert message.headers == {"kind": "image"}
        assert (message.dedup_id, message.lease_until - message.sent_at) == ("42", 30.0)
        assert jobs.extend(message.receipt, 9.0).outcome == "ok"
        assert jobs.ack(message.receipt).outcome == "ok" == c.queues.ack(message.receipt).outcome, "and once more"
    first, second = node.bodies(QueueSend)
    assert first.messages == [(b"resize 7", {"kind": "image"}, -1.0, "42")]
    assert second.messages == [(b"later", None, 5.0, "")]
    assert node.bodies(QueueReceive)[0] == QueueReceive("jobs", 1, 0.0, 2.5, "me")
    assert node.bodies(QueueExtend)[0] == QueueExtend([message.receipt], 9.0)


def test_a_batch_says_where_it_could_not_look(start_node: StartNode) -> None:
    queue = FakeQueue()
    node = start_node("n1", queue)
    with open_cluster(node) as c:
        jobs = c.queues["jobs"]
        queue.unreachable = [3, 5]
        batch = jobs.receive(10)
        assert (list(batch), batch.shards_unreachable, batch.is_empty) == ([], (3, 5), False)
        queue.unreachable = []
        assert jobs.receive(10).is_empty
        queue.put(b"a", b"b")
        batch = jobs.receive(10)
        assert isinstance(batch, Batch) and [one.body for one in batch] == [b"a", b"b"] and not batch.is_empty
    assert node.bodies(QueueReceive)[-1].max == 10


def test_a_receive_may_wait_longer_than_the_client_does_otherwise(start_node: StartNode) -> None:
    node = start_node("n1", FakeQueue())
    with open_cluster(node, timeout=0.5) as c, pytest.raises(Maybe) as raised:
        c.queues["jobs"].receive(wait=0.2, timeout=0.1)
    assert raised.value.help == LEASED_IN_VAIN
    [body] = node.bodies(QueueReceive)
    assert body.wait_s == 0.2
    queue = FakeQueue()
    queue.put(b"a")
    node, began = start_node("n2", queue), monotonic()
    with open_cluster(node, timeout=0.5) as c:
        c.queues["jobs"].receive(wait=20.0, timeout=3.0)
    [deadline] = [frame.deadline for frame in node.frames if isinstance(frame, Request)]
    assert began + 23.0 <= deadline <= monotonic() + 23.0
    queue.put(b"b")
    with open_cluster(node) as c:
        c.queues["jobs"].receive(wait=2 * TIMEOUT_MAX_S)
    assert node.bodies(QueueReceive)[-1].wait_s == TIMEOUT_MAX_S, "nobody waits longer"


def test_a_returned_message_comes_again_and_an_old_receipt_returns_nothing(start_node: StartNode) -> None:
    queue = FakeQueue()
    queue.put(b"a")
    node = start_node("n1", queue)
    with open_cluster(node) as c:
        jobs = c.queues["jobs"]
        [first] = jobs.receive()
        jobs.nack(first.receipt, delay=1.5)
        [again] = jobs.receive()
        assert (again.id, again.attempt) == (first.id, 2)
        late: list[Callable[[], object]] = [
            lambda: jobs.nack(first.receipt),
            lambda: jobs.extend(first.receipt, 5.0),
        ]
        for lost in late:
            with pytest.raises(LeaseLost) as raised:
                lost()
            assert raised.value.definite and raised.value.detail["receipt"] == first.receipt
        old, current = jobs.nack_batch([first.receipt, again.receipt])
        assert (old.outcome, current.outcome) == ("no", "ok") and isinstance(old.error, LeaseLost)
        assert jobs.ack(first.receipt).outcome == "ok", "the work is done, whoever has it now"
    assert node.bodies(QueueReturn)[0] == QueueReturn([first.receipt], 1.5)


def test_a_batch_of_sends_has_a_result_for_each(start_node: StartNode) -> None:
    results = [
        ("q2-0-a-1", "ok", 2, False, ("", "")),
        ("", "no", 0, False, ("queue-full", "jobs is full")),
        ("q2-0-a-2", "maybe", 1, False, ("maybe", "too few owners answered")),
        ("q2-0-a-3", "maybe", 1, False, ("maybe", "too few owners answered")),
    ]
    node = start_node("n1", answers(QueueSent(results)))
    with open_cluster(node) as c:
        messages: list[OutgoingMessage | bytes] = [
            b"a",
            b"b",
            OutgoingMessage(body=b"c"),
            OutgoingMessage(body=b"d", dedup_id="d"),
        ]
        one, full, unsure, known = c.queues["jobs"].send_batch(messages)
        assert one.error is None and isinstance(full.error, QueueFull) and full.error.retryable
        assert isinstance(unsure.error, Maybe) and isinstance(known.error, Maybe)
        assert (unsure.error.help, known.error.help) == (SENT_TWICE, SENT_ONCE)
        assert unsure.error.detail == {"id": "q2-0-a-2", "outcome": "maybe"}
        assert c.queues["jobs"].send_batch([]) == []
    assert len(node.bodies(QueueSend)) == 1


@pytest.mark.parametrize(("dedup_id", "help"), [(None, SENT_TWICE), ("42", SENT_ONCE)])
def test_a_send_whose_node_is_lost_is_not_repeated(start_node: StartNode, dedup_id: str | None, help: str) -> None:
    nodes = [start_node(f"n{number}", hangs_up) for number in (1, 2)]
    with open_cluster(*nodes) as c, pytest.raises(Maybe) as raised:
        c.queues["jobs"].send(b"a", dedup_id=dedup_id)
    assert raised.value.help == help
    assert [len(node.bodies(QueueSend)) for node in nodes] == [1, 0]


def test_an_acknowledgement_is_repeated_at_another_node(start_node: StartNode) -> None:
    queue = FakeQueue()
    nodes = [start_node("n1", hangs_up), start_node("n2", queue)]
    with open_cluster(*nodes) as c:
        assert c.queues.ack("1.1").outcome == "ok"
        assert c.queues.extend_batch([], 1.0) == []
    assert queue.acknowledged == ["1.1"] and len(nodes[0].bodies(QueueAck)) == 1
    node = start_node("n3", answers(QueueAnswered([("maybe", ("maybe", "too few"))])))
    with open_cluster(node) as c, pytest.raises(Maybe) as raised:
        c.queues.ack("1.1")
    assert raised.value.help == ACK_AGAIN and raised.value.detail == {"receipt": "1.1", "outcome": "maybe"}


@pytest.mark.parametrize(
    ("settle", "help"),
    [
        (lambda queues: queues.ack("1.1"), ACK_AGAIN),
        (lambda queues: queues.nack("1.1"), NACK_AGAIN),
        (lambda queues: queues.extend("1.1", 5.0), EXTEND_AGAIN),
    ],
)
def test_a_receipt_whose_node_is_lost_may_have_been_settled(
    start_node: StartNode, settle: Callable[[Any], object], help: str
) -> None:
    with open_cluster(start_node("n1", hangs_up)) as c, pytest.raises(Maybe) as raised:
        settle(c.queues)
    assert raised.value.help == help


def test_a_refusal_behind_a_node_that_was_lost_does_not_say_that_nothing_was_done(start_node: StartNode) -> None:
    nodes = [start_node("n1", hangs_up), start_node("n2", refuses(Overloaded("too much to do")))]
    with open_cluster(*nodes) as c, pytest.raises(Maybe, match="n1 was lost"):
        c.queues.ack("1.1")
    assert [len(node.bodies(QueueAck)) for node in nodes] == [1, 1]


@pytest.mark.parametrize(
    ("act", "help"),
    [
        (lambda c: c.admin.purge_queue("jobs"), PURGE_AGAIN),
        (lambda c: c.admin.redrive_queue("jobs"), REDRIVE_AGAIN),
        (lambda c: c.admin.create_queue("jobs"), None),
    ],
)
def test_what_is_done_to_a_queue_may_be_done_when_the_answer_is_lost(
    start_node: StartNode, act: Callable[[BlockingCluster], object], help: str | None
) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, AdminQuery) and frame.body.what == "layout":
            peer.reply(frame, AdminAnswer({"number": 1, "slot": 1, "alive": 1}))
        else:
            peer.hang_up()

    with open_cluster(start_node("n1", script)) as c, pytest.raises(Maybe) as raised:
        act(c)
    assert help in (None, raised.value.help)


@pytest.mark.parametrize(
    ("body", "words"), [(QueueAnswered([]), "unexpected QueueAnswered"), (AdminAnswer([]), "expected an object")]
)
def test_a_change_that_is_answered_with_something_else(start_node: StartNode, body: Body, words: str) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, AdminQuery):
            asked = frame.body.what == "layout"
            peer.reply(frame, AdminAnswer({"number": 1, "slot": 1, "alive": 1}) if asked else body)

    with open_cluster(start_node("n1", script)) as c, pytest.raises(BadMessage, match=words):
        c.admin.create_queue("jobs")


def test_a_change_that_the_first_node_may_have_decided_is_not_refused_by_the_second(start_node: StartNode) -> None:
    def script(alive: int, change: Script) -> Script:
        def answer(peer: Peer, frame: Frame) -> None:
            if isinstance(frame, Request) and isinstance(frame.body, AdminQuery) and frame.body.what == "layout":
                peer.reply(frame, AdminAnswer({"number": 1, "slot": 1, "alive": alive}))
            else:
                change(peer, frame)

        return answer

    first = start_node("n1", script(2, hangs_up))
    second = start_node("n2", script(1, refuses(AlreadyExists("another queue has that name"))))
    with open_cluster(first, second) as c, pytest.raises(Maybe, match="n1 was lost"):
        c.admin.create_queue("jobs")
    with open_cluster(second) as c, pytest.raises(AlreadyExists):
        c.admin.create_queue("jobs")


def test_a_queue_that_is_none(start_node: StartNode) -> None:
    with open_cluster(start_node("n1", FakeQueue())) as c:
        attempts: list[Callable[[], object]] = [lambda: c.queues["nope"].send(b"a"), lambda: c.queues["nope"].receive()]
        for attempt in attempts:
            with pytest.raises(NotFound, match="no queue 'nope'"):
                attempt()


def test_what_cannot_be_sent_is_refused_before(start_node: StartNode) -> None:
    node = start_node("n1", FakeQueue())
    with open_cluster(node) as c:
        jobs = c.queues["jobs"]
        refused: list[tuple[type[ClusterError], Callable[[], object]]] = [
            (Usage, lambda: jobs.send("text")),  # type: ignore[arg-type]
            (TooLarge, lambda: jobs.send(bytes(1 << 20) + b"x")),
            (Usage, lambda: jobs.send(b"a", delay=-1.0)),
            (Usage, lambda: jobs.send(b"a", dedup_id="")),
            (Usage, lambda: jobs.send(b"a", dedup_id="x" * (DEDUP_ID_BYTES_MAX + 1))),
            (TooLarge, lambda: jobs.send_batch([b""] * (QUEUE_BATCH_MAX + 1))),
            (Usage, lambda: jobs.receive(0)),
            (Usage, lambda: jobs.receive(QUEUE_BATCH_MAX + 1)),
            (Usage, lambda: jobs.receive(wait=-1.0)),
            (Usage, lambda: jobs.receive(visibility=0.0)),
            (Usage, lambda: jobs.ack_batch("receipt")),
            (TooLarge, lambda: jobs.ack_batch(["r"] * (QUEUE_BATCH_MAX + 1))),
            (Usage, lambda: jobs.extend("r", None)),  # type: ignore[arg-type]
            (Usage, lambda: c.queues[7]),  # type: ignore[index]
        ]
        for kind, attempt in refused:
            with pytest.raises(kind):
                attempt()
    assert not [frame for frame in node.frames if isinstance(frame, Request)]


MONTH_S = 30 * 86400.0


@pytest.mark.parametrize(
    ("field", "act"),
    [
        ("visibility_s", lambda jobs: jobs.receive(visibility=MONTH_S)),
        ("visibility_s", lambda jobs: jobs.extend("r", MONTH_S)),
        ("delay_s", lambda jobs: jobs.nack("r", delay=MONTH_S)),
    ],
)
def test_a_lease_or_a_delay_is_as_long_as_it_was_meant(
    start_node: StartNode, field: str, act: Callable[[Any], object]
) -> None:
    """Where that is too long the node says so: another length would be taken for the one that was asked for."""
    node = start_node("n1", FakeQueue())
    with open_cluster(node) as c:
        try:
            act(c.queues["jobs"])
        except LeaseLost:
            pass
    [body] = [frame.body for frame in node.frames if isinstance(frame, Request)]
    assert getattr(body, field) == MONTH_S


def test_a_delay_of_a_send_is_as_long_as_it_was_meant(start_node: StartNode) -> None:
    node = start_node("n1", FakeQueue())
    with open_cluster(node) as c:
        c.queues["jobs"].send(b"later", delay=MONTH_S)
    [body] = node.bodies(QueueSend)
    assert body.messages[0][2] == MONTH_S
