"""Which other nodes have subscribers for a subject, from what each node announces about itself.

A node's fact of kind `topics` is a msgpack list of rows, one a pattern, with how many subscriptions it has there. So
a publisher relays a message only where it is wanted, once a node, and knows how many subscriptions it went towards.
What is known of a node is as old as its last fact: interest is for routing, and the receiver matches again. Pure.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from cluster.errors import BadMessage, Usage
from cluster.limits import PATTERNS_MAX
from cluster.messaging.matching import CACHE_SUBJECTS_MAX, PatternTree

KIND = "topics"


class Row(Struct, array_like=True, frozen=True):
    """`subscribers` subscriptions to `pattern` on the node that announces it."""

    pattern: str
    subscribers: int


Route = tuple[tuple[str, int], ...]
"""Nodes with interest, and how many of their subscriptions match."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Row]).decode


def encode_interest(subscribers: Mapping[str, int]) -> bytes:
    """The fact's body, from the number of subscriptions by pattern."""
    return _encode([Row(pattern, count) for pattern, count in subscribers.items()])


def decode_interest(body: bytes) -> dict[str, int]:
    """The number of subscriptions by pattern; an empty body is void, and says none. Raises BadMessage."""
    if not body:
        return {}
    try:
        rows = _decode(body)
    except msgspec.DecodeError as error:
        raise BadMessage(f"not a list of patterns: {error}") from None
    if len(rows) > PATTERNS_MAX or any(row.subscribers < 1 for row in rows):
        raise BadMessage("a list of patterns that breaks its limits")
    return {row.pattern: row.subscribers for row in rows}


class Interest:
    """The patterns of all other nodes."""

    def __init__(self) -> None:
        self._patterns: dict[str, dict[str, int]] = {}
        self._tree: PatternTree[tuple[str, str]] = PatternTree()  # (node, pattern)
        self._cache: dict[str, Route] = {}

    def update(self, node: str, body: bytes) -> None:
        """Replace what is known of `node`. Raises BadMessage, and then nothing is known of it."""
        self.forget(node)
        patterns = decode_interest(body)
        self._patterns[node] = patterns
        for pattern in patterns:
            try:
                self._tree.add(pattern, (node, pattern))
            except Usage as error:
                self.forget(node)
                raise BadMessage(f"a bad pattern: {error}") from None

    def forget(self, node: str) -> None:
        """Nothing goes to `node` any more."""
        self._cache.clear()
        for pattern in self._patterns.pop(node, ()):
            self._tree.remove(pattern, (node, pattern))

    def route(self, subject: str) -> Route:
        """Who wants a message of this subject, sorted by node. Raises Usage for a bad subject."""
        found = self._cache.get(subject)
        if found is None:
            if len(self._cache) >= CACHE_SUBJECTS_MAX:
                self._cache.clear()
            wanted: dict[str, int] = {}
            for node, pattern in self._tree.find(subject):
                wanted[node] = wanted.get(node, 0) + self._patterns[node][pattern]
            found = self._cache[subject] = tuple(sorted(wanted.items()))
        return found

    def patterns(self) -> dict[str, int]:
        """The patterns of all other nodes, with the number of their subscribers."""
        found: dict[str, int] = {}
        for patterns in self._patterns.values():
            for pattern, subscribers in patterns.items():
                found[pattern] = found.get(pattern, 0) + subscribers
        return found
