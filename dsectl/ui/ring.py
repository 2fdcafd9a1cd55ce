"""Who owns what, drawn: the ring, what a change of members moves, and how far that is. Pure.

A column is a partition, a row the first, second, third owner; each node has a letter and a colour, and either is
enough. Where there is less room the picture is broken into more bands, at round numbers, so that a partition is found.
"""

from collections.abc import Sequence
from itertools import zip_longest
from string import ascii_letters
from typing import Any

from cluster.client.vitals import Moving
from dsectl.ui.charts import Glyphs, bar
from dsectl.ui.table import Cell, state, table_lines
from dsectl.ui.text import NODE_STYLES, Line, beside, by_number, count, fit, flow, length
from dsectl.ui.units import show_size

Row = dict[str, Any]
PARTITIONS = 256
BANDS = (128, 64, 32, 16)
"""How many partitions may stand side by side."""
LABEL = 6
"""Columns before a band: the number of its first partition, and a sign."""
PLAIN_COLUMNS = 80
LEGEND_ROWS = 6
"""Nodes below each other before the legend takes a second column, on a terminal."""
BAR, ROOMY = 20, 60
"""Columns of a bar, and from how many on there is room for one, and for all of the legend."""


def letter(node: str) -> tuple[str, str]:
    """The letter of a node and its colours, whoever joins or leaves: n1 is A, n27 a."""
    number = by_number(node)[1] - 1
    return ascii_letters.swapcase()[number % len(ascii_letters)], f"node-{number % NODE_STYLES}"


def ring_lines(ring: list[Row], zones: dict[str, str], columns: int | None, glyphs: Glyphs) -> list[Line]:
    """All owners, and what each node has."""
    replicas = max((len(one["owners"]) for one in ring), default=0)
    rows = [[one["owners"][place] for one in ring] for place in range(replicas)]
    return [
        *_title(
            [f"{count(len(ring), 'partition')}, {count(replicas, 'owner')} each,", "the first one on top"], columns
        ),
        *_bands(rows, [""] * replicas, columns, glyphs),
        [],
        *_legend(ring, zones, columns),
    ]


def changes_lines(changes: list[Row], columns: int | None, glyphs: Glyphs) -> list[Line]:
    """The last changes, and what the newest moved, or moves."""
    if not changes:
        return [[("no change of members yet", "")]]
    rows = [
        (str(one["layout"]), state(one["state"]), str(sum(len(move["to"]) for move in one["moves"])), one["what"])
        for one in changes
    ]
    listed = table_lines(("LAYOUT", "STATE", "COPIES", "CHANGE"), rows, columns, right=("LAYOUT", "COPIES"))
    return [*listed, [], *change_lines(changes[-1], columns, glyphs)]


def moving_line(moving: Moving, columns: int | None, glyphs: Glyphs, bytes_per_s: float | None = None) -> Line:
    """How far a change is: in all, how fast if that is known, and for each node that takes something over."""
    left, copies = sum(moving.lacking.values()), sum(moving.joining.values())
    line: Line = [(moving.what, "strong"), ("  ", "")]
    if columns is None or columns >= ROOMY:
        line += [(bar((copies - left) / (copies or 1), BAR, glyphs), "good"), ("  ", "")]
    speed = f", {show_size(bytes_per_s)}/s" if bytes_per_s else ""
    line.append((f"{copies - left} of {count(copies, 'copy', 'copies')} moved{speed}", ""))
    for name, number in sorted(moving.joining.items(), key=lambda one: -one[1]):
        line += [("  ", ""), (name, "name"), (f" {number - moving.lacking.get(name, 0)}/{number}", "dim")]
    return line if columns is None else fit(line, columns)


def _title(parts: list[str], columns: int | None) -> list[Line]:
    return flow([[(part, "")] for part in parts], columns or PLAIN_COLUMNS, " ")


def _bands(rows: Sequence[Sequence[str]], signs: list[str], columns: int | None, glyphs: Glyphs) -> list[Line]:
    """Rows of names, one for each partition, as letters; no name is a dot."""
    wide = next((band for band in BANDS if LABEL + band <= (columns or PLAIN_COLUMNS)), BANDS[-1])
    lines: list[Line] = [[("".join([" " * LABEL, *(f"+{at:<7}" for at in range(0, wide, 8))]).rstrip(), "dim")]]
    for start in range(0, max(map(len, rows), default=0), wide):
        for at, (row, sign) in enumerate(zip(rows, signs, strict=True)):
            band = row[start : start + wide]
            if at < 2 or any(band):  # deeper rows of moves are mostly empty
                line: Line = [(f"{'' if at else start:>3} {sign:<2}", "dim")]
                lines.append([*line, *(letter(name) if name else (glyphs.unknown, "dim") for name in band)])
    return lines


def _legend(ring: list[Row], zones: dict[str, str], columns: int | None) -> list[Line]:
    """A line for each node: its letter, zone, and what it owns, now and after the change that is under way."""
    names = {name: None for one in ring for name in (*one["owners"], *one.get("coming", ()))}
    total = sum(len(one["owners"]) for one in ring) or 1
    roomy = (columns or PLAIN_COLUMNS) >= ROOMY
    rows: list[tuple[Cell, ...]] = []
    for name in sorted(names, key=by_number):
        owns = sum(name in one["owners"] for one in ring)
        first = sum(one["owners"][0] == name for one in ring)
        after = str(sum(name in one["coming"] for one in ring)) if "coming" in ring[0] else ""
        zone, share = (zones.get(name, ""), f"{100 * owns / total:.1f} %") if roomy else ("", "")
        rows.append((letter(name), name, zone, str(owns), str(first), share, after))
    heading = ("", "NODE", "ZONE", "OWNS", "FIRST", "SHARE", "AFTER")
    head, *lines = table_lines(heading, rows, right=heading[3:])
    wide = length(head)
    tall = max(LEGEND_ROWS, -(-len(lines) // max(1, ((columns or 0) + 4) // (wide + 4))))
    block = [head, *lines[:tall]]
    for at in range(tall, len(lines), tall):
        block = beside(block, [head, *lines[at : at + tall]], length(block[0]), 4, wide)
    return block


def change_lines(change: Row, columns: int | None, glyphs: Glyphs) -> list[Line]:
    """Which copies move: a picture of who gives up a partition above who takes it over, and a line for each pair."""
    pairs = {one["partition"]: list(zip_longest(one["from"], one["to"], fillvalue="")) for one in change["moves"]}
    ways: dict[tuple[str, str], list[int]] = {}
    for partition, found in pairs.items():
        for pair in found:
            ways.setdefault(pair, []).append(partition)
    rows = []
    for place in range(max(map(len, pairs.values()), default=0)):
        at_place = {partition: found[place] for partition, found in pairs.items() if place < len(found)}
        rows += [[at_place.get(partition, ("", ""))[side] for partition in range(PARTITIONS)] for side in (0, 1)]
    listed = [
        (giving or "none", taking or "none", str(len(partitions)), " ".join(map(str, partitions)))
        for (giving, taking), partitions in sorted(ways.items(), key=lambda item: [by_number(name) for name in item[0]])
    ]
    copies = count(sum(len(one["to"]) for one in change["moves"]), "copy moves", "copies move")
    return [
        *_title([f"{change['what']}, {change['state']}:", f"{copies},", "from who has - to who has +"], columns),
        *_bands(rows, ["-", "+"] * (len(rows) // 2), columns, glyphs),
        [],
        *table_lines(("FROM", "TO", "COPIES", "PARTITIONS"), listed, columns, right=("COPIES",)),
    ]
