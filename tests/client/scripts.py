"""Scripts for fake nodes: what a healthy node answers, and some that are not."""

import struct
from typing import Any

from cluster.versions.context import encode_clock
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Body, Frame, Reply, Request, encode_frame
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone
from cluster.wire.queues import Delivered, QueueAck, QueueAnswered, QueueReceive, QueueReceived, QueueSend, QueueSent
from cluster.wire.requests import Call, CallDone
from cluster.wire.topics import (
    Message,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    TopicReply,
    TopicRequest,
    Unsubscribe,
)
from tests.client.fake_node import Peer, Script

CLOCK = encode_clock({"a1": 3})


def reply_to(body: object, name: str) -> Body | None:
    """What a node called `name` answers to a body, None for what it does not know."""
    match body:
        case Put():
            return PutDone("ok", 2, 0, CLOCK, name, 1, "interval")
        case Get():
            return Got([b"book"], CLOCK, 2, 0, False, name)
        case Keys(prefix=prefix):
            return KeysFound([f"{prefix}1", f"{prefix}{name}"], "")
        case Publish(id=id):
            return Published(id or "m1", 1, [])
        case QueueSend(messages=messages):
            return QueueSent([("q2-0-a-1", "ok", 2, False, ("", ""))] * len(messages))
        case QueueReceive():
            return QueueReceived([Delivered("q2-0-a-1", b"work", None, 1, "receipt", 0, 30_000)], [])
        case QueueAck(receipts=receipts):
            return QueueAnswered([("ok", ("", ""))] * len(receipts))
        case Call(payload=payload):
            return CallDone(payload, name)
        case TopicRequest():
            return TopicReply(f"_REPLY.{name}.1", b"noon", "m2", name, {"from": "clock"})
        case AdminQuery(what="subscriptions"):
            return AdminAnswer([{"pattern": "orders.>", "group": "crew", "delivered": 7, "dropped": 2}])
        case AdminQuery(what=what, arguments=arguments):
            said = {"node": name, "what": what, "arguments": arguments}
            return AdminAnswer([said] if what in ("ring", "events", "services") else said)
        case Subscribe():
            return Subscribed(5)
        case Unsubscribe():
            return Subscribed(0)
    return None


def healthy(name: str = "n1") -> Script:
    """Answers everything."""

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            body = reply_to(frame.body, name)
            assert body is not None, frame
            peer.reply(frame, body)
            if isinstance(frame.body, Subscribe):
                peer.push(Message(frame.body.subscription, "orders.new", b"hello", "m1", name))

    return script


def dies_in_mid_reply(peer: Peer, frame: Frame) -> None:
    if isinstance(frame, Request):
        body = reply_to(frame.body, "n1")
        assert body is not None
        peer.raw(encode_frame(Reply(frame.id, body))[:-3])
        peer.hang_up()


def hangs_up(peer: Peer, frame: Frame) -> None:
    peer.hang_up()


def talks_garbage(peer: Peer, frame: Frame) -> None:
    peer.raw(struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1")


def announces_too_much(peer: Peer, frame: Frame) -> None:
    peer.raw(struct.pack(">I", 1 << 30))


def refuses(code: str) -> Script:
    """Fails every request with `code`."""

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.fail(frame, code)

    return script


def answering(**answers: Any) -> Script:
    """A node that answers each question with what stands here; to others it does not answer at all."""

    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request) and isinstance(frame.body, AdminQuery), frame
        answer = answers.get(frame.body.what)
        if callable(answer):
            answer = answer(frame.body.arguments)
        if answer is None:
            peer.fail(frame, "not-found", f"{frame.body.what} is not known here")
        else:
            peer.reply(frame, AdminAnswer(answer))

    return script
