"""The tree and its cache against the definition of a match."""

from timeit import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cluster.errors import Usage
from cluster.messaging.matching import Matcher, PatternTree
from cluster.messaging.subject import matches

literals = st.sampled_from("ab")
subjects = st.lists(literals, min_size=1, max_size=4).map(".".join)
patterns = st.builds(
    lambda tokens, rest: ".".join([*tokens, ">"] if rest or not tokens else tokens),
    st.lists(literals | st.just("*"), max_size=4),
    st.booleans(),
)


@given(st.lists(patterns, max_size=12), subjects)
def test_the_tree_finds_what_the_definition_matches(added: list[str], subject: str) -> None:
    tree: PatternTree[int] = PatternTree()
    for number, pattern in enumerate(added):
        tree.add(pattern, number)
    assert sorted(tree.find(subject)) == [n for n, pattern in enumerate(added) if matches(pattern, subject)]


@given(st.lists(patterns, max_size=12), st.randoms(use_true_random=False))
def test_the_tree_is_empty_when_all_is_removed(added: list[str], random: object) -> None:
    tree: PatternTree[int] = PatternTree()
    kept = list(enumerate(added))
    for number, pattern in kept:
        tree.add(pattern, number)
    random.shuffle(kept)  # type: ignore[attr-defined]
    assert all(tree.remove(pattern, number) for number, pattern in kept)
    assert tree.is_empty()
    assert not any(tree.remove(pattern, number) for number, pattern in kept)


class CachedMatching(RuleBasedStateMachine):
    """A matcher with a tiny cache, under changes and look-ups in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.matcher: Matcher[int] = Matcher(subjects_max=3, values_max=5)
        self.model: dict[tuple[str, int], None] = {}

    @rule(pattern=patterns, value=st.integers(0, 3))
    def add(self, pattern: str, value: int) -> None:
        self.matcher.add(pattern, value)
        self.model[pattern, value] = None

    @rule(pattern=patterns, value=st.integers(0, 3))
    def remove(self, pattern: str, value: int) -> None:
        assert self.matcher.remove(pattern, value) == ((pattern, value) in self.model)
        self.model.pop((pattern, value), None)

    @rule(subject=subjects)
    def look_up(self, subject: str) -> None:
        expected = sorted({value for pattern, value in self.model if matches(pattern, subject)})
        assert sorted(self.matcher.match(subject)) == expected

    @invariant()
    def the_cache_is_bounded_and_counted(self) -> None:
        cache = self.matcher._cache
        assert len(cache) <= 3
        assert sum(map(len, cache.values())) == self.matcher._cached_values <= 5


TestCachedMatching = CachedMatching.TestCase


def test_a_subject_seen_before_is_not_looked_up_again() -> None:
    matcher: Matcher[int] = Matcher()
    matcher.add("a.*", 1)
    assert matcher.match("a.b") is matcher.match("a.b")


def test_a_literal_pattern_leaves_other_subjects_in_the_cache() -> None:
    matcher: Matcher[int] = Matcher()
    matcher.add("a.*", 1)
    found = matcher.match("a.b")
    matcher.add("a.c", 2)
    assert matcher.match("a.b") is found
    assert sorted(matcher.match("a.c")) == [1, 2]


def test_a_value_under_two_patterns_is_found_once() -> None:
    matcher: Matcher[int] = Matcher()
    matcher.add("a.*", 1)
    matcher.add("a.>", 1)
    assert matcher.match("a.b") == (1,)


def test_bad_patterns_and_subjects_change_nothing() -> None:
    matcher: Matcher[int] = Matcher()
    with pytest.raises(Usage):
        matcher.add("a.>.b", 1)
    with pytest.raises(Usage):
        matcher.match("a.*")
    assert matcher._tree.is_empty() and not matcher._cache


@pytest.mark.bench
def test_the_cost_of_a_match() -> None:
    matcher: Matcher[int] = Matcher()
    for number in range(10_000):
        matcher.add(f"orders.{number}.*", number)
        matcher.add(f"orders.*.{number}", number)
    rounds = 100_000
    cached = timeit(lambda: matcher.match("orders.7.8"), number=rounds) / rounds
    found = timeit(lambda: matcher._tree.find("orders.7.8"), number=rounds) / rounds
    print(f"cached {cached * 1e9:.0f} ns, looked up {found * 1e9:.0f} ns")  # noqa: T201
    assert cached < found
