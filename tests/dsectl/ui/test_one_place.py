"""What is written for people has one place for each thing, dsectl/ui, and no second one returns."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
MODULES = {"calendar", "datetime", "wcwidth", "curses", "rich"}
"""The calendar, the widths of characters, and what draws."""
CALLS = {"strftime", "strptime", "gmtime", "localtime", "timegm", "east_asian_width", "combining"}
BLOCKS = re.compile(r"[▁▂▃▄▅▆▇█]{2}")
SECONDS = re.compile(r"\{[^{}]*:[^{}]*\} ?(?:s|ms|us)(?![\w/])")
"""A formatted number with its unit; `{noun}s` is a plural."""


def second_places(source: str) -> list[str]:
    """What a module outside of dsectl/ui does that belongs there: `line: what`."""
    found = []
    tree = ast.parse(source)
    texts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            found += [f"{line}: {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in MODULES:
            found.append(f"{line}: {node.module}")
        elif isinstance(node, ast.Attribute) and node.attr in CALLS:
            found.append(f"{line}: {node.attr}")
        elif isinstance(node, ast.JoinedStr) and SECONDS.search(ast.unparse(node)):
            found.append(f"{line}: a duration")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            found += [f"{line}: a chart"] if BLOCKS.search(node.value) else []
    return found


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("from datetime import UTC", "1: datetime"),
        ("import time\ntime.strftime('%H')", "2: strftime"),
        ("f'{x:.2f} s later'", "1: a duration"),
        ("f'took {x:.0f}ms'", "1: a duration"),
        ("BARS = '▁▂▃'", "1: a chart"),
        ("f'{x} seconds, {noun}s, {y:,} slots and {x:.1f} stays'; '▼ x ms'", ""),
    ],
)
def test_a_second_place_is_seen(source: str, what: str) -> None:
    assert second_places(source) == ([what] if what else [])


def test_there_is_no_second_place() -> None:
    found = {}
    for path in sorted((ROOT / "dsectl").rglob("*.py")):
        name = str(path.relative_to(ROOT / "dsectl"))
        places = [] if name.startswith("ui/") else second_places(path.read_text())
        if places:
            found[name] = places
    assert found == {}
