"""A queue that a fake node keeps in memory: no shards and no clock, each lease lasts until a test ends it."""

import threading
from collections.abc import Callable, Iterator
from itertools import count

from cluster.errors import ClusterError, LeaseLost, NotFound
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Body, Cancel, Frame, Request
from cluster.wire.queues import (
    Delivered,
    Outgoing,
    QueueAck,
    QueueAnswered,
    QueueExtend,
    QueueReceive,
    QueueReceived,
    QueueReturn,
    QueueSend,
    QueueSent,
)
from tests.client.fake_node import WAIT_S, Peer

NAME = "jobs"
SENT_MS, LEASE_MS = 1_700_000_000_000, 30_000


class FakeQueue:
    """The script of a node, as `FakeNode` takes it. `failing` answers the next bodies of a type with errors."""

    def __init__(self, visibility_s: float = 30.0) -> None:
        self.visibility_s = visibility_s
        self.waiting: list[tuple[int, Outgoing, int]] = []
        """(number, message, deliveries) of those that are visible."""
        self.leased: dict[str, tuple[int, Outgoing, int]] = {}
        """By receipt: the current leases."""
        self.acknowledged: list[str] = []
        self.returned: list[tuple[str, float]] = []
        self.not_begun: list[str] = []
        """Those of them that nobody had worked on."""
        self.extended: list[str] = []
        self.unreachable: list[int] = []
        self.failing: dict[type, list[ClusterError]] = {}
        self.parked: list[tuple[Peer, Request]] = []
        self._numbers: Iterator[int] = count(1)
        self._changed = threading.Condition()

    def put(self, *bodies: bytes) -> None:
        """Before anybody asks."""
        self.waiting += [(next(self._numbers), (body, None, -1.0, ""), 0) for body in bodies]

    def expire(self, receipt: str) -> None:
        """End a lease."""
        self.waiting.append(self.leased.pop(receipt))

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at after every frame."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), "the fake queue waited in vain"

    def __call__(self, peer: Peer, frame: Frame) -> None:
        with self._changed:
            self._take(peer, frame)
            self._changed.notify_all()

    def _take(self, peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Cancel):
            self.parked = [one for one in self.parked if one[1].id != frame.id]
        if not isinstance(frame, Request):
            return
        failing = self.failing.get(type(frame.body))
        if failing:
            error = failing.pop(0)
            peer.fail(frame, error.code, error.message)
            return
        try:
            reply = self.reply_to(frame.body)
        except ClusterError as error:
            peer.fail(frame, error.code, error.message)
            return
        if reply is None:
            self.parked.append((peer, frame))
        else:
            peer.reply(frame, reply)
        self._unpark()

    def reply_to(self, body: Body) -> Body | None:
        """What it answers, None as long as there is nothing to give."""
        match body:
            case QueueSend(queue=name) | QueueReceive(queue=name) if name != NAME:
                raise NotFound(f"no queue {name!r}")
            case QueueSend(messages=messages):
                return QueueSent([self._send(message) for message in messages])
            case QueueReceive(max=most, wait_s=wait_s):
                found = [self._lease(number, message, tries) for number, message, tries in self.waiting[:most]]
                del self.waiting[:most]
                return QueueReceived(found, [] if found else self.unreachable) if found or not wait_s else None
            case QueueAck(receipts=receipts):
                self.acknowledged += receipts
                for receipt in receipts:
                    self.leased.pop(receipt, None)
                return QueueAnswered([("ok", ("", ""))] * len(receipts))
            case QueueReturn(receipts=receipts, delay_s=delay_s):
                if not body.begun:
                    self.not_begun += receipts
                results = [self._current(receipt) for receipt in receipts]
                self.returned += [(receipt, delay_s) for receipt in receipts]
                for receipt in receipts:
                    if receipt in self.leased:
                        self.expire(receipt)
                return QueueAnswered(results)
            case QueueExtend(receipts=receipts):
                self.extended += receipts
                return QueueAnswered([self._current(receipt) for receipt in receipts])
            case AdminQuery(what="queues"):
                return AdminAnswer(
                    {"slot": 2, "queues": [{"name": NAME, "visibility_s": self.visibility_s}], "held": {}}
                )
        raise NotFound(f"{type(body).__name__} is not known here")

    def _send(self, message: Outgoing) -> tuple[str, str, int, bool, tuple[str, str]]:
        number = next(self._numbers)
        self.waiting.append((number, message, 0))
        return f"q2-0-a-{number}", "ok", 2, False, ("", "")

    def _lease(self, number: int, message: Outgoing, deliveries: int) -> Delivered:
        body, headers, _, dedup_id = message
        receipt = f"{number}.{deliveries + 1}"
        self.leased[receipt] = number, message, deliveries + 1
        until = SENT_MS + LEASE_MS
        return Delivered(f"q2-0-a-{number}", body, headers, deliveries + 1, receipt, SENT_MS, until, dedup_id)

    def _current(self, receipt: str) -> tuple[str, tuple[str, str]]:
        return ("ok", ("", "")) if receipt in self.leased else ("no", (LeaseLost.code, "the lease is over"))

    def _unpark(self) -> None:
        while self.waiting and self.parked:
            peer, frame = self.parked.pop(0)
            reply = self.reply_to(frame.body)
            assert reply is not None
            peer.reply(frame, reply)
