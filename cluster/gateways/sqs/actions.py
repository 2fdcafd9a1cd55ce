"""All actions of SQS by name, and why some are not offered."""

from collections.abc import Callable
from typing import Final

from cluster.gateways.sqs import messages, queues
from cluster.gateways.sqs.call import SqsCall

ACTIONS: Final[dict[str, Callable[[SqsCall], None]]] = {
    "CreateQueue": queues.create_queue,
    "GetQueueUrl": queues.get_queue_url,
    "ListQueues": queues.list_queues,
    "ListDeadLetterSourceQueues": queues.list_dead_letter_source_queues,
    "DeleteQueue": queues.delete_queue,
    "PurgeQueue": queues.purge_queue,
    "GetQueueAttributes": queues.get_queue_attributes,
    "SetQueueAttributes": queues.set_queue_attributes,
    "ListQueueTags": queues.list_queue_tags,
    "SendMessage": messages.send_message,
    "SendMessageBatch": messages.send_message_batch,
    "ReceiveMessage": messages.receive_message,
    "DeleteMessage": messages.delete_message,
    "DeleteMessageBatch": messages.delete_message_batch,
    "ChangeMessageVisibility": messages.change_message_visibility,
    "ChangeMessageVisibilityBatch": messages.change_message_visibility_batch,
}
UNSUPPORTED: Final = {
    "AddPermission": "whoever has the password may do everything",
    "RemovePermission": "whoever has the password may do everything",
    "StartMessageMoveTask": "`dsectl queue redrive` moves dead letters",
    "CancelMessageMoveTask": "`dsectl queue redrive` moves dead letters",
    "ListMessageMoveTasks": "`dsectl queue redrive` moves dead letters",
    "TagQueue": "queues have no tags",
    "UntagQueue": "queues have no tags",
}
"""Actions that are not offered, and why."""
