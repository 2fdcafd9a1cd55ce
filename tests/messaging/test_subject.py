"""Which subjects and patterns are accepted, and what a pattern matches."""

import pytest

from cluster.errors import TooLarge, Usage
from cluster.limits import SUBJECT_BYTES_MAX
from cluster.messaging.subject import is_literal, matches, split_pattern, split_subject


@pytest.mark.parametrize("subject", ["a", "a.b", "orders.eu.new", "a-b_c.1:2", "grün.日本", "$sys.x"])
def test_subjects_that_are_accepted(subject: str) -> None:
    assert split_subject(subject) == split_pattern(subject) == subject.split(".")


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\n", "a\x00", "a\u00a0b", "\ud800"])
def test_what_is_neither_a_subject_nor_a_pattern(text: str) -> None:
    with pytest.raises(Usage):
        split_subject(text)
    with pytest.raises(Usage):
        split_pattern(text)


@pytest.mark.parametrize("pattern", ["*", ">", "a.*", "*.a", "a.*.b", "a.>", "*.*.>"])
def test_patterns_that_are_accepted(pattern: str) -> None:
    assert split_pattern(pattern) == pattern.split(".")
    assert not is_literal(pattern)
    with pytest.raises(Usage):
        split_subject(pattern)


@pytest.mark.parametrize("pattern", [">.a", "a.>.b", "a*", "*a", "a>", "**", ">>", "a.b*.c"])
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(Usage):
        split_pattern(pattern)


def test_the_limit_counts_bytes() -> None:
    assert split_subject("x" * SUBJECT_BYTES_MAX)
    with pytest.raises(TooLarge):
        split_subject("ü" * (SUBJECT_BYTES_MAX // 2 + 1))


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", "a.b", False),
        ("a.b", "a", False),
        ("*", "a", True),
        ("*", "a.b", False),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.c", False),
        ("a.*", "a.b.c", False),
        (">", "a.b.c", True),
        ("a.>", "a", False),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c.d", True),
        ("a.>", "b.c", False),
        ("*.>", "a.b", True),
        ("*.>", "a", False),
    ],
)
def test_what_a_pattern_matches(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) == expected
