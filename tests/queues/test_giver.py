"""What a giver gives: each item once at a time, until it is done with; and what it need not remember."""

from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.queues import giver
from cluster.queues.giver import Giver, HeldItem, Taken
from cluster.queues.rows import (
    KIND_BITS,
    KIND_BLOCK,
    KIND_DEDUP,
    KIND_NOTES,
    Dedup,
    Item,
    ItemBlock,
    LeaseNote,
    RowKey,
    dedup_hash,
    encode_bits,
    encode_block,
    encode_dedup,
    encode_notes,
    item_id,
)
from cluster.queues.shard import LiveBlock, Shard

ACTOR = "n1-5f3a9c1e.1.0"
WALL_MS = 1_700_000_000_000
VISIBILITY_S = 30.0


class Scene:
    """A shard, and who gives of it."""

    def __init__(self, *givers: str) -> None:
        self.shard = Shard(1, 0)
        self.blocks: dict[tuple[str, int], ItemBlock] = {}
        self.now = 100.0
        self.woken = 0
        self.counter = count(1)
        self.giver = self.successor("n1")

    def successor(self, name: str) -> Giver:
        """Another node gives, which has the same rows."""

        def woken(queue: int) -> None:
            self.woken += 1

        def load(block: LiveBlock) -> ItemBlock | None:
            return self.blocks.get((block.actor, block.first))

        self.giver = Giver(self.shard, name, 1, self.counter, load, woken)
        return self.giver

    def send(self, first: int, *items: Item, retention_s: float = 3600.0, actor: str = ACTOR) -> None:
        wall_ms = WALL_MS + int(self.now * 1000)
        ends_ms = wall_ms + int(retention_s * 1000)
        self.blocks[actor, first] = ItemBlock(
            wall_ms, ends_ms, len(items), 0, min(item.delay_ms for item in items), list(items)
        )
        self.shard.put(RowKey(1, 0, KIND_BLOCK, actor, first), encode_block(wall_ms, ends_ms, list(items)), self.now)

    def take(self, most: int = 10, max_receives: int = 0, expires: bool = True) -> Taken:
        wall_ms = WALL_MS + int(self.now * 1000)
        taken = self.giver.take(most, self.now, wall_ms, VISIBILITY_S, max_receives=max_receives, expires=expires)
        for held, _, _ in (*taken.leases, *taken.overdue):
            self.note(held, self.giver.note_of(held, self.now))
        return taken

    def leave_and_come_back(self) -> None:
        """The partition goes to another node, and comes back with all that it has."""
        blocks = {name: block.notes for name, block in self.shard.blocks.items()}
        for actor, first in blocks:
            self.shard.drop(RowKey(1, 0, KIND_BLOCK, actor, first))
        for actor, first in blocks:
            block = self.blocks[actor, first]
            blob = encode_block(block.accepted_ms, block.expires_ms, block.items)
            self.shard.put(RowKey(1, 0, KIND_BLOCK, actor, first), blob, self.now)
            if notes := blocks[actor, first]:
                self.shard.put(RowKey(1, 0, KIND_NOTES, actor, first), encode_notes(notes), self.now)

    def bodies(self, most: int = 10) -> list[bytes]:
        return [item.body for _, _, item in self.take(most).leases]

    def note(self, held: HeldItem, note: LeaseNote) -> None:
        notes = {**held.block.notes, held.index: note}
        key = RowKey(1, 0, KIND_NOTES, held.block.actor, held.block.first)
        self.shard.put(key, encode_notes(notes), self.now)

    def ack(self, *numbers: int) -> None:
        bits = sum(1 << number for number in numbers)
        self.shard.put(RowKey(1, 0, KIND_BITS, ACTOR, 0), encode_bits(bits), self.now)


def item(text: str, delay_ms: int = 0, dedup_id: str = "") -> Item:
    return Item(text.encode(), None, delay_ms, dedup_id)


def test_items_are_given_in_the_order_in_which_they_came_and_once() -> None:
    scene = Scene()
    scene.send(0, item("a"), item("b"))
    scene.send(2, item("c"))
    assert scene.bodies(2) == [b"a", b"b"]
    assert scene.bodies() == [b"c"]
    assert scene.bodies() == []
    assert scene.giver.in_flight(scene.now) == 3
    scene.send(3, item("d"))
    assert scene.woken and scene.bodies() == [b"d"]


