"""Which nodes want a subject."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadMessage
from cluster.limits import PATTERNS_MAX
from cluster.messaging.interest import Interest, decode_interest, encode_interest
from cluster.messaging.subject import matches
from tests.messaging.test_matching import patterns, subjects

announced = st.dictionaries(st.tuples(patterns, st.sampled_from(["", "", "g", "h"])), st.integers(1, 9), max_size=4)


@given(st.lists(st.tuples(st.sampled_from(["n1", "n2", "n3"]), announced), max_size=6), subjects)
def test_the_last_fact_of_each_node_counts(facts: list[tuple[str, dict[tuple[str, str], int]]], subject: str) -> None:
    interest = Interest()
    last: dict[str, dict[tuple[str, str], int]] = {}
    for node, wanted in facts:
        interest.route(subject)
        interest.update(node, encode_interest(wanted))
        last[node] = wanted
    for group in ("", "g", "h"):
        counts = {
            node: sum(n for (p, g), n in wanted.items() if g == group and matches(p, subject))
            for node, wanted in last.items()
        }
        found = interest.route(subject)
        routed = found.groups.get(group, ()) if group else found.nodes
        assert routed == tuple(sorted((node, count) for node, count in counts.items() if count))


def test_a_node_that_is_forgotten_gets_nothing() -> None:
    interest = Interest()
    interest.update("n1", encode_interest({("a.*", ""): 2}))
    interest.update("n2", encode_interest({(">", ""): 1}))
    assert interest.route("a.b").nodes == (("n1", 2), ("n2", 1))
    interest.forget("n1")
    assert interest.route("a.b").nodes == (("n2", 1),)
    interest.forget("n1")


@given(announced)
def test_facts_survive_their_encoding(wanted: dict[tuple[str, str], int]) -> None:
    assert decode_interest(encode_interest(wanted)) == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        msgspec.msgpack.encode({"a": 1}),
        msgspec.msgpack.encode([["a", "many"]]),
        msgspec.msgpack.encode([["a", 0]]),
        msgspec.msgpack.encode([["a", 1, "g" * 65]]),
        msgspec.msgpack.encode([["a", 1], ["b..c", 1]]),
        msgspec.msgpack.encode([[f"a{n}", 1] for n in range(PATTERNS_MAX + 1)]),
    ],
)
def test_a_bad_fact_leaves_no_interest(body: bytes) -> None:
    interest = Interest()
    interest.update("n1", encode_interest({("a", ""): 1}))
    with pytest.raises(BadMessage):
        interest.update("n1", body)
    assert interest.route("a") == ((), {})
    assert interest._tree.is_empty()


def test_a_void_fact_is_no_interest() -> None:
    interest = Interest()
    interest.update("n1", encode_interest({("a", ""): 1}))
    interest.update("n1", b"")
    assert interest.route("a") == ((), {})


def test_a_longer_row_of_a_later_version_is_read() -> None:
    assert decode_interest(msgspec.msgpack.encode([["a", 1, "", "more"]])) == {("a", ""): 1}
