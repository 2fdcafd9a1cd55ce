"""Actions of SQS on messages, each as this node's own operation on a queue.

Whoever is told that a message was sent or deleted has that from W owners. That nothing was received promises nothing
here, as in SQS; where shards could not be asked, the response says so in a header.
"""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from msgspec import to_builtins

from cluster.chain.queue import DELAY_MAX_S, VISIBILITY_MAX_S, WAIT_MAX_S
from cluster.errors import from_code
from cluster.gateways.listening import OPERATION_S
from cluster.gateways.sqs.attributes import (
    ENCODING,
    NOT_TEXT,
    TRACE,
    AttributeValue,
    chosen,
    from_headers,
    md5_of,
    md5_of_attributes,
    to_headers,
)
from cluster.gateways.sqs.call import SqsCall
from cluster.gateways.sqs.errors import SqsError, of_cluster
from cluster.gateways.sqs.requests import (
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
    DeleteMessage,
    DeleteMessageBatch,
    Outgoing,
    ReceiveMessage,
    SendMessage,
    SendMessageBatch,
    check_entries,
    check_range,
)
from cluster.limits import VALUE_BYTES_MAX
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
    ReturnResult,
    SendResult,
)
from cluster.wire.queues import Outgoing as QueueOutgoing

RECEIVE_MAX: Final = 10
UNREACHABLE: Final = "x-dsectl-shards-unreachable"
"""The header that names the shards that may hold messages though none was received."""


def _outgoing(message: Outgoing) -> QueueOutgoing:
    """What the node is to accept. Raises SqsError."""
    body = message.message_body
    if not body:
        raise SqsError("MissingParameter", "a message has a body of at least one character")
    if NOT_TEXT.search(body):
        raise SqsError("InvalidMessageContents", "a body is text, without control characters")
    if message.message_deduplication_id or message.message_group_id:
        raise SqsError("InvalidParameterValue", "MessageDeduplicationId and MessageGroupId are of FIFO queues")
    delay = message.delay_seconds
    if delay is not None:
        check_range("DelaySeconds", delay, 0, int(DELAY_MAX_S))
    headers = to_headers(message.message_attributes, message.message_system_attributes)
    return body.encode(), headers, -1.0 if delay is None else float(delay), ""


def _sent(message: Outgoing, result: SendResult) -> dict[str, str]:
    """What a sender is told. Raises SqsError."""
    id, _, _, _, (code, text) = result
    if code:
        raise of_cluster(from_code(code, text))
    told = {"MessageId": id, "MD5OfMessageBody": md5_of(message.message_body.encode())}
    if message.message_attributes:
        told["MD5OfMessageAttributes"] = md5_of_attributes(message.message_attributes)
    if message.message_system_attributes:
        told["MD5OfMessageSystemAttributes"] = md5_of_attributes(message.message_system_attributes)
    return told


def send_message(call: SqsCall) -> None:
    """SendMessage."""
    request = call.read(SendMessage)
    name, message = call.name_of(request.queue_url), _outgoing(request)
    call.ask(QueueSend(name, [message]), lambda sent: call.reply(_sent(request, sent.results[0])))


def send_message_batch(call: SqsCall) -> None:
    """SendMessageBatch: each entry has a result of its own."""
    request = call.read(SendMessageBatch)
    name, entries = call.name_of(request.queue_url), request.entries
    check_entries(entries)
    taken, failed = [], []
    for entry in entries:
        try:
            taken.append((entry, _outgoing(entry)))
        except SqsError as error:
            failed.append(error.entry(entry.id))
    if sum(_size(message) for _, message in taken) > VALUE_BYTES_MAX:
        raise SqsError("BatchRequestTooLong", f"the messages of a batch have at most {VALUE_BYTES_MAX} bytes together")

    def told(sent: QueueSent) -> None:
        done = []
        for (entry, _), result in zip(taken, sent.results, strict=True):
            try:
                done.append({"Id": entry.id, **_sent(entry, result)})
            except SqsError as error:
                failed.append(error.entry(entry.id))
        _batch_told(call, done, failed)

    if taken:
        call.ask(QueueSend(name, [message for _, message in taken]), told)
    else:
        told(QueueSent([]))


def _size(message: QueueOutgoing) -> int:
    body, headers, *_ = message
    return len(body) + sum(len(name) + len(value) for name, value in (headers or {}).items())


def receive_message(call: SqsCall) -> None:
    """ReceiveMessage: what comes when its client has gone is returned at once."""
    request = call.read(ReceiveMessage)
    name = call.name_of(request.queue_url)
    check_range("MaxNumberOfMessages", request.max_number_of_messages, 1, RECEIVE_MAX)
    wait = request.wait_time_seconds
    if wait is not None:
        check_range("WaitTimeSeconds", wait, 0, int(WAIT_MAX_S))
    wait_s = call.host.queues()[name].wait_s if wait is None else float(wait)
    visibility = request.visibility_timeout
    if visibility is not None:
        check_range("VisibilityTimeout", visibility, 0, int(VISIBILITY_MAX_S))
    # 0 is the queue's own for the node: without a lease at all it is the shortest there can be.
    lease_s = 0.0 if visibility is None else float(visibility) or 0.001
    system = {*request.attribute_names, *request.message_system_attribute_names}

    def received(answer: QueueReceived) -> None:
        if call.is_over:
            if answer.messages:
                unwanted = QueueReturn([message.receipt for message in answer.messages])
                call.session.gateway.ask(call.session, unwanted, lambda outcome: None)
            return
        messages = [_delivered(message, system, request.message_attribute_names) for message in answer.messages]
        shards = ",".join(map(str, answer.shards_unreachable))
        call.reply({"Messages": messages} if messages else {}, {UNREACHABLE: shards} if shards else None)

    receiver = f"sqs {call.session.peer[0]}:{call.session.peer[1]}"
    body = QueueReceive(name, request.max_number_of_messages, wait_s, lease_s, receiver)
    call.ask(body, received, wait_s + OPERATION_S)


