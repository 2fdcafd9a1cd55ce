"""What one node knows of one item, for people: whether it has it, who leased it, and what was done with it here."""

from typing import Any

from cluster.errors import Damaged
from cluster.observe.rfc3339 import format_time
from cluster.queues.context import QueueContext
from cluster.queues.rows import Item, block_key, decode_block, parse_item_id, partition_of_shard
from cluster.queues.shard import LiveBlock
from cluster.replication.mergeable import TABLE_QUEUES

BODY_BYTES_SHOWN = 1024


def told_message(context: QueueContext, text: str) -> dict[str, Any]:
    """The item of that id. Raises Usage for what is no id. `state`: live, done, or none where nothing is known of it:
    what is done with is remembered by a bit, and after a while by less than that."""
    id = parse_item_id(text)
    view, partition = context.replication.view, partition_of_shard(id.queue, id.shard)
    shard = context.shards.get(id.queue, id.shard)
    block = None if shard is None else shard.find(id.actor, id.number)
    is_done = shard is not None and shard.is_done(id.actor, id.number)
    return {
        "id": text,
        "queue": context.defined.name_of(id.queue),
        "shard": id.shard,
        "partition": partition,
        "owners": list(view.owners(partition)),
        "fallbacks": list(view.fallbacks(partition)),
        "accepted_by": id.actor.partition(".")[0].rpartition("-")[0] or id.actor,
        "state": "done" if is_done else "live" if block is not None else "none",
        "votes": context.replication.status.votes(partition),
        "held": None if block is None or is_done else _told_item(context, block, id.queue, id.shard, id.number),
        "steps": context.steps.of(id),
    }


def _told_item(context: QueueContext, block: LiveBlock, queue: int, number: int, item: int) -> dict[str, Any]:
    """An item that lives, with its last lease as it was noted."""
    place = item - block.first
    blob = context.replication.store.get(
        TABLE_QUEUES, partition_of_shard(queue, number), block_key(queue, number, block.actor, block.first)
    )
    try:
        found = None if blob is None else decode_block(blob).items[place]
    except Damaged:
        found = None
    sent = found or Item(b"")
    note = block.notes.get(place)
    lease = None
    if note is not None:
        passed_s = context.now() - block.noted_at[place]
        left_s = max(0.0, note.remaining_ms / 1000 - passed_s)
        lease = {"giver": note.giver, "attempt": note.attempt, "left_s": round(left_s, 3)}
    return {
        "accepted_at": format_time(block.accepted_ms / 1000),
        "visible_at": format_time((block.accepted_ms + sent.delay_ms) / 1000),
        "expires_at": format_time(block.expires_ms / 1000),
        "body": sent.body[:BODY_BYTES_SHOWN],
        "bytes": len(sent.body),
        "headers": sent.headers or {},
        "dedup_id": sent.dedup_id,
        "lease": lease,
    }
