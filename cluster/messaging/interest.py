"""Which other nodes have subscribers for a subject, from what each node announces about itself.

A node's fact of kind `topics` is a msgpack list of rows, one a pattern and group, with how many subscriptions it has
there. So a publisher relays a message only where it is wanted, once a node (and once for each group, at one of the
nodes that have members), and knows how many subscriptions it went towards. What is known of a node is as old as its
last fact: interest is for routing, and the receiver matches again. Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from cluster.errors import BadMessage, Usage
from cluster.limits import NAME_BYTES_MAX, PATTERNS_MAX
from cluster.messaging.inboxes import inbox_node
from cluster.messaging.matching import CACHE_SUBJECTS_MAX, PatternTree

KIND = "topics"


Patterns = Mapping[tuple[str, str], int]
"""How many subscriptions there are, by pattern and group; the group is empty for those that get all messages."""


class Row(Struct, array_like=True, frozen=True):
    """`subscribers` subscriptions to `pattern` on the node that announces it."""

    pattern: str
    subscribers: int
    group: str = ""


class SubjectRoute(NamedTuple):
    """Where a subject is wanted."""

    nodes: tuple[tuple[str, int], ...]
    """Nodes with interest, and how many of their subscriptions match."""
    groups: dict[str, tuple[tuple[str, int], ...]]
    """By group, the nodes with matching members, and how many of them."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Row]).decode


def encode_interest(subscribers: Patterns) -> bytes:
    """The fact's body."""
    return _encode([Row(pattern, count, group) for (pattern, group), count in subscribers.items()])


def decode_interest(body: bytes) -> dict[tuple[str, str], int]:
    """What a node announced; an empty body is void, and says none. Raises BadMessage."""
    if not body:
        return {}
    try:
        rows = _decode(body)
    except msgspec.DecodeError as error:
        raise BadMessage(f"not a list of patterns: {error}") from None
    if len(rows) > PATTERNS_MAX or any(row.subscribers < 1 or len(row.group) > NAME_BYTES_MAX for row in rows):
        raise BadMessage("a list of patterns that breaks its limits")
    return {(row.pattern, row.group): row.subscribers for row in rows}


class Interest:
    """The patterns of all other nodes."""

    def __init__(self) -> None:
        self._patterns: dict[str, dict[tuple[str, str], int]] = {}
        self._tree: PatternTree[tuple[str, str, str]] = PatternTree()  # (node, pattern, group)
        self._cache: dict[str, SubjectRoute] = {}

    def update(self, node: str, body: bytes) -> None:
        """Replace what is known of `node`. Raises BadMessage, and then nothing is known of it."""
        self.forget(node)
        patterns = decode_interest(body)
        self._patterns[node] = patterns
        for pattern, group in patterns:
            try:
                self._tree.add(pattern, (node, pattern, group))
            except Usage as error:
                self.forget(node)
                raise BadMessage(f"a bad pattern: {error}") from None

    def forget(self, node: str) -> None:
        """Nothing goes to `node` any more."""
        self._cache.clear()
        for pattern, group in self._patterns.pop(node, ()):
            self._tree.remove(pattern, (node, pattern, group))

    def route(self, subject: str) -> SubjectRoute:
        """Who wants a message of this subject, sorted. Raises Usage for a bad subject."""
        found = self._cache.get(subject)
        if found is None:
            if len(self._cache) >= CACHE_SUBJECTS_MAX:
                self._cache.clear()
            wanted: dict[str, dict[str, int]] = {"": {}}  # by group, by node
            at = inbox_node(subject)
            if at in self._patterns:
                wanted[""][at] = 1
            for node, pattern, group in self._tree.find(subject):
                nodes = wanted.setdefault(group, {})
                nodes[node] = nodes.get(node, 0) + self._patterns[node][pattern, group]
            groups = {group: tuple(sorted(nodes.items())) for group, nodes in sorted(wanted.items())}
            found = self._cache[subject] = SubjectRoute(groups.pop(""), groups)
        return found

    def patterns(self) -> dict[str, int]:
        """The patterns of all other nodes, with the number of their subscribers."""
        found: dict[str, int] = {}
        for patterns in self._patterns.values():
            for (pattern, _), subscribers in patterns.items():
                found[pattern] = found.get(pattern, 0) + subscribers
        return found