def _delivered(message: Delivered, system: set[str], names: list[str]) -> dict[str, Any]:
    """A message as its receiver is given it."""
    attributes = from_headers(message.headers)
    try:
        body = message.body.decode()
        is_text = not NOT_TEXT.search(body)
    except UnicodeDecodeError:
        is_text = False
    told: dict[str, Any] = {"MessageId": message.id, "ReceiptHandle": message.receipt}
    some = chosen(attributes, names)
    if not is_text:
        body = to_builtins(message.body)  # base64
        some[ENCODING] = AttributeValue("String", "base64")
    told |= {"Body": body, "MD5OfBody": md5_of(body.encode())}
    if some:
        told["MessageAttributes"] = some
        told["MD5OfMessageAttributes"] = md5_of_attributes(some)
    facts = {"ApproximateReceiveCount": str(message.attempt), "SentTimestamp": str(message.sent_ms)}
    if message.dedup_id:
        facts["MessageDeduplicationId"] = message.dedup_id
    if message.headers and TRACE in message.headers:
        facts[TRACE] = message.headers[TRACE]
    facts = {name: value for name, value in facts.items() if name in system or "All" in system}
    if facts:
        told["Attributes"] = facts
    return told


def _returned(result: ReturnResult) -> None:
    """Raise SqsError when it says why not."""
    _, (code, text) = result
    if code == "usage":
        raise SqsError("ReceiptHandleIsInvalid", text, HTTPStatus.NOT_FOUND)
    if code:
        raise of_cluster(from_code(code, text))


def delete_message(call: SqsCall) -> None:
    """DeleteMessage: any receipt of the message will do."""
    request = call.read(DeleteMessage)
    call.name_of(request.queue_url)
    call.ask(QueueAck([request.receipt_handle]), partial(_one_done, call))


def delete_message_batch(call: SqsCall) -> None:
    """DeleteMessageBatch."""
    request = call.read(DeleteMessageBatch)
    call.name_of(request.queue_url)
    check_entries(request.entries)
    ids = [entry.id for entry in request.entries]
    acks = QueueAck([entry.receipt_handle for entry in request.entries])
    call.ask(acks, lambda done: _batch_done(call, ids, done.results))


def change_message_visibility(call: SqsCall) -> None:
    """ChangeMessageVisibility: 0 returns the message."""
    request = call.read(ChangeMessageVisibility)
    call.name_of(request.queue_url)
    call.ask(_change([request.receipt_handle], request.visibility_timeout), partial(_one_done, call))


def change_message_visibility_batch(call: SqsCall) -> None:
    """ChangeMessageVisibilityBatch: one message to the node for each time that is named."""
    request = call.read(ChangeMessageVisibilityBatch)
    call.name_of(request.queue_url)
    check_entries(request.entries)
    results: dict[str, ReturnResult] = {}
    times: dict[int, list[tuple[str, str]]] = {}
    for entry in request.entries:
        times.setdefault(entry.visibility_timeout, []).append((entry.id, entry.receipt_handle))
    bodies = [(rows, _change([receipt for _, receipt in rows], time)) for time, rows in times.items()]

    def done(rows: list[tuple[str, str]], answer: QueueAnswered) -> None:
        results.update(zip((id for id, _ in rows), answer.results, strict=True))
        if len(results) == len(request.entries):
            ids = [entry.id for entry in request.entries]
            _batch_done(call, ids, [results[id] for id in ids])

    for rows, body in bodies:
        call.ask(body, partial(done, rows))


def _change(receipts: list[str], timeout: int) -> QueueReturn | QueueExtend:
    check_range("VisibilityTimeout", timeout, 0, int(VISIBILITY_MAX_S))
    return QueueExtend(receipts, float(timeout)) if timeout else QueueReturn(receipts)


def _one_done(call: SqsCall, answer: QueueAnswered) -> None:
    _returned(answer.results[0])
    call.reply()


def _batch_done(call: SqsCall, ids: list[str], results: list[ReturnResult]) -> None:
    done, failed = [], []
    for id, result in zip(ids, results, strict=True):
        try:
            _returned(result)
            done.append({"Id": id})
        except SqsError as error:
            failed.append(error.entry(id))
    _batch_told(call, done, failed)


def _batch_told(call: SqsCall, done: Sequence[object], failed: Sequence[object]) -> None:
    """Programs look whether there is a `Failed` at all."""
    call.reply({name: entries for name, entries in (("Successful", done), ("Failed", failed)) if entries})
