"""Queues over HTTP: send, receive under a lease, and what can be done with a receipt. At least once, in no order."""

from functools import partial
from http import HTTPStatus
from typing import Final

from msgspec import Struct, json

from cluster.chain.queue import DELAY_MAX_S, VISIBILITY_MAX_S, WAIT_MAX_S
from cluster.errors import NotFound, Usage, from_code
from cluster.gateways.http.call import JSON, HttpCall, Value, as_value
from cluster.gateways.http.parameters import HEADER, PATH, PRINTABLE, PRINTABLE_FORM, QUERY, Parameter
from cluster.gateways.http.routes import IDEMPOTENCY_KEY, HttpReply, HttpRoute
from cluster.limits import DEDUP_ID_BYTES_MAX, QUEUE_BATCH_MAX
from cluster.replication.quorum import OK
from cluster.wire.queues import (
    Delivered,
    Failed,
    QueueAck,
    QueueAnswered,
    QueueExtend,
    QueueReceive,
    QueueReceived,
    QueueReturn,
    QueueSend,
    QueueSent,
)

VISIBILITY_MIN_S: Final = 0.001


class Sent(Struct):
    """A message that was sent. `duplicate`: it was sent before with its Idempotency-Key, and that one is named."""

    id: str
    outcome: str
    acks: int
    duplicate: bool


class Leased(Struct, omit_defaults=True):
    """A message, leased until `lease_until_ms`. `attempt` counts its deliveries, this one included; times are Unix
    times in milliseconds."""

    id: str
    body: Value
    attempt: int
    receipt: str
    sent_ms: int
    lease_until_ms: int
    headers: dict[str, str] = {}
    idempotency_key: str = ""


class Received(Struct):
    """Messages. Without any, `shards_unreachable` may hold some all the same: nobody can say that they are empty."""

    messages: list[Leased]
    shards_unreachable: list[int]


class Settled(Struct):
    """What became of a receipt: `ok`, or `ok-sloppy` where fallbacks hold some of the copies."""

    outcome: str


NOTHING: Final = (JSON, json.encode(Received([], [])))
"""The answer to a receive that a node ends which drains."""


def send(call: HttpCall) -> None:
    """Send the body of the request."""
    values = call.values
    delay = values["delay"]
    message = (call.request.body, None, -1.0 if delay is None else delay, values[IDEMPOTENCY_KEY] or "")

    def sent(answer: QueueSent) -> None:
        id, outcome, acks, duplicate, failed = answer.results[0]
        _check(failed)
        call.json(Sent(id, outcome, acks, duplicate), _status(outcome))

    call.ask(QueueSend(values["queue"], [message]), sent)


def receive(call: HttpCall) -> None:
    """Lease messages; what comes when its client has gone is returned at once."""
    values, session = call.values, call.session
    wait, visibility = values["wait"], values["visibility"]
    if wait is None:
        defined = call.gateway.host.queues().get(values["queue"])
        wait = 0.0 if defined is None else defined.wait_s

    def received(answer: QueueReceived) -> None:
        if call.is_over:
            if answer.messages:
                unwanted = QueueReturn([message.receipt for message in answer.messages])
                call.gateway.ask(session, unwanted, lambda outcome: None)
            return
        call.json(Received([_leased(message) for message in answer.messages], answer.shards_unreachable))

    receiver = f"http {session.peer[0]}:{session.peer[1]}"
    body = QueueReceive(values["queue"], values["max"], wait, visibility or 0.0, receiver)
    call.ask(body, received, wait + call.limit_s, only_waits=True)


def _leased(one: Delivered) -> Leased:
    headers = one.headers or {}
    body = as_value(one.body)
    return Leased(one.id, body, one.attempt, one.receipt, one.sent_ms, one.lease_until_ms, headers, one.dedup_id)


def acknowledge(call: HttpCall) -> None:
    """The work is done."""
    _settle(call, QueueAck([call.values["receipt"]]))


def give_back(call: HttpCall) -> None:
    """The work is not done."""
    _settle(call, QueueReturn([call.values["receipt"]], call.values["delay"]))


