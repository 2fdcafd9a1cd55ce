"""Endpoints, from facts and the states of members."""

import msgspec
import pytest

from cluster.errors import BadMessage
from cluster.limits import SERVICES_MAX
from cluster.requests.registry import Registry, decode_offers, encode_offers, offer
from cluster.requests.service import definition_of
from tests.requests.pricing import Pricing

OFFER = offer(definition_of(Pricing))
OFFERS = {"pricing": [OFFER]}


def registry(**states: str) -> Registry:
    made = Registry()
    for node, state in states.items():
        made.update(node, OFFERS, state)
    return made


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"n2": "alive", "n1": "alive"}, ("n1", "n2")),
        ({"n1": "alive", "n2": "suspect"}, ("n1",)),
        ({"n1": "dead", "n2": "suspect"}, ("n2",)),
        ({"n1": "dead", "n3": "leaving"}, ()),
        ({}, ()),
    ],
)
def test_who_is_called(states: dict[str, str], expected: tuple[str, ...]) -> None:
    assert registry(**states).candidates("pricing") == expected


def test_the_states_of_endpoints() -> None:
    found = registry(n1="alive", n2="suspect", n3="dead", n4="leaving").endpoints("pricing")
    assert [(one.node, one.state, one.reason) for one in found] == [
        ("n1", "ready", ""),
        ("n2", "unreachable", "suspected to be dead"),
        ("n3", "unreachable", "dead"),
        ("n4", "draining", "leaving the cluster"),
    ]


def test_candidates_follow_changes() -> None:
    made = registry(n1="alive", n2="alive")
    assert made.candidates("pricing") == ("n1", "n2")
    made.set_state("n1", "dead")
    assert made.candidates("pricing") == ("n2",)
    made.update("n2", {}, "alive")
    assert made.candidates("pricing") == ()
    made.set_state("n1", "alive")
    assert made.candidates("pricing") == ("n1",)
    made.forget("n1")
    assert made.candidates("pricing") == ()
    made.set_state("unheard", "alive")
    assert made.endpoints("pricing") == [] and made.services() == []


def test_readonly_needs_every_offer_to_say_so() -> None:
    made = registry(n1="alive")
    assert made.is_readonly("pricing", "quote") and not made.is_readonly("pricing", "order")
    assert not made.is_readonly("other", "quote")
    made.update("n2", {"pricing": [msgspec.structs.replace(OFFER, readonly=[])]}, "alive")
    assert not made.is_readonly("pricing", "quote")


def test_facts_survive_their_encoding() -> None:
    body = encode_offers(OFFERS)
    assert decode_offers(body) == OFFERS
    assert len(body) < 100
    assert decode_offers(b"") == {}


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        msgspec.msgpack.encode([]),
        msgspec.msgpack.encode({"a": "b"}),
        msgspec.msgpack.encode({f"s{n}": [(1, "", [])] for n in range(SERVICES_MAX + 1)}),
        msgspec.msgpack.encode({"s": [(1, "", [])] * (SERVICES_MAX + 1)}),
        msgspec.msgpack.encode({"s": [(1, "", ["o"] * 1000)]}),
        msgspec.msgpack.encode({"s": [(1, "", [], [], list(range(1000)))]}),
    ],
)
def test_bad_facts(body: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_offers(body)
