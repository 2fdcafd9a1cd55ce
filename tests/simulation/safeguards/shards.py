"""Rows of queues: an owner that was away lacks nothing when it votes, and what was done with does not come back."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.queues import rows
from cluster.queues.queuerows import QueueRows
from cluster.queues.shard import Shard
from cluster.replication.hints import HintStore
from cluster.replication.marks import MarkDelivery
from cluster.replication.mergeable import MARK, TABLE_QUEUES
from cluster.simulation.fleet import Fleet
from tests.simulation.queueitems import ShardItems
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import boot, crash_and_wait, settle


def an_owner_was_away(seed: int) -> None:
    """It votes as soon as nobody holds a mark for it, long before owners compare what they have. Of what is done it has
    less than the others, of what was sent nothing."""
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, _, away = items.owners
        items.accept(one, 20)
        items.run()
        items.finish(one, items.undone(one)[:5])
        items.run()
        crash_and_wait(fleet, away)
        for _ in range(20):
            items.accept(one, 5)
        items.finish(one, items.undone(one)[:10])
        items.run()
        boot(fleet, away)
        settle(fleet)
        assert items.undone(away) == items.left()


def forget_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    add = HintStore.add

    def add_but_marks(self: HintStore, hint: Any, blob: bytes, done: Callable[[ClusterError | None], None]) -> None:
        if blob == MARK:
            done(None)
        else:
            add(self, hint, blob, done)

    monkeypatch.setattr(HintStore, "add", add_but_marks)


def a_mark_is_raised_while_it_is_delivered(seed: int) -> None:
    """The rows were looked at, and the owner misses one more before it has all of them."""
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, _, away = items.owners
        crash_and_wait(fleet, away)
        for _ in range(20):
            items.accept(one, 5)
        items.run()
        ended = MarkDelivery.start

        def missed_meanwhile(self: MarkDelivery) -> None:
            if self._more:
                ended(self)
                return
            context = self.context
            actor = f"{fleet.nodes[one].boot.id}.{fleet.nodes[one].boot.boot.epoch}.1"
            key = rows.block_key(items.queue, items.number, actor, 0)
            blob = rows.encode_block(1000, 10**15, [rows.Item(b"late")])
            if context.store.get(TABLE_QUEUES, items.partition, key) is None:
                context.store.put(TABLE_QUEUES, items.partition, key, blob, None)
                context.hints.add(self.mark, MARK, lambda error: None)
                items.accepted[actor, 0] = None
            ended(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MarkDelivery, "start", missed_meanwhile)
            boot(fleet, away)
            settle(fleet)
        assert items.undone(away) == items.left()


def count_no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HintStore, "raised", lambda self, hint: 0)


def a_copy_comes_after_its_boot_was_collected(seed: int) -> None:
    """As a node that lost the bits would bring it. Nobody has a row any more that says that it is done."""
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
        fleet.until(lambda: not any(items.rows(name) for name in items.owners), 60.0)
        node = fleet.nodes[other]

        def bring() -> None:
            news = node.replication.context.news(TABLE_QUEUES, items.partition, key, late)
            if news is not None:
                node.store.put(TABLE_QUEUES, items.partition, key, news, None)

        node.env.clock.call_soon(bring)
        items.run()
        assert not items.undone(other)


def take_all_for_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QueueRows, "unsettled", lambda self, blob, key, held, stable: blob)


def an_actor_with_an_item_left_is_of_an_ended_boot(seed: int) -> None:
    """All others of its items are done; who knows that must not forget it while one lives."""
    with Fleet.running(seed, 5) as fleet:
        items = ShardItems(fleet)
        one, other, _ = items.owners
        items.accept(one, 10)
        items.run()
        items.finish(one, items.undone(one)[:9])
        items.run()
        crash_and_wait(fleet, one)
        boot(fleet, one)
        settle(fleet)
        fleet.world.run_for(15.0)
        crash_and_wait(fleet, other)
        boot(fleet, other)
        settle(fleet)
        assert items.undone(other) == items.left()


def retire_whatever_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an ended boot alone made bits superfluous."""
    monkeypatch.setattr(Shard, "lives", lambda self, actor: False)


SAFEGUARDS = [
    Safeguard(
        "an owner that missed rows of a shard is marked",
        "An owner that votes has all that was acknowledged while it was away, acknowledgements included.",
        forget_marks,
        an_owner_was_away,
    ),
    Safeguard(
        "a mark that was raised again stays",
        "A mark goes only when the owner has all rows that were there when it was raised last.",
        count_no_marks,
        a_mark_is_raised_while_it_is_delivered,
    ),
    Safeguard(
        "a late copy of a collected boot is no news",
        "What was acknowledged is never delivered again, also when nothing is left that says so.",
        take_all_for_news,
        a_copy_comes_after_its_boot_was_collected,
    ),
    Safeguard(
        "bits stay while an item of their actor lives",
        "What was acknowledged is never delivered again, however old the boot that accepted it.",
        retire_whatever_lives,
        an_actor_with_an_item_left_is_of_an_ended_boot,
    ),
]
