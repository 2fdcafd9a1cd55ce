"""Work queues: send, receive under a lease, acknowledge. At least once, in no order; nothing acknowledged is lost.

Whoever receives a message holds its lease, which the receipt proves. `ack` ends the message for good, also when the
lease is over; `nack` gives it back, and `extend` lasts longer, both while the lease is the current one. A message that
is not acknowledged in time is delivered again. Consuming with leases that last as long as the work is in `aio_queues`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from cluster.client.operation import (
    TIMEOUT_MAX_S,
    Family,
    S,
    Send,
    Steps,
    check_bytes,
    check_count,
    check_delay,
    check_seconds,
    check_text,
    check_timeout,
    expect,
    operation,
)
from cluster.client.queue_admin import LIST_QUEUES
from cluster.client.topics import check_headers
from cluster.errors import BadMessage, ClusterError, Maybe, NotFound, TooLarge, Usage, from_code
from cluster.limits import DEDUP_ID_BYTES_MAX, QUEUE_BATCH_MAX, VALUE_BYTES_MAX
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

RECEIVER_MAX = 64
"""Characters of the name of a receiver."""
SENT_TWICE = "It may be in the queue: sent again it may be there twice, unless both have the same deduplication id."
SENT_ONCE = "Send it again with the same deduplication id: it is kept once."
LEASED_IN_VAIN = "Messages may have been leased for it: they are delivered again when their visibility has passed."
ACK_AGAIN = "Acknowledge it again: to do that twice is harmless, and otherwise it is delivered again."
NACK_AGAIN = "Give it back again: refused as `lease-lost`, it has been given back, or its lease is over anyway."
EXTEND_AGAIN = "Extend it again: its lease lasts from when that was done last, or it is delivered again."


class OutgoingMessage(Struct, frozen=True, kw_only=True):
    """A message for `send_batch`. `delay` in seconds: not visible before; None: as the queue says."""

    body: bytes
    headers: dict[str, str] | None = None
    delay: float | None = None
    dedup_id: str | None = None


class SendResult(Struct, frozen=True):
    """A message that was sent: `outcome` as of a put. `duplicate`: it was sent before under its deduplication id, and
    `id` is that one's. In a batch, `error` says why one was not, or may not have been."""

    id: str
    outcome: str
    acks: int
    duplicate: bool
    error: ClusterError | None = None


class QueueMessage(Struct, frozen=True):
    """A leased message. `attempt` counts its deliveries, this one included; `sent_at` and `lease_until` are Unix times
    in seconds, by the clock of the node that gave it."""

    id: str
    body: bytes
    headers: dict[str, str]
    attempt: int
    receipt: str
    sent_at: float
    lease_until: float
    dedup_id: str = ""


class Batch(tuple[QueueMessage, ...]):
    """What one `receive` leased. Without any, `shards_unreachable` are the shards of the queue that may hold messages
    all the same; when there are none either, the queue was empty: every message was acknowledged, leased or delayed."""

    shards_unreachable: tuple[int, ...]

    def __new__(cls, messages: Iterable[QueueMessage], shards_unreachable: Iterable[int] = ()) -> Batch:
        """Of these messages."""
        made = super().__new__(cls, messages)
        made.shards_unreachable = tuple(shards_unreachable)
        return made

    @property
    def is_empty(self) -> bool:
        """Whether the queue had nothing to give: not so where somebody could not be asked."""
        return not self and not self.shards_unreachable


class ReceiptResult(Struct, frozen=True):
    """What became of a receipt: `outcome` as of a put, and with `no` or `maybe` the `error`."""

    receipt: str
    outcome: str
    error: ClusterError | None = None


