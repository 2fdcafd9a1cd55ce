"""Queues on real nodes, by command and from Python: kept over crashes, given once, and empty only when they are."""

import asyncio
from typing import Any

import cluster
from cluster.client.queues import QueueMessage
from cluster.emulator.home import Home
from tests.processes.commands import Done, ask, dsectl
from tests.processes.fleet import until


def bodies(received: Any) -> list[str]:
    return sorted(message["body"] for message in received["messages"])


def test_a_queue_is_made_shown_and_deleted_everywhere(home: Home) -> None:
    ask("up", "-n", "3")
    dsectl("queue", "create", "dead")
    made = ask("queue", "create", "jobs", "--shards", "4", "--max-receives", "3", "--dead-letter", "dead")
    assert (made["name"], made["shards"], made["dead_letter"], made["late"]) == ("jobs", 4, "dead", [])
    assert [one["name"] for one in ask("queue", "list", "--via", "n3")] == ["dead", "jobs"]
    for words, code, says in (
        (("create", "jobs"), 1, "queue jobs exists, with other options"),
        (("create", "mails", "--max-receives", "2"), 2, "needs both a dead-letter queue"),
        (("create", "mails", "--shards", "65"), 2, "from 1 to 64"),
        (("create", "a/b"), 2, "invalid name of a queue 'a/b'"),
        (("show", "mails"), 6, "no queue 'mails'"),
        (("bind", "mails", "x"), 6, "no queue 'mails'"),
        (("delete", "dead"), 2, "jobs sends its dead letters to dead"),
    ):
        done = Done("queue", *words)
        assert done.code == code and says in done.err and "dsectl queue list" in done.err, done
    assert Done("send", "mails", "x").code == Done("receive", "mails").code == 6
    dsectl("kill", "n3")
    assert ask("queue", "delete", "jobs")["late"] == ["n3"]
    dsectl("restart", "n3")
    assert [one["name"] for one in ask("queue", "list", "--via", "n3")] == ["dead"]


def test_messages_outlive_all_nodes_and_are_gone_once_acknowledged(home: Home) -> None:
    ask("up", "-n", "3")
    dsectl("queue", "create", "jobs")
    for number in range(20):
        sent = ask("send", "jobs", f"job {number}", "--via", f"n{number % 3 + 1}")
        assert sent["outcome"] == "ok" and sent["acks"] >= 2 and not sent["duplicate"]
    once = ask("send", "jobs", "once", "--dedup-id", "42", "--via", "n1")
    again = ask("send", "jobs", "once", "--dedup-id", "42", "--via", "n3")
    assert again["duplicate"] and again["id"] == once["id"]
    found = ask("queue", "show", "jobs")
    assert (found["depth"], found["in_flight"], found["shards_unknown"]) == (21, 0, [])
    assert {one["giver"] for one in found["by_shard"]} <= {"n1", "n2", "n3"} and len(found["by_shard"]) == 8
    dsectl("kill", "n1", "n2", "n3")
    dsectl("restart", "--all")
    received = ask("receive", "jobs", "--until-empty", "--ack", "--wait", "1s")
    assert bodies(received) == sorted([*(f"job {number}" for number in range(20)), "once"])
    assert all(message["attempt"] == 1 for message in received["messages"])
    assert ask("receive", "jobs") == {"messages": [], "shards_unreachable": []}
    until(lambda: ask("queue", "show", "jobs")["depth"] == 0)


def test_receipts_return_extend_and_acknowledge_at_any_node(home: Home) -> None:
    ask("up", "-n", "3")
    dsectl("queue", "create", "jobs", "--visibility", "60s")
    dsectl("send", "jobs", "work")
    [first] = ask("receive", "jobs", "--wait", "5s", "--via", "n1")["messages"]
    assert ask("receive", "jobs", "--via", "n2")["messages"] == [], "it is leased"
    assert ask("queue", "show", "jobs")["in_flight"] == 1
    dsectl("extend", first["receipt"], "90s", "--via", "n3")
    dsectl("nack", first["receipt"], "--via", "n2")
    [second] = ask("receive", "jobs", "--wait", "5s", "--via", "n3")["messages"]
    assert (second["id"], second["attempt"]) == (first["id"], 2)
    for words in (("nack", first["receipt"]), ("extend", first["receipt"], "5s")):
        refused = Done(*words)
        assert refused.code == 1 and "lease" in refused.err, refused
    assert Done("ack", "nonsense").code == 2
    dsectl("ack", first["receipt"], "--via", "n2"), "a late one is as good"
    assert ask("receive", "jobs", "--wait", "100ms") == {"messages": [], "shards_unreachable": []}
    dsectl("ack", second["receipt"])


