"""The path of a field that does not fit."""

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from cluster.requests.fields import field_problem


class Part(Struct):
    sku: str
    count: Annotated[int, Meta(ge=1)] = 1


class Strict(Struct, forbid_unknown_fields=True):
    name: str = ""


class Row(Struct, array_like=True):
    name: str
    parts: list[Part] = []


class Basket(Struct):
    items: Annotated[list[Part], Meta(min_length=1)]
    by_name: dict[str, list[Part]] = {}
    strict: Strict | None = None
    row: Row | None = None
    pair: tuple[int, Part] | None = None


decode = msgspec.json.Decoder(Basket).decode
GOOD = {"sku": "x"}


def problem(payload: bytes) -> str:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as caught:
        decode(payload)
    return str(field_problem(caught.value))


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({}, "request.items is missing"),
        ([], "request is invalid: expected `object`, got `array`"),
        ({"items": [GOOD, GOOD, {}]}, "request.items[2].sku is missing"),
        ({"items": [{}, GOOD, {}]}, "request.items[0].sku is missing"),
        ({"items": [{**GOOD, "count": "x"}]}, "request.items[0].count is invalid: expected `int`, got `str`"),
        ({"items": [GOOD, {**GOOD, "count": 0}]}, "request.items[1].count is invalid: expected `int` >= 1"),
        ({"items": []}, "request.items is invalid: expected `array` of length >= 1"),
        ({"items": [GOOD], "by_name": {"a": [], "b": [GOOD, {}]}}, "request.by_name[...][1].sku is missing"),
        ({"items": [GOOD], "strict": {"nmae": ""}}, "request.strict.nmae is unknown"),
        ({"items": [GOOD], "row": ["a", [GOOD, 5]]}, "request.row[1][1] is invalid: expected `object`, got `int`"),
        ({"items": [GOOD], "row": [[]]}, "request.row[0] is invalid: expected `str`, got `array`"),
        ({"items": [GOOD], "pair": [1, {}]}, "request.pair[1].sku is missing"),
    ],
)
def test_the_path_of_a_field(sent: Any, sentence: str) -> None:
    assert problem(msgspec.json.encode(sent)) == sentence


@pytest.mark.parametrize("payload", [b"", b"{", b'{"items": nope}', b'{"items": [{"sku": "\xff"}]}'])
def test_what_is_no_json(payload: bytes) -> None:
    assert problem(payload).startswith("request")


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([{}, 5, {"sku": None}, {"sku": "x", "count": -1}]))
def test_the_first_bad_element_is_named(before: int, after: int, bad: Any) -> None:
    """Whatever follows it, good or bad."""
    sent = {"items": [GOOD] * before + [bad] + [bad, GOOD] * after}
    assert problem(msgspec.json.encode(sent)).startswith(f"request.items[{before}]")
