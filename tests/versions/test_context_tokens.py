"""A token opens for its own key, whole, or is refused with a reason."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import errors
from cluster.versions import (
    CONTEXT_BYTES_MAX,
    DOTS_MAX,
    Context,
    decode_context,
    encode_clock,
    encode_context,
    join_dot,
    make_token,
    open_token,
)

CLOCK = {"n1-00000001.1.0": 3, "n2-00000002.1.0": 1}
TOKEN = make_token("cart", encode_clock(CLOCK))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
clocks = st.dictionaries(texts, st.integers(1, 2**62), max_size=5)


@given(texts, clocks)
def test_a_token_carries_its_clock(key: str, clock: dict[str, int]) -> None:
    token = make_token(key, encode_clock(clock))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert decode_context(open_token(key, token)) == Context(clock)


@given(clocks, st.lists(st.tuples(texts, st.integers(1, 2**62)), max_size=5))
def test_a_context_is_a_clock_and_single_dots(clock: dict[str, int], dots: list[tuple[str, int]]) -> None:
    context = Context(clock, tuple(dots))
    assert decode_context(encode_context(context)) == context
    assert all(context.covers(dot) for dot in [*clock.items(), *dots])
    if not dots:
        assert encode_context(context) == encode_clock(clock)


@given(st.lists(st.integers(1, 50), unique=True, min_size=1))
def test_of_a_writers_own_dots_the_newest_are_kept(numbers: list[int]) -> None:
    context = None
    for number in numbers:
        context = join_dot(context, ("a", number))
    assert context == Context({}, tuple(("a", number) for number in numbers[-DOTS_MAX:]))


def test_the_order_of_actors_does_not_show() -> None:
    assert encode_clock(dict(reversed(CLOCK.items()))) == encode_clock(CLOCK)


def test_tokens_stay_readable_across_versions() -> None:
    """People keep tokens in scripts: a change of the form needs a new number in the checksum's key."""
    assert TOKEN == "RaCCQWzPgq9uMS0wMDAwMDAwMS4xLjADr24yLTAwMDAwMDAyLjEuMAE"


REFUSED = [
    ("", "another key"),
    ("?", "no token"),
    ("ä", "no token"),
    ("x", "no token"),
    (TOKEN[:-4], "another key"),
    (TOKEN + "AAAA", "another key"),
    (TOKEN[:-1] + " ", "no token"),
    (make_token("carts", encode_clock(CLOCK)), "another key"),
]


@pytest.mark.parametrize(("token", "reason"), REFUSED)
def test_what_is_no_token_of_the_key_is_refused(token: str, reason: str) -> None:
    with pytest.raises(errors.BadContext, match=reason) as refusal:
        open_token("cart", token)
    assert "context" in refusal.value.help


@given(st.text(max_size=80))
def test_no_random_text_opens(token: str) -> None:
    with pytest.raises(errors.BadContext):
        open_token("cart", token)


GARBAGE = [
    b"",
    b"\xc1",
    b"\x90",
    b"\x92\x80\x01",
    b"\x92\x80\x91\x92\xa1a\x00",
    b"\x81\xa1a\x00",
    b"\x81\xa1a\xa1b",
    b"\x81\xa1\xff\x01",
    encode_clock({"a": 2**63}),
]


@pytest.mark.parametrize("blob", GARBAGE, ids=range(len(GARBAGE)))
def test_bytes_that_hold_no_context_are_refused(blob: bytes) -> None:
    with pytest.raises(errors.BadContext, match="cannot be read"):
        decode_context(blob)


def test_a_context_longer_than_any_that_was_handed_out_is_refused() -> None:
    with pytest.raises(errors.BadContext, match="at most"):
        decode_context(bytes(CONTEXT_BYTES_MAX + 1))