def test_an_item_is_given_again_once_its_lease_has_ended_and_not_once_it_is_done_with() -> None:
    scene = Scene()
    scene.send(0, item("a"), item("b"))
    scene.take()
    scene.ack(1)
    assert scene.giver.in_flight(scene.now) == 1
    assert scene.giver.next_at() == scene.now + VISIBILITY_S
    scene.now += VISIBILITY_S
    [(held, _, again)] = scene.take().leases
    assert (again.body, held.attempt, scene.giver.redelivered) == (b"a", 2, 1)


@pytest.mark.parametrize("rests", [False, True])
def test_a_lease_that_has_ended_is_not_in_flight_though_nobody_receives(rests: bool) -> None:
    """A consumer died: who decides by these figures whether to start another one must see that there is work."""
    scene = Scene()
    scene.send(0, item("a"), item("b"))
    scene.take(1)
    if rests:
        scene.giver.rest()
    assert scene.giver.in_flight(scene.now) == 1
    scene.now += VISIBILITY_S
    assert scene.giver.in_flight(scene.now) == 0
    taken = scene.take()
    assert sorted((one.body, held.attempt) for held, _, one in taken.leases) == [(b"a", 2), (b"b", 1)]


def test_an_item_that_is_done_with_before_it_was_given_never_is() -> None:
    scene = Scene()
    scene.send(0, item("a"), item("b"), item("c"))
    assert scene.bodies(1) == [b"a"]  # the block is open
    scene.ack(1)
    assert scene.bodies() == [b"c"]


def test_only_the_current_lease_is_one() -> None:
    scene = Scene()
    scene.send(0, item("a"))
    [(held, _, _)] = scene.take().leases
    first = held.counter
    assert scene.giver.lease(ACTOR, 0, first, scene.now) is held
    assert scene.giver.lease(ACTOR, 0, first, scene.now + VISIBILITY_S) is None
    scene.now += VISIBILITY_S
    [(held, _, _)] = scene.take().leases
    assert scene.giver.lease(ACTOR, 0, first, scene.now) is None
    assert scene.giver.lease(ACTOR, 0, held.counter, scene.now) is held


@pytest.mark.parametrize("delay_s", [0.0, 5.0])
def test_what_is_put_back_is_given_again_after_the_delay(delay_s: float) -> None:
    scene = Scene()
    scene.send(0, item("a"))
    [(held, _, _)] = scene.take().leases
    scene.note(held, scene.giver.put_back(held, scene.now, delay_s))
    assert scene.giver.in_flight(scene.now) == 0
    if delay_s:
        assert scene.bodies() == []
        scene.now += delay_s
    [(again, _, _)] = scene.take().leases
    assert again.attempt == 2


def test_an_extended_lease_ends_later() -> None:
    scene = Scene()
    scene.send(0, item("a"))
    [(held, _, _)] = scene.take().leases
    scene.now += VISIBILITY_S - 1
    scene.note(held, scene.giver.extend(held, scene.now, VISIBILITY_S))
    scene.now += VISIBILITY_S - 1
    assert scene.bodies() == []
    assert scene.giver.lease(ACTOR, 0, held.counter, scene.now) is held
    scene.now += 1
    assert scene.bodies() == [b"a"]


def test_a_lease_that_reached_nobody_does_not_count() -> None:
    scene = Scene()
    scene.send(0, item("a"))
    for name in ("n1", "n2"):
        [(held, _, _)] = scene.take(max_receives=1).leases
        assert held.attempt == 1
        scene.note(held, scene.giver.release(held))
        scene.successor(name)


def test_what_was_delivered_too_often_is_leased_to_nobody() -> None:
    scene = Scene()
    scene.send(0, item("a"))
    for _ in range(2):
        assert len(scene.take(max_receives=2).leases) == 1
        scene.now += VISIBILITY_S
    taken = scene.take(max_receives=2)
    assert taken.leases == [] and [held.attempt for held, _, _ in taken.overdue] == [3]
    scene.now += VISIBILITY_S  # it could not be sent: it is tried again
    assert len(scene.take(max_receives=2).overdue) == 1


def test_what_has_expired_is_not_given_unless_the_clock_may_be_wrong() -> None:
    scene = Scene()
    scene.send(0, item("a"), retention_s=10.0)
    scene.now += 11
    assert scene.take(expires=False).leases
    scene.now += VISIBILITY_S
    taken = scene.take()
    assert taken.leases == [] and [(block.first, index) for block, index in taken.expired] == [(0, 0)]


