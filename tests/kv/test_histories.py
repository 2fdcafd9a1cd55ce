"""Random histories of one key, against a model that knows every write ever made.

Two owners and a fallback take puts (with no context or one that any reader or writer was handed at any time), retries
of earlier operations, deletions and merges; the fallback delivers its hint and forgets it; all are killed, lose power,
or have a batch undone whose copies may have left. The model holds plain sets: what each has seen, and what of it is
alive. Clocks, clouds, contexts and actors are right exactly if they agree with it at every step, and then no write can
be lost. Other keys take numbers in between.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.env import Env
from cluster.kv.actors import Actors
from cluster.versions import (
    DOTS_MAX,
    EMPTY,
    Context,
    Dot,
    Versions,
    context_after,
    covers,
    decode,
    descends,
    encode,
    encode_clock,
    is_tombstone,
    merge,
    merge_blobs,
    proves_amnesia,
    put,
    replace_all,
    visible,
)
from tests.storage.memory_disk import MemoryDisk

place = st.integers(0, 2)
FALLBACK = 2
# A context is chosen by how far back it was handed out; none is a blind put.
context = st.none() | st.integers(0, 5) | st.integers(0, 40)
SAFE = (
    st.tuples(st.just("put"), place, context)
    | st.tuples(st.just("delete"), place, context)
    | st.tuples(st.just("retry"), place, st.integers(0, 10))
    | st.tuples(st.just("merge"), place, place)
    | st.tuples(st.just("deliver"), st.integers(0, 1), st.none())
    | st.tuples(st.just("kill"), place, st.none())
    | st.tuples(st.just("skip"), place, st.integers(1, 1000))
)
LOSSES = st.tuples(st.just("lose_power"), place, st.integers(1, 6)) | st.tuples(st.just("undo"), place, st.none())
STEPS = st.lists(SAFE | LOSSES, max_size=30)
SAFE_STEPS = st.lists(SAFE, max_size=30)
Step = tuple[str, int, int | None]


@dataclass
class Known:
    """The model of one replica: plain sets of dots."""

    seen: frozenset[Dot] = frozenset()
    alive: frozenset[Dot] = frozenset()


@dataclass
class Write:
    """An operation as its client sent it, and the dots that coordinators gave it."""

    operation: str
    context: tuple[Context, frozenset[Dot]] | None
    deleted: bool
    dots: list[Dot] = field(default_factory=list)


class Replica:
    """A node: its row (or, of the fallback, its hint), the model beside it, and all that it held before."""

    def __init__(self, number: int) -> None:
        self.id = f"n{number}"
        self.owner = number != FALLBACK
        self.disk = MemoryDisk()
        self.row, self.known = EMPTY, Known()
        self.before: list[tuple[Versions, Known]] = []
        self.epoch = self.machine = 0
        self.boot()

    def boot(self, lost: str = "") -> None:
        self.epoch += 1
        nothing: Any = None
        env = Env(nothing, Random(0), self.disk, nothing, nothing, f"boot {self.machine}")
        self.actors = Actors(env, self.id, self.epoch)
        self.actors.resume(lost)

    def hold(self, row: Versions, known: Known) -> None:
        self.before.append((self.row, self.known))
        self.row, self.known = row, known

    def go_back(self, steps: int) -> None:
        for _ in range(min(steps, len(self.before))):
            self.row, self.known = self.before.pop()


class History:
    """The replicas, and all that was ever reached."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.replicas = [Replica(number) for number in range(3)]
        self.dots: dict[Dot, Write] = {}
        self.contexts: list[tuple[Context, frozenset[Dot]]] = []
        self.writes: list[Write] = []
        self.reached = [EMPTY]
        for kind, at, argument in steps:
            getattr(self, kind)(at, argument)
            replica = self.replicas[at]
            self.contexts.append((Context(replica.row.clock, replica.row.cloud), replica.known.seen))
            self.reached.append(replica.row)
            self.check()

    # -- steps

    def put(self, at: int, back: int | None, deleted: bool = False) -> None:
        handed = self.contexts[-1 - back % len(self.contexts)] if self.contexts and back is not None else None
        self.writes.append(Write(f"op{len(self.writes)}", handed, deleted))
        self.apply(self.replicas[at], self.writes[-1])

    def delete(self, at: int, back: int | None) -> None:
        self.put(at, back, deleted=True)

    def retry(self, at: int, back: int) -> None:
        if self.writes:
            self.apply(self.replicas[at], self.writes[-1 - back % len(self.writes)])

    def merge(self, at: int, other: int) -> None:
        a, b = self.replicas[at], self.replicas[other]
        alive = (a.known.alive & b.known.alive) | (a.known.alive - b.known.seen) | (b.known.alive - a.known.seen)
        a.hold(merge(a.row, b.row), Known(a.known.seen | b.known.seen, alive))

    def deliver(self, at: int, _: None) -> None:
        """The fallback gives its hint to an owner, and keeps nothing."""
        self.merge(at, FALLBACK)
        self.replicas[FALLBACK].hold(EMPTY, Known())

    def skip(self, at: int, numbers: int) -> None:
        """Writes of other keys."""
        self.replicas[at].actors.number += numbers

    def kill(self, at: int, _: None) -> None:
        """SIGKILL: what the kernel was given is there."""
        self.replicas[at].boot()

    def lose_power(self, at: int, steps: int) -> None:
        """Some of what it held last is gone; others may have copies."""
        self.replicas[at].go_back(steps)
        self.replicas[at].machine += 1
        self.replicas[at].boot()

    def undo(self, at: int, _: None) -> None:
        """The log refused a batch; its copies may have left."""
        self.replicas[at].go_back(1)
        self.replicas[at].actors.renew()

    def apply(self, at: Replica, write: Write) -> None:
        """What the coordinator does, and the model."""
        if any(dot in at.known.alive for dot in write.dots):
            assert put(at.row, "any", 1, None, write.operation, 0, b"") is at.row
            return
        context, superseded = write.context or (None, frozenset())
        actors = at.actors
        number = actors.number = actors.number + 1
        actor = actors.actor if at.owner else actors.for_fallback("key", at.row.clock)
        if proves_amnesia(at.row, actor, number, context):
            assert not at.owner, "an owner takes a new name before anybody can prove that it has to"
            actor = actors.mint()
        if not at.owner:
            actors.gave("key", actor, number)
        dot = (actor, number)
        assert dot not in self.dots, "a dot is never given twice"
        self.dots[dot] = write
        write.dots.append(dot)
        value = b"" if write.deleted else write.operation.encode()
        row = put(at.row, actor, number, context, write.operation, int(write.operation[2:]), value, write.deleted)
        if context is not None and not at.row.cloud and context == Context(at.row.clock):
            parts = (write.operation, int(write.operation[2:]), value, write.deleted)
            assert replace_all(at.row.clock, actor, number, *parts) == (encode(row), encode_clock(row.clock))
        seen, alive = at.known.seen | superseded | {dot}, at.known.alive - superseded | {dot}
        at.hold(row, Known(seen, alive))
        after = context_after(row, write.operation, context)
        mine = set(write.dots) & alive
        if len(after.dots) < DOTS_MAX or alive == mine:
            self.contexts.append((after, seen if alive == mine else superseded | mine))

    # -- what must hold

    def check(self) -> None:
        """Each object says exactly what the model does."""
        for replica in self.replicas:
            row, known = replica.row, replica.known
            assert {dot for dot in self.dots if covers(row.clock, row.cloud, *dot)} == known.seen
            assert {sibling.dot for sibling in row.siblings} == known.alive

    def settled(self) -> Versions:
        """What every replica holds once all have heard of everything."""
        for at, other in [(0, 1), (0, 2), (1, 0), (2, 0)]:
            self.merge(at, other)
        self.check()
        assert self.replicas[0].row == self.replicas[1].row == self.replicas[2].row
        return self.replicas[0].row


