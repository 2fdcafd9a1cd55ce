"""Rules of queues that have one moment each, too rare for the workload of `test_queues` to meet it surely."""

from collections.abc import Callable

import pytest

from cluster.queues import sending
from cluster.queues.rows import CHUNK_BITS, bits_key, decode_bits, parse_item_id, partition_of_shard, place_of
from cluster.replication.mergeable import TABLE_QUEUES
from tests.simulation.test_queue_node import SOON_S, acked, answer, depth, drain, fleet_with, owners, received, sent


def test_a_giver_that_cannot_keep_what_it_lacks_hides_nothing(seed: int) -> None:
    """Its disk is full, which it learns when it is repaired: then another owner gives."""
    with fleet_with(seed, shards=1) as fleet:
        giver, other, third = owners(fleet, 0)
        fleet.world.partition([[giver], [other, third]])
        sent(fleet, other, b"a")
        fleet.world.disk(giver).full_after(0)
        fleet.world.heal()
        assert not fleet.nodes[giver].store.full
        found = answer(fleet.wait(fleet.receive(giver, "jobs", 10, timeout=5.0)))
        assert [message.body for message in found.messages] == [b"a"]


def test_what_cannot_be_repaired_at_an_owner_makes_no_queue_empty(seed: int) -> None:
    """Its disk is full, which it learns when it is to take what it lacks."""
    with fleet_with(seed, shards=1) as fleet:
        giver, _, third = owners(fleet, 0)
        sent(fleet, giver, b"a")
        assert len(received(fleet, giver)) == 1
        node = fleet.nodes[third]
        [queue] = node.defined.by_name.values()
        for key, _ in node.queues.looking.rows(queue.id, 0, 100):
            node.store.put(TABLE_QUEUES, partition_of_shard(queue.id, 0), key, None, None)
        fleet.world.run_for(0.001)
        fleet.world.disk(third).full_after(0)
        found = answer(fleet.wait(fleet.receive(giver, "jobs", 10, timeout=5.0)))
        assert (found.messages, found.shards_unreachable) == ([], [0])


def test_an_owner_whose_disk_is_full_gives_nothing_and_keeps_no_queue_from_being_empty(seed: int) -> None:
    """It cannot note what is acknowledged, and would deliver that again with the end of each lease."""
    with fleet_with(seed, shards=1, visibility_s=2.0) as fleet:
        giver, other, _ = owners(fleet, 0)
        sent(fleet, other, b"a", b"b")
        messages = received(fleet, giver)
        fleet.fault("disk-full", nodes=[giver])
        fleet.until(lambda: fleet.nodes[giver].faults.disk is not None)
        assert acked(fleet, other, messages) == ["ok", "ok"]
        for _ in range(4):
            fleet.world.run_for(2.0)
            for via in (giver, other):
                found = answer(fleet.wait(fleet.receive(via, "jobs", 10, timeout=5.0)))
                assert (found.messages, found.shards_unreachable) == ([], []), via
        sent(fleet, giver, b"c")
        assert drain(fleet, giver) == [b"c"]
        fleet.heal()
        fleet.until(fleet.settled, 60.0)
        assert drain(fleet, giver) == []


def test_where_the_disks_of_all_owners_are_full_one_gives_all_the_same(seed: int) -> None:
    with fleet_with(seed, shards=1) as fleet:
        sent(fleet, "n1", b"a")
        for name in fleet.nodes:
            fleet.world.disk(name).full_after(0)
        fleet.wait(fleet.send("n1", "jobs", [b"b"]))
        assert all(node.store.full for node in fleet.nodes.values())
        assert [message.body for message in received(fleet, "n1")] == [b"a"]


def test_a_node_whose_disk_is_full_accepts_nothing_while_another_owner_can(seed: int) -> None:
    """It keeps no row, and would need a new name for each."""
    with fleet_with(seed, shards=1) as fleet:
        full, *_ = owners(fleet, 0)
        fleet.world.disk(full).full_after(0)
        sent(fleet, full, b"one")
        assert fleet.nodes[full].store.full
        ids = [result[0] for result in sent(fleet, full, b"two") + sent(fleet, full, b"three")]
        assert all(parse_item_id(id).actor.partition("-")[0] != full for id in ids), ids
        fleet.world.disk(full).full_after(None)
        fleet.until(fleet.settled, 60.0)
        assert sorted(drain(fleet, full)) == [b"one", b"three", b"two"]


@pytest.mark.parametrize("count", [1, 2])
def test_an_acknowledgement_goes_to_others_when_owners_fall_silent(seed: int, count: int) -> None:
    with fleet_with(seed, 5, shards=1) as fleet:
        silent, others = owners(fleet, 0)[:count], owners(fleet, 0)[count:]
        [via, *_] = sorted(fleet.nodes.keys() - {*silent, *others})
        sent(fleet, via, b"a")
        messages = received(fleet, via)
        for name in silent:
            fleet.world.pause(name)
        assert acked(fleet, via, messages) == (["ok"] if count == 1 else ["ok-sloppy"])
        for name in silent:
            fleet.world.resume(name)
        fleet.until(fleet.settled, 60.0)
        assert drain(fleet, via) == []


def test_an_acknowledgement_that_an_owner_may_have_set_is_not_refused_by_the_next(seed: int) -> None:
    """The first one's answer is lost; it can be asked by the next one, and no disk takes anything."""
    with fleet_with(seed, 5, shards=1) as fleet:
        first, *others = owners(fleet, 0)
        [via, *_] = sorted(fleet.nodes.keys() - {first, *others})
        sent(fleet, via, b"a")
        messages = received(fleet, via)
        for name in fleet.nodes:
            fleet.world.disk(name).full_after(0)
        fleet.world.partition([[first], [via]], one_way=True)
        assert acked(fleet, via, messages) == ["maybe"]


