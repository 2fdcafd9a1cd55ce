"""Cutting a line into words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Usage
from dsectl.script.words import Bare, Quoted, Variable, split

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
def test_any_line_is_cut_or_refused(line: str) -> None:
    try:
        words = split(line)
    except Usage:
        return
    for word in words:
        assert word.raw and line[word.column :].startswith(word.raw) and word.parts


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="'"), max_size=20), max_size=5))
def test_single_quotes_keep_everything(texts: list[str]) -> None:
    line = " ".join(f"'{text}'" for text in texts)
    assert [word.text() for word in split(line)] == texts
