"""Cutting a line into words."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.errors import Usage
from dsectl.script.tokens import Bare, Line, Quoted, Variable, join_lines, scan, split, words

LINES = [
    ("put cart book", ["put", "cart", "book"]),
    ("  put   cart\tbook  ", ["put", "cart", "book"]),
    ("put 'two words' x", ["put", "two words", "x"]),
    (r'put "a \"b\" \\ \$x \n\t" x', ["put", 'a "b" \\ $x \n\t', "x"]),
    ("put ''", ["put", ""]),
    ('put ""', ["put", ""]),
    ("name:='{\"a\": 1}'", ['name:={"a": 1}']),
    ("put a#b # a comment", ["put", "a#b"]),
    ("# only a comment", []),
    ("put '#' \"#\"", ["put", "#", "#"]),
    ("price 5$ $", ["price", "5$", "$"]),
    (r"put C:\dir x", ["put", "C:\\dir", "x"]),
    ("", []),
]


@pytest.mark.parametrize(("line", "texts"), LINES)
def test_words(line: str, texts: list[str]) -> None:
    assert [word.text() for word in split(line)] == texts


def test_variables_stand_bare_and_in_double_quotes() -> None:
    bare, quoted, single, joined = split("$a \"to $b.\" '$c' x$d-y")
    assert bare.variable == "a" and bare.variables == ["a"]
    assert quoted.parts == (Quoted("to "), Variable("b", quoted=True), Quoted("."))
    assert single.parts == (Quoted("$c", single=True),) and single.variables == []
    assert joined.parts == (Bare("x"), Variable("d"), Bare("-y")) and joined.variable is None


def test_a_quoted_variable_alone_is_not_bare() -> None:
    (word,) = split('"$x"')
    assert word.variable is None and word.variables == ["x"]


@pytest.mark.parametrize(
    ("line", "column"), [("put 'open", 5), ('put "open', 5), (r'put "a\x"', 7), ('put x"', 6), (r'"ends\\\"', 1)]
)
def test_what_is_not_closed_names_its_column(line: str, column: int) -> None:
    with pytest.raises(Usage) as caught:
        split(line)
    assert caught.value.message.startswith(f"column {column}: ")


@given(st.text())
@example('"$a')
def test_any_line_is_cut_or_refused(line: str) -> None:
    tokens = list(scan(line))
    assert "".join(token.raw for token in tokens) == line
    assert all(line[token.column :].startswith(token.raw) for token in tokens)
    assert all(token.raw or token.problem for token in tokens)
    for word in words(tokens):
        assert word.raw and line[word.column :].startswith(word.raw) and word.parts
    try:
        assert split(line) == words(tokens)
    except Usage:
        assert any(token.problem for token in tokens)


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="'"), max_size=20), max_size=5))
def test_single_quotes_keep_everything(texts: list[str]) -> None:
    line = " ".join(f"'{text}'" for text in texts)
    assert [word.text() for word in split(line)] == texts


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("get 'half", ["get", "half"]),
        ('get "half $x', ["get", "half 1"]),
        (r'get "a\qb"', ["get", r"a\qb"]),
        ('get "ends\\', ["get", "ends\\"]),
        ("get k # unfinished '", ["get", "k"]),
    ],
)
def test_half_a_line_has_words(line: str, texts: list[str]) -> None:
    assert [word.text() for word in words(scan(line))] == texts


JOINED = [
    (["put k \\", "  v"], [Line(1, "put k    v")]),
    (["put k v", "# the file lies in C:\\data\\", "get k"], [Line(1, "put k v"), Line(3, "get k")]),
    (["put k v # in C:\\", "get k"], [Line(1, "put k v # in C:\\"), Line(2, "get k")]),
    (["put k \\", "# in C:\\", "get k"], [Line(1, "put k  # in C:\\"), Line(3, "get k")]),
    (["put k 'a # b \\", "c'"], [Line(1, "put k 'a # b  c'")]),
    (["put k a#b\\", "c"], [Line(1, "put k a#b c")]),
    (["get k \\"], [Line(1, "get k")]),
    (["  # nothing", "", "get k"], [Line(3, "get k")]),
]


@pytest.mark.parametrize(("lines", "joined"), JOINED)
def test_a_backslash_joins_lines_but_a_comment_ends_with_its_line(lines: list[str], joined: list[Line]) -> None:
    assert list(join_lines(lines)) == joined
