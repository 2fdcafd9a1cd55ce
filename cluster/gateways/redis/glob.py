"""Redis' patterns: `*`, `?`, `[abc]`, `[^a-z]`, and a backslash before what is meant itself. Pure.

They become a regular expression whose groups give nothing back once they have matched, so that a pattern of many stars
costs its length times that of the text and no more (as in Python's fnmatch).
"""

import re

Pattern = re.Pattern[str]


def compile_glob(glob: str) -> Pattern:
    """`fullmatch` says whether a text is meant."""
    parts = _parts(glob)
    first, *others = parts
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last, re.DOTALL)


def literal_prefix(glob: str) -> str:
    """What every text that is meant begins with."""
    text, pos = "", 0
    while pos < len(glob) and glob[pos] not in "*?[":
        pos += glob[pos] == "\\" and pos + 1 < len(glob)
        text += glob[pos]
        pos += 1
    return text


def is_literal(glob: str) -> bool:
    """Whether it means one text, itself."""
    return not any(char in glob for char in "*?[\\")


def _parts(glob: str) -> list[str]:
    """What stands between the stars, as regular expressions."""
    parts: list[str] = []
    part, pos = "", 0
    while pos < len(glob):
        char = glob[pos]
        pos += 1
        if char == "*":
            if part or not parts:
                parts.append(part)
                part = ""
        elif char == "?":
            part += "."
        elif char == "[":
            text, pos = _set(glob, pos)
            part += text
        else:
            if char == "\\" and pos < len(glob):
                char = glob[pos]
                pos += 1
            part += re.escape(char)
    return [*parts, part]


def _set(glob: str, pos: int) -> tuple[str, int]:
    """One character of those up to `]`; without one, up to the end. And where it goes on."""
    negated = glob[pos : pos + 1] == "^"
    pos += negated
    ranges = ""
    while pos < len(glob) and glob[pos] != "]":
        pos += glob[pos] == "\\" and pos + 1 < len(glob)
        low = high = glob[pos]
        if glob[pos + 1 : pos + 2] == "-" and glob[pos + 2 : pos + 3] not in ("", "]"):
            high = glob[pos + 2]
            pos += 2
        low, high = min(low, high), max(low, high)
        ranges += f"{re.escape(low)}-{re.escape(high)}"
        pos += 1
    if not ranges:
        return ("." if negated else "(?!)"), pos + 1
    return f"[{'^' if negated else ''}{ranges}]", pos + 1