def test_a_delayed_block_is_not_opened_before_any_of_it_is_due() -> None:
    scene = Scene()
    scene.send(0, item("a", 5000), item("b", 9000))
    scene.send(2, item("c"))
    assert scene.bodies() == [b"c"]
    scene.now += 5
    assert scene.bodies() == [b"a"]
    scene.now += 4
    assert scene.bodies() == [b"b"]


def test_a_clock_that_is_wrong_delays_by_the_delay_at_most() -> None:
    scene = Scene()
    scene.send(0, item("a", 5000))
    wall_ms = WALL_MS - 3_600_000
    assert scene.giver.take(1, scene.now, wall_ms, VISIBILITY_S).leases == []
    assert len(scene.giver.take(1, scene.now + 5, wall_ms, VISIBILITY_S).leases) == 1


def test_much_that_is_not_due_or_ends_does_not_hold_up_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giver, "STEPS_MAX", 10)
    monkeypatch.setattr(giver, "ENDED_MAX", 10)
    scene = Scene()
    for number in range(11):
        scene.send(number, item("later", 5000))
    scene.send(11, *(item(str(number)) for number in range(11)), retention_s=-1.0)
    scene.send(22, item("now"))
    taken = scene.take()
    assert taken.leases == [] and taken.more
    taken = scene.take()
    assert taken.leases == [] and len(taken.expired) == 10 and taken.more
    assert scene.bodies() == [b"now"]


def test_a_successor_waits_for_the_leases_of_its_predecessor_and_counts_on() -> None:
    scene = Scene()
    scene.send(0, item("a"), item("b"))
    assert scene.bodies(1) == [b"a"]
    scene.successor("n2")
    assert scene.bodies() == [b"b"]
    scene.now += VISIBILITY_S
    attempts = {found.body: held.attempt for held, _, found in scene.take().leases}
    assert attempts == {b"a": 2, b"b": 2}


def test_a_giver_that_another_gave_for_meanwhile_waits_and_counts_on() -> None:
    scene = Scene()
    scene.send(0, item("a"))
    first = scene.giver
    scene.take()
    scene.now += VISIBILITY_S
    scene.successor("n2")
    assert [held.attempt for held, _, _ in scene.take().leases] == [2]
    scene.giver = first
    assert scene.take().leases == []
    scene.now += VISIBILITY_S
    assert [held.attempt for held, _, _ in scene.take().leases] == [3]


def test_a_giver_that_rests_keeps_its_leases_and_finds_the_rest_again() -> None:
    scene = Scene()
    scene.send(0, *(item(text) for text in "abcd"))
    leases = scene.take(3).leases
    scene.note(leases[1][0], scene.giver.put_back(leases[1][0], scene.now, 7.0))
    scene.note(leases[2][0], scene.giver.put_back(leases[2][0], scene.now, 0.0))
    scene.giver.rest()
    scene.send(4, item("e"))
    assert scene.giver.lease(ACTOR, 0, leases[0][0].counter, scene.now) is leases[0][0]
    assert scene.bodies() == [b"c", b"d", b"e"]
    scene.now += 7
    assert scene.bodies() == [b"b"]
    scene.now += VISIBILITY_S - 7
    assert scene.bodies() == [b"a", b"c", b"d", b"e"]


OTHER = "n0-00000000.1.0"


def accepted_apart(scene: Scene, stands: str, other: str) -> None:
    row = encode_dedup(Dedup(item_id(1, 0, stands, 0), WALL_MS, others=(item_id(1, 0, other, 0),)))
    scene.shard.put(RowKey(1, 0, KIND_DEDUP, dedup_hash("x"), 0), row, scene.now)


def test_of_two_items_with_one_deduplication_id_one_is_given_and_the_other_ends_with_it() -> None:
    scene = Scene()
    scene.send(0, item("a", dedup_id="x"))
    scene.send(0, item("b", dedup_id="x"), actor=OTHER)
    accepted_apart(scene, OTHER, ACTOR)
    taken = scene.take()
    assert [found.body for _, _, found in taken.leases] == [b"b"]
    assert taken.repeated == [] and scene.giver.repeated() == []
    scene.shard.put(RowKey(1, 0, KIND_BITS, OTHER, 0), encode_bits(1), scene.now)
    assert [(block.actor, index) for block, index in scene.giver.repeated()] == [(ACTOR, 0)]


