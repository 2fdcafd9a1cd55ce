"""A session's memory: bounded, and the least recently used goes first."""

import pytest

from cluster.client.keyed import Contexts
from cluster.versions.context import encode_clock


def test_the_least_recently_used_is_forgotten() -> None:
    contexts = Contexts(2)
    contexts.remember("a", b"1")
    contexts.remember("b", b"2")
    assert contexts.recall("a") == b"1"
    contexts.remember("c", b"3")
    assert (contexts.recall("a"), contexts.recall("b"), contexts.recall("c")) == (b"1", None, b"3")
    contexts.remember("a", b"4")
    assert len(contexts) == 2 and contexts.recall("a") == b"4"
    contexts.forget("a")
    assert contexts.recall("a") is None


@pytest.mark.parametrize("nothing", [b"", encode_clock({})])
def test_a_key_without_a_value_is_known_and_has_no_context(nothing: bytes) -> None:
    contexts = Contexts()
    contexts.remember("a", b"1")
    contexts.remember("a", nothing)
    assert contexts.recall("a") is None and contexts.knows("a")
    contexts.forget("a")
    assert not contexts.knows("a") and len(contexts) == 0
