"""Lines of styled pieces that are exactly as wide as they should be. Pure.

A line is a list of (text, style); the styles are those of dsectl/ui/text.py. Nothing that comes from a cluster may
move the cursor, so `piece` escapes it.
"""

from dsectl.ui.text import Paint, cut, shown, width

Piece = tuple[str, str]
Line = list[Piece]


def piece(text: str, columns: int, style: str = "", *, right: bool = False) -> Piece:
    """Text in exactly so many columns, cut with an ellipsis or padded."""
    text = cut(shown(text), columns) if columns > 0 else ""
    pad = " " * (columns - width(text))
    return (pad + text if right else text + pad), style


def length(line: Line) -> int:
    """How many columns a line takes."""
    return sum(width(text) for text, _ in line)


def fit(line: Line, columns: int) -> Line:
    """The line in exactly so many columns."""
    fitted: Line = []
    left = columns
    for text, style in line:
        taken = cut(text, left) if left > 0 else ""
        fitted.append((taken, style))
        left -= width(taken)
    return [*fitted, (" " * left, "")] if left > 0 else fitted


def beside(left: list[Line], right: list[Line], columns: int, gap: int, width_right: int) -> list[Line]:
    """Two blocks side by side, the left one `columns` wide."""
    rows = max(len(left), len(right))
    joined = []
    for at in range(rows):
        one = fit(left[at] if at < len(left) else [], columns)
        other = fit(right[at] if at < len(right) else [], width_right)
        joined.append([*one, (" " * gap, ""), *other])
    return joined


def runs(text: str, styles: list[str]) -> Line:
    """A line of single characters, each with its style, in as few pieces as there are changes."""
    line: Line = []
    for one, style in zip(text, styles, strict=True):
        if line and line[-1][1] == style:
            line[-1] = (line[-1][0] + one, style)
        else:
            line.append((one, style))
    return line


def painted(line: Line, paint: Paint) -> str:
    """The line as a terminal gets it."""
    return "".join(paint(text, style) for text, style in line)
