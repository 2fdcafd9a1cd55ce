"""What clients ask for: the JSON of each action of SQS, read and checked as far as the request alone says.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct, field

from cluster.gateways.sqs.attributes import AttributeValue
from cluster.gateways.sqs.errors import SqsError

ENTRIES_MAX: Final = 10
_ENTRY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class OfQueue(Struct, rename="pascal"):
    """Anything about one queue."""

    queue_url: str


class CreateQueue(Struct, rename="pascal"):
    """See the API reference, as of all the others."""

    queue_name: str
    attributes: dict[str, str] = {}
    tags: dict[str, str] = field(default_factory=dict, name="tags")


class GetQueueUrl(Struct, rename="pascal"):
    """By name."""

    queue_name: str


class ListQueues(Struct, rename="pascal"):
    """A page of queues."""

    queue_name_prefix: str = ""
    next_token: str = ""
    max_results: int = 0


class GetQueueAttributes(OfQueue):
    """Some, or `All`."""

    attribute_names: list[str] = []


class SetQueueAttributes(OfQueue):
    """Those that are named; the others stay."""

    attributes: dict[str, str]


class Outgoing(Struct, rename="pascal"):
    """A message to send."""

    message_body: str
    delay_seconds: int | None = None
    message_attributes: dict[str, AttributeValue] = {}
    message_system_attributes: dict[str, AttributeValue] = {}
    message_deduplication_id: str = ""
    message_group_id: str = ""


class SendMessage(Outgoing, kw_only=True):
    """One message."""

    queue_url: str


class SendEntry(Outgoing, kw_only=True):
    """One message of several."""

    id: str


class SendMessageBatch(OfQueue):
    """Several messages."""

    entries: list[SendEntry]


class ReceiveMessage(OfQueue):
    """Lease messages, and wait for the first."""

    attribute_names: list[str] = []
    message_system_attribute_names: list[str] = []
    message_attribute_names: list[str] = []
    max_number_of_messages: int = 1
    visibility_timeout: int | None = None
    wait_time_seconds: int | None = None


class DeleteMessage(OfQueue):
    """One is done with."""

    receipt_handle: str


class DeleteEntry(Struct, rename="pascal"):
    """One of several."""

    id: str
    receipt_handle: str


class DeleteMessageBatch(OfQueue):
    """Several are done with."""

    entries: list[DeleteEntry]


class ChangeMessageVisibility(OfQueue):
    """A lease lasts so long from now on; 0 returns the message."""

    receipt_handle: str
    visibility_timeout: int


class ChangeEntry(Struct, rename="pascal"):
    """One of several."""

    id: str
    receipt_handle: str
    visibility_timeout: int


class ChangeMessageVisibilityBatch(OfQueue):
    """Several leases."""

    entries: list[ChangeEntry]


class BatchEntry(Protocol):
    """One of a batch."""

    id: str


def check_entries(entries: Sequence[BatchEntry]) -> None:
    """Raise SqsError for a batch that SQS refuses as a whole."""
    if not entries:
        raise SqsError("EmptyBatchRequest", "a batch has at least one entry")
    if len(entries) > ENTRIES_MAX:
        raise SqsError("TooManyEntriesInBatchRequest", f"a batch has at most {ENTRIES_MAX} entries")
    if any(not _ENTRY_ID.fullmatch(entry.id) for entry in entries):
        raise SqsError("InvalidBatchEntryId", "the id of an entry has up to 80 letters, digits, hyphens or underscores")
    if len({entry.id for entry in entries}) < len(entries):
        raise SqsError("BatchEntryIdsNotDistinct", "two entries of the batch have the same id")


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raise SqsError for a number outside."""
    if not low <= value <= high:
        raise SqsError("InvalidParameterValue", f"{name} is {value}; it is from {low} to {high}")
