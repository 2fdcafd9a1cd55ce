"""Text for people: colour with meaning, the columns that it takes, and lines of styled pieces.

Nothing that comes from a cluster may move the cursor: `shown` and `piece` escape it. Pure; whether there is colour is
decided by `Console`.
"""

import re

STYLES = {
    **{"good": "32", "warn": "33", "bad": "31", "dim": "2", "strong": "1", "name": "36"},
    **{"bar-good": "1;30;42", "bar-warn": "1;30;43", "bar-bad": "1;37;41", "focus": "7"},
}

_NODES = (
    *("30;42", "30;43", "30;46", "37;45", "37;44", "37;41", "30;102", "30;103"),
    *("30;106", "30;105", "37;104", "30;101", "30;47", "37;100", "30;107"),
)
NODE_STYLES = len(_NODES)
"""So many nodes have colours of their own: `node-0` and so on."""
STYLES |= {f"node-{number}": code for number, code in enumerate(_NODES)}

STATES = {
    **dict.fromkeys(("alive", "running", "green", "healthy", "ok", "passed", "ready"), "good"),
    **dict.fromkeys(("suspect", "amber", "catching-up", "recovering", "starting", "paused", "leaving"), "warn"),
    **dict.fromkeys(("ok-sloppy", "maybe", "active", "overloaded", "draining", "inconclusive"), "warn"),
    **dict.fromkeys(("dead", "stopped", "red", "no", "failed", "damaged", "ejected", "unreachable"), "bad"),
    **dict.fromkeys(("left", "ended"), "dim"),
}
"""Which style a state has, wherever it is shown."""


class Paint:
    """Colours text, or does not."""

    __slots__ = ("enabled",)

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __call__(self, text: str, style: str) -> str:
        """`text` in a style; an unknown or empty style changes nothing."""
        code = STYLES.get(style) if self.enabled else None
        return f"\x1b[{code}m{text}\x1b[0m" if code and text else text

    def state(self, state: str) -> str:
        """A state in its colour."""
        return self(state, STATES.get(state, ""))


PLAIN = Paint(False)


def shown(text: str, lines: bool = False) -> str:
    """`text` with everything escaped that a terminal would obey or hide; with `lines`, line ends and tabs stay."""
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        one if one.isprintable() or one in kept else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in text
    )


def as_word(text: str) -> str:
    """`text` as a word of a command that people can paste into their shell."""
    from shlex import quote  # of messages alone

    if text.isprintable():
        return quote(text)
    kept = (one if one.isprintable() else f"\\U{ord(one):08x}" for one in text.replace("\\", r"\\").replace("'", r"\'"))
    return f"$'{''.join(kept)}'"


_NARROW = re.compile("[ -~\u00a0-\u02ff\u2010-\u2027\u2190-\u21ff\u2500-\u25fc\u2715\u2219]*")
"""What surely takes one column a character: the letters of most of Europe and the signs that are drawn with. It spares
drawing the tables of wcwidth, and a command that shows nothing else the 10 ms that they take to load."""


def width(text: str) -> int:
    """How many columns a terminal needs for printable text."""
    if _NARROW.fullmatch(text):
        return len(text)
    from wcwidth import wcswidth

    return max(0, wcswidth(text))


def cut(text: str, columns: int) -> str:
    """Printable text in at most so many columns, with an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    if columns <= 0:
        return ""
    if _NARROW.fullmatch(text):
        return text[: columns - 1] + "…"
    from wcwidth import iter_graphemes, wcswidth

    kept, left = "", columns - 1
    for cluster in iter_graphemes(text):  # an accent or a joined sign stays with its letter
        left -= max(0, wcswidth(cluster))
        if left < 0:
            break
        kept += cluster
    return kept + "…"


_WORD = re.compile(r"(?:`[^`]*`|[^ ])+| +")
"""A command between backquotes is one word, which can be copied from one line."""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def wrapped(text: str, columns: int | None, hang: int = 0) -> list[str]:
    """A line, painted or not, as lines of so many columns, where a word is no longer: it breaks between words, and what
    follows is indented by `hang`. None: in one line."""
    if columns is None or width(_ESCAPES.sub("", text)) <= columns:
        return [text]
    lines, taken, gap = [""], 0, ""
    for word in _WORD.findall(text):
        if word.isspace():
            gap = word
            continue
        needed = width(_ESCAPES.sub("", word))
        if lines[-1].strip() and taken + len(gap) + needed > columns:
            lines.append(" " * hang + word)
            taken = hang + needed
        else:
            lines[-1] += gap + word
            taken += len(gap) + needed
        gap = ""
    return lines


def by_number(name: str) -> tuple[str, int, str]:
    """Sorts names as people count: `n2` before `n10`."""
    letters = name.rstrip("0123456789")
    digits = name[len(letters) :]
    return letters, int(digits) if digits else -1, name


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 node`, `2 nodes`, `1,000 nodes`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


# -- lines of styled pieces that are exactly as wide as they should be

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


def flow(parts: list[Line], columns: int, gap: str) -> list[Line]:
    """The parts on as many lines as they need."""
    lines: list[Line] = []
    for part in parts:
        if lines and length(lines[-1]) + len(gap) + length(part) <= columns:
            lines[-1] = [*lines[-1], (gap, ""), *part]
        else:
            lines.append(part)
    return lines


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


def markdown_lines(text: str, columns: int) -> list[str]:
    """Markdown as a terminal shows it, for text that is escaped already."""
    from io import StringIO

    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    out = StringIO()
    # Emphasis is underlined: many terminals have no italics, and show nothing or the reverse.
    theme = Theme({"markdown.em": "underline", "markdown.code": "bold", "markdown.link_url": "underline"})
    Console(file=out, force_terminal=True, width=columns, highlight=False, theme=theme).print(
        Markdown(text, hyperlinks=False)
    )
    return [line.rstrip() for line in out.getvalue().rstrip("\n").split("\n")]
