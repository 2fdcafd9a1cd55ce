"""What a put promises on its own: contexts, amnesia, limits, and what the writer may go on with."""

from collections.abc import Mapping

import pytest

from cluster import errors
from cluster.versions import (
    EMPTY,
    SIBLINGS_MAX,
    Versions,
    check_siblings,
    context_after,
    is_tombstone,
    merge,
    proves_amnesia,
    put,
    visible,
)

A, B = "a.1.0", "b.1.0"


def siblings(count: int) -> Versions:
    stored = EMPTY
    for number in range(count):
        stored = put(stored, A, None, f"op{number}", number, b"")
    return stored


def test_a_known_operation_leaves_the_object_itself() -> None:
    stored = put(EMPTY, A, None, "op1", 1, b"x")
    assert put(stored, A, stored.clock, "op1", 9, b"x") is stored


def test_a_put_changes_no_clock_in_place() -> None:
    stored = put(EMPTY, A, None, "op1", 1, b"x")
    context = dict(stored.clock)
    put(stored, A, context, "op2", 2, b"y")
    put(stored, B, {B: 0, **context}, "op3", 3, b"z")
    assert stored.clock == context == {A: 1}


def test_an_empty_context_is_as_none() -> None:
    stored = put(EMPTY, A, None, "op1", 1, b"x")
    assert put(stored, A, {}, "op2", 2, b"y") == put(stored, A, None, "op2", 2, b"y")


def test_a_context_that_names_unseen_dots_is_joined() -> None:
    written = put(EMPTY, A, {B: 3}, "op1", 1, b"x")
    assert written.clock == {A: 1, B: 3}
    late = put(EMPTY, B, None, "op0", 0, b"old")
    assert merge(written, late) is written


def test_merging_is_commutative_after_a_context_that_no_reader_was_handed() -> None:
    """The context names a write but not what that write had read, so the greater clock still holds the older value."""
    first = put(EMPTY, A, None, "op1", 1, b"x")
    second = put(first, "c.1.0", first.clock, "op2", 2, b"y")
    odd = put(first, B, {"c.1.0": 1}, "op3", 3, b"z")
    assert visible(merge(odd, second)) == visible(merge(second, odd)) == [b"z"]


AMNESIA: list[tuple[Mapping[str, int] | None, bool]] = [
    (None, False),
    ({}, False),
    ({A: 1}, False),
    ({B: 9}, False),
    ({A: 2}, True),
]


@pytest.mark.parametrize(("context", "expected"), AMNESIA)
def test_a_context_ahead_of_the_actors_own_node_proves_amnesia(
    context: Mapping[str, int] | None, expected: bool
) -> None:
    stored = put(EMPTY, A, None, "op1", 1, b"x")
    assert proves_amnesia(stored, A, context) is expected


def test_an_actor_never_counts_on_after_amnesia() -> None:
    with pytest.raises(AssertionError, match="mint a new actor"):
        put(EMPTY, A, {A: 1}, "op2", 2, b"y")


def test_a_new_actor_goes_on_after_amnesia() -> None:
    before = put(EMPTY, A, None, "op1", 1, b"x")
    after = put(EMPTY, "a.2.0", before.clock, "op2", 2, b"y")
    assert visible(merge(before, after)) == [b"y"]


def test_blind_puts_are_refused_at_the_limit() -> None:
    check_siblings(siblings(SIBLINGS_MAX - 1), None)
    full = siblings(SIBLINGS_MAX)
    with pytest.raises(errors.TooManySiblings, match="50 siblings"):
        check_siblings(full, None)
    check_siblings(full, full.clock)


def test_attempts_of_one_operation_count_once_against_the_limit() -> None:
    full = siblings(SIBLINGS_MAX - 1)
    retried = merge(full, put(EMPTY, B, None, "op0", 0, b""))
    assert len(retried.siblings) == SIBLINGS_MAX
    check_siblings(retried, None)


def test_a_writer_that_replaced_everything_goes_on_with_the_whole_clock() -> None:
    written = put(siblings(2), B, {A: 2}, "mine", 9, b"x")
    assert context_after(written, "mine", {A: 2}) == written.clock


def test_a_writer_with_unseen_siblings_keeps_the_context_it_had() -> None:
    """With the clock of the result its next put would replace op1, which it never read."""
    written = put(siblings(2), B, {A: 1}, "mine", 9, b"x")
    assert context_after(written, "mine", {A: 1}) == {A: 1}
    assert context_after(put(siblings(1), A, None, "mine", 9, b"x"), "mine", None) is None


TOMBSTONES = [([], False), ([True], True), ([True, True], True), ([True, False], False), ([False], False)]


@pytest.mark.parametrize(("deletions", "expected"), TOMBSTONES)
def test_a_tombstone_has_nothing_but_deleted_siblings(deletions: list[bool], expected: bool) -> None:
    stored = EMPTY
    for number, deleted in enumerate(deletions):
        stored = put(stored, A, None, f"op{number}", number, b"", deleted)
    assert is_tombstone(stored) is expected


def test_values_are_shown_by_stamp_and_then_dot() -> None:
    stored = EMPTY
    for number, (actor, stamp) in enumerate([(B, 5), (A, 9), (A, 5), (B, 1)]):
        stored = put(stored, actor, None, f"op{number}", stamp, str(number).encode())
    assert visible(stored) == [b"3", b"2", b"0", b"1"]
