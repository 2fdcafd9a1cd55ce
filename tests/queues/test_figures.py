"""The figures of a queue, from nodes that each see a part."""

from typing import Any

from cluster.queues.figures import figures


def shard(gives: bool, depth: int, **figures: Any) -> dict[str, Any]:
    """What a node says of one."""
    found = {"gives": gives, "depth": depth, "bytes": 10 * depth, "in_flight": 0, "oldest_s": None}
    return {**found, "redelivered": 0, "dead": 0, **figures}


def test_the_giver_knows_what_is_leased_and_what_was_counted_adds_up() -> None:
    given = {0: shard(True, 4, in_flight=2, oldest_s=1.5, redelivered=1), 1: shard(False, 9, dead=3)}
    held = {0: shard(False, 5, redelivered=2), 1: shard(True, 7, oldest_s=0.5)}
    both = {"jobs": held, "other": {0: shard(True, 9)}}
    answers: dict[str, dict[str, Any]] = {"n1": {"held": {"jobs": given}}, "n2": {"held": both}, "n3": {"held": {}}}
    found = figures("jobs", 2, answers)
    assert (found["depth"], found["in_flight"], found["oldest_s"], found["bytes"]) == (11, 2, 1.5, 110)
    assert (found["redelivered"], found["dead"], found["shards_unknown"]) == (3, 3, [])
    first, second = found["by_shard"]
    assert (first["giver"], first["depth"], first["redelivered"]) == ("n1", 4, 3)
    assert (second["giver"], second["depth"], second["dead"]) == ("n2", 7, 3)


def test_where_no_node_gives_the_one_that_holds_most_is_taken() -> None:
    answers = {name: {"held": {"jobs": {0: shard(False, depth)}}} for name, depth in (("n1", 3), ("n2", 5))}
    found = figures("jobs", 1, answers)
    assert found["depth"] == 5 and found["by_shard"][0]["giver"] is None


def test_a_shard_that_nobody_speaks_of_is_named() -> None:
    found = figures("jobs", 3, {"n1": {"held": {"jobs": {1: shard(True, 3)}}}})
    assert found["shards_unknown"] == [0, 2] and found["oldest_s"] is None and found["depth"] == 3
    assert [one["depth"] for one in found["by_shard"]] == [None, 3, None]