def test_what_is_delivered_too_often_is_a_dead_letter_and_can_be_brought_back(home: Home) -> None:
    ask("up", "-n", "3")
    dsectl("queue", "create", "dead")
    dsectl("queue", "create", "jobs", "--max-receives", "2", "--dead-letter", "dead")
    dsectl("send", "jobs", "poison")
    for attempt in (1, 2):
        [message] = ask("receive", "jobs", "--wait", "5s")["messages"]
        assert message["attempt"] == attempt
        dsectl("nack", message["receipt"])
    assert ask("receive", "jobs", "--wait", "300ms")["messages"] == []
    until(lambda: ask("queue", "show", "dead")["depth"] == 1)
    assert ask("queue", "show", "jobs")["dead"] == 1
    moved = ask("queue", "redrive", "dead")
    assert (moved["from"], moved["moved"], moved["left"]) == ("dead", 1, False)
    [message] = ask("receive", "jobs", "--wait", "5s")["messages"]
    assert (message["body"], message["attempt"]) == ("poison", 1)
    assert ask("queue", "purge", "jobs")["purged"] == 1
    assert ask("receive", "jobs", "--wait", "100ms") == {"messages": [], "shards_unreachable": []}


def test_a_bound_queue_has_what_was_published(home: Home) -> None:
    ask("up", "-n", "3")
    dsectl("queue", "create", "orders")
    dsectl("queue", "create", "all")
    dsectl("queue", "bind", "orders", "orders.*.new")
    dsectl("queue", "bind", "all", ">")
    sent = ask("publish", "orders.eu.new", "book", "--via", "n2")
    assert [(one["queue"], one["outcome"]) for one in sent["queues"]] == [("all", "ok"), ("orders", "ok")]
    assert [one["queue"] for one in ask("publish", "carts.new", "pen", "--via", "n3")["queues"]] == ["all"]
    assert bodies(ask("receive", "orders", "--until-empty", "--ack")) == ["book"]
    assert bodies(ask("receive", "all", "--until-empty", "--ack")) == ["book", "pen"]
    dsectl("queue", "unbind", "all", ">")
    assert ask("publish", "carts.new", "pen")["queues"] == []


def test_empty_is_said_with_one_node_dead_and_not_with_two(home: Home) -> None:
    ask("up", "-n", "5")
    dsectl("queue", "create", "jobs")
    dsectl("kill", "n4")
    assert ask("receive", "jobs") == {"messages": [], "shards_unreachable": []}
    dsectl("kill", "n5")
    said = ask("receive", "jobs", code=3)
    assert said["shards_unreachable"] and said["messages"] == [] and said["error"]["code"] == "inconclusive"
    assert "may hold some" in Done("receive", "jobs").err
    dsectl("restart", "--all")
    until(lambda: Done("receive", "jobs").code == 0)


def test_a_consumer_works_through_a_killed_node_and_drains(home: Home) -> None:
    """Every message is worked on; what its consumers hold at the end they give back."""
    ask("up", "-n", "3")
    dsectl("queue", "create", "jobs", "--visibility", "2s")
    seen: dict[bytes, int] = {}

    async def work() -> None:
        async with cluster.connect("default") as c:
            jobs = c.queues["jobs"]
            for begin in range(0, 300, 50):
                results = await jobs.send_batch([b"%d" % number for number in range(begin, begin + 50)])
                assert all(result.error is None for result in results)
            consumer = jobs.consume(concurrency=16)

            async def handle(message: QueueMessage) -> None:
                seen[message.body] = seen.get(message.body, 0) + 1
                if len(seen) == 100:
                    await asyncio.to_thread(dsectl, "kill", "n2")
                if len(seen) == 300:
                    consumer.stop()

            await consumer.run(handle)
            assert consumer.returned == 0

    asyncio.run(asyncio.wait_for(work(), 60.0))
    assert len(seen) == 300
    dsectl("restart", "n2")
    until(lambda: ask("receive", "jobs", "--until-empty", "--ack")["messages"] == [], 30.0)
