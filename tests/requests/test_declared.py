"""Declared errors as bytes: the fields of a dataclass, the message of any other, and the same class again."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadMessage
from cluster.requests.declared import decode_error, encode_error, error_message


class Plain(Exception):
    """Has a message."""


class Made(Exception):
    def __init__(self, sku: str, shop: str) -> None:
        super().__init__(f"{shop} has no {sku}")


@dataclass
class UnknownItem(Exception):
    sku: str
    near: list[str]
    count: int = 1


@dataclass
class Spoken(Exception):
    message: str
    sku: str = ""

    def __str__(self) -> str:
        return f"{self.sku}: {self.message}"


@dataclass
class Lone(Exception):
    sku: str


@dataclass
class Worded(Exception):
    sku: str
    shop: str

    def __str__(self) -> str:
        return f"{self.shop} has no {self.sku}"


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (Plain("gone"), {"message": "gone"}),
        (Plain(), {"message": ""}),
        (Made("x", "here"), {"message": "here has no x"}),
        (
            UnknownItem(sku="x", near=["y"]),
            {"message": "sku='x', near=['y'], count=1", "sku": "x", "near": ["y"], "count": 1},
        ),
        (
            UnknownItem("x", ["y"]),
            {"message": "sku='x', near=['y'], count=1", "sku": "x", "near": ["y"], "count": 1},
        ),
        (Lone("x"), {"message": "x", "sku": "x"}),
        (Worded("x", "here"), {"message": "here has no x", "sku": "x", "shop": "here"}),
        (Spoken("gone", "x"), {"message": "gone", "sku": "x"}),
    ],
)
def test_what_is_sent_is_raised_again(error: Exception, sent: dict[str, Any]) -> None:
    payload = encode_error(error)
    assert msgspec.json.decode(payload) == sent
    again = decode_error(type(error), payload)
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert error_message(payload) == (sent["message"], sent)
    if not isinstance(error, UnknownItem | Spoken | Lone):
        assert str(again) == str(error)


@given(st.text(), st.lists(st.text()), st.integers(-(2**53), 2**53))
def test_any_fields_arrive(sku: str, near: list[str], count: int) -> None:
    error = UnknownItem(sku, near, count)
    assert decode_error(UnknownItem, encode_error(error)) == error


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"sku": 5, "near": []}', b'{"message": "x"}'])
def test_other_fields_are_refused(payload: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_error(UnknownItem, payload)


def test_fields_that_json_cannot_carry() -> None:
    with pytest.raises(TypeError):
        encode_error(UnknownItem(object(), []))  # type: ignore[arg-type]
