"""Operators on typed values."""

from typing import Any

import pytest

from cluster.errors import Usage
from dsectl.script.tokens import split
from dsectl.script.values import MISSING, argument, holds, value_of_word

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


def test_a_bad_pattern_is_refused() -> None:
    with pytest.raises(Usage):
        holds("x", "matches", "(")


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
