"""Aligned tables, the same on a terminal and off it; a terminal adds colour and cuts the last column at its edge."""

from collections.abc import Sequence

from dsectl.ui.text import PLAIN, STATES, Line, Paint, cut, painted, shown, width

Cell = str | tuple[str, str]
"""Text, or text and its style."""

GAP = "  "


def state(text: str) -> Cell:
    """A cell that shows a state in its colour."""
    return text, STATES.get(text, "")


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    paint: Paint = PLAIN,
    columns: int | None = None,
    right: Sequence[str] = (),
) -> list[str]:
    """The lines. `right` names the headings of numbers; `columns` is the width of the terminal.

    A column in which no row says anything is left out.
    """
    return [painted(line, paint).rstrip() for line in table_lines(header, rows, columns, right)]


def table_lines(
    header: Sequence[str], rows: Sequence[Sequence[Cell]], columns: int | None = None, right: Sequence[str] = ()
) -> list[Line]:
    """The same as pieces, for a picture."""
    cells = [[(cell, "") if isinstance(cell, str) else cell for cell in row] for row in rows]
    grid = [[(shown(text), style) for text, style in row] for row in cells]
    used = [index for index, title in enumerate(header) if not grid or any(row[index][0] for row in grid)]
    titles = [header[index] for index in used]
    grid = [[row[index] for index in used] for row in grid]
    widths = [max([width(title), *(width(row[at][0]) for row in grid)]) for at, title in enumerate(titles)]
    if columns is not None and widths:
        room = columns - sum(widths[:-1]) - len(GAP) * (len(widths) - 1)
        widths[-1] = min(widths[-1], max(room, len(titles[-1]), 8))
    sides = [title in right for title in titles]
    lines = [_line([(title, "dim") for title in titles], widths, sides)] if titles else []
    return lines + [_line(row, widths, sides) for row in grid]


def _line(cells: Sequence[tuple[str, str]], widths: list[int], right: list[bool]) -> Line:
    line: Line = []
    for at, ((text, style), room) in enumerate(zip(cells, widths, strict=True)):
        text = cut(text, room)
        pad = " " * (room - width(text)), ""
        line += [*([(GAP, "")] if at else []), *([pad, (text, style)] if right[at] else [(text, style), pad])]
    return line
