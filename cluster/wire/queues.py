"""Messages of work queues: between a client and the node that it asks, and between that node and the owners of shards.

A message of a queue (an *item*) is sent to one shard, by the node that accepts it there. Whoever receives it holds a
lease, which the receipt proves; to acknowledge it is to mark it consumed, at W owners, and may be done twice.
"""

from typing import TypeAlias

from msgspec import Struct

Outgoing: TypeAlias = tuple[bytes, dict[str, str] | None, float, str]
"""What is sent: body, headers, seconds before it becomes visible (below 0: the queue's own delay), and the
deduplication id, or empty."""

Failed: TypeAlias = tuple[str, str]
"""Code and message of an error; both empty where there is none."""

SendResult: TypeAlias = tuple[str, str, int, bool, Failed]
"""The id of the item, the outcome as of a put (`ok`, `ok-sloppy`, `maybe`, `no`), how many hold it, and whether it was
sent before under its deduplication id, and that one is named. With an error id and outcome say what is known."""

ReturnResult: TypeAlias = tuple[str, Failed]
"""What became of a receipt: the outcome as of a put, and with `no` or `maybe` why."""


class QueueSend(Struct, array_like=True, gc=False, tag=100):
    """Accept these for the queue of that name. `hops` counts forwards. `stays`, of nodes only: a deduplication id is
    remembered for as long as its item lives."""

    queue: str
    messages: list[Outgoing]
    hops: int = 0
    stays: bool = False


class QueueSent(Struct, array_like=True, gc=False, tag=101):
    """One result for each message, in their order."""

    results: list[SendResult]


class QueueReceive(Struct, array_like=True, gc=False, tag=102):
    """Lease up to `max` items that are visible, of any shard; wait up to `wait_s` for the first. Each is leased for
    `visibility_s` (0: the queue's own). `receiver` names the client, for people."""

    queue: str
    max: int = 1
    wait_s: float = 0.0
    visibility_s: float = 0.0
    receiver: str = ""


class Delivered(Struct, array_like=True, gc=False):
    """A leased item. `attempt` counts its deliveries, this one included. `sent_ms` and `lease_until_ms` are Unix times
    in milliseconds; the lease ends by its giver's own timer."""

    id: str
    body: bytes
    headers: dict[str, str] | None
    attempt: int
    receipt: str
    sent_ms: int
    lease_until_ms: int
    dedup_id: str = ""


class QueueReceived(Struct, array_like=True, gc=False, tag=103):
    """What was leased. Without any, `shards_unreachable` are those that may hold some all the same: nobody can say that
    they are empty."""

    messages: list[Delivered]
    shards_unreachable: list[int]


class QueueAck(Struct, array_like=True, gc=False, tag=104):
    """These are done with: never deliver them again. Any lease of an item will do, also one that has ended."""

    receipts: list[str]
    hops: int = 0


class QueueReturn(Struct, array_like=True, gc=False, tag=105):
    """These were not done with: deliver them again, after `delay_s`. Only the current lease of an item may. Without
    `begun` nobody has worked on them, and this delivery does not count: they are given again at once."""

    receipts: list[str]
    delay_s: float = 0.0
    hops: int = 0
    begun: bool = True


class QueueExtend(Struct, array_like=True, gc=False, tag=106):
    """These leases last for `visibility_s` from now on. Only the current lease of an item may."""

    receipts: list[str]
    visibility_s: float
    hops: int = 0


class QueueAnswered(Struct, array_like=True, gc=False, tag=107):
    """One result for each receipt, in their order."""

    results: list[ReturnResult]


class ShardTake(Struct, array_like=True, gc=False, tag=110):
    """To the giver of these shards of queue `queue`: lease up to `max` items together. With `wait`, where there are
    none, ShardReady follows once there may be. `last_resort`: no voting owner of them can be reached."""

    queue: int
    shards: list[int]
    max: int
    visibility_s: float
    wait: bool = False
    receiver: str = ""
    last_resort: bool = False


class ShardTaken(Struct, array_like=True, gc=False, tag=111):
    """The items, and the shards that this node does not give of, with why: another owner is to be asked."""

    messages: list[Delivered]
    refused: dict[int, str]


class ShardDone(Struct, array_like=True, gc=False, tag=112):
    """To an owner: mark these items of one shard done, at W owners: by actor, the numbers."""

    queue: int
    shard: int
    items: dict[str, list[int]]


class ShardLook(Struct, array_like=True, gc=False, tag=113):
    """To every other member: what do you have of these shards? By shard, the digest of what the asker has."""

    queue: int
    digests: dict[int, bytes]


Seen: TypeAlias = tuple[bool, bytes, list[tuple[str, bytes]] | None]
"""Whether this node holds copies for owners of a shard; as an owner that lost nothing, the digest of what it has of it,
and where that differs from a digest that came with the question, its rows: keys and digests. None for the rows: it is
no such owner."""


class ShardSeen(Struct, array_like=True, gc=False, tag=114):
    """By shard."""

    shards: dict[int, Seen]


class ShardReady(Struct, array_like=True, gc=False, tag=115):
    """One way, from a giver to who waits: take again, there may be something."""

    queue: int


class ShardRelease(Struct, array_like=True, gc=False, tag=116):
    """One way, to a giver: these leases reached nobody. Give the items again, as if they had not been given."""

    receipts: list[str]


class ShardPurge(Struct, array_like=True, gc=False, tag=117):
    """To an owner: mark all items of these shards done that any node knows of, at W owners."""

    queue: int
    shards: list[int]


class ShardPurged(Struct, array_like=True, gc=False, tag=118):
    """So many there were; and the outcome, as of an acknowledgement."""

    count: int
    result: ReturnResult


QueueBody = (
    QueueSend
    | QueueSent
    | QueueReceive
    | QueueReceived
    | QueueAck
    | QueueReturn
    | QueueExtend
    | QueueAnswered
    | ShardTake
    | ShardTaken
    | ShardDone
    | ShardLook
    | ShardSeen
    | ShardReady
    | ShardRelease
    | ShardPurge
    | ShardPurged
)
