"""When a transition may end: every owner to come is complete, and no quorum of the layout before can be found."""

from cluster.chain.entry import ChainEntry, added, genesis, left
from cluster.chain.transition import (
    Progress,
    decode_progress,
    encode_progress,
    how_far,
    not_adopted,
    obstacles,
)
from cluster.layout import LayoutEntry, LayoutMember

MEMBERS = tuple(LayoutMember(f"n{place}", "z1", "127.0.0.1", 7000 + place) for place in range(1, 6))
FIRST = genesis(LayoutEntry(1, "c", MEMBERS, 3, 2, 2))
ADDING = added(FIRST, [LayoutMember("n6", "z1", "127.0.0.1", 7006)])
LEAVING = left(FIRST, ["n2"], gone=False)
FORGETTING = left(FIRST, ["n2"], gone=True)


def all_well(entry: ChainEntry, **changes: Progress) -> dict[str, Progress]:
    well = Progress(entry.slot, entry.layout.number, 0, 0, "")
    return {member.name: well for member in entry.layout.all_members} | changes


def alive(entry: ChainEntry) -> list[str]:
    return [member.name for member in entry.layout.all_members]


def test_it_ends_when_all_are_complete() -> None:
    for entry in (ADDING, LEAVING, FORGETTING):
        assert obstacles(entry, all_well(entry), alive(entry)) == []


def test_one_that_joins_and_lacks_data_is_waited_for() -> None:
    told = all_well(ADDING, n6=Progress(2, 2, 17, 0, ""))
    assert obstacles(ADDING, told, alive(ADDING)) == ["n6 lacks data of 17 partitions"]


def test_so_is_one_that_says_nothing_or_does_not_answer() -> None:
    told = all_well(ADDING)
    del told["n6"]
    assert obstacles(ADDING, told, alive(ADDING)) == ["n6 has not taken over layout 2"]
    assert obstacles(ADDING, all_well(ADDING), ["n1", "n2", "n3", "n4", "n5"]) == ["n6 does not answer"]


def test_one_that_leaves_delivers_its_hints_first() -> None:
    told = all_well(LEAVING, n2=Progress(2, 2, 0, 3, ""))
    assert obstacles(LEAVING, told, alive(LEAVING)) == ["n2 has 3 hints to deliver before it leaves"]
    assert "dsectl forget" in obstacles(LEAVING, all_well(LEAVING), ["n1", "n3", "n4", "n5"])[0]
    late = all_well(LEAVING, n2=Progress(1, 1, 0, 0, ""))
    assert obstacles(LEAVING, late, alive(LEAVING)) == ["n2 has not taken over layout 2"], "and counts none before"
    del late["n2"]
    assert obstacles(LEAVING, late, alive(LEAVING)) == ["n2 has not taken over layout 2"]


def test_nobody_waits_for_the_forgotten() -> None:
    told = all_well(FORGETTING)
    del told["n2"]
    assert obstacles(FORGETTING, told, ["n1", "n3", "n4", "n5"]) == []


def test_owners_behind_must_follow_while_they_could_still_make_a_quorum() -> None:
    behind = Progress(1, 1, 0, 0, "")
    assert not_adopted(ADDING, all_well(ADDING, n1=behind)) == [], "two others of each partition have adopted"
    late = not_adopted(ADDING, all_well(ADDING, n1=behind, n2=behind))
    assert sorted(late) == ["n1", "n2"], "somewhere these two own a partition together"


def test_the_first_layout_is_everywhere() -> None:
    assert not_adopted(FIRST, {}) == []


def test_what_is_announced_comes_back_and_garbage_is_nothing() -> None:
    progress = Progress(5, 4, 3, 2, "n1-abc")
    assert decode_progress(encode_progress(progress)) == progress
    assert decode_progress(b"\xff") is None and decode_progress(b"") is None


def test_how_far_it_is_counts_all_that_a_silent_owner_is_to_take() -> None:
    """Who joins has to start, and is not heard of at first: nothing has moved by then."""
    told = all_well(ADDING)
    del told["n6"]
    silent = how_far(ADDING, told)
    assert silent["joining"]["n6"] > 100 and silent["lacking"] == {"n6": silent["joining"]["n6"]}
    behind = how_far(ADDING, all_well(ADDING, n6=Progress(1, 1, 0, 0, "")))
    assert behind == silent
    late = how_far(ADDING, all_well(ADDING, n6=Progress(2, 2, 17, 0, "")))
    assert late["lacking"] == {"n6": 17}
    recovering = how_far(ADDING, all_well(ADDING, n6=Progress(2, 2, 200, 0, ""), n1=Progress(2, 2, 9, 0, "")))
    assert recovering == silent, "what somebody lost besides is no part of the change"
    assert how_far(ADDING, all_well(ADDING))["lacking"] == {}
