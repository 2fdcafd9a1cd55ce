"""Owners are asked of the view at the time of use, and an entry is only ever replaced by a newer one."""

import msgspec
import pytest

from cluster.layout import PARTITIONS, LayoutEntry, LayoutMember, LayoutView, placement
from cluster.layout.entry import Coming

MEMBERS = tuple(LayoutMember(f"n{i}", "z1", "127.0.0.1", 7000 + i) for i in range(1, 6))
ENTRY = LayoutEntry(1, "c", MEMBERS, 3, 2, 2)
NEXT = msgspec.structs.replace(ENTRY, number=2, previous=1, members=MEMBERS[:4])


@pytest.mark.parametrize("entry", [ENTRY, NEXT])
def test_the_view_agrees_with_the_placement(entry: LayoutEntry) -> None:
    view, placed = LayoutView("n2", entry), placement(entry)
    for partition in range(PARTITIONS):
        owners = placed.owners(partition)
        assert view.owners(partition) == owners and view.fallbacks(partition) == placed.fallbacks(partition)
        assert view.mine(partition) == ("n2" in owners)
        assert view.others(partition) == tuple(name for name in owners if name != "n2")
    assert tuple(view.my_partitions()) == placed.partitions_of("n2")
    assert view.members == tuple(member.name for member in entry.members)


def test_a_newer_entry_is_taken_over_and_said_once() -> None:
    view = LayoutView("n5", ENTRY)
    seen: list[tuple[int, int]] = []
    view.on_change.append(lambda entry: seen.append((entry.number, view.number)))
    assert view.adopt(NEXT) and not view.adopt(NEXT)
    assert seen == [(2, 2)], "listeners are called once, when the view answers under the new entry"
    assert view.my_partitions() == [], "n5 is no member any more"


def test_an_older_entry_never_comes_back() -> None:
    view = LayoutView("n1", NEXT)
    assert not view.adopt(ENTRY) and view.number == 2 and view.entry == NEXT


def test_who_joins_or_leaves_keeps_no_hints() -> None:
    """It may be no member soon. Who leaves may have some from before."""
    stay = (*MEMBERS[1:], LayoutMember("n6", "z1", "127.0.0.1", 7006))
    owners = tuple(placement(NEXT).owners(partition) for partition in range(PARTITIONS))
    after = tuple(tuple(name if name != "n1" else "n6" for name in row) for row in owners)
    moving = msgspec.structs.replace(ENTRY, number=2, previous=1, owners=owners, coming=Coming(stay, after))
    view = LayoutView("n2", moving)
    for partition in range(PARTITIONS):
        assert set(view.fallbacks(partition)) == {"n2", "n3", "n4", "n5"} - set(view.takers(partition))
        assert set(view.hint_holders(partition)) == {"n1", "n2", "n3", "n4", "n5"} - set(view.owners(partition))
