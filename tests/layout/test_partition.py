"""Keys spread evenly over 256 fixed partitions, the same on every machine."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.layout import PARTITIONS, partition_of, token

# A change of these figures moves every key of every cluster.
GOLDEN = [("", 0xE4A6A0577479B2B4), ("cart", 0xC200930B493AE896), ("schlüssel", 0xC4CDAEDB3341551A)]


@pytest.mark.parametrize(("key", "expected"), GOLDEN)
def test_tokens_never_change(key: str, expected: int) -> None:
    assert token(key) == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_partition_is_the_top_byte_of_the_token(key: str) -> None:
    assert 0 <= token(key) < 2**64
    assert partition_of(key) == token(key) >> 56
    assert 0 <= partition_of(key) < PARTITIONS


def test_keys_spread_evenly() -> None:
    held = Counter(partition_of(f"user:{number}") for number in range(51_200))
    assert len(held) == PARTITIONS
    # 200 a partition, standard deviation 14: five of them either way
    assert min(held.values()) > 130 and max(held.values()) < 270
