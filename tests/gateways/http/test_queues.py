"""Queues over HTTP: what a node is asked, and what its client is told."""

from http import HTTPStatus
from typing import Any

import pytest

from cluster.chain.queue import Queue
from cluster.errors import LeaseLost, Maybe, NotFound, QueueFull
from cluster.wire.queues import (
    Delivered,
    QueueAck,
    QueueAnswered,
    QueueExtend,
    QueueReceive,
    QueueReceived,
    QueueReturn,
    QueueSend,
    QueueSent,
)
from tests.gateways.http.fake import FakeClient, FakeNode

OK = ("", "")


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def client(node: FakeNode) -> FakeClient:
    return FakeClient(node)


def test_the_body_is_the_message(node: FakeNode, client: FakeClient) -> None:
    client.send("POST", "/queues/jobs?delay=1.5", b"\x00x", idempotency_key="order 7", content_type="text/plain")
    assert node.asked[0].body == QueueSend("jobs", [(b"\x00x", None, 1.5, "order 7")])
    node.asked[0].reply(QueueSent([("q1", "ok", 2, True, OK)]))
    answer = client.take()
    assert answer.status == HTTPStatus.OK
    assert answer.json == {"id": "q1", "outcome": "ok", "acks": 2, "duplicate": True}
    client.send("POST", "/queues/jobs", b"")
    assert node.asked[1].body == QueueSend("jobs", [(b"", None, -1.0, "")])
    node.asked[1].reply(QueueSent([("q2", "ok-sloppy", 2, False, OK)]))
    assert client.take().status == HTTPStatus.ACCEPTED


@pytest.mark.parametrize(
    ("error", "status"), [(QueueFull("full"), 429), (Maybe("lost"), 504), (NotFound("no such queue"), 404)]
)
def test_a_message_that_was_not_sent(node: FakeNode, client: FakeClient, error: Any, status: int) -> None:
    for answered in (error, QueueSent([("", "no", 0, False, (error.code, error.message))])):
        node.answers[QueueSend] = lambda body, answered=answered: answered  # type: ignore[misc]
        answer = client.ask("POST", "/queues/jobs", b"x")
        assert (answer.status, answer.json["definite"]) == (status, error.definite)
        assert ("retry-after" in answer.headers) == (status == 429)


def test_a_receive_leases_and_waits(node: FakeNode, client: FakeClient) -> None:
    client.send("GET", "/queues/jobs?max=3&wait=2.5&visibility=60", request_timeout="1")
    [asked] = node.asked
    assert asked.body == QueueReceive("jobs", 3, 2.5, 60.0, "http 127.0.0.1:7") and asked.deadline == 5.0 + 2.5 + 1.0
    message = Delivered("q1", b"\xff", {"a": "b"}, 2, "r", 1000, 2000, "d")
    asked.reply(QueueReceived([message], [4]))
    assert client.take().json == {
        "messages": [
            {"id": "q1", "body": {"base64": "/w=="}, "attempt": 2, "receipt": "r", "sent_ms": 1000,
             "lease_until_ms": 2000, "headers": {"a": "b"}, "idempotency_key": "d"}
        ],
        "shards_unreachable": [4],
    }  # fmt: skip


def test_a_wait_that_is_not_said_is_the_queues(node: FakeNode, client: FakeClient) -> None:
    node.defined["jobs"] = Queue(1, wait_s=4.0)
    client.send("GET", "/queues/jobs")
    assert node.asked[0].body.wait_s == 4.0


def test_what_was_leased_for_a_client_that_has_gone_is_returned(node: FakeNode, client: FakeClient) -> None:
    client.send("GET", "/queues/jobs?wait=20")
    client.session.lost("reset")
    node.asked[0].reply(QueueReceived([Delivered("q1", b"x", None, 1, "r", 1000, 2000)], []))
    assert node.asked[1].body == QueueReturn(["r"])


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("DELETE", "/receipts/r%3D", QueueAck(["r="])),
        ("POST", "/receipts/r=/return?delay=3", QueueReturn(["r="], 3.0)),
        ("POST", "/receipts/r=/extend?visibility=90", QueueExtend(["r="], 90.0)),
    ],
)
def test_what_can_be_done_with_a_receipt(
    node: FakeNode, client: FakeClient, method: str, target: str, body: Any
) -> None:
    for answered, status in (
        (("ok", OK), 200),
        (("ok-sloppy", OK), 202),
        (("no", ("usage", "invalid receipt")), 404),
        (("no", (LeaseLost.code, "over")), 409),
        (("maybe", (Maybe.code, "lost")), 504),
    ):
        client.send(method, target)
        asked = node.asked.pop()
        assert asked.body == body
        asked.reply(QueueAnswered([answered]))
        answer = client.take()
        assert answer.status == status
        if status < 300:
            assert answer.json == {"outcome": answered[0]}
