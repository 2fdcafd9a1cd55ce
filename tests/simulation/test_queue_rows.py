"""The rows of a shard: nothing is lost and nothing comes back, and what is over takes no room."""

import pytest

from cluster.errors import ClusterError, StorageFull
from cluster.queues import rows
from cluster.replication.hints import HintKey
from cluster.replication.mergeable import MARK, TABLE_QUEUES
from cluster.simulation.fleet import Fleet
from tests.simulation.queueitems import ShardItems
from tests.simulation.safeguards.growth import add, hold
from tests.simulation.safeguards.scenes import boot, crash_and_wait, settle

SOON_S = 30.0


def hint_rows(fleet: Fleet, name: str) -> list[bytes]:
    hints = fleet.nodes[name].replication.context.hints
    return [blob for target in hints.by_target() for _, blob in hints.waiting_for(target, lambda hint: True, 10_000)]


def stored(fleet: Fleet) -> int:
    return sum(node.store.count(TABLE_QUEUES, partition) for node in fleet.nodes.values() for partition in range(256))


def test_what_is_done_takes_the_room_of_its_bits(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, other, _ = items.owners
        for _ in range(20):
            items.accept(one, 250)
            items.accept(other, 7)
        items.run()
        assert len(items.accepted) == 20 * 257 and items.equal()
        assert all(items.undone(name) == items.left() for name in items.owners)
        names = items.left()
        fleet.world.random("test").shuffle(names)
        for place in range(0, len(names), 100):
            items.finish(items.owners[place % 3], names[place : place + 100])
            fleet.world.run_for(0.01)
        fleet.until(lambda: not any(items.shard(name).depth for name in items.owners), SOON_S)
        items.run()
        assert items.equal()
        assert len(items.rows(one)) == 3, "a floor and a chunk of one actor, a chunk of the other"


@pytest.mark.parametrize("done_meanwhile", [False, True])
def test_an_owner_that_was_away_has_one_mark_and_then_all_rows(seed: int, done_meanwhile: bool) -> None:
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, other, away = items.owners
        for _ in range(10):
            items.accept(one, 10)
        items.run()
        crash_and_wait(fleet, away)
        for _ in range(100):
            items.accept(one, 3)
        items.run()
        if done_meanwhile:
            items.finish_all(one)
        assert len(items.accepted) == 400
        assert hint_rows(fleet, one) == [MARK] and not hint_rows(fleet, other)
        boot(fleet, away)
        settle(fleet)
        assert items.undone(away) == items.left() == ([] if done_meanwhile else sorted(items.accepted))
        fleet.until(items.equal, SOON_S)
        assert not any(hint_rows(fleet, name) for name in fleet.up)


def test_a_mark_that_is_raised_again_is_kept_no_sooner_than_it_is_in_the_log(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        node = fleet.nodes["n1"]
        hints, mark = node.replication.context.hints, HintKey("n2", TABLE_QUEUES, 0, "1.0/")
        kept: list[ClusterError | None] = []
        at_once: list[int] = []

        def add_twice() -> None:
            hints.add(mark, MARK, kept.append)
            hints.add(mark, MARK, kept.append)
            at_once.append(len(kept))

        fleet.world.disk("n1").full_after(0)
        node.env.clock.call_soon(add_twice)
        fleet.until(lambda: len(kept) == 2)
        assert at_once == [0] and all(isinstance(error, StorageFull) for error in kept), kept
        assert hints.get(mark) is None


def test_a_mark_that_is_raised_again_while_it_is_delivered_stays(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, _, away = items.owners
        for _ in range(3):
            crash_and_wait(fleet, away)
            for _ in range(300):
                items.accept(one, 1)
            items.run()
            boot(fleet, away)
            fleet.until(lambda: not fleet.hints(one) or items.shard(away).depth > 0, SOON_S)
            crash_and_wait(fleet, away)
            items.accept(one, 5)
            items.run()
            boot(fleet, away)
            settle(fleet)
            assert items.undone(away) == items.left()


def test_with_too_few_owners_fallbacks_keep_the_rows_themselves(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, *away = items.owners
        crash_and_wait(fleet, *away)
        for _ in range(20):
            items.accept(one, 2)
        items.run()
        assert len(items.accepted) == 40
        copies = [blob for name in fleet.up if name != one for blob in hint_rows(fleet, name)]
        assert copies and MARK not in copies
        boot(fleet, *away)
        settle(fleet)
        assert all(items.undone(name) == items.left() for name in items.owners)


def test_rows_of_boots_that_have_ended_are_collected_once_nothing_of_them_lives(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, other, third = items.owners
        for name in items.owners:
            items.accept(name, 200)
            items.accept(name, 200)
        items.run()
        kept = [(actor, number) for actor, number in items.left() if number == 399][:1]
        items.finish(one, [name for name in items.left() if name not in kept])
        items.run()
        for name in (one, other, third):
            crash_and_wait(fleet, name)
            boot(fleet, name)
            settle(fleet)
        fleet.until(lambda: len(items.rows(one)) == 2, SOON_S)
        fleet.world.run_for(20.0)
        assert items.equal() and all(items.undone(name) == kept for name in items.owners)
        items.finish_all(other)
        fleet.until(lambda: stored(fleet) == 0, 2 * SOON_S)
        assert all(not items.shard(name).done for name in items.owners)


def test_a_copy_that_comes_after_its_actor_was_collected_is_no_news(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, other, _ = items.owners
        items.accept(one, 3)
        items.run()
        (key, late), *_ = items.rows(one).items()
        items.finish_all(one)
        crash_and_wait(fleet, one)
        boot(fleet, one)
        settle(fleet)
        fleet.until(lambda: stored(fleet) == 0, 2 * SOON_S)
        context = fleet.nodes[other].replication.context
        assert context.news(TABLE_QUEUES, items.partition, key, late) is None


def test_the_rows_of_a_deleted_queue_are_dropped_everywhere(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, _, away = items.owners
        for _ in range(300):
            items.accept(one, 2)
        items.run()
        crash_and_wait(fleet, away)
        items.accept(one, 2)
        items.run()
        fleet.wait(fleet.ask(one, "delete-queue", {"name": "jobs"}))
        fleet.until(lambda: stored(fleet) == 0, SOON_S)
        boot(fleet, away)
        settle(fleet)
        fleet.until(lambda: stored(fleet) == 0, SOON_S)
        items.accept(one, 1)
        items.run()
        assert items.rows(items.owners[1]) == {}, "nothing of it is wanted any more"


def test_a_shard_moves_with_its_partition(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        items = ShardItems(fleet)
        via = items.owners[0]
        for _ in range(50):
            items.accept(via, 20)
        items.run()
        items.finish(via, [name for name in items.left() if name[1] % 3])
        items.run()
        for _ in range(3):
            named = fleet.wait(fleet.add(1, via=via), 20.0)
            assert named.error is None, named.error
            joins = next(name for name in fleet.nodes[via].view.members if name not in fleet.names)
            fleet.join(joins, via=via)
            fleet.until(fleet.settled, 120.0)
            items.run()
        fleet.until(items.equal, SOON_S)
        assert all(items.undone(name) == items.left() for name in items.owners)
        assert sum(1 for name in fleet.up if items.rows(name)) == 3
        assert all((name in items.owners) == bool(items.shard(name).depth) for name in fleet.up)


def test_while_owners_change_a_mark_is_enough_only_if_those_to_come_suffice_too(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        shards = [ShardItems(fleet, number) for number in range(8)]
        hold(fleet, True)
        add(fleet, "n1", "n6")
        fleet.until(lambda: "n6" in fleet.nodes and all(node.view.moving for node in fleet.nodes.values()), 10.0)
        view = fleet.nodes["n1"].view
        items = next(one for one in shards if "n6" in view.coming(one.partition))
        one, away = [name for name in items.owners if name in view.coming(items.partition)]
        crash_and_wait(fleet, away, "n6")
        for _ in range(5):
            items.accept(one, 2)
        items.run()
        assert fleet.nodes[one].view.moving and len(items.accepted) == 10


def test_a_node_that_boots_finds_all_that_it_had(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        items = ShardItems(fleet)
        one = items.owners[0]
        items.accept(one, 100)
        items.run()
        items.finish(one, items.left()[::2])
        items.run()
        before = {name: (items.undone(name), items.rows(name)) for name in items.owners}
        for name in items.owners:
            fleet.crash(name)
        boot(fleet, *items.fleet.names)
        assert {name: (items.undone(name), items.rows(name)) for name in items.owners} == before
        assert rows.parse_key(next(iter(before[one][1]))).queue == items.queue
