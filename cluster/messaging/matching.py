"""From a subject to whoever subscribed to a pattern that matches it.

`PatternTree` is a tree of tokens, after the `Sublist` of nats-server: a subject walks it along its own tokens, along
`*` and into `>`, so the cost does not grow with patterns that differ from it. `Matcher` keeps what subjects found,
since most are published again: one dictionary look-up. A literal pattern that comes or goes drops only its own subject
from the cache, a wildcard all. Results are in the order of the tree and never hold a value twice. Pure.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from cluster.messaging.subject import ONE, REST, is_literal, split_pattern, split_subject

T = TypeVar("T", bound=Hashable)

CACHE_SUBJECTS_MAX = 8192
CACHE_VALUES_MAX = 1 << 20
"""All results together: a few megabytes of references, however many subscribe to however many subjects."""


class _Branch(Generic[T]):
    """What is below one token. Dictionaries serve as ordered sets."""

    __slots__ = ("below", "here", "rest")

    def __init__(self) -> None:
        self.below: dict[str, _Branch[T]] = {}
        self.here: dict[T, None] = {}
        self.rest: dict[T, None] = {}

    def is_empty(self) -> bool:
        return not (self.below or self.here or self.rest)


class PatternTree(Generic[T]):
    """Values under patterns; a value may stand under several."""

    def __init__(self) -> None:
        self._root: _Branch[T] = _Branch()

    def add(self, pattern: str, value: T) -> None:
        """Put `value` under `pattern`. Raises Usage for a bad pattern."""
        tokens = split_pattern(pattern)
        has_rest = tokens[-1] == REST
        branch = self._root
        for token in tokens[:-1] if has_rest else tokens:
            branch = branch.below.setdefault(token, _Branch())
        (branch.rest if has_rest else branch.here)[value] = None

    def remove(self, pattern: str, value: T) -> bool:
        """Take `value` from under `pattern`; whether it was there. Empty branches go too."""
        tokens = pattern.split(".")
        has_rest = tokens[-1] == REST
        path = [self._root]
        for token in tokens[:-1] if has_rest else tokens:
            branch = path[-1].below.get(token)
            if branch is None:
                return False
            path.append(branch)
        values = path[-1].rest if has_rest else path[-1].here
        if value not in values:
            return False
        del values[value]
        for depth in range(len(path) - 1, 0, -1):
            if not path[depth].is_empty():
                break
            del path[depth - 1].below[tokens[depth - 1]]
        return True

    def find(self, subject: str) -> dict[T, None]:
        """All values whose patterns match, each once. Raises Usage for a bad subject."""
        found: dict[T, None] = {}
        level = [self._root]
        for token in split_subject(subject):
            deeper: list[_Branch[T]] = []
            for branch in level:
                found.update(branch.rest)
                for name in (token, ONE):
                    child = branch.below.get(name)
                    if child is not None:
                        deeper.append(child)
            if not deeper:
                return found
            level = deeper
        for branch in level:
            found.update(branch.here)
        return found

    def is_empty(self) -> bool:
        """Whether nothing is kept, not even an empty branch."""
        return self._root.is_empty()


class Matcher(Generic[T]):
    """A tree with a cache of what subjects found."""

    def __init__(self, subjects_max: int = CACHE_SUBJECTS_MAX, values_max: int = CACHE_VALUES_MAX) -> None:
        self._tree: PatternTree[T] = PatternTree()
        self._cache: dict[str, tuple[T, ...]] = {}
        self._cached_values = 0
        self._subjects_max = subjects_max
        self._values_max = values_max

    def add(self, pattern: str, value: T) -> None:
        """Put `value` under `pattern`. Raises Usage for a bad pattern."""
        self._tree.add(pattern, value)
        self._forget(pattern)

    def remove(self, pattern: str, value: T) -> bool:
        """Take `value` from under `pattern`; whether it was there."""
        self._forget(pattern)
        return self._tree.remove(pattern, value)

    def match(self, subject: str) -> tuple[T, ...]:
        """All values whose patterns match. Raises Usage for a bad subject."""
        found = self._cache.get(subject)
        if found is not None:
            return found
        found = tuple(self._tree.find(subject))
        if len(self._cache) >= self._subjects_max or self._cached_values + len(found) > self._values_max:
            self._clear()
        if len(found) <= self._values_max:
            self._cache[subject] = found
            self._cached_values += len(found)
        return found

    def _forget(self, pattern: str) -> None:
        if is_literal(pattern):
            self._cached_values -= len(self._cache.pop(pattern, ()))
        else:
            self._clear()

    def _clear(self) -> None:
        self._cache.clear()
        self._cached_values = 0
