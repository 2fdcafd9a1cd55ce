"""Attributes of messages and of queues, between SQS and this cluster. Pure.

A message's attribute `name` is its header `name`, so that other clients of the queue see it as text. A type that is not
plain `String` stands in the header `sqs-type.name`, and bytes are base64 there.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping, Sequence
from hashlib import md5
from typing import Any, Final

from msgspec import DecodeError, Struct, json

from cluster.chain.queue import DELAY_MAX_S, RETENTION_MAX_S, VISIBILITY_MAX_S, WAIT_MAX_S, Queue
from cluster.gateways.sqs.errors import SqsError

ACCOUNT: Final = "000000000000"
ATTRIBUTES_MAX: Final = 10
TYPE: Final = "sqs-type."
ENCODING: Final = "sqs-body"
"""The attribute of a message whose body is not text, which only other clients send: its body is base64 then."""
TRACE: Final = "AWSTraceHeader"
_NAME: Final = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_TYPE: Final = re.compile(r"(String|Number|Binary)(\..{1,240})?")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NOT_TEXT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What SQS takes in no body: control characters, and what is no character."""


class AttributeValue(Struct, rename="pascal", omit_defaults=True):
    """An attribute of a message."""

    data_type: str = ""
    string_value: str | None = None
    binary_value: bytes | None = None


def to_headers(attributes: Mapping[str, AttributeValue], system: Mapping[str, AttributeValue]) -> dict[str, str] | None:
    """The headers that carry the attributes of a message; None for none. Raises SqsError."""
    if len(attributes) > ATTRIBUTES_MAX:
        raise SqsError("InvalidParameterValue", f"a message has at most {ATTRIBUTES_MAX} attributes")
    headers: dict[str, str] = {}
    for name, value in attributes.items():
        reserved = name.lower().startswith(("aws.", "amazon.", TYPE)) or name in (TRACE, ENCODING)
        if reserved or not _NAME.fullmatch(name):
            raise SqsError("InvalidParameterValue", f"invalid name of an attribute: {name[:256]!r}")
        headers[name] = _text(name, value)
        if value.data_type != "String":
            headers[TYPE + name] = value.data_type
    for name, value in system.items():
        if name != TRACE or value.data_type != "String":
            raise SqsError("InvalidParameterValue", f"the one system attribute of a message is {TRACE}, a String")
        headers[TRACE] = _text(name, value)
    return headers or None


def _text(name: str, value: AttributeValue) -> str:
    kind = _TYPE.fullmatch(value.data_type)
    if kind is None:
        raise SqsError("InvalidParameterValue", f"the type of attribute {name} is String, Number or Binary")
    if kind[1] == "Binary":
        if not value.binary_value:
            raise SqsError("InvalidParameterValue", f"attribute {name} of type Binary has no BinaryValue")
        return b64encode(value.binary_value).decode()
    text = value.string_value
    if not text or NOT_TEXT.search(text):
        raise SqsError("InvalidParameterValue", f"attribute {name} has no StringValue, or one that is not text")
    if kind[1] == "Number" and not _NUMBER.fullmatch(text):
        raise SqsError("InvalidParameterValue", f"attribute {name} of type Number is {text[:64]!r}")
    return text


def from_headers(headers: Mapping[str, str] | None) -> dict[str, AttributeValue]:
    """The attributes that headers carry, also those of other clients."""
    found: dict[str, AttributeValue] = {}
    for name, text in (headers or {}).items():
        if name.startswith(TYPE) or name == TRACE:
            continue
        kind = (headers or {}).get(TYPE + name, "String")
        if kind.startswith("Binary"):
            try:
                found[name] = AttributeValue(kind, None, b64decode(text, validate=True))
                continue
            except (Base64Error, ValueError):
                kind = "String"  # another client wrote it
        found[name] = AttributeValue(kind, text)
    return found


def chosen(attributes: Mapping[str, AttributeValue], names: Sequence[str]) -> dict[str, AttributeValue]:
    """Those that a receiver asked for, by name, by `prefix.*`, or all."""
    if "All" in names or ".*" in names:
        return dict(attributes)
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {
        name: value for name, value in attributes.items() if name in names or (prefixes and name.startswith(prefixes))
    }


