"""Redis' patterns."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.gateways.redis.glob import compile_glob, is_literal, literal_prefix


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("h?llo", "hello", "hllo"),
        ("h*llo", "hllo", "hell"),
        ("h*llo", "heeeello", "xhello"),
        ("h[ae]llo", "hallo", "hillo"),
        ("h[^e]llo", "hallo", "hello"),
        ("h[a-c]llo", "hbllo", "hdllo"),
        ("h[c-a]llo", "hbllo", "hdllo"),
        ("a\\*b", "a*b", "axb"),
        ("a[\\]]b", "a]b", "a\\b"),
        ("*a*b*", "xxaxxbxx", "xxbxxaxx"),
        ("**", "anything\n", None),
        ("", "", "x"),
        ("a[", None, "a["),
        ("a[b", "ab", "a"),
        ("[a-]", "-", "b"),
        ("a.c", "a.c", "abc"),
        ("trail\\", "trail\\", "trail"),
    ],
)
def test_what_is_meant(glob: str, yes: str | None, no: str | None) -> None:
    meant = compile_glob(glob)
    assert yes is None or meant.fullmatch(yes)
    assert no is None or not meant.fullmatch(no)


@given(st.text(alphabet="ab*?[]^-\\", max_size=12), st.text(alphabet="ab-]", max_size=12))
def test_what_is_meant_begins_with_the_literal_prefix(glob: str, text: str) -> None:
    if compile_glob(glob).fullmatch(text):
        assert text.startswith(literal_prefix(glob))
        assert not is_literal(glob) or text == glob


def test_many_stars_cost_little() -> None:
    began = time.process_time()
    assert not compile_glob("a*" * 40 + "b").fullmatch("a" * 1000)
    assert time.process_time() - began < 1
