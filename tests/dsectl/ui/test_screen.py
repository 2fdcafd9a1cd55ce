"""What is drawn in place, as a terminal shows it; and how wide a page is. tests/processes tries the live screen."""

import io
import os
import shutil
import subprocess
import sys

import pyte
import pytest

from dsectl.ui.screen import COLUMNS_MAX, Block, Screen, is_drawn_on, page_columns
from dsectl.ui.text import Line, Paint, as_word
from tests.dsectl.ui.terminal import TerminalText


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> TerminalText:
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((20, 5)))
    return TerminalText()


def seen(out: TerminalText) -> list[str]:
    """The lines of a terminal of 20 columns and 5 rows that got all that was written."""
    terminal = pyte.Screen(20, 5)
    pyte.Stream(terminal).feed(out.getvalue().replace("\n", "\r\n"))
    return [line.rstrip() for line in terminal.display]


def lines(*texts: str) -> list[Line]:
    return [[(text, "good")] for text in texts]


def test_a_block_is_drawn_over_the_last_one(out: TerminalText) -> None:
    out.write("before\n")
    with Block(out, Paint(True), transient=False) as block:
        block.draw(lines("one", "two", "three"))
        block.draw(lines("four", "a line that is far too long"))
        assert seen(out) == ["before", "four", "a line that is far…", "", ""]
    out.write("after")
    assert seen(out) == ["before", "four", "a line that is far…", "after", ""]


def test_a_transient_block_leaves_nothing(out: TerminalText) -> None:
    out.write("before\n")
    with Block(out, Paint(False), transient=True) as block:
        block.draw(lines("one", "two"))
    out.write("after")
    assert seen(out) == ["before", "after", "", "", ""]


def test_a_block_is_never_higher_than_the_terminal(out: TerminalText) -> None:
    with Block(out, Paint(False), transient=True) as block:
        for _ in range(3):
            block.draw(lines(*"abcdefgh"))
        assert seen(out) == ["e", "f", "g", "h", ""]


def test_a_block_off_a_terminal_writes_nothing() -> None:
    plain = io.StringIO()
    with Block(plain, Paint(False), transient=False) as block:
        block.draw(lines("one"))
    assert plain.getvalue() == ""


@pytest.mark.parametrize(
    ("columns", "expected"),
    [("", 120), ("60", 60), ("abc", 120), ("0", 120), ("-5", 120), ("1e3", 120), ("٣", 120), ("9" * 30, 120),
     ("100000", COLUMNS_MAX), (" 80", 120)],
)  # fmt: skip
def test_the_width_of_a_page(monkeypatch: pytest.MonkeyPatch, columns: str, expected: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert page_columns(120) == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    "text", ["cart", "my cart", "it's", "", "$HOME `id`", "a\nb", "\\n'\t\x1b[31m", "ключ\u2028\U000e0001"]
)
def test_a_word_that_is_pasted_into_a_shell_is_the_text(text: str) -> None:
    word = as_word(text)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    pasted = subprocess.run(["bash", "-c", f"printf %s {word}"], env=environment, capture_output=True, check=True)
    assert pasted.stdout.decode() == text and word.isprintable()


def test_a_screen_is_a_picture_until_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, ours = os.openpty()
    with open(terminal, "rb"), open(ours) as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        with Screen(io.StringIO()):
            assert is_drawn_on()
        assert not is_drawn_on()
