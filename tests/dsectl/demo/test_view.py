"""The picture of the demo: it fits a terminal, and the nodes stay while the story scrolls."""

import io

import pytest

from dsectl.cli.console import Console
from dsectl.cli.options import Options
from dsectl.demo.findings import Findings, judge
from dsectl.demo.view import LiveTeller, summary_lines
from dsectl.ui.text import PLAIN, length, painted


@pytest.mark.parametrize("nodes", [4, 5, 8, 20])
def test_the_nodes_stay_and_the_newest_of_the_story_is_below_them(nodes: int) -> None:
    teller = LiveTeller(Console(io.StringIO(), io.StringIO(), Options()), Findings(nodes=nodes))
    teller.step("A chapter")
    for number in range(30):
        teller.say(f"line {number}")
    sees = {name: "dead" if name == "n1" else "alive" for name in teller.names}
    for number in range(2):
        teller.found.writes += 100 * number
        teller.states({name: sees for name in teller.names[1:]}, 12)
    lines = teller.lines(24)
    seen = [painted(line, PLAIN) for line in lines]
    assert len(lines) <= 23 and all(length(line) <= (80 if nodes <= 5 else 110) for line in lines)
    assert seen[-1].endswith("line 29") and not any(one.endswith("line 5") for one in seen)
    assert ("dead", "bad") in [piece for line in lines for piece in line] or f"dead for {nodes - 1}" in "".join(seen)
    assert any("hints waiting" in one for one in seen) and any("12" in one for one in seen)
    if nodes <= 8:
        assert any("n1, silent" in one for one in seen)


def test_the_summary_breaks_between_words_and_hangs() -> None:
    found = Findings()
    whole = summary_lines(found, judge(found), PLAIN, None)
    narrow = summary_lines(found, judge(found), PLAIN, 40)
    assert " ".join(" ".join(narrow).split()) == " ".join(" ".join(whole).split())
    assert max(map(len, narrow)) <= 40 and any(line.startswith(" " * 11) for line in narrow[2:4])
