"""Actors: in whose name a replica counts its writes.

An actor belongs to one node, which increments the actor's counter for each write that it coordinates, so that a dot
(actor, counter) names one write for ever. The name is `<node id>.<boot epoch>.<mint>`: a node that may have forgotten
counters mints a new actor and never counts on from a number that it may have used already.

When to mint is the caller's decision; `write.proves_amnesia` gives one of the reasons.
"""

from typing import TypeAlias

Actor: TypeAlias = str


def actor_name(node_id: str, epoch: int, mint: int) -> Actor:
    """The actor of `node_id` minted as number `mint` in boot `epoch`, such as `n3-5f3a9c1e.4.0`."""
    assert "." not in node_id and epoch >= 0 and mint >= 0, (node_id, epoch, mint)
    return f"{node_id}.{epoch}.{mint}"
