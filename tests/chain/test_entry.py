"""Which entry may follow which, and that none of them can be misread."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.chain.entry import (
    ChainEntry,
    added,
    decode_chain,
    encode_chain,
    forced,
    genesis,
    last_copies,
    left,
    renamed,
    reverted,
    switched,
)
from cluster.errors import ClusterError, Damaged, Usage
from cluster.layout import PARTITIONS, LayoutEntry, LayoutMember, placement

MEMBERS = tuple(LayoutMember(f"n{place}", "z1", "127.0.0.1", 7000 + place) for place in range(1, 6))
FIRST = genesis(LayoutEntry(1, "c", MEMBERS, 3, 2, 2))
NEW = LayoutMember("n6", "z1", "127.0.0.1", 7006)


def names(entry: ChainEntry) -> list[str]:
    return [member.name for member in entry.layout.members]


def test_a_member_joins_in_two_entries_and_votes_from_the_second() -> None:
    moving = added(FIRST, [NEW])
    assert (moving.slot, moving.layout.number, moving.moving) == (2, 2, True)
    assert names(moving) == names(FIRST) and moving.acceptors == FIRST.acceptors
    assert moving.layout.coming is not None and NEW in moving.layout.coming.members
    done = switched(moving)
    assert (done.slot, done.layout.number, done.moving) == (3, 3, False)
    assert done.layout.owners == moving.layout.coming.owners
    assert done.acceptors == {**FIRST.acceptors, "n6": "n6.2"} and done.joining == {}


def test_who_leaves_votes_until_the_end_of_it() -> None:
    moving = left(FIRST, ["n2"], gone=False)
    assert "n2" in moving.acceptors and moving.gone == ()
    assert "n2" not in switched(moving).acceptors and "n2" not in names(switched(moving))


def test_who_is_forgotten_votes_no_more() -> None:
    moving = left(FIRST, ["n2"], gone=True)
    assert "n2" not in moving.acceptors and moving.gone == ("n2",)
    assert switched(moving).gone == ()


def test_a_fork_has_layout_numbers_of_its_own() -> None:
    """Also of a second one, and of one that another side makes at once: no request fits both."""
    fork = forced(added(FIRST, [NEW]), ["n1", "n2", "n3"], 17, lossy=True)
    assert fork.fork == fork.layout.number == 1_000_017 and fork.layout.previous == 2
    assert list(fork.acceptors) == ["n4", "n5"] and fork.gone == ("n1", "n2", "n3") and fork.lossy
    assert "n1" not in {name for row in fork.layout.coming.owners for name in row} if fork.layout.coming else False
    end = switched(fork)
    assert (end.fork, end.layout.number, names(end)) == (1_000_017, 1_000_018, ["n4", "n5", "n6"])
    again = forced(end, ["n4", "n5"], 5, lossy=True)
    assert again.fork == again.layout.number == 2_000_005


def test_the_partitions_are_named_whose_last_copies_go() -> None:
    owners = [placement(FIRST.layout).owners(partition) for partition in range(PARTITIONS)]
    gone = ["n1", "n2", "n3"]
    assert last_copies(FIRST, gone) == [p for p, row in enumerate(owners) if set(row) <= set(gone)] != []
    assert last_copies(FIRST, ["n1", "n2"]) == []


def test_a_change_is_taken_back() -> None:
    moving = added(FIRST, [NEW])
    back = reverted(moving)
    assert (back.slot, back.layout.number) == (3, 3)
    assert names(back) == names(FIRST) and back.layout.owners == moving.layout.owners and back.joining == {}


def test_a_name_that_returns_votes_under_another_id() -> None:
    gone = switched(left(FIRST, ["n5"], gone=False))
    back = switched(added(gone, [MEMBERS[4]]))
    assert back.acceptors["n5"] == "n5.4"


def test_a_member_that_dies_in_a_transition_is_struck_from_both_layouts() -> None:
    moving = left(added(FIRST, [NEW]), ["n3"], gone=True)
    assert moving.gone == ("n3",) and "n3" not in moving.acceptors
    assert moving.layout.coming is not None
    assert {member.name for member in moving.layout.coming.members} == {"n1", "n2", "n4", "n5", "n6"}
    assert all("n3" not in row for row in moving.layout.coming.owners)
    with pytest.raises(Usage, match="cannot come back"):
        reverted(moving)


def test_one_that_was_to_join_and_died_is_struck_as_well() -> None:
    moving = left(added(FIRST, [NEW]), ["n6"], gone=True)
    assert moving.gone == () and moving.acceptors == FIRST.acceptors
    assert names(switched(moving)) == names(FIRST)


@pytest.mark.parametrize("change", [lambda e: added(e, [NEW]), lambda e: left(e, ["n1"], gone=False)])
def test_a_second_change_waits(change: object) -> None:
    assert callable(change)
    with pytest.raises(Usage, match="under way"):
        change(added(FIRST, [LayoutMember("n7", "z1", "127.0.0.1", 7007)]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: added(FIRST, [MEMBERS[0]]), "is a member already"),
        (lambda: left(FIRST, ["n9"], gone=False), "is not a member"),
        (lambda: left(FIRST, ["n1", "n2", "n3"], gone=False), "2 nodes would be left for 3 copies"),
        (lambda: left(FIRST, ["n1", "n2", "n3"], gone=True, lossy=True), "n4, n5 would be no majority"),
        (lambda: forced(FIRST, ["n1", "n2"], 0, lossy=True), "n3, n4, n5 are a majority"),
        (lambda: forced(FIRST, ["n1", "n2", "n3"], 0, lossy=False), "too few owners"),
        (lambda: forced(FIRST, ["n1", "n2", "n3", "n4", "n5"], 0, lossy=True), "0 nodes would be left"),
        (lambda: reverted(FIRST), "no transition"),
        (lambda: switched(FIRST), "no transition"),
        (lambda: renamed(FIRST, "n9", "x"), "votes as nobody"),
        (lambda: renamed(FIRST, "n1", "n2"), "votes as n1"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(change: object, reason: str) -> None:
    assert callable(change)
    with pytest.raises(ClusterError, match=reason):
        change()


def test_a_new_vote_changes_no_layout() -> None:
    entry = renamed(FIRST, "n1", "n1-abcd")
    assert entry.layout == FIRST.layout and entry.slot == 2 and entry.acceptors["n1"] == "n1-abcd"


@pytest.mark.parametrize("entry", [FIRST, added(FIRST, [NEW]), left(added(FIRST, [NEW]), ["n3"], gone=True)])
def test_encoding_keeps_an_entry(entry: ChainEntry) -> None:
    assert decode_chain(encode_chain(entry)) == entry


@given(st.binary(max_size=200))
def test_garbage_is_damaged(blob: bytes) -> None:
    with pytest.raises(Damaged):
        decode_chain(blob)


@pytest.mark.parametrize(
    "change",
    [
        {"slot": 0},
        {"acceptors": {}},
        {"acceptors": {"n9": "n9"}},
        {"acceptors": {"n1": "x", "n2": "x"}},
        {"gone": ("n9",)},
        {"layout": msgspec.structs.replace(FIRST.layout, owners=(("n1",),))},
        {"layout": msgspec.structs.replace(FIRST.layout, owners=(("n1", "n1", "n2"),) * 256)},
        {"layout": msgspec.structs.replace(FIRST.layout, owners=(("n1", "n9", "n2"),) * 256)},
    ],
)
def test_an_entry_that_nobody_may_take_over_is_damaged(change: dict[str, object]) -> None:
    with pytest.raises(Damaged):
        decode_chain(encode_chain(msgspec.structs.replace(FIRST, **change)))


def test_the_last_copies_are_forgotten_only_when_that_is_accepted() -> None:
    with pytest.raises(Usage, match=r"too few owners would be left .* in \d+ partitions: \d"):
        left(FIRST, ["n1", "n2"], gone=True)
    entry = left(FIRST, ["n1", "n2"], gone=True, lossy=True)
    assert entry.lossy and entry.gone == ("n1", "n2") and not switched(entry).lossy