@settings(max_examples=500)
@given(STEPS)
def test_objects_agree_with_sets_of_writes(steps: list[Step]) -> None:
    """At every step, and for every context that was ever handed out."""
    history = History(steps)
    final = history.settled()
    for handed, seen in history.contexts:
        assert {dot for dot in history.dots if handed.covers(dot)} == seen
    assert not set(final.cloud) & {sibling.dot for sibling in final.siblings}


@settings(max_examples=300)
@given(SAFE_STEPS)
def test_no_write_is_lost(steps: list[Step]) -> None:
    """After all merges each operation is shown, or a later write had one of its attempts in its context."""
    history = History(steps)
    final = history.settled()
    shown = {sibling.operation for sibling in final.siblings}
    superseded = frozenset[Dot]().union(*(write.context[1] for write in history.writes if write.context))
    for write in history.writes:
        assert write.operation in shown or superseded.intersection(write.dots), write
    values = {write.operation.encode() for write in history.writes if write.operation in shown and not write.deleted}
    assert sorted(visible(final)) == sorted(values), "each once, however often it was retried"
    assert is_tombstone(final) == (bool(shown) and not values)


@settings(max_examples=300)
@given(SAFE_STEPS)
def test_what_a_write_had_read_is_gone_and_no_cloud_is_left(steps: list[Step]) -> None:
    history = History(steps)
    final = history.settled()
    alive = {sibling.dot for sibling in final.siblings}
    for write in history.writes:
        if write.context and write.dots:
            assert not alive & write.context[1]
    assert not final.cloud, "where nothing was lost, clocks catch up with single dots"


