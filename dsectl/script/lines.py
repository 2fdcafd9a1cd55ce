"""Several lines of steps: which belong together, and where each began."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One step as it stands in a file; joined lines count from the first."""

    number: int
    text: str


def join_lines(lines: Iterable[str], first: int = 1) -> Iterator[Line]:
    """The steps in these lines: a backslash at the end of a line joins it with the next. Empty ones and comments are
    left out. Lazy, so that lines can come from a person."""
    joined, began = "", 0
    for number, text in enumerate(lines, first):
        began = began or number
        if text.endswith("\\"):
            joined += text[:-1] + " "
            continue
        joined += text
        if joined.strip() and not joined.lstrip().startswith("#"):
            yield Line(began, joined.strip())
        joined, began = "", 0
    if joined.strip():
        yield Line(began, joined.strip())
