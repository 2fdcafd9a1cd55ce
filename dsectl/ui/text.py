"""Text for people: colour with meaning, and nothing that comes from a cluster may move the cursor.

Pure. Whether there is colour is decided by `Console`.
"""

STYLES = {
    **{"good": "32", "warn": "33", "bad": "31", "dim": "2", "strong": "1", "name": "36"},
    **{"bar-good": "1;30;42", "bar-warn": "1;30;43", "bar-bad": "1;37;41", "focus": "7"},
}

STATES = {
    **dict.fromkeys(("alive", "running", "green", "healthy", "ok", "passed", "ready"), "good"),
    **dict.fromkeys(("suspect", "amber", "catching-up", "recovering", "starting", "paused", "leaving"), "warn"),
    **dict.fromkeys(("ok-sloppy", "maybe", "active", "overloaded", "draining"), "warn"),
    **dict.fromkeys(("dead", "stopped", "red", "no", "failed", "damaged", "ejected", "unreachable", "silent"), "bad"),
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
    return "".join(one if one.isprintable() or one in kept else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def width(text: str) -> int:
    """How many columns a terminal needs for printable text."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def cut(text: str, columns: int) -> str:
    """`text` in at most so many columns, with an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    kept = ""
    for one in text:
        if width(kept + one) > columns - 1:
            break
        kept += one
    return kept + "…"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 node`, `2 nodes`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
