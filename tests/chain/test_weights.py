"""Weights of versions, as entries of the chain."""

from typing import Any

import pytest

from cluster.chain.entry import (
    ChainEntry,
    added,
    decode_chain,
    encode_chain,
    genesis,
    switched,
    with_weights,
)
from cluster.chain.weights import VERSIONS_MAX, WEIGHED_MAX
from cluster.errors import Usage
from cluster.layout import LayoutEntry, LayoutMember


def first() -> ChainEntry:
    members = tuple(LayoutMember(f"n{number}", "z1", "127.0.0.1", number) for number in range(1, 4))
    return genesis(LayoutEntry(1, "c", members, 3, 2, 2))


def test_they_are_set_changed_and_removed() -> None:
    entry = with_weights(first(), "pricing", {2: 10.0, 1: 50.0})
    assert entry.slot == 2 and entry.weights == {"pricing": {1: 50.0, 2: 10.0}}
    assert with_weights(entry, "pricing", {1: 50.0, 2: 10.0}) is entry
    assert with_weights(entry, "echo", {1: 100.0}).weights.keys() == {"echo", "pricing"}
    assert with_weights(entry, "pricing", {}).weights == {}
    assert with_weights(first(), "pricing", {}).slot == 1


def test_they_survive_their_encoding_and_a_change_of_members() -> None:
    entry = with_weights(first(), "pricing", {2: 12.5})
    assert decode_chain(encode_chain(entry)) == entry
    moving = added(entry, [LayoutMember("n4", "z1", "127.0.0.1", 9)])
    assert switched(moving).weights == moving.weights == entry.weights


@pytest.mark.parametrize(
    ("service", "shares"),
    [
        ("pricing", {1: -1.0}),
        ("pricing", {1: 100.1}),
        ("pricing", {1: float("nan")}),
        ("pricing", {1: 60.0, 2: 41.0}),
        ("pricing", {0: 10.0}),
        ("pricing", {version: 1.0 for version in range(1, VERSIONS_MAX + 2)}),
        ("", {1: 10.0}),
        ("x" * 1000, {1: 10.0}),
    ],
)
def test_what_cannot_be(service: str, shares: dict[int, float]) -> None:
    with pytest.raises(Usage):
        with_weights(first(), service, shares)


def test_so_many_services_have_weights() -> None:
    entry: Any = first()
    for number in range(WEIGHED_MAX):
        entry = with_weights(entry, f"s{number}", {1: 1.0})
    with pytest.raises(Usage):
        with_weights(entry, "another", {1: 1.0})
