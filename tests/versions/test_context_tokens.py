"""A token opens for its own key, whole, or is refused with a reason."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import errors
from cluster.versions import decode_clock, encode_clock, make_token, open_token

CLOCK = {"n1-00000001.1.0": 3, "n2-00000002.1.0": 1}
TOKEN = make_token("cart", encode_clock(CLOCK))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
clocks = st.dictionaries(texts, st.integers(1, 2**62), max_size=5)


@given(texts, clocks)
def test_a_token_carries_its_clock(key: str, clock: dict[str, int]) -> None:
    token = make_token(key, encode_clock(clock))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert decode_clock(open_token(key, token)) == clock


def test_the_order_of_actors_does_not_show() -> None:
    assert encode_clock(dict(reversed(CLOCK.items()))) == encode_clock(CLOCK)


def test_tokens_stay_readable_across_versions() -> None:
    """People keep tokens in scripts: a change of the form needs a new number in the checksum's key."""
    assert TOKEN == "K7plORjdgq9uMS0wMDAwMDAwMS4xLjADr24yLTAwMDAwMDAyLjEuMAE"


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


GARBAGE = [b"", b"\xc1", b"\x90", b"\x81\xa1a\x00", b"\x81\xa1a\xa1b", b"\x81\xa1\xff\x01", encode_clock({"a": 2**63})]


@pytest.mark.parametrize("blob", GARBAGE, ids=range(len(GARBAGE)))
def test_bytes_that_hold_no_clock_are_refused(blob: bytes) -> None:
    with pytest.raises(errors.BadContext, match="no clock"):
        decode_clock(blob)