class Settling(Family[S]):
    """What can be done with receipts, of whatever queue they are. Each method has a form for one, which raises what it
    came to, and one for many, whose results say it for each."""

    @operation
    def ack(self, receipt: str, *, timeout: float | None = None) -> Steps[ReceiptResult]:
        """The work is done: the message is never delivered again. Idempotent, and good with a late receipt too."""
        return _only((yield from self._settle(QueueAck(_receipts([receipt])), timeout)))

    @operation
    def ack_batch(self, receipts: Sequence[str], *, timeout: float | None = None) -> Steps[list[ReceiptResult]]:
        """The same of many."""
        return (yield from self._settle(QueueAck(_receipts(receipts)), timeout))

    @operation
    def nack(
        self, receipt: str, *, delay: float = 0.0, begun: bool = True, timeout: float | None = None
    ) -> Steps[ReceiptResult]:
        """The work is not done: deliver the message again, after `delay` seconds. `begun=False`: nobody has worked on
        it, so it is delivered again at once, and this delivery does not count. Raises LeaseLost where the lease is not
        the current one: it is delivered again anyway, or has been."""
        return _only((yield from self._settle(_return([receipt], delay, begun), timeout)))

    @operation
    def nack_batch(
        self, receipts: Sequence[str], *, delay: float = 0.0, begun: bool = True, timeout: float | None = None
    ) -> Steps[list[ReceiptResult]]:
        """The same of many."""
        return (yield from self._settle(_return(receipts, delay, begun), timeout))

    @operation
    def extend(self, receipt: str, visibility: float, *, timeout: float | None = None) -> Steps[ReceiptResult]:
        """The lease lasts for `visibility` seconds from now. Raises LeaseLost where it is not the current one."""
        return _only((yield from self._settle(QueueExtend(_receipts([receipt]), _visibility(visibility)), timeout)))

    @operation
    def extend_batch(
        self, receipts: Sequence[str], visibility: float, *, timeout: float | None = None
    ) -> Steps[list[ReceiptResult]]:
        """The same of many."""
        return (yield from self._settle(QueueExtend(_receipts(receipts), _visibility(visibility)), timeout))

    def _settle(self, body: QueueAck | QueueReturn | QueueExtend, timeout: float | None) -> Steps[list[ReceiptResult]]:
        if not body.receipts:
            return []
        help = {QueueAck: ACK_AGAIN, QueueReturn: NACK_AGAIN, QueueExtend: EXTEND_AGAIN}[type(body)]
        try:
            done = expect(QueueAnswered, (yield Send(body, check_timeout(timeout))))
        except Maybe as error:
            raise Maybe(error.message, help=help, **error.detail) from None
        _check_length(done.results, body.receipts)
        return [
            ReceiptResult(receipt, outcome, _error(failed, help, receipt=receipt, outcome=outcome))
            for receipt, (outcome, failed) in zip(body.receipts, done.results, strict=True)
        ]


class WorkQueue(Settling[S]):
    """One queue, by its name; it need not exist yet."""

    def __init__(self, session: S, name: str) -> None:
        super().__init__(session)
        self.name = check_text(name, "a queue")

    @operation
    def send(
        self,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        delay: float | None = None,
        dedup_id: str | None = None,
        timeout: float | None = None,
    ) -> Steps[SendResult]:
        """Put a message into the queue: once this returns, W nodes have it. `delay` in seconds: not visible before;
        None: the queue's. Of those sent with the same `dedup_id` within 5 minutes, one is kept.

        Raises NotFound for a queue that is none, QueueFull, and Maybe when the message may be in the queue all the
        same: it is never sent again by itself.
        """
        outgoing = _outgoing(OutgoingMessage(body=body, headers=headers, delay=delay, dedup_id=dedup_id))
        return _only((yield from self._send([outgoing], timeout)))

    @operation
    def send_batch(
        self, messages: Sequence[OutgoingMessage | bytes], *, timeout: float | None = None
    ) -> Steps[list[SendResult]]:
        """Put many messages (or bodies) into the queue, at the price of a few: one result for each, in their order,
        with an `error` for those that failed. Raises what concerns them all."""
        made = [_outgoing(one if isinstance(one, OutgoingMessage) else OutgoingMessage(body=one)) for one in messages]
        _check_batch(made, "messages")
        return (yield from self._send(made, timeout)) if made else []

    def _send(self, messages: list[Outgoing], timeout: float | None) -> Steps[list[SendResult]]:
        advice = [SENT_ONCE if message[3] else SENT_TWICE for message in messages]
        try:
            done = expect(QueueSent, (yield Send(QueueSend(self.name, messages), check_timeout(timeout))))
        except NotFound as error:
            raise NotFound(error.message, help=LIST_QUEUES) from None
        except Maybe as error:
            help = SENT_ONCE if set(advice) == {SENT_ONCE} else SENT_TWICE
            raise Maybe(error.message, help=help, **error.detail) from None
        _check_length(done.results, messages)
        return [
            SendResult(id, outcome, acks, duplicate, _error(failed, help, id=id, outcome=outcome))
            for (id, outcome, acks, duplicate, failed), help in zip(done.results, advice, strict=True)
        ]

    @operation
    def receive(
        self,
        max: int = 1,
        *,
        wait: float = 0.0,
        visibility: float | None = None,
        receiver: str | None = None,
        timeout: float | None = None,
    ) -> Steps[Batch]:
        """Lease up to `max` messages for `visibility` seconds (None: the queue's); wait up to `wait` seconds for the
        first. `receiver` says to people who has them (None: this process of this host), see `dsectl explain --message`.
        `timeout` is what it may take beyond that. Raises NotFound for a queue that is none."""
        count = check_count(max, "max", 1, QUEUE_BATCH_MAX)
        wait_s = min(check_delay(wait, "the wait") or 0.0, TIMEOUT_MAX_S)
        leased_s = 0.0 if visibility is None else _visibility(visibility)
        limit = wait_s + (check_timeout(timeout) or self._session.timeout)
        who = f"{os.uname().nodename}:{os.getpid()}" if receiver is None else check_text(receiver, "a receiver")
        body = QueueReceive(self.name, count, wait_s, leased_s, who[:RECEIVER_MAX])
        try:
            found = expect(QueueReceived, (yield Send(body, limit)))
        except NotFound as error:
            raise NotFound(error.message, help=LIST_QUEUES) from None
        except Maybe as error:
            raise Maybe(error.message, help=LEASED_IN_VAIN, **error.detail) from None
        return Batch(map(_message, found.messages), found.shards_unreachable)


