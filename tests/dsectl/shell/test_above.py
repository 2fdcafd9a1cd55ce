"""Lines of other threads: as they come without a prompt, and never into a picture."""

import io
import os

import pytest

from dsectl.cli.console import Console
from dsectl.cli.options import Options
from dsectl.shell.above import HELD_MAX, Above
from dsectl.ui.screen import Block
from dsectl.ui.text import Paint
from tests.dsectl.ui.terminal import TerminalText


@pytest.fixture
def picture(monkeypatch: pytest.MonkeyPatch) -> Block:
    """A picture on a stream of its own, drawn once."""
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((80, 24)))
    block = Block(TerminalText(), Paint(False), transient=True)
    block.draw([[("picture", "")]])
    return block


def test_lines_wait_while_a_command_draws_a_picture(picture: Block) -> None:
    out = io.StringIO()
    above = Above(Console(out, io.StringIO(), Options()))
    with picture:
        above.say("while it stands")
        assert out.getvalue() == ""
    above.say("after it")
    assert out.getvalue() == "while it stands\nafter it\n"


def test_behind_a_picture_only_the_newest_lines_are_kept(picture: Block) -> None:
    out = io.StringIO()
    above = Above(Console(out, io.StringIO(), Options()))
    with picture:
        for number in range(HELD_MAX + 3):
            above.say(f"line {number}")
    above.end()
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["… 3 lines left out", "line 3"]
    assert len(lines) == 1 + HELD_MAX and lines[-1] == f"line {HELD_MAX + 2}"
