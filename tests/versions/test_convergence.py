"""Random histories over three replicas, against a model that knows every dot ever seen.

A history is a run of puts (with no context or one that any reader was handed at any time, at any coordinator), retries
of earlier operations elsewhere, deletions and merges. The model holds plain sets: what a replica has seen, and what of
it is alive. Version vectors are right exactly if they agree with it, and then no write can be lost.
"""

from dataclasses import dataclass, field
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.versions import (
    EMPTY,
    Clock,
    Dot,
    Versions,
    decode,
    descends,
    encode,
    is_tombstone,
    merge,
    merge_blobs,
    put,
    visible,
)

ACTORS = ("a.1.0", "b.1.0", "c.1.0")

replica = st.integers(0, 2)
# A context is chosen by how far back it was handed out; none is a blind put.
context = st.none() | st.integers(0, 5) | st.integers(0, 40)
STEPS = st.lists(
    st.tuples(st.just("put"), replica, context)
    | st.tuples(st.just("delete"), replica, context)
    | st.tuples(st.just("retry"), replica, st.integers(0, 10))
    | st.tuples(st.just("merge"), replica, replica),
    max_size=30,
)
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
    context: tuple[Clock, frozenset[Dot]] | None
    deleted: bool
    dots: list[Dot] = field(default_factory=list)


class History:
    """Three replicas, the model beside each, and all that was ever reached."""

    def __init__(self, steps: list[Step]) -> None:
        self.replicas = [EMPTY] * 3
        self.models = [Known()] * 3
        self.contexts: list[tuple[Clock, frozenset[Dot]]] = []
        self.writes: list[Write] = []
        self.reached = [EMPTY]
        for kind, at, argument in steps:
            self.step(kind, at, argument)
            self.contexts.append((self.replicas[at].clock, self.models[at].seen))
            self.reached.append(self.replicas[at])

    def step(self, kind: str, at: int, argument: int | None) -> None:
        if kind == "merge":
            assert argument is not None
            self.merge(at, argument)
        elif kind == "retry" and self.writes:
            assert argument is not None
            self.apply(at, self.writes[-1 - argument % len(self.writes)])
        else:
            handed = (
                self.contexts[-1 - argument % len(self.contexts)] if self.contexts and argument is not None else None
            )
            write = Write(f"op{len(self.writes)}", handed, kind == "delete")
            self.writes.append(write)
            self.apply(at, write)

    def apply(self, at: int, write: Write) -> None:
        stored, model = self.replicas[at], self.models[at]
        if any(dot in model.alive for dot in write.dots):
            assert put(stored, ACTORS[at], None, write.operation, 0, b"") is stored
            return
        clock, superseded = write.context or (None, frozenset())
        dot = (ACTORS[at], 1 + sum(actor == ACTORS[at] for actor, _ in model.seen))
        write.dots.append(dot)
        stamp = int(write.operation[2:])
        value = b"" if write.deleted else write.operation.encode()
        self.replicas[at] = put(stored, ACTORS[at], clock, write.operation, stamp, value, write.deleted)
        self.models[at] = Known(model.seen | superseded | {dot}, model.alive - superseded | {dot})

    def merge(self, at: int, other: int) -> None:
        a, b = self.models[at], self.models[other]
        self.replicas[at] = merge(self.replicas[at], self.replicas[other])
        alive = (a.alive & b.alive) | (a.alive - b.seen) | (b.alive - a.seen)
        self.models[at] = Known(a.seen | b.seen, alive)

    def settled(self) -> Versions:
        """What every replica holds once all have heard of everything."""
        for at, other in [(0, 1), (0, 2), (1, 0), (2, 0)]:
            self.merge(at, other)
        assert self.replicas[0] == self.replicas[1] == self.replicas[2]
        return self.replicas[0]


def covered(clock: Clock) -> frozenset[Dot]:
    return frozenset((actor, counter) for actor, highest in clock.items() for counter in range(1, highest + 1))


@settings(max_examples=300)
@given(STEPS)
def test_version_vectors_agree_with_sets_of_dots(steps: list[Step]) -> None:
    history = History(steps)
    history.settled()
    for versions, model in zip(history.replicas, history.models, strict=True):
        assert covered(versions.clock) == model.seen
        assert {sibling.dot for sibling in versions.siblings} == model.alive


@settings(max_examples=300)
@given(STEPS)
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
@given(STEPS)
def test_what_a_write_had_read_is_gone(steps: list[Step]) -> None:
    history = History(steps)
    final = history.settled()
    alive = {sibling.dot for sibling in final.siblings}
    for write in history.writes:
        if write.context and write.dots:
            assert not alive & write.context[1]


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
        dots = [sibling.dot for sibling in versions.siblings]
        assert dots == sorted(set(dots))
        assert covered(versions.clock).issuperset(dots)


@settings(max_examples=200)
@given(STEPS, replica)
def test_the_right_context_replaces_and_a_stale_one_makes_siblings(steps: list[Step], at: int) -> None:
    history = History(steps)
    stored = history.replicas[at]
    right = put(stored, ACTORS[at], stored.clock, "new", 99, b"new")
    assert visible(right) == [b"new"]
    stale = put(right, ACTORS[at], stored.clock, "newer", 100, b"newer")
    assert visible(stale) == [b"new", b"newer"]
    blind = put(stored, ACTORS[at], None, "new", 99, b"new")
    assert visible(blind) == [*visible(stored), b"new"]
