"""Actors: in whose name a node coordinates writes, and the numbers that it gives them.

A write event is a dot: the actor and a number. An actor belongs to one node; its name is `<node id>.<epoch>.<mint>`,
where the epoch is that of the boot which minted it. Epochs are on the medium before a node says anything, so no name
is minted twice.

The numbers come from one counter a node, begun by each boot at its epoch: never from the row. So a dot is never given
twice, whatever became of the row: a batch that the log refused and that was undone, a row that was collected or has
expired, a hint that went home. In one key the numbers of an actor ascend with gaps, and a clock entry `actor: n` claims
nothing for the numbers in the gaps, which belong to other keys. It says: *of the writes of this actor on this key, all
up to n are seen*.

That claim is true if whoever gives (actor, n) holds, in the object that it adds to, every write that the actor has
given on this key. So a node goes on with an actor only while that is certain, and takes another one else. When that is,
is decided in `cluster.kv.actors`; `write.proves_amnesia` gives one of the reasons.
"""

from typing import Final, TypeAlias

Actor: TypeAlias = str

_COUNT_BITS: Final = 40
"""Of a number, for the writes of one boot: 10^12, twelve years at 3,000 a second. Above it stands the epoch: four
million boots stay below the 62 bits that a counter has on the wire."""
NUMBER_MAX: Final = 2**62
EPOCH_MAX: Final = (NUMBER_MAX >> _COUNT_BITS) - 1


def actor_name(node_id: str, epoch: int, mint: int) -> Actor:
    """The actor of `node_id` minted as number `mint` in boot `epoch`, such as `n3-5f3a9c1e.4.0`."""
    assert "." not in node_id and epoch >= 0 and mint >= 0, (node_id, epoch, mint)
    return f"{node_id}.{epoch}.{mint}"


def first_number(epoch: int) -> int:
    """Where the counter of a boot begins: above every number of the boots before it."""
    assert 0 <= epoch <= EPOCH_MAX, epoch
    return epoch << _COUNT_BITS