def test_whichever_item_stands_for_its_deduplication_id_in_the_end_is_there_to_be_given() -> None:
    scene = Scene()
    scene.send(0, item("a", dedup_id="x"))
    scene.send(0, item("b", dedup_id="x"), actor=OTHER)
    accepted_apart(scene, OTHER, ACTOR)
    assert [found.body for _, _, found in scene.take().leases] == [b"b"]
    accepted_apart(scene, ACTOR, OTHER)  # more has come together
    scene.now += VISIBILITY_S
    taken = scene.take()
    assert [found.body for _, _, found in taken.leases] == [b"a"] and taken.repeated == []


def test_of_two_items_with_one_deduplication_id_none_is_given_once_one_is_done_with() -> None:
    scene = Scene()
    scene.send(0, item("a", dedup_id="x"))
    assert scene.bodies() == [b"a"]
    scene.ack(0)
    scene.send(0, item("b", dedup_id="x"), actor=OTHER)  # its node was away with it
    accepted_apart(scene, OTHER, ACTOR)
    taken = scene.take()
    assert taken.leases == [] and [block.actor for block, _ in taken.repeated] == [OTHER]


def test_timers_of_what_is_done_with_do_not_pile_up() -> None:
    scene = Scene()
    for number in range(3000):
        scene.send(number, item("a"))
        scene.take()
        scene.shard.put(RowKey(1, 0, KIND_BITS, ACTOR, number // 4096), encode_bits((1 << number + 1) - 1), scene.now)
    assert len(scene.giver._timers) < 2000


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_is_given_to_two_and_everything_is_in_the_end(seed: int) -> None:
    random, scene = Random(seed), Scene()
    givers = {"n1": scene.giver}
    sent, acked, leased = 0, set[int](), dict[int, float]()
    for _ in range(60):
        act = random.choice(("send", "take", "take", "ack", "back", "extend", "rest", "wait", "count"))
        held = [(number, giver._held[ACTOR, number]) for giver in givers.values() for number in leased
                if (ACTOR, number) in giver._held and giver._held[ACTOR, number].leased]  # fmt: skip
        if act == "send":
            items = [item(str(sent + n), random.choice((0, 0, 0, 3000))) for n in range(random.randint(1, 5))]
            scene.send(sent, *items)
            sent += len(items)
        elif act == "take":
            for lease, _, found in scene.take(random.randint(1, 6)).leases:
                number = int(found.body)
                assert number not in acked and leased.get(number, 0.0) <= scene.now
                leased[number] = lease.until
        elif act == "ack" and leased:
            number = random.choice(list(leased))
            acked.add(number)
            scene.ack(number)
        elif act in ("back", "extend") and held:
            number, one = random.choice(held)
            if one.until > scene.now:
                if act == "back":
                    scene.note(one, scene.giver.put_back(one, scene.now, random.choice((0.0, 4.0))))
                    leased[number] = 0.0
                else:
                    scene.note(one, scene.giver.extend(one, scene.now, VISIBILITY_S))
                    leased[number] = one.until
        elif act == "rest":
            scene.giver.rest()
        elif act == "count":
            running = sum(until > scene.now for number, until in leased.items() if number not in acked)
            assert scene.giver.in_flight(scene.now) == running
        elif act == "wait":
            scene.now += random.choice((1.0, 5.0, VISIBILITY_S))
    scene.now += 2 * VISIBILITY_S
    given_last: set[int] = set()
    while leases := scene.take().leases:
        given_last |= {int(found.body) for _, _, found in leases}
    assert given_last == set(range(sent)) - acked
    if given_last:
        scene.ack(*given_last)
    assert scene.giver.in_flight(scene.now) == 0 and not scene.giver._held and scene.shard.depth == 0


def test_a_shard_that_left_and_came_back_is_walked_anew_and_nothing_is_given_twice() -> None:
    """What it was is another object, which nobody feeds any more: its items would be given whatever becomes of them."""
    scene = Scene("n1")
    scene.send(0, Item(b"a"), Item(b"b"), Item(b"c"))
    scene.send(3, Item(b"d"))
    assert scene.bodies(2) == [b"a", b"b"]
    scene.leave_and_come_back()
    assert sorted(scene.bodies()) == [b"c", b"d"], "the leases run on, as they were noted"
    scene.shard.put(RowKey(1, 0, KIND_BITS, ACTOR, 0), encode_bits(0b0001), scene.now)
    scene.now += VISIBILITY_S + 1
    assert sorted(scene.bodies()) == [b"b", b"c", b"d"] and scene.giver.in_flight(scene.now) == 3