class Queues(Settling[S]):
    """The queues of the cluster: `queues["jobs"]` is one of them."""

    def __getitem__(self, name: str) -> WorkQueue[S]:
        return WorkQueue(self._session, name)


def _outgoing(message: OutgoingMessage) -> Outgoing:
    """As it travels. Raises Usage or TooLarge."""
    body = check_bytes(message.body, "the body")
    if len(body) > VALUE_BYTES_MAX:
        raise TooLarge(f"the body has {len(body)} bytes; {VALUE_BYTES_MAX} are allowed")
    delay_s = check_delay(message.delay)
    dedup_id = "" if message.dedup_id is None else check_text(message.dedup_id, "a deduplication id")
    if message.dedup_id is not None and not 0 < len(dedup_id.encode()) <= DEDUP_ID_BYTES_MAX:
        raise Usage(f"a deduplication id has 1 to {DEDUP_ID_BYTES_MAX} bytes")
    return body, check_headers(message.headers), -1.0 if delay_s is None else delay_s, dedup_id


def _message(one: Delivered) -> QueueMessage:
    sent_at, until = one.sent_ms / 1000, one.lease_until_ms / 1000
    return QueueMessage(one.id, one.body, one.headers or {}, one.attempt, one.receipt, sent_at, until, one.dedup_id)


def _return(receipts: Sequence[str], delay: float, begun: bool) -> QueueReturn:
    delay_s = check_delay(delay) or 0.0
    if delay_s and not begun:
        raise Usage("what nobody began with is delivered again at once, without a delay")
    return QueueReturn(_receipts(receipts), delay_s, begun=bool(begun))


def _receipts(values: object) -> list[str]:
    """Raises Usage."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise Usage(f"receipts are a list of text, not {type(values).__name__}")
    _check_batch(values, "receipts")
    return [check_text(value, "a receipt") for value in values]


def _visibility(value: object) -> float:
    seconds = check_seconds(value, "the visibility")
    if seconds is None:
        raise Usage("the visibility is a number of seconds")
    return seconds


def _check_batch(values: Sequence[object], what: str) -> None:
    if len(values) > QUEUE_BATCH_MAX:
        raise TooLarge(f"there are {len(values)} {what}; {QUEUE_BATCH_MAX} are allowed at a time")


def _check_length(results: Sequence[object], asked: Sequence[object]) -> None:
    if len(results) != len(asked):
        raise BadMessage(f"expected {len(asked)} results in reply, got {len(results)}")


def _error(failed: tuple[str, str], maybe: str | None, **detail: Any) -> ClusterError | None:
    """What a node says of one of many; `maybe` is what helps where the outcome is not known."""
    code, message = failed
    if not code:
        return None
    return from_code(code, message, help={Maybe.code: maybe, NotFound.code: LIST_QUEUES}.get(code), **detail)


One = TypeVar("One", SendResult, ReceiptResult)


def _only(results: list[One]) -> One:
    """Of an operation on one. Raises its error."""
    [result] = results
    if result.error is not None:
        raise result.error
    return result