@settings(max_examples=300)
@given(SAFE_STEPS)
def test_a_clock_has_an_entry_for_each_owner_and_each_outage(steps: list[Step]) -> None:
    final = History(steps).settled()
    outages = sum(kind in ("deliver", "kill") for kind, _, _ in steps)
    assert len(final.clock) <= 2 + 1 + outages, "not one for each write"


@settings(max_examples=200)
@given(STEPS, st.data())
def test_merge_is_a_join(steps: list[Step], data: st.DataObject) -> None:
    """Commutative, associative and idempotent, for any three objects that any replica ever held."""
    history = History(steps)
    a, b, c = (data.draw(st.sampled_from(history.reached)) for _ in range(3))
    assert merge(a, a) is a
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), b) == merge(a, b)
    results = {encode(merge(merge(x, y), z)) for x, y, z in permutations([a, b, c])}
    assert len(results) == 1
    assert descends(merge(a, b).clock, a.clock) and descends(merge(a, b).clock, b.clock)


@settings(max_examples=200)
@given(STEPS, st.data())
def test_merging_bytes_is_merging_objects(steps: list[Step], data: st.DataObject) -> None:
    history = History(steps)
    a, b = (encode(data.draw(st.sampled_from(history.reached))) for _ in range(2))
    merged = merge_blobs(a, b)
    assert merged == encode(merge(decode(a), decode(b)))
    if merged == a:
        assert merged is a
    elif merged == b:
        assert merged is b


@settings(max_examples=200)
@given(STEPS)
def test_the_encoding_is_canonical(steps: list[Step]) -> None:
    for versions in History(steps).reached:
        assert decode(encode(versions)) == versions
        assert encode(decode(encode(versions))) == encode(versions)
        assert list(versions.clock) == sorted(versions.clock)
        assert list(versions.cloud) == sorted(set(versions.cloud))
        dots = [sibling.dot for sibling in versions.siblings]
        assert dots == sorted(set(dots))
        assert all(covers(versions.clock, (), *dot) for dot in dots)
        assert not any(covers(versions.clock, (), *dot) for dot in versions.cloud)


@settings(max_examples=200)
@given(STEPS, st.integers(0, 1))
def test_the_right_context_replaces_and_a_stale_one_makes_siblings(steps: list[Step], at: int) -> None:
    history = History(steps)
    replica = history.replicas[at]
    stored, actor, number = replica.row, replica.actors.actor, replica.actors.number
    read = Context(stored.clock, stored.cloud)
    right = put(stored, actor, number + 1, read, "new", 99, b"new")
    assert visible(right) == [b"new"]
    stale = put(right, actor, number + 2, read, "newer", 100, b"newer")
    assert visible(stale) == [b"new", b"newer"]
    blind = put(stored, actor, number + 1, None, "new", 99, b"new")
    assert visible(blind) == [*visible(stored), b"new"]


@settings(max_examples=200)
@given(STEPS, place, st.integers(2, 20))
def test_a_session_that_only_puts_replaces_its_own_write_and_nothing_else(
    steps: list[Step], at: int, count: int
) -> None:
    """Whatever else is there, it adds one sibling, and its context does not grow without end."""
    history = History(steps)
    before = visible(history.replicas[at].row)
    mine = Write("op1000", None, False)
    history.writes.append(mine)
    history.apply(history.replicas[at], mine)
    for number in range(1, count):
        row, last = history.replicas[at].row, f"op{999 + number}"
        handed = context_after(row, last, history.writes[-1].context and history.writes[-1].context[0])
        seen = frozenset(dot for dot in history.dots if handed.covers(dot))
        history.writes.append(Write(f"op{1000 + number}", (handed, seen), False))
        history.apply(history.replicas[at], history.writes[-1])
        assert len(handed.dots) <= max(DOTS_MAX, len(row.cloud))
    assert visible(history.replicas[at].row) == [*before, f"op{999 + count}".encode()]
    history.check()


WITHOUT: dict[str, tuple[Any, list[Step]]] = {
    # A fallback that goes on in one name, whatever it holds: its first write went home.
    "for_fallback": (
        lambda self, key, clock: self.actor,
        [("put", FALLBACK, None), ("deliver", 0, None), ("put", FALLBACK, None)],
    ),
    # An owner that goes on after its log refused a write, whose copy another has.
    "renew": (lambda self: None, [("put", 0, None), ("merge", 1, 0), ("undo", 0, None), ("put", 0, None)]),
    # And one that goes on after its machine lost power.
    "resume": (
        lambda self, lost: setattr(self, "actor", f"{self._id}.0.0"),
        [("put", 0, None), ("merge", 1, 0), ("lose_power", 0, 1), ("put", 0, None)],
    ),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_without_a_safeguard_objects_disagree_with_sets_of_writes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    without, steps = WITHOUT[name]
    History(steps).settled()
    monkeypatch.setattr(Actors, name, without)
    with pytest.raises(AssertionError):
        History(steps).settled()
