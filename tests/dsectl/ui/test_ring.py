"""The ring as a picture: owners by letter, a legend, and what a change moves; at every width, without colour."""

from typing import Any

import pytest

from cluster.chain.entry import added, genesis, left, reverted, switched
from cluster.chain.transition import changes
from cluster.client.vitals import Moving
from cluster.layout import LayoutEntry, LayoutMember, LayoutView
from dsectl.ui.charts import ASCII, UNICODE
from dsectl.ui.ring import change_lines, changes_lines, letter, moving_line, ring_lines
from dsectl.ui.text import Line, length

Row = dict[str, Any]


def members(number: int) -> tuple[LayoutMember, ...]:
    return tuple(LayoutMember(f"n{at}", f"z{1 + at % 3}", "127.0.0.1", 7000 + at) for at in range(1, number + 1))


def rows(layout: LayoutEntry) -> list[Row]:
    """As a node answers `ring`."""
    view = LayoutView("n1", layout)
    return [
        {"partition": p, "owners": view.owners(p), "fallbacks": view.fallbacks(p)}
        | ({"coming": view.coming(p)} if view.moving else {})
        for p in range(256)
    ]


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


ZONES = {member.name: member.zone for member in members(15)}
FIRST = genesis(LayoutEntry(1, "c", members(5), 3, 2, 2))
ADDING = added(FIRST, members(6)[5:])


@pytest.mark.parametrize("nodes", [1, 3, 5, 9, 15])
@pytest.mark.parametrize(("columns", "wide"), [(None, 64), (30, 16), (60, 32), (80, 64), (120, 64), (140, 128)])
def test_every_owner_of_every_partition_is_in_the_picture(nodes: int, columns: int | None, wide: int) -> None:
    ring = rows(LayoutEntry(1, "c", members(nodes), 3, 2, 2))
    replicas = len(ring[0]["owners"])
    lines = ring_lines(ring, ZONES, columns, UNICODE)
    assert all(length(line) <= (columns or 80) for line in lines)
    head = next(at for at, line in enumerate(texts(lines)) if line.startswith("      +0"))
    drawn = texts(lines)[head + 1 : head + 1 + 256 // wide * replicas]
    for one in ring:
        band, at = divmod(one["partition"], wide)
        column = "".join(drawn[band * replicas + place][6 + at] for place in range(replicas))
        assert column == "".join(letter(name)[0] for name in one["owners"])
    assert [line[:6].strip() for line in drawn[::replicas]] == [str(at) for at in range(0, 256, wide)]


def test_letters_stay_with_the_nodes_and_colours_say_no_more() -> None:
    assert [letter(f"n{at}")[0] for at in (1, 2, 26, 27, 52)] == ["A", "B", "Z", "a", "z"]
    assert len({letter(f"n{at}")[1] for at in range(1, 16)}) == 15


def test_the_legend_has_zone_and_figures_and_takes_a_second_column_on_a_terminal() -> None:
    ring = rows(LayoutEntry(1, "c", members(9), 3, 2, 2))
    plain = texts(ring_lines(ring, ZONES, None, UNICODE))
    assert plain[-10].split() == ["NODE", "ZONE", "OWNS", "FIRST", "SHARE"]
    owns = sum("n9" in one["owners"] for one in ring)
    first = sum(one["owners"][0] == "n9" for one in ring)
    assert plain[-1].split() == ["I", "n9", "z1", str(owns), str(first), f"{100 * owns / 768:.1f}", "%"]
    wide = texts(ring_lines(ring, ZONES, 80, UNICODE))
    assert wide[-7].split() == ["NODE", "ZONE", "OWNS", "FIRST", "SHARE"] * 2 and len(wide) == len(plain) - 3


def test_a_change_shows_which_partitions_move_from_whom_to_whom() -> None:
    ring = rows(ADDING.layout)
    lines = texts(ring_lines(ring, ZONES, 80, ASCII))
    moved = [one for one in ring if set(one["coming"]) != set(one["owners"])]
    taken = sum("n6" in one["coming"] for one in ring)
    lines += texts(change_lines(changes([FIRST, ADDING], 1)[0], 80, ASCII))
    at = next(at for at, line in enumerate(lines) if line.startswith("add n6, under way: "))
    assert f"{sum(len(set(one['coming']) - set(one['owners'])) for one in ring)} copies move" in lines[at]
    minus = next(line for line in lines[at:] if line.startswith("  0 - "))
    plus = lines[lines.index(minus) + 1]
    for one in (one for one in ring[:64] if one in moved):
        column = 6 + one["partition"]
        assert (minus[column], plus[column]) != (".", "."), one
        assert minus[column] in [letter(name)[0] for name in set(one["owners"]) - set(one["coming"])]
        assert plus[column] in [letter(name)[0] for name in set(one["coming"]) - set(one["owners"])]
    assert minus.count(".") == 64 - sum(one["partition"] < 64 for one in moved)
    legend = next(line for line in lines if line.startswith("F  n6"))
    assert legend.split() == ["F", "n6", "z1", "0", "0", "0.0", "%", str(taken)], "what it is to have"
    assert any(line.split()[1:2] == ["n6"] and line.endswith("…") for line in lines[at:]), "cut at the edge"


def test_changes_tell_what_became_of_each_and_draw_the_last() -> None:
    done = switched(ADDING)
    leaving = left(done, ["n2"], gone=False)
    back = reverted(leaving)
    found = changes([FIRST, ADDING, done, leaving], 20)
    assert [(one["layout"], one["what"], one["state"]) for one in found] == [
        (2, "add n6", "done"),
        (4, "leave n2", "under way"),
    ]
    assert changes([FIRST, ADDING, done, leaving, back], 20)[-1]["state"] == "taken back"
    assert changes([FIRST, ADDING, left(ADDING, ["n3"], gone=True)], 20)[0]["state"] == "replaced"
    assert changes([FIRST, ADDING, done, leaving], 1) == found[1:] and changes([FIRST], 20) == []
    lines = texts(changes_lines(found, 80, UNICODE))
    assert lines[1].split() == ["2", "done", str(sum(len(one["to"]) for one in found[0]["moves"])), "add", "n6"]
    assert lines[4].startswith("leave n2, under way: ")
    assert {line.split()[0] for line in lines if line[:1] == "n"} == {"n2"}, "one gives, the others take"
    assert texts(changes_lines([], 80, UNICODE)) == ["no change of members yet"]


def test_how_far_a_change_is_in_all_and_by_node() -> None:
    moving = Moving("add n6, n7", ["n6 lacks data of 64 partitions"], {"n1": 8, "n6": 128, "n7": 120}, {"n6": 64})
    [line] = texts([moving_line(moving, None, ASCII)])
    assert line == "add n6, n7  ###############-----  192 of 256 copies moved  n6 64/128  n7 120/120  n1 8/8"
    assert "192 of 256 copies moved, 2MiB/s  n6" in texts([moving_line(moving, 80, ASCII, 2**21)])[0]
    assert texts([moving_line(moving, 30, ASCII)]) == ["add n6, n7  192 of 256 copies…"]
