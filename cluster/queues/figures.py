"""What is in a queue, out of what each node says of the shards that it owns. Pure.

No node has all shards, and each shard is on several. The one that gives its messages out knows best what is leased;
where nobody does, at a change of the giver, whoever holds most. What the nodes have counted since they booted adds up.
"""

from collections.abc import Mapping
from typing import Any

UNKNOWN: Mapping[str, Any] = {"depth": None, "bytes": None, "in_flight": None, "oldest_s": None}


def figures(name: str, shards: int, answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of a queue with so many shards, from the answers of nodes, by name, to the admin query `queues`.

    `depth` counts its messages, `in_flight` those of them that are leased, `oldest_s` is the age of the oldest;
    `redelivered` and `dead` (moved to the dead-letter queue) count since the nodes booted. `by_shard` has the same for
    each shard, with its `giver`; one in `shards_unknown` is in none of these numbers, since no owner of it answered."""
    held = {node: answer["held"].get(name, {}) for node, answer in answers.items()}
    by_shard: list[dict[str, Any]] = []
    for shard in range(shards):
        said: dict[str, Mapping[str, Any]] = {node: one[shard] for node, one in held.items() if shard in one}
        givers = [node for node, one in said.items() if one["gives"]]
        best = max(said.values(), key=lambda one: (one["gives"], one["depth"]), default=UNKNOWN)
        counted = {what: sum(one[what] for one in said.values()) for what in ("redelivered", "dead")}
        figures = {what: best[what] for what in UNKNOWN}
        by_shard.append({"shard": shard, "giver": givers[0] if givers else None, **figures, **counted})
    known = [one for one in by_shard if one["depth"] is not None]
    ages = [one["oldest_s"] for one in known if one["oldest_s"] is not None]
    return {
        **{what: sum(one[what] for one in known) for what in ("depth", "in_flight")},
        "oldest_s": max(ages, default=None),
        **{what: sum(one[what] for one in known) for what in ("redelivered", "dead", "bytes")},
        "by_shard": by_shard,
        "shards_unknown": [one["shard"] for one in by_shard if one["depth"] is None],
    }