def md5_of(data: bytes | bytearray) -> str:
    """As clients compare it; not a secret."""
    return md5(data, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, AttributeValue]) -> str:
    """Of names, types and values, in the order of the names, each with its length before it.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""
    encoded = bytearray()
    for name in sorted(attributes):
        value = attributes[name]
        binary = value.binary_value
        for part in (name.encode(), value.data_type.encode()):
            encoded += len(part).to_bytes(4, "big") + part
        data = (value.string_value or "").encode() if binary is None else binary
        encoded += (b"\x01" if binary is None else b"\x02") + len(data).to_bytes(4, "big") + data
    return md5_of(encoded)


# -- of queues


class RedrivePolicy(Struct):
    """Where what was delivered too often goes."""

    deadLetterTargetArn: str = ""
    maxReceiveCount: int = 0


_redrive: Final = json.Decoder(RedrivePolicy, strict=False)
FIXED: Final = {
    "MaximumMessageSize": ("1048576", "a message has at most 1 MiB, in every queue"),
    "SqsManagedSseEnabled": ("false", "what is stored is not encrypted"),
}
"""Attributes with one value, and why they have no other."""
REFUSED: Final = {
    "FifoQueue": "queues keep no order: there are no FIFO queues",
    "ContentBasedDeduplication": "a sender gives the id itself: `dsectl send --dedup-id`, or the Python client",
    "Policy": "whoever has the password may do everything",
    "RedriveAllowPolicy": "any queue may be the dead-letter queue of any other",
}
SECONDS: Final = {
    "VisibilityTimeout": ("visibility_s", VISIBILITY_MAX_S),
    "MessageRetentionPeriod": ("retention_s", RETENTION_MAX_S),
    "DelaySeconds": ("delay_s", DELAY_MAX_S),
    "ReceiveMessageWaitTimeSeconds": ("wait_s", WAIT_MAX_S),
}


def arn(region: str, name: str) -> str:
    """How other attributes name a queue."""
    return f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"


def options_of(attributes: Mapping[str, str]) -> dict[str, Any]:
    """The options of a queue that its attributes set. Raises SqsError."""
    options: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in SECONDS:
            option, most = SECONDS[name]
            if not (value.isascii() and value.isdigit() and len(value) < 10) or int(value) > most:
                what = f"{name} is a number of seconds up to {most:g}, not {value[:64]!r}"
                raise SqsError("InvalidAttributeValue", what)
            # No lease at all cannot be: the shortest one that a queue may have is as good.
            options[option] = max(float(value), 0.001) if option == "visibility_s" else float(value)
        elif name == "RedrivePolicy":
            options |= _redrive_options(value)
        elif name in FIXED:
            fixed, why = FIXED[name]
            if value != fixed:
                raise SqsError("InvalidAttributeValue", f"{name} is {fixed} here: {why}")
        else:
            why = REFUSED.get(name, "no such attribute can be set here")
            raise SqsError("InvalidAttributeName", f"{name[:64]}: {why}")
    return options


def _redrive_options(value: str) -> dict[str, Any]:
    if not value:
        return {"dead_letter": "", "max_receives": 0}
    try:
        policy = _redrive.decode(value)
    except (DecodeError, RecursionError) as error:
        raise SqsError("InvalidAttributeValue", f"RedrivePolicy cannot be read: {error}") from None
    name = policy.deadLetterTargetArn.rpartition(":")[2]
    if not name or policy.maxReceiveCount < 1:
        raise SqsError("InvalidAttributeValue", "RedrivePolicy has a deadLetterTargetArn and a maxReceiveCount")
    return {"dead_letter": name, "max_receives": policy.maxReceiveCount}


def attributes_of(name: str, queue: Queue, region: str) -> dict[str, str]:
    """The attributes of a queue that are no counts."""
    found = {"QueueArn": arn(region, name), **{name: value for name, (value, _) in FIXED.items()}}
    for title, (option, _) in SECONDS.items():
        found[title] = str(round(getattr(queue, option)))
    if queue.dead_letter:
        policy = RedrivePolicy(arn(region, queue.dead_letter), queue.max_receives)
        found["RedrivePolicy"] = json.encode(policy).decode()
    return found


COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def wanted(names: Iterable[str], found: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a queue that were asked for. Raises SqsError for one that is none."""
    chosen = set(names)
    for name in chosen - {"All", *found, *REFUSED, "RedrivePolicy", "CreatedTimestamp", "LastModifiedTimestamp"}:
        raise SqsError("InvalidAttributeName", f"no attribute {name[:64]!r}")
    return {name: value for name, value in found.items() if "All" in chosen or name in chosen}
