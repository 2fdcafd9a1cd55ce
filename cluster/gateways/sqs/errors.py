"""Errors as clients of SQS expect them: the type of the JSON protocol, and the older code by which programs catch them.

What surely did not happen and may go better later is `ServiceUnavailable` or `RequestThrottled`, what may have happened
`InternalFailure`: clients repeat all three, so a message may be there twice, as in SQS itself.
"""

from http import HTTPStatus
from typing import Final

from msgspec import json

from cluster.errors import (
    AlreadyExists,
    ClusterError,
    Failed,
    LeaseLost,
    LimitReached,
    NotFound,
    Overloaded,
    QueueFull,
    Usage,
)

OLDER: Final = "AWS.SimpleQueueService."
"""Begins the codes of the query protocol that have another name than the type."""
CODES: Final = {
    "QueueDoesNotExist": f"{OLDER}NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    **{
        name: OLDER + name
        for name in (
            "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong",
            "EmptyBatchRequest",
            "InvalidBatchEntryId",
            "MessageNotInflight",
            "TooManyEntriesInBatchRequest",
            "UnsupportedOperation",
        )
    },
}
"""By type, where the two differ."""


class SqsError(Exception):
    """Answers a request, or one entry of a batch."""

    def __init__(self, type: str, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.type = type
        self.message = message
        self.status = status

    @property
    def code(self) -> str:
        """As programs catch it."""
        return CODES.get(self.type, self.type)

    @property
    def by_sender(self) -> bool:
        """Whether the same request would fail again."""
        return self.status < HTTPStatus.INTERNAL_SERVER_ERROR

    def headers(self) -> dict[str, str]:
        """What stands beside the body."""
        return {"x-amzn-query-error": f"{self.code};{'Sender' if self.by_sender else 'Receiver'}"}

    def body(self) -> bytes:
        """The JSON of the answer."""
        return json.encode({"__type": f"com.amazonaws.sqs#{self.type}", "message": self.message})

    def entry(self, id: str) -> dict[str, object]:
        """What `Failed` of a batch says of the entry `id`."""
        return {"Id": id, "SenderFault": self.by_sender, "Code": self.code, "Message": self.message}


def of_cluster(error: ClusterError) -> SqsError:
    """The same as SQS would say it."""
    message = error.message
    match error:
        case NotFound():
            return SqsError("QueueDoesNotExist", message)
        case AlreadyExists():
            return SqsError("QueueNameExists", message)
        case LeaseLost():
            return SqsError("MessageNotInflight", message)
        case QueueFull() | Overloaded() | LimitReached():
            return SqsError("RequestThrottled", message, HTTPStatus.FORBIDDEN)
        case Usage() | Failed():
            return SqsError("InvalidParameterValue", message)
    if error.definite and error.retryable:
        return SqsError("ServiceUnavailable", message, HTTPStatus.SERVICE_UNAVAILABLE)
    sure = "" if error.definite else ": it may have taken effect"
    return SqsError("InternalFailure", f"{message}{sure}", HTTPStatus.INTERNAL_SERVER_ERROR)
