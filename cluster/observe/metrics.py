"""Counters and gauges of one node, and their text for a scraper (OpenMetrics 1.0).

A block asks for a `Cell` once and adds to it; nothing is looked up on a hot path. What a block counts anyway is
registered as a function that is read when the text is made. Labels come from the code and the members of the cluster,
never from keys or subjects: a family is bounded.
"""

import math
import re
from collections.abc import Callable
from typing import Literal

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SERIES_MAX = 4096
"""Series a family: more means that a label is made of data."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})

Kind = Literal["counter", "gauge"]
Labels = tuple[tuple[str, str], ...]


class Cell:
    """One number. Counters only grow."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        """Add `amount`."""
        self.value += amount

    def set(self, value: float) -> None:
        """Replace the value of a gauge."""
        self.value = value

    def read(self) -> float:
        """The value."""
        return self.value


class _MetricFamily:
    """All series of one name."""

    def __init__(self, kind: Kind, help: str) -> None:
        self.kind = kind
        self.help = help
        self.cells: dict[Labels, Cell] = {}
        self.readers: dict[Labels, Callable[[], float]] = {}


class Metrics:
    """The families of a node, in the order in which they were first named."""

    def __init__(self) -> None:
        self._families: dict[str, _MetricFamily] = {}

    def counter(self, name: str, help: str, **labels: str) -> Cell:
        """The counter of this name and these labels, made on first use. The text adds `_total` to the name."""
        return self._cell(name, "counter", help, labels)

    def gauge(self, name: str, help: str, **labels: str) -> Cell:
        """The gauge of this name and these labels, made on first use."""
        return self._cell(name, "gauge", help, labels)

    def watch(self, name: str, kind: Kind, help: str, read: Callable[[], float], **labels: str) -> None:
        """Read a number that a block keeps itself, whenever the text is made. Replaces an earlier function."""
        family, key = self._series(name, kind, help, labels)
        assert key not in family.cells, name
        family.readers[key] = read

    def snapshot(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Every value: by name, the labels and the number."""
        return {
            name: [(dict(key), read()) for key, read in family.readers.items()]
            for name, family in self._families.items()
        }

    def render(self) -> str:
        """The OpenMetrics text."""
        lines: list[str] = []
        for name, family in self._families.items():
            lines += [f"# TYPE {name} {family.kind}", f"# HELP {name} {family.help.translate(_HELP_ESCAPES)}"]
            suffix = "_total" if family.kind == "counter" else ""
            for key, read in family.readers.items():
                labels = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in key)
                lines.append(f"{name}{suffix}{f'{{{labels}}}' if labels else ''} {_number_text(read())}")
        return "\n".join([*lines, "# EOF", ""])

    def _cell(self, name: str, kind: Kind, help: str, labels: dict[str, str]) -> Cell:
        family, key = self._series(name, kind, help, labels)
        cell = family.cells.get(key)
        if cell is None:
            assert key not in family.readers, name
            cell = family.cells[key] = Cell()
            family.readers[key] = cell.read
        return cell

    def _series(self, name: str, kind: Kind, help: str, labels: dict[str, str]) -> tuple[_MetricFamily, Labels]:
        assert _NAME.fullmatch(name) and not name.endswith("_total"), name
        assert all(_LABEL.fullmatch(label) for label in labels), labels
        family = self._families.setdefault(name, _MetricFamily(kind, help))
        assert family.kind == kind, f"{name} is a {family.kind}"
        key = tuple(labels.items())
        assert key in family.readers or len(family.readers) < SERIES_MAX, f"{name} has too many series"
        return family, key


def _number_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