def extend(call: HttpCall) -> None:
    """The work takes longer."""
    _settle(call, QueueExtend([call.values["receipt"]], call.values["visibility"]))


def _settle(call: HttpCall, body: QueueAck | QueueReturn | QueueExtend) -> None:
    def settled(answer: QueueAnswered) -> None:
        outcome, failed = answer.results[0]
        code, message = failed
        if code == Usage.code:
            raise NotFound(message, help="A receipt comes with each message that GET /queues/QUEUE leases.")
        _check(failed)
        call.json(Settled(outcome), _status(outcome))

    call.ask(body, partial(settled))


def _check(failed: Failed) -> None:
    """Raise the error of one of many."""
    code, message = failed
    if code:
        raise from_code(code, message)


def _status(outcome: str) -> HTTPStatus:
    return HTTPStatus.OK if outcome == OK else HTTPStatus.ACCEPTED


QUEUE: Final = Parameter(
    "queue",
    PATH,
    "The name of the queue: `dsectl queue create` makes one.",
    pattern="^[a-z][a-z0-9-]{0,31}$",
    form="a lower-case letter, then up to 31 lower-case letters, digits or hyphens",
)
RECEIPT: Final = Parameter("receipt", PATH, "The receipt of a message.", bytes_min=1, bytes_max=1024)
SETTLES: Final = {200: HttpReply("W owners have it.", Settled), 202: HttpReply("Fallbacks have it, too.", Settled)}
ROUTES: Final = (
    HttpRoute(
        "POST", "/queues/{queue}", send, "queues.send", "Send a message; the body is the message.",
        (QUEUE,
         Parameter("delay", QUERY, "Seconds before it can be received.", "number", low=0, high=int(DELAY_MAX_S)),
         Parameter(IDEMPOTENCY_KEY, HEADER,
                   "Of those sent with the same key within 5 minutes, one is kept: the deduplication id.",
                   bytes_min=1, bytes_max=DEDUP_ID_BYTES_MAX, pattern=PRINTABLE, form=PRINTABLE_FORM)),
        body="The message.",
        replies={200: HttpReply("W owners have it.", Sent),
                 202: HttpReply("W nodes have it, fallbacks among them.", Sent)},
        problems=(404, 413, 429),
    ),
    HttpRoute(
        "GET", "/queues/{queue}", receive, "queues.receive", "Lease messages: each is delivered again unless it is"
        " acknowledged in time.",
        (QUEUE,
         Parameter("max", QUERY, "Messages at most.", "integer", default=1, low=1, high=QUEUE_BATCH_MAX),
         Parameter("wait", QUERY, "Seconds to wait for the first.", "number", low=0, high=int(WAIT_MAX_S)),
         Parameter("visibility", QUERY, "Seconds that the leases last.", "number", low=VISIBILITY_MIN_S,
                   high=int(VISIBILITY_MAX_S))),
        replies={200: HttpReply("Messages, or none.", Received)}, problems=(404,),
    ),
    HttpRoute(
        "DELETE", "/receipts/{receipt}", acknowledge, "receipts.acknowledge",
        "The work is done: the message is never delivered again. May be repeated.", (RECEIPT,),
        replies=SETTLES, problems=(404,),
    ),
    HttpRoute(
        "POST", "/receipts/{receipt}/return", give_back, "receipts.return",
        "The work is not done: the message is delivered again.",
        (RECEIPT, Parameter("delay", QUERY, "Seconds before.", "number", default=0, low=0, high=int(DELAY_MAX_S))),
        replies=SETTLES, problems=(404, 409),
    ),
    HttpRoute(
        "POST", "/receipts/{receipt}/extend", extend, "receipts.extend", "The work takes longer.",
        (RECEIPT,
         Parameter("visibility", QUERY, "Seconds that the lease lasts from now.", "number", default=30,
                   low=VISIBILITY_MIN_S, high=int(VISIBILITY_MAX_S))),
        replies=SETTLES, problems=(404, 409),
    ),
)  # fmt: skip
