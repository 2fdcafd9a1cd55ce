"""What a queue may be, that its id is never used again, and what the entries around its definition keep of it."""

from functools import partial

import pytest
from msgspec.structs import replace

from cluster.chain.bucket import Bucket
from cluster.chain.entry import (
    ChainEntry,
    Change,
    added,
    decode_chain,
    encode_chain,
    forced,
    genesis,
    left,
    renamed,
    reverted,
    switched,
    with_binding,
    with_bucket,
    with_options,
    with_queue,
    without_queue,
)
from cluster.chain.queue import ALL_BINDINGS_MAX, BINDINGS_MAX, QUEUES_MAX, Queue
from cluster.errors import AlreadyExists, ClusterError, Damaged, NotFound, Usage
from cluster.layout import LayoutEntry, LayoutMember

MEMBERS = tuple(LayoutMember(f"n{place}", "z1", "127.0.0.1", 7000 + place) for place in range(1, 6))
FIRST = genesis(LayoutEntry(1, "c", MEMBERS, 3, 2, 2))
NEW = LayoutMember("n6", "z1", "127.0.0.1", 7006)
DEAD = with_queue(FIRST, "dead", Queue(1))
JOBS = with_queue(DEAD, "jobs", Queue(1, max_receives=3, dead_letter="dead"))
BOUND = with_binding(JOBS, "jobs", "orders.>", bound=True)


def test_its_id_is_the_slot_that_created_it_and_no_layout_number_is_raised() -> None:
    assert (BOUND.slot, BOUND.layout.number) == (4, 1)
    assert (BOUND.queues["dead"].id, BOUND.queues["jobs"].id) == (2, 3)


def test_one_of_the_same_name_is_another_queue() -> None:
    again = with_queue(without_queue(with_queue(FIRST, "jobs", Queue(1)), "jobs"), "jobs", Queue(1))
    assert again.queues["jobs"].id == again.slot == 4


def test_created_again_with_the_same_options_it_is_there_whatever_was_bound_since() -> None:
    assert with_queue(BOUND, "jobs", Queue(1, max_receives=3, dead_letter="dead")) is BOUND
    with pytest.raises(AlreadyExists, match="with other options"):
        with_queue(BOUND, "jobs", Queue(1, shards=4, max_receives=3, dead_letter="dead"))


def test_altered_it_is_the_same_queue_with_its_bindings() -> None:
    altered = with_options(BOUND, "jobs", {"visibility_s": 5.0, "max_receives": 0, "dead_letter": ""})
    before, after = BOUND.queues["jobs"], altered.queues["jobs"]
    assert after == replace(before, visibility_s=5.0, max_receives=0, dead_letter="") and altered.slot == 5
    assert with_options(altered, "jobs", {"visibility_s": 5.0}) is altered
    with pytest.raises(Usage, match="in a circle"):
        with_options(BOUND, "dead", {"max_receives": 1, "dead_letter": "jobs"})
    with pytest.raises(NotFound, match="no queue 'other'"):
        with_options(BOUND, "other", {"visibility_s": 5.0})


def test_bound_twice_it_is_bound_once_and_unbound_it_takes_nothing_more() -> None:
    assert with_binding(BOUND, "jobs", "orders.>", bound=True) is BOUND
    assert with_binding(BOUND, "jobs", "orders.>", bound=False).queues["jobs"].patterns == ()


@pytest.mark.parametrize(
    "next",
    [
        added(BOUND, [NEW]),
        switched(added(BOUND, [NEW])),
        reverted(added(BOUND, [NEW])),
        switched(left(BOUND, ["n1"], gone=True)),
        switched(forced(BOUND, ["n1", "n2", "n3"], 0, lossy=True)),
        renamed(BOUND, "n1", "n1-abcd"),
        with_bucket(BOUND, "carts", Bucket()),
        with_queue(BOUND, "mails", Queue(1)),
    ],
    ids=lambda entry: entry.what,
)
def test_every_later_entry_keeps_it(next: ChainEntry) -> None:
    assert next.queues["jobs"] == BOUND.queues["jobs"]
    assert decode_chain(encode_chain(next)) == next


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (partial(with_queue, name="Jobs", queue=Queue(1)), Usage, "invalid name of a queue 'Jobs'"),
        (partial(with_queue, name="a", queue=Queue(1, shards=65)), Usage, "from 1 to 64"),
        (partial(with_queue, name="a", queue=Queue(1, max_receives=3)), Usage, "needs both a dead-letter queue"),
        (partial(with_queue, name="a", queue=Queue(1, max_receives=3, dead_letter="b")), NotFound, "no queue 'b'"),
        (partial(with_queue, name="a", queue=Queue(1, max_receives=3, dead_letter="a")), Usage, "a -> a"),
        (partial(without_queue, name="dead"), Usage, "jobs sends its dead letters to dead"),
        (partial(without_queue, name="a"), NotFound, "no queue 'a'"),
        (partial(with_binding, name="a", pattern="x", bound=True), NotFound, "no queue 'a'"),
        (partial(with_binding, name="jobs", pattern="x", bound=False), NotFound, "not bound to x"),
    ],
)
def test_what_cannot_be_is_refused(change: Change, kind: type[ClusterError], says: str) -> None:
    with pytest.raises(kind, match=says):
        change(BOUND)


def test_there_are_at_most_so_many() -> None:
    entry = FIRST
    for number in range(QUEUES_MAX):
        entry = with_queue(entry, f"q{number}", Queue(1))
    with pytest.raises(Usage, match="at most 256 queues"):
        with_queue(entry, "one-more", Queue(1))
    for number in range(ALL_BINDINGS_MAX):
        entry = with_binding(entry, f"q{number // BINDINGS_MAX}", f"s{number}", bound=True)
    with pytest.raises(Usage, match="at most 64 patterns"):
        with_binding(entry, "q0", "one.more", bound=True)
    with pytest.raises(Usage, match="at most 1024 patterns together"):
        with_binding(entry, "q99", "one.more", bound=True)


@pytest.mark.parametrize("id", [1, 5])
def test_an_entry_with_an_id_that_none_gave_is_refused(id: int) -> None:
    """Two queues of one id would share their rows; one of a later entry would meet those of another queue."""
    queues = {**BOUND.queues, "other": Queue(id)} if id == 5 else {"a": Queue(1), "b": Queue(1)}
    with pytest.raises(Damaged, match="ids of queues"):
        decode_chain(encode_chain(replace(BOUND, queues=queues)))
