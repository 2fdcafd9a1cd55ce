"""Receipts are text that names one lease, and what is no receipt is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Usage
from cluster.queues.receipts import Receipt, decode_receipt, encode_receipt

RECEIPT = Receipt(7, 3, "n1-5f3a9c1e.4.0", 123456, "n2", 9, 4711)


def test_a_receipt_comes_back() -> None:
    text = encode_receipt(RECEIPT)
    assert decode_receipt(text) == RECEIPT
    assert text.isascii() and " " not in text and not text.startswith("-")


@given(st.text(max_size=80))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="invalid receipt"):
        decode_receipt(text)


@given(st.integers(0, len(encode_receipt(RECEIPT)) - 1), st.characters(codec="ascii"))
def test_a_receipt_with_a_wrong_character_is_refused(place: int, character: str) -> None:
    text = encode_receipt(RECEIPT)
    changed = text[:place] + character + text[place + 1 :]
    if changed == text:
        return
    try:
        assert decode_receipt(changed) == RECEIPT  # the last character has bits that mean nothing
    except Usage:
        pass
