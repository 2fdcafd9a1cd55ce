"""`services weight`: what may be written, and what is said of it."""

import re
from typing import Any

import pytest

from cluster.errors import Usage
from dsectl.commands.weights import parse_shares, show_weights


@pytest.mark.parametrize(
    ("words", "found"),
    [(["2=10%"], {2: 10.0}), (["1=0%", "2=99.5%"], {1: 0.0, 2: 99.5}), ([], {})],
)
def test_shares(words: list[str], found: dict[int, float]) -> None:
    assert parse_shares(words) == found


@pytest.mark.parametrize("words", [["2"], ["2=10"], ["v2=10%"], ["2=-1%"], ["2=10%", "2=20%"], ["=5%"], ["2=1e1%"]])
def test_what_is_no_share(words: list[str]) -> None:
    with pytest.raises(Usage, match=re.compile("share|twice")):
        parse_shares(words)


class Lines:
    """A console that keeps what is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    note = line


@pytest.mark.parametrize(
    ("done", "lines"),
    [
        ({"weights": {"2": 10.0}, "absent": [], "late": []}, ["service s: version 2 10%, other versions 90%"]),
        ({"weights": {"1": 25.0, "2": 75.0}, "absent": [], "late": []}, ["service s: version 1 25%, version 2 75%"]),
        (
            {"weights": {}, "absent": [], "late": ["n3"]},
            [
                "service s: all endpoints get equal shares",
                "note: not taken over yet by n3, which will when it answers again",
            ],
        ),
        (
            {"weights": {"3": 5.0}, "absent": [3], "late": []},
            [
                "service s: version 3 5%, other versions 95%",
                "note: nobody offers version 3 yet; its share goes to the others",
            ],
        ),
    ],
)
def test_what_is_said(done: dict[str, Any], lines: list[str]) -> None:
    console: Any = Lines()
    show_weights({"service": "s", **done}, console)
    assert console.lines == lines