def test_what_comes_for_a_receive_that_has_gone_is_given_again_at_once(seed: int) -> None:
    with fleet_with(seed, 5, shards=1) as fleet:
        giver = owners(fleet, 0)[0]
        via = next(name for name in fleet.names if name not in owners(fleet, 0))
        sent(fleet, giver, b"a")
        gone, asked = fleet.receive(via, "jobs", 1, timeout=5.0), list[str]()

        def call_off(function: Callable[[], None]) -> None:
            asked.append(giver)
            function()  # the giver has been asked, and has not answered

        gone.on_cancel = call_off  # type: ignore[method-assign]
        fleet.world.run_for(0.5)
        assert asked
        [message] = received(fleet, giver)
        assert message.attempt == 1


def test_a_node_numbers_from_the_first_on_once_numbers_may_be_missing(seed: int) -> None:
    """Or the floor of its present name would never rise."""
    with fleet_with(seed, shards=1) as fleet:
        via = owners(fleet, 0)[1]
        first = parse_item_id(sent(fleet, via, b"a")[0][0])
        fleet.nodes[via].queues.context.renew()
        second = parse_item_id(sent(fleet, via, b"b")[0][0])
        assert (first.number, second.number) == (0, 0) and first.actor != second.actor


def test_a_shard_takes_so_many_bytes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "QUEUE_SHARD_BYTES_MAX", 1000)
    with fleet_with(seed, shards=1) as fleet:
        via = owners(fleet, 0)[0]
        sent(fleet, via, bytes(1000))
        refused = fleet.wait(fleet.send(via, "jobs", [b"x"]))
        assert refused.error is not None and refused.error.code == "queue-full"


def test_a_giver_whose_clock_is_somewhat_wrong_ends_nothing(seed: int) -> None:
    """By so little that it is not corrected by its peers'."""
    with fleet_with(seed, shards=1, retention_s=20.0) as fleet:
        giver, other, _ = owners(fleet, 0)
        fleet.world.run_for(3.0)
        sent(fleet, other, b"a")
        fleet.fault("clock", nodes=[giver], skew_ms=30_000.0)
        fleet.world.run_for(5.0)
        assert drain(fleet, other) == [b"a"]


def test_a_purge_ends_more_than_a_chunk_of_bits_has(seed: int) -> None:
    with fleet_with(seed, shards=1) as fleet:
        via = owners(fleet, 0)[0]
        for _ in range(CHUNK_BITS // 256 + 1):
            sent(fleet, via, *([b"x"] * 256))
        fleet.wait(fleet.ask(via, "purge-queue", {"name": "jobs"}))
        fleet.until(lambda: set(depth(fleet)) == {0}, SOON_S)


def test_what_is_redriven_twice_is_one_message(seed: int) -> None:
    """It has the id of the dead letter, should that be sent again because it could not be marked."""
    with fleet_with(seed, shards=1) as fleet:
        fleet.wait(fleet.create_queue("n1", "other"))
        [(id, *_)] = sent(fleet, "n1", b"a")
        fleet.wait(fleet.ask("n2", "redrive-queue", {"name": "jobs", "to": "other", "limit": 1}))
        [message] = received(fleet, "n3", queue="other")
        assert message.dedup_id == f"redrive:{id}"


def test_an_owner_keeps_what_was_acknowledged_before(seed: int) -> None:
    """An acknowledgement ships its own bits alone, and is joined to the others, also where it began."""
    with fleet_with(seed, shards=1) as fleet:
        via = owners(fleet, 0)[0]
        sent(fleet, via, b"a", b"b", b"c")
        messages = received(fleet, via)
        for message in messages[:2]:
            assert acked(fleet, via, [message]) == ["ok"]
        id = parse_item_id(messages[0].id)
        key = bits_key(id.queue, id.shard, id.actor, 0)
        fleet.until(lambda: not fleet.nodes[via].replication.writer.in_flight, SOON_S)
        for name, node in fleet.nodes.items():
            held = node.store.get(TABLE_QUEUES, place_of(key), key)
            assert held is not None and decode_bits(held).bit_count() == 2, name


def test_a_dead_letter_that_its_target_may_have_is_kept_until_it_surely_has_it(seed: int) -> None:
    with fleet_with(seed, shards=1) as fleet:
        fleet.wait(fleet.create_queue("n1", "dead", shards=1))
        fleet.wait(fleet.create_queue("n1", "work", shards=1, max_receives=1, dead_letter="dead", visibility_s=0.5))
        sent(fleet, "n1", b"a", queue="work")
        giver = next(name for name, node in fleet.nodes.items() if node.queues.stats("work")[0]["gives"])
        assert received(fleet, giver, queue="work")
        node = fleet.nodes[giver]
        maybe = [("q1-0-a.1.0-0", "maybe", 1, False, ("", ""))]
        deliver = node.queues.sending.deliver
        node.queues.sending.deliver = lambda *_, **__: _[3](maybe)  # type: ignore[method-assign]
        fleet.world.run_for(1.0)
        assert received(fleet, giver, queue="work") == []
        fleet.world.run_for(1.0)
        assert depth(fleet, "work") == [1, 1, 1]
        node.queues.sending.deliver = deliver  # type: ignore[method-assign]
        assert received(fleet, giver, queue="work") == []
        fleet.until(lambda: set(depth(fleet, "work")) == {0}, SOON_S)
        assert drain(fleet, giver, "dead") == [b"a"]
