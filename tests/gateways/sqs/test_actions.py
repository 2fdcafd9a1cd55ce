"""What each action asks of the node, and what its client is told."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.chain.queue import Queue
from cluster.errors import AlreadyExists, LeaseLost, Maybe, QueueFull, QuorumMissing
from cluster.gateways.sqs.actions import ACTIONS, UNSUPPORTED
from cluster.gateways.sqs.messages import UNREACHABLE
from cluster.wire.admin import AdminAnswer
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
    SendResult,
)
from tests.gateways.sqs.fake import FakeClient, FakeNode
from tests.gateways.sqs.requesting import HOST, Response

URL = f"http://{HOST}/000000000000/jobs"
OK = ("", "")
STRING = {"DataType": "String"}


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def client(node: FakeNode) -> FakeClient:
    return FakeClient(node)


def sent(*results: SendResult) -> Any:
    return lambda body: QueueSent(list(results))


def message(number: int = 1, **fields: Any) -> Delivered:
    return Delivered(**{
        "id": f"q1-0-a-{number}", "body": b"hello", "headers": None, "attempt": 2, "receipt": f"r{number}",
        "sent_ms": 1000, "lease_until_ms": 2000, **fields,
    })  # fmt: skip


def test_a_message_is_sent_with_its_attributes_and_the_answer_has_their_digests(
    node: FakeNode, client: FakeClient
) -> None:
    seen: list[QueueSend] = []

    def take(body: QueueSend) -> QueueSent:
        seen.append(body)
        return QueueSent([("q1-0-a-1", "ok", 2, False, OK)])

    node.answers[QueueSend] = take
    attributes = {"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}
    told = client.ask(
        "SendMessage", {"QueueUrl": URL, "MessageBody": "hello", "DelaySeconds": 3, "MessageAttributes": attributes}
    ).json
    headers = {"timestamp": "1493147359900", "sqs-type.timestamp": "Number"}
    assert seen == [QueueSend("jobs", [(b"hello", headers, 3.0, "")])]
    assert told == {
        "MessageId": "q1-0-a-1",
        "MD5OfMessageBody": "5d41402abc4b2a76b9719d911017c592",
        "MD5OfMessageAttributes": "235c5c510d26fb653d073faed50ae77c",
    }


def test_a_delay_that_is_not_said_is_the_queues(node: FakeNode, client: FakeClient) -> None:
    client.send("SendMessage", {"QueueUrl": URL, "MessageBody": "x"})
    assert node.asked[0].body.messages == [(b"x", None, -1.0, "")]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"MessageBody": "x"}, "MissingParameter"),
        ({"QueueUrl": URL, "MessageBody": ""}, "MissingParameter"),
        ({"QueueUrl": URL, "MessageBody": 7}, "InvalidParameterValue"),
        ({"QueueUrl": URL, "MessageBody": "a\x00b"}, "InvalidMessageContents"),
        ({"QueueUrl": URL, "MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"),
        ({"QueueUrl": URL, "MessageBody": "x", "MessageGroupId": "g"}, "InvalidParameterValue"),
        ({"QueueUrl": URL + "2", "MessageBody": "x"}, "AWS.SimpleQueueService.NonExistentQueue"),
        (b"{", "SerializationException"),
    ],
)
def test_a_message_that_sqs_refuses(node: FakeNode, client: FakeClient, request_: object, code: str) -> None:
    answer = client.ask("SendMessage", request_)
    assert (answer.status, answer.error) == (HTTPStatus.BAD_REQUEST, f"{code};Sender") and not node.asked


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (QuorumMissing("too few"), HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable;Receiver"),
        (QueueFull("full"), HTTPStatus.FORBIDDEN, "RequestThrottled;Sender"),
        (Maybe("lost"), HTTPStatus.INTERNAL_SERVER_ERROR, "InternalFailure;Receiver"),
    ],
)
def test_a_message_that_was_not_acknowledged(
    node: FakeNode, client: FakeClient, outcome: Any, status: HTTPStatus, code: str
) -> None:
    node.answers[QueueSend] = lambda body: outcome
    answer = client.ask("SendMessage", {"QueueUrl": URL, "MessageBody": "x"})
    assert (answer.status, answer.error) == (status, code)
    node.answers[QueueSend] = sent(("", "no", 0, False, (outcome.code, outcome.message)))
    answer = client.ask("SendMessage", {"QueueUrl": URL, "MessageBody": "x"})
    assert (answer.status, answer.error) == (status, code)


def test_entries_of_a_batch_fail_alone(node: FakeNode, client: FakeClient) -> None:
    node.answers[QueueSend] = sent(("i1", "ok", 2, False, OK), ("", "no", 0, False, ("queue-full", "full")))
    entries = [{"Id": one, "MessageBody": body} for one, body in (("a", "x"), ("b", "\x01"), ("c", "y"))]
    told = client.ask("SendMessageBatch", {"QueueUrl": URL, "Entries": entries}).json
    assert [one["Id"] for one in told["Successful"]] == ["a"] and told["Successful"][0]["MessageId"] == "i1"
    assert [(one["Id"], one["Code"]) for one in told["Failed"]] == [
        ("b", "InvalidMessageContents"),
        ("c", "RequestThrottled"),
    ]


@pytest.mark.parametrize(
    ("entries", "type_"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": str(n), "MessageBody": "x"} for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a", "MessageBody": "x"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "x"}], "InvalidBatchEntryId"),
        ([{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)], "BatchRequestTooLong"),
        (
            [
                {
                    "Id": n,
                    "MessageBody": "x" * 500_000,
                    "MessageAttributes": {"a": STRING | {"StringValue": "y" * 30_000}},
                }
                for n in "ab"
            ],
            "BatchRequestTooLong",
        ),
    ],
)
def test_batches_that_are_refused_as_a_whole(client: FakeClient, entries: list[Any], type_: str) -> None:
    answer = client.ask("SendMessageBatch", {"QueueUrl": URL, "Entries": entries})
    assert answer.error == f"AWS.SimpleQueueService.{type_};Sender"


def test_what_is_received_is_shown_as_sqs_shows_it(node: FakeNode, client: FakeClient) -> None:
    headers = {"kind": "new", "n": "7", "sqs-type.n": "Number", "AWSTraceHeader": "Root=1"}
    node.answers[QueueReceive] = lambda body: QueueReceived(
        [message(headers=headers), message(2, body=b"\xff", dedup_id="d")], []
    )
    request_ = {"QueueUrl": URL, "MaxNumberOfMessages": 2, "MessageAttributeNames": ["n"], "AttributeNames": ["All"]}
    one, other = client.ask("ReceiveMessage", request_).json["Messages"]
    assert one == {
        "MessageId": "q1-0-a-1",
        "ReceiptHandle": "r1",
        "Body": "hello",
        "MD5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "Attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1000", "AWSTraceHeader": "Root=1"},
        "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "7"}},
        "MD5OfMessageAttributes": one["MD5OfMessageAttributes"],
    }
    assert other["Body"] == "/w==" and other["MessageAttributes"]["sqs-body"]["StringValue"] == "base64"
    assert other["Attributes"]["MessageDeduplicationId"] == "d"


def test_nothing_received_is_said_with_the_shards_that_may_hold_some(node: FakeNode, client: FakeClient) -> None:
    node.answers[QueueReceive] = lambda body: QueueReceived([], [1, 3])
    answer = client.ask("ReceiveMessage", {"QueueUrl": URL})
    assert answer.json == {} and answer.headers[UNREACHABLE] == "1,3"


def test_a_receive_asks_for_what_was_said(node: FakeNode, client: FakeClient) -> None:
    client.send("ReceiveMessage", {"QueueUrl": URL, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20})
    body = node.asked[0].body
    assert (body.queue, body.max, body.wait_s, body.visibility_s) == ("jobs", 10, 20.0, 0.0)
    assert node.asked[0].deadline >= node.asked[0].arrived + 20.0
    client.send("ReceiveMessage", {"QueueUrl": URL, "VisibilityTimeout": 0})
    assert len(node.asked) == 1 and client.paused, "one request at a time"
    node.asked[0].then(QueueReceived([], []))
    assert client.take().json == {} and not client.paused
    assert 0.0 < node.asked[1].body.visibility_s < 0.1, "0 would be the queue's own"
    assert node.asked[1].body.wait_s == 0.0
    node.asked[1].then(QueueReceived([], []))
    node.defined["jobs"] = Queue(1, wait_s=7.0)
    for said, wait_s in (({}, 7.0), ({"WaitTimeSeconds": 0}, 0.0)):
        client.take()
        client.send("ReceiveMessage", {"QueueUrl": URL, **said})
        assert node.asked[-1].body.wait_s == wait_s
        node.asked[-1].then(QueueReceived([], []))


def test_a_client_that_goes_away_calls_its_receive_off_and_what_comes_is_returned(
    node: FakeNode, client: FakeClient
) -> None:
    client.send("ReceiveMessage", {"QueueUrl": URL, "WaitTimeSeconds": 20})
    called_off: list[bool] = []
    node.asked[0].on_cancel(lambda: called_off.append(True))
    client.session.lost("closed")
    assert called_off
    node.asked[0].then(QueueReceived([message()], []))
    assert node.asked[1].body == QueueReturn(["r1"])


def test_receipts_end_extend_or_return(node: FakeNode, client: FakeClient) -> None:
    for kind in (QueueAck, QueueReturn, QueueExtend):
        node.answers[kind] = lambda body: QueueAnswered([("ok", OK)] * len(body.receipts))
    assert client.ask("DeleteMessage", {"QueueUrl": URL, "ReceiptHandle": "r1"}).json == {}
    entries = [
        {"Id": "a", "ReceiptHandle": "r1", "VisibilityTimeout": 0},
        {"Id": "b", "ReceiptHandle": "r2", "VisibilityTimeout": 9},
        {"Id": "c", "ReceiptHandle": "r3", "VisibilityTimeout": 0},
    ]
    told = client.ask("ChangeMessageVisibilityBatch", {"QueueUrl": URL, "Entries": entries}).json
    assert told == {"Successful": [{"Id": "a"}, {"Id": "b"}, {"Id": "c"}]}
    del node.answers[QueueReturn], node.answers[QueueExtend]
    for time in (0, 9):
        client.send("ChangeMessageVisibility", {"QueueUrl": URL, "ReceiptHandle": "r1", "VisibilityTimeout": time})
        node.asked[-1].then(QueueAnswered([("ok", OK)]))
        client.take()
    assert [one.body for one in node.asked] == [QueueReturn(["r1"]), QueueExtend(["r1"], 9.0)]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ((LeaseLost.code, "over"), "AWS.SimpleQueueService.MessageNotInflight;Sender"),
        (("usage", "no receipt"), "ReceiptHandleIsInvalid;Sender"),
        ((Maybe.code, "?"), "InternalFailure;Receiver"),
    ],
)
def test_receipts_that_are_refused(node: FakeNode, client: FakeClient, said: tuple[str, str], code: str) -> None:
    node.answers[QueueAck] = lambda body: QueueAnswered([("no", said)])
    assert client.ask("DeleteMessage", {"QueueUrl": URL, "ReceiptHandle": "r1"}).error == code
    batch = {"QueueUrl": URL, "Entries": [{"Id": "a", "ReceiptHandle": "r1"}]}
    [failed] = client.ask("DeleteMessageBatch", batch).json["Failed"]
    assert f"{failed['Code']};{'Sender' if failed['SenderFault'] else 'Receiver'}" == code


def test_one_answer_is_given_though_both_parts_of_a_batch_fail(node: FakeNode, client: FakeClient) -> None:
    entries = [{"Id": one, "ReceiptHandle": "r", "VisibilityTimeout": time} for one, time in (("a", 0), ("b", 9))]
    client.send("ChangeMessageVisibilityBatch", {"QueueUrl": URL, "Entries": entries})
    first, second = node.asked
    first.then(QuorumMissing("too few"))
    assert client.take().error == "ServiceUnavailable;Receiver"
    client.send("ReceiveMessage", {"QueueUrl": URL})
    second.then(QuorumMissing("too few"))
    assert not client.written, "it is not the answer to the next request"


# -- queues


def test_queues_are_created_with_their_attributes(node: FakeNode, client: FakeClient) -> None:
    made = client.ask("CreateQueue", {"QueueName": "more", "Attributes": {"VisibilityTimeout": "60"}}).json
    assert made == {"QueueUrl": f"http://{HOST}/000000000000/more"}
    [(what, arguments)] = node.admin_asked
    assert what == "create-queue" and {**arguments, "id": ""} == {"name": "more", "visibility_s": 60.0, "id": ""}
    node.admin_answer = AlreadyExists("there")
    assert client.ask("CreateQueue", {"QueueName": "more"}).error == "QueueAlreadyExists;Sender"


def test_a_queue_that_is_there_is_created_again_if_what_is_said_of_it_is_so(node: FakeNode, client: FakeClient) -> None:
    node.defined["jobs"] = Queue(1, shards=3, visibility_s=60.0)
    for attributes in ({}, {"VisibilityTimeout": "60"}):
        assert client.ask("CreateQueue", {"QueueName": "jobs", "Attributes": attributes}).json == {"QueueUrl": URL}
    other = {"QueueName": "jobs", "Attributes": {"VisibilityTimeout": "30"}}
    assert client.ask("CreateQueue", other).error == "QueueAlreadyExists;Sender"
    assert "FIFO" in client.ask("CreateQueue", {"QueueName": "jobs.fifo"}).json["message"]
    assert not node.admin_asked


def test_queues_are_listed_by_page(node: FakeNode, client: FakeClient) -> None:
    node.defined = {name: Queue(1) for name in ("a1", "b", "a2", "a3")}
    page = client.ask("ListQueues", {"QueueNamePrefix": "a", "MaxResults": 2}).json
    assert [url.rpartition("/")[2] for url in page["QueueUrls"]] == ["a1", "a2"]
    last = client.ask("ListQueues", {"QueueNamePrefix": "a", "MaxResults": 2, "NextToken": page["NextToken"]}).json
    assert [url.rpartition("/")[2] for url in last["QueueUrls"]] == ["a3"] and "NextToken" not in last
    assert client.ask("GetQueueUrl", {"QueueName": "b"}).json["QueueUrl"].endswith("/b")
    assert client.ask("GetQueueUrl", {"QueueName": "z"}).error == "AWS.SimpleQueueService.NonExistentQueue;Sender"


def test_attributes_of_a_queue_and_its_counts(node: FakeNode, client: FakeClient) -> None:
    node.defined["dead"] = Queue(2)
    node.defined["jobs"] = Queue(1, shards=1, dead_letter="dead", max_receives=4)
    figures = {"gives": True, "depth": 5, "bytes": 9, "in_flight": 2, "oldest_s": 1.0, "redelivered": 0, "dead": 0}
    node.admin_answer = {"held": {"jobs": {0: figures}}}
    told = client.ask("GetQueueAttributes", {"QueueUrl": URL, "AttributeNames": ["All"]}).json["Attributes"]
    assert told["ApproximateNumberOfMessages"] == "3" and told["ApproximateNumberOfMessagesNotVisible"] == "2"
    assert '"maxReceiveCount":4' in told["RedrivePolicy"] and told["QueueArn"].endswith(":jobs")
    some = {"QueueUrl": URL, "AttributeNames": ["DelaySeconds"]}
    assert client.ask("GetQueueAttributes", some).json == {"Attributes": {"DelaySeconds": "0"}}
    sources = client.ask("ListDeadLetterSourceQueues", {"QueueUrl": URL.replace("jobs", "dead")}).json
    assert sources == {"queueUrls": [URL]}


def test_counts_are_those_of_the_nodes_that_answer(node: FakeNode, client: FakeClient) -> None:
    def held(shard: int, depth: int) -> dict[str, Any]:
        figures = {
            "gives": True,
            "depth": depth,
            "bytes": 9,
            "in_flight": 1,
            "oldest_s": 1.0,
            "redelivered": 0,
            "dead": 0,
        }
        return {"held": {"jobs": {shard: figures}}}

    node.others, node.admin_answer = ["n2", "n3"], held(0, 5)
    for names in (["All"], ["All", "Fly"]):
        client.send("GetQueueAttributes", {"QueueUrl": URL, "AttributeNames": names})
        hear = node.heard.pop()
        hear("n2", AdminAnswer(held(1, 3)))
        assert not client.written
        hear("n3", Maybe("lost"))
        answer = client.take()
        if "Fly" in names:
            assert answer.error == "InvalidAttributeName;Sender"
        else:
            assert answer.json["Attributes"]["ApproximateNumberOfMessages"] == "6"
            assert answer.json["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "2"


def test_queues_are_altered_purged_and_deleted(node: FakeNode, client: FakeClient) -> None:
    assert client.ask("SetQueueAttributes", {"QueueUrl": URL, "Attributes": {"DelaySeconds": "7"}}).json == {}
    assert client.ask("PurgeQueue", {"QueueUrl": URL}).json == {}
    assert client.ask("DeleteQueue", {"QueueUrl": URL}).json == {}
    assert [(what, arguments["name"]) for what, arguments in node.admin_asked] == [
        ("alter-queue", "jobs"),
        ("purge-queue", "jobs"),
        ("delete-queue", "jobs"),
    ]
    assert node.admin_asked[0][1]["delay_s"] == 7.0


def test_every_action_of_sqs_is_documented_as_offered_or_not() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sqs.md").read_text(encoding="utf-8")
    offered = page.rpartition("The other actions are offered:")[2]
    words = set(re.findall(r"[A-Z][a-z]+[A-Za-z]+", offered))
    assert words == ACTIONS.keys() - {"ListQueueTags"} and not ACTIONS.keys() & UNSUPPORTED.keys()
    assert all(name in page for name in UNSUPPORTED)


# -- the door


def test_a_full_house_is_said(node: FakeNode) -> None:
    answer = Response()
    answer.feed(node.gateway.full)
    assert (answer.status, answer.error) == (HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable;Receiver")


def test_what_is_no_action_is_refused_with_a_reason(client: FakeClient) -> None:
    assert client.ask("Fly", {}).error == "InvalidAction;Sender"
    assert "redrive" in client.ask("StartMessageMoveTask", {}).json["message"]
    assert "query protocol" in client.ask("", b"Action=ListQueues").json["message"]


ODD = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["", URL, "jobs", "http://[", "r1", "All", "String", "1" * 5000, "{", "a" * 300]),
        st.text(max_size=9),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["Id", "DataType", "StringValue", "a"]), inner)
    ),
    max_leaves=6,
)  # fmt: skip
FIELDS = [
    "QueueUrl", "QueueName", "Attributes", "AttributeNames", "Entries", "MessageBody", "MessageAttributes",
    "ReceiptHandle", "VisibilityTimeout", "MaxNumberOfMessages", "WaitTimeSeconds", "DelaySeconds", "NextToken",
]  # fmt: skip


@given(st.sampled_from(list(ACTIONS)), st.dictionaries(st.sampled_from(FIELDS), ODD), st.booleans())
def test_whatever_is_asked_is_answered(action: str, fields: dict[str, Any], of_queue: bool) -> None:
    def done(body: Any) -> QueueAnswered:
        return QueueAnswered([("ok", OK)] * len(body.receipts))

    node = FakeNode()
    node.admin_answer = {"held": {}}
    node.answers = {
        QueueSend: lambda body: QueueSent([("i", "ok", 2, False, OK)] * len(body.messages)),
        QueueReceive: lambda body: QueueReceived([message()], []),
        QueueAck: done, QueueReturn: done, QueueExtend: done,
    }  # fmt: skip
    client = FakeClient(node)
    client.ask(action, fields | ({"QueueUrl": URL} if of_queue else {}))
    assert client.session.idle and not client.closed


@pytest.mark.parametrize("body", [b"[" * 300_000, b'{"a":' * 100_000, b"\xff", b'"\\ud800"', b"null"])
def test_what_is_no_request_is_answered(client: FakeClient, body: bytes) -> None:
    assert client.ask("ListQueues", body).status == HTTPStatus.BAD_REQUEST


def test_nothing_is_done_without_a_signature(node: FakeNode, client: FakeClient) -> None:
    client.raw(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:9\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n\r\n")
    answer = client.take()
    assert (answer.status, answer.error) == (HTTPStatus.FORBIDDEN, "MissingAuthenticationToken;Sender")
    assert not client.session.proven and not client.closed
    assert client.ask("ListQueues", {}).json == {"QueueUrls": [URL]} and client.session.proven
    client.raw(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n")
    assert client.take().status == HTTPStatus.METHOD_NOT_ALLOWED


def test_a_web_page_is_refused_and_recorded(node: FakeNode, client: FakeClient) -> None:
    answer = client.ask("ListQueues", {}, origin="https://evil.example")
    assert answer.status == HTTPStatus.FORBIDDEN and client.closed and node.events == ["sqs.browser"]
    other = FakeClient(node)
    other.raw(b"POST / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert other.take().status == HTTPStatus.FORBIDDEN and other.closed


def test_what_is_no_http_is_answered_and_the_connection_closed(client: FakeClient) -> None:
    client.raw(b"PING\r\n\r\n")
    assert client.take().status == HTTPStatus.BAD_REQUEST and client.closed


def test_a_client_that_waits_with_its_body_is_told_to_go_on(client: FakeClient) -> None:
    client.raw(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:9\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert client.written == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_client_that_does_not_read_is_not_read_either(node: FakeNode, client: FakeClient) -> None:
    client.session.pause()
    for _ in range(2):
        client.send("ListQueues", {})
    assert client.session.reader.next() is not None and client.paused and not client.written
    client.session.resume()
    assert client.take().json == {"QueueUrls": [URL]} and not client.paused


def test_bodies_without_a_proof_are_bounded_together(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.gateways.http1.UNPROVEN_BYTES_MAX", 1000)
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:9\r\nContent-Length: 5000\r\n\r\n"
    proven = FakeClient(node)
    proven.ask("ListQueues", {})
    proven.raw(head + b"x" * 2000)
    clients = [FakeClient(node) for _ in range(3)]
    for client in clients[:2]:
        client.raw(head + b"x" * 400)
        assert not client.closed
    clients[2].raw(head + b"x" * 400)
    assert clients[2].take().status == HTTPStatus.SERVICE_UNAVAILABLE and clients[2].closed
    proven.raw(b"x")
    assert not proven.closed, "whoever has proven it has a share of its own"


def test_while_the_node_drains_connections_end_behind_their_answers(node: FakeNode, client: FakeClient) -> None:
    client.send("ReceiveMessage", {"QueueUrl": URL, "WaitTimeSeconds": 20})
    node.asked[0].on_cancel(lambda: None)
    other = FakeClient(node)
    other.send("SendMessage", {"QueueUrl": URL, "MessageBody": "x"})
    idle = FakeClient(node)
    node.gateway.draining = True
    for one in (client, other, idle):
        one.session.drain()
    answer = client.take()
    assert answer.json == {} and answer.headers["connection"] == "close", "it waits for nothing any more"
    assert client.closed and idle.closed and not other.closed
    node.asked[1].then(QueueSent([("i", "ok", 2, False, OK)]))
    assert other.take().json["MessageId"] == "i" and other.closed
    node.asked[0].then(QueueReceived([message()], []))
    assert node.asked[2].body == QueueReturn(["r1"]), "what came all the same"
