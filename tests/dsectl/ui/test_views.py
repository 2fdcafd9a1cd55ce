"""Tables and text: aligned, coloured by meaning, and never obeyed by a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.emulator.faultsfile import Fault
from dsectl.ui.faults import fault_json, faults_lines, with_receipt
from dsectl.ui.table import state, table
from dsectl.ui.text import Paint, by_number, count, cut, fit, length, piece, shown, width, wrapped


def test_columns_are_aligned_and_lines_not_padded() -> None:
    lines = table(
        ("NODE", "STATE", "PORT"), [("n1", state("running"), "9"), ("n10", state("dead"), "20000")], right=("PORT",)
    )
    assert lines == ["NODE  STATE     PORT", "n1    running      9", "n10   dead     20000"]


def test_a_column_that_says_nothing_is_left_out() -> None:
    assert table(("A", "NOTE", "B"), [("1", "", "2")]) == ["A  B", "1  2"]
    assert table(("A", "B"), []) == ["A  B"]


def test_the_last_column_is_cut_at_the_edge_of_the_terminal() -> None:
    assert table(("A", "B"), [("1", "a long text for a narrow place")], columns=20) == ["A  B", "1  a long text for …"]


def test_colour_does_not_count_for_the_width() -> None:
    plain = table(("S", "X"), [(state("alive"), "1"), (state("suspect"), "2")])
    coloured = table(("S", "X"), [(state("alive"), "1"), (state("suspect"), "2")], Paint(True))
    assert coloured[1] == "\x1b[32malive\x1b[0m    1"
    assert [len(line) for line in plain[1:]] == [len("suspect  1")] * 2


def test_wide_characters_take_two_columns() -> None:
    assert table(("K", "V"), [("鍵", "1"), ("key", "2")]) == ["K    V", "鍵   1", "key  2"]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain é 鍵", "plain é 鍵"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("\x00\x7f", "\\x00\\x7f"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, safe: str) -> None:
    assert shown(text) == safe


def test_line_ends_may_stay() -> None:
    assert shown("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"


@given(st.text())
def test_shown_text_is_printable(text: str) -> None:
    assert shown(text).isprintable()


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("é", 1), ("e\u0301", 1), ("鍵", 2), ("ｗ", 2), ("👍", 2), ("👍🏽", 2), ("한", 2), ("각", 2),
     ("●✕▁…", 4), ("❤️", 2), ("🇨🇭", 2), ("", 0)],
)  # fmt: skip
def test_columns_are_what_a_terminal_takes(text: str, columns: int) -> None:
    assert width(text) == columns
    assert width(piece(text, 5)[0]) == length(fit([(text, "")], 5)) == 5


def test_an_accent_stays_with_its_letter() -> None:
    assert cut("ae\u0301xyz", 3) == "ae\u0301…" and cut("a鍵b鍵", 3) == "a…"


def test_names_sort_as_people_count() -> None:
    assert sorted(["n10", "n2", "web", "n1", "a9"], key=by_number) == ["a9", "n1", "n2", "n10", "web"]


@given(st.text(alphabet="ab鍵é\u0301👍🏽한\ufe0f❤"), st.integers(0, 10))
def test_cut_text_fits(text: str, columns: int) -> None:
    assert width(cut(text, columns)) <= columns


def test_a_painter_that_is_off_changes_nothing() -> None:
    assert Paint(False)("x", "bad") == "x"
    assert Paint(True)("x", "bad") == "\x1b[31mx\x1b[0m"
    assert Paint(True)("x", "") == Paint(True)("x", "unknown") == "x"
    assert Paint(True)("", "bad") == ""


@pytest.mark.parametrize(("number", "text"), [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes")])
def test_numbers_agree_with_their_nouns(number: int, text: str) -> None:
    assert count(number, "node") == text


@pytest.mark.parametrize(("complete", "said"), [(True, "no effect"), (False, "unknown")])
def test_a_fault_had_no_effect_only_where_all_nodes_gave_their_counts(complete: bool, said: str) -> None:
    kill = Fault(id="f1", kind="kill", at="2026-03-01T12:00:00Z", active=False, nodes=["n1"])
    fault = with_receipt(fault_json(kill), [])
    assert said in faults_lines([fault], Paint(False), None, complete=complete)[1]


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("as it is", None, ["as it is"]),
        ("as it is", 8, ["as it is"]),
        ("errors   one 1, two 2, three 3", 16, ["errors   one 1,", "  two 2, three 3"]),
        ("say `dsectl restart --all` now", 12, ["say", "  `dsectl restart --all`", "  now"]),
        ("\x1b[31merror:\x1b[0m none is left", 16, ["\x1b[31merror:\x1b[0m none is", "  left"]),
        ("x" * 9, 4, ["x" * 9]),
        ("", 4, [""]),
    ],
)
def test_lines_break_between_words_and_in_no_command(text: str, columns: int | None, lines: list[str]) -> None:
    assert wrapped(text, columns, 2) == lines


@given(st.text("ab `\n鍵", max_size=60), st.integers(1, 30))
def test_what_is_wrapped_is_all_there(text: str, columns: int) -> None:
    text = shown(text)
    lines = wrapped(text, columns)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(width(line) <= columns for line in lines if " " in line.strip() and "`" not in line)
