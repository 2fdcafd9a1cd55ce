"""Operators on typed values."""

import os
from binascii import b2a_base64
from typing import Any

import pytest

from cluster.errors import Usage
from dsectl.script.tokens import split
from dsectl.script.values import MISSING, argument, hint, holds, json_or_text, shown_value, value_of_word

TRUE: list[tuple[Any, str, Any]] = [
    (3, "==", 3),
    (1, "==", 1.0),
    ([1, {"a": True}], "==", [1.0, {"a": True}]),
    ("3", "!=", 3),
    (True, "!=", 1),
    (False, "!=", 0),
    (None, "==", None),
    (2, "<", 3),
    (2.5, ">=", 2.5),
    ("a", "<", "b"),
    ("suspect", "in", ["suspect", "dead"]),
    ("us", "in", "suspect"),
    ([1, 2], "contains", 2),
    ("abc", "contains", "bc"),
    ({"n1": 1}, "contains", "n1"),
    ("kv.write", "matches", r"^kv\."),
]
FALSE: list[tuple[Any, str, Any]] = [
    ("3", "==", 3),
    (True, "==", 1),
    ([True], "contains", 1),
    ("3", "<", 4),
    (True, "<", 2),
    (None, "<", 1),
    (3, "matches", "3"),
    (3, "in", 3),
    *[(MISSING, operator, "x") for operator in ("==", "!=", "<", "in", "contains", "matches")],
]


@pytest.mark.parametrize(("seen", "operator", "wanted"), TRUE)
def test_holds(seen: Any, operator: str, wanted: Any) -> None:
    assert holds(seen, operator, wanted)


@pytest.mark.parametrize(("seen", "operator", "wanted"), FALSE)
def test_does_not_hold(seen: Any, operator: str, wanted: Any) -> None:
    assert not holds(seen, operator, wanted)


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "\udc80", 3, ["a"]])
def test_a_bad_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(Usage):
        holds("x", "matches", pattern)


@pytest.mark.parametrize("pattern", ["^(a+)+b", "(a|aa)+$x", "(.*a){12}b", "([a-z]+)*[0-9]"])
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """Each takes longer than the universe has existed where one match is tried after the other."""
    assert not holds("a" * 10_000, "matches", pattern)


HINTS: list[tuple[Any, str, Any, str]] = [
    ("3", "==", 3, 'a value is text: write == "3"'),
    ("true", "!=", True, 'write != "true"'),
    ('{"a": 1}', "==", {"a": 1}, r'write == "{\"a\": 1}"'),
    (3, "==", "3", "it is a number: write == 3"),
    ([1, 2], "==", "[1, 2]", "it is a list: write == '[1, 2]'"),
    ("book", "==", 3, "text never equals a number"),
    ("3", "<", 4, "there is no order between text and a number"),
    (None, ">", 4, "there is no order between null and a number"),
    ([1], "<", [2], "there is no order between a list and a list"),
    (3, "matches", "3", "matches searches text, and this is a number"),
    (3, "contains", 3, "contains looks into text"),
    ("3", "contains", 3, "text contains text, not a number"),
    ("a", "in", 3, "in looks into text"),
    ("book", "==", "pen", ""),
    (3, "<", 2, ""),
    (None, "==", "x", ""),
    ("x", "!=", None, ""),
    (["a"], "contains", 3, ""),
    (MISSING, "==", 3, ""),
]


@pytest.mark.parametrize(("seen", "operator", "wanted", "text"), HINTS)
def test_types_that_cannot_match_are_told(seen: Any, operator: str, wanted: Any, text: str) -> None:
    found = hint(seen, operator, wanted)
    assert text in found and bool(text) == bool(found)


VALUES: list[tuple[str, Any]] = [
    ("3", 3),
    ('"3"', "3"),
    ("true", True),
    ("null", None),
    ("book", "book"),
    ("-0.5", -0.5),
    ("'[1, 2]'", [1, 2]),
    ('["a","b"]', ["a", "b"]),
    ('{"a":1}', {"a": 1}),
    ("'two words'", "two words"),
    ('"true"', "true"),
    ("$number", 7),
    ("$list", [1]),
    ('"$number"', "7"),
    ("n$number", "n7"),
    ("''", ""),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values_of_tests(text: str, value: Any) -> None:
    (word,) = split(text)
    found = value_of_word(word, {"number": 7, "list": [1]}.__getitem__)
    assert found == value and type(found) is type(value)


ARGUMENTS: list[tuple[str, str]] = [
    ("$t", "a b"), ("$n", "7"), ("$flag", "true"), ("$o", '{"a":[1]}'), ("x-$n-$t", "x-7-a b")
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), ARGUMENTS)
def test_an_argument_is_one_word_whatever_it_holds(text: str, value: str) -> None:
    (word,) = split(text)
    assert argument(word, {"t": "a b", "n": 7, "flag": True, "o": {"a": [1]}}.__getitem__) == value


def test_bytes_stay_bytes_and_null_is_no_argument() -> None:
    (word,) = split("$x")
    data = bytes(range(1, 256))
    found = argument(word, {"x": {"base64": b2a_base64(data, newline=False).decode()}}.__getitem__)
    assert os.fsencode(found) == data
    assert argument(word, {"x": {"base64": "no base64!", "more": 1}}.__getitem__).startswith("{")
    with pytest.raises(Usage, match=r"\$x is null"):
        argument(word, {"x": None}.__getitem__)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def test_values_nested_without_end_are_text_or_refused() -> None:
    text = "[" * 100_000 + "]" * 100_000
    (word,) = split(text)
    assert value_of_word(word, dict[str, Any]().__getitem__) == text == json_or_text(text)
    assert hint(text, "==", 3) == "text never equals a number"
    assert "JSON" in shown_value(nested(100_000))
    with pytest.raises(Usage, match="nested too deeply"):
        holds(nested(100_000), "==", nested(100_000))
