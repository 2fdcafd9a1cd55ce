"""Owners are asked of the view at the time of use, and an entry is only ever replaced by a newer one."""

import msgspec
import pytest

from cluster.layout import PARTITIONS, LayoutEntry, LayoutMember, LayoutView, placement

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
