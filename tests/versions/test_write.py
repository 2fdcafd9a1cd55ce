"""What a put promises on its own: contexts, amnesia, limits, and what the writer may go on with."""

import pytest

from cluster import errors
from cluster.limits import CLOCK_ACTORS_MAX, CLOCK_ACTORS_SPARE, OBJECT_BYTES_MAX, SIBLINGS_MAX, VALUE_BYTES_MAX
from cluster.versions import (
    EMPTY,
    Context,
    Versions,
    check_growth,
    context_after,
    encode,
    is_tombstone,
    merge,
    proves_amnesia,
    put,
    visible,
)

A, B = "a.1.0", "b.1.0"


def siblings(count: int) -> Versions:
    """op0 to op(count - 1), numbered from 1."""
    stored = EMPTY
    for number in range(count):
        stored = put(stored, A, number + 1, None, f"op{number}", number, b"")
    return stored


def grow(stored: Versions, written: Versions) -> None:
    """As a coordinator checks it."""
    check_growth(stored, len(encode(stored)), written, len(encode(written)))


def test_a_known_operation_leaves_the_object_itself() -> None:
    stored = put(EMPTY, A, 1, None, "op1", 1, b"x")
    assert put(stored, A, 2, Context(stored.clock), "op1", 9, b"x") is stored


def test_a_put_changes_no_clock_in_place() -> None:
    stored = put(EMPTY, A, 1, None, "op1", 1, b"x")
    context = dict(stored.clock)
    put(stored, A, 2, Context(context), "op2", 2, b"y")
    put(stored, B, 1, Context({B: 0, **context}), "op3", 3, b"z")
    assert stored.clock == context == {A: 1}


def test_an_empty_context_is_as_none() -> None:
    stored = put(EMPTY, A, 1, None, "op1", 1, b"x")
    assert put(stored, A, 2, Context({}), "op2", 2, b"y") == put(stored, A, 2, None, "op2", 2, b"y")


def test_a_context_that_names_unseen_dots_is_joined() -> None:
    written = put(EMPTY, A, 1, Context({B: 3}), "op1", 1, b"x")
    assert written.clock == {A: 1, B: 3}
    late = put(EMPTY, B, 1, None, "op0", 0, b"old")
    assert merge(written, late) is written


def test_merging_is_commutative_after_a_context_that_no_reader_was_handed() -> None:
    """The context names a write but not what that write had read, so the greater clock still holds the older value."""
    first = put(EMPTY, A, 1, None, "op1", 1, b"x")
    second = put(first, "c.1.0", 1, Context(first.clock), "op2", 2, b"y")
    odd = put(first, B, 1, Context({"c.1.0": 1}), "op3", 3, b"z")
    assert visible(merge(odd, second)) == visible(merge(second, odd)) == [b"z"]


AMNESIA: list[tuple[Context | None, int, bool]] = [
    (None, 2, False),
    (Context({}), 2, False),
    (Context({A: 1}), 2, False),
    (Context({B: 9}, ((B, 11),)), 2, False),
    (Context({}, ((A, 1),)), 2, False),
    (Context({A: 2}), 3, True),
    (Context({}, ((A, 2), (B, 1))), 3, True),
    (None, 1, True),  # the object has a write that was not given yet: the directory is an old copy
]


@pytest.mark.parametrize(("context", "number", "expected"), AMNESIA)
def test_what_the_actors_own_node_does_not_hold_proves_amnesia(
    context: Context | None, number: int, expected: bool
) -> None:
    stored = put(EMPTY, A, 1, None, "op1", 1, b"x")
    assert proves_amnesia(stored, A, number, context) is expected


def test_a_cloud_proves_amnesia_as_a_context_does() -> None:
    stored = put(EMPTY, B, 1, Context({}, ((A, 5),)), "op1", 1, b"x")
    assert proves_amnesia(stored, A, 9, None) and not proves_amnesia(stored, "a.2.0", 9, None)


def test_an_actor_never_counts_on_after_amnesia() -> None:
    with pytest.raises(AssertionError, match="mint a new actor"):
        put(EMPTY, A, 1, Context({A: 1}), "op2", 2, b"y")


def test_a_new_actor_goes_on_after_amnesia() -> None:
    before = put(EMPTY, A, 1, None, "op1", 1, b"x")
    after = put(EMPTY, "a.2.0", 1, Context(before.clock), "op2", 2, b"y")
    assert visible(merge(before, after)) == [b"y"]


FULL = siblings(SIBLINGS_MAX)
OLDEST = Context({A: 1})


@pytest.mark.parametrize("context", [None, Context({}), Context({B: 7}), Context({}, ((B, 1),))])
def test_a_put_that_replaces_nothing_is_refused_at_the_limit_whatever_its_context(context: Context | None) -> None:
    almost = siblings(SIBLINGS_MAX - 1)
    grow(almost, put(almost, A, 99, context, "new", 99, b""))
    with pytest.raises(errors.TooManySiblings, match="51 siblings, and 50 are allowed") as refusal:
        grow(FULL, put(FULL, A, 99, context, "new", 99, b""))
    assert refusal.value.definite


def test_a_put_that_replaces_as_many_as_it_adds_is_taken_at_the_limit() -> None:
    grow(FULL, put(FULL, A, 99, OLDEST, "new", 99, b""))
    grow(FULL, put(FULL, A, 99, Context(FULL.clock), "new", 99, b""))


def test_over_the_limit_a_put_has_to_make_it_less() -> None:
    """Coordinators that did not hear of each other may each have filled the key."""
    others = EMPTY
    for number in range(SIBLINGS_MAX):
        others = put(others, B, number + 1, None, f"other{number}", number, b"")
    both = merge(FULL, others)
    assert len(both.siblings) == 2 * SIBLINGS_MAX
    with pytest.raises(errors.TooManySiblings):
        grow(both, put(both, A, 99, OLDEST, "new", 99, b""))
    grow(both, put(both, A, 99, Context({A: 2}), "new", 99, b""))


def test_attempts_of_one_operation_count_once_against_the_limit() -> None:
    retried = merge(FULL, put(EMPTY, B, 1, None, "op0", 0, b""))
    assert len(retried.siblings) == SIBLINGS_MAX + 1
    grow(retried, put(retried, A, 99, Context({A: 1, B: 1}), "new", 99, b""))


def test_an_object_over_its_bytes_takes_only_what_makes_it_smaller() -> None:
    value = bytes(VALUE_BYTES_MAX)
    two = put(put(EMPTY, A, 1, None, "op1", 1, value), A, 2, None, "op2", 2, value)
    assert len(encode(two)) <= OBJECT_BYTES_MAX, "a conflict of the two largest values fits"
    grow(EMPTY, two)
    with pytest.raises(errors.TooManySiblings, match=r"3 siblings of the key would have 3145[0-9]+ bytes") as refusal:
        grow(two, put(two, A, 3, None, "op3", 3, value))
    assert refusal.value.definite
    grow(two, put(two, A, 3, OLDEST, "op3", 3, value))
    four = merge(two, put(put(EMPTY, B, 1, None, "op4", 1, value), B, 2, None, "op5", 2, value))
    with pytest.raises(errors.TooManySiblings):
        grow(four, put(four, A, 3, None, "small", 3, b""))
    grow(four, put(four, A, 3, OLDEST, "small", 3, b""))


def test_a_full_clock_refuses_a_new_actor_and_lets_a_delete_pass() -> None:
    crowded = Versions({f"a{number:03}.1.0": 1 for number in range(CLOCK_ACTORS_MAX)}, ())
    grow(crowded, put(crowded, "a000.1.0", 2, None, "op1", 1, b"x"))
    with pytest.raises(errors.ClockFull, match="257 entries, and 256 are allowed") as refusal:
        grow(crowded, put(crowded, "b.1.0", 1, Context(crowded.clock), "op1", 1, b"x"))
    assert refusal.value.definite
    grow(crowded, put(crowded, "b.1.0", 1, Context(crowded.clock), "op1", 1, b"", True))
    over = Versions({f"a{number:03}.1.0": 1 for number in range(CLOCK_ACTORS_MAX + CLOCK_ACTORS_SPARE)}, ())
    with pytest.raises(errors.ClockFull):
        grow(over, put(over, "b.1.0", 1, Context(over.clock), "op1", 1, b"", True))
    grow(over, put(over, "a000.1.0", 2, None, "op1", 1, b"x"))


def test_a_writer_that_replaced_everything_goes_on_with_all_of_it() -> None:
    context = Context({A: 2}, (("c.1.0", 5),))
    written = put(siblings(2), B, 1, context, "mine", 9, b"x")
    assert context_after(written, "mine", context) == Context({A: 2, B: 1}, (("c.1.0", 5),))


def test_a_writer_with_unseen_siblings_goes_on_with_what_it_had_and_its_own_write() -> None:
    """With the clock of the result its next put would replace op1, which it never read."""
    written = put(siblings(2), B, 1, Context({A: 1}), "mine", 9, b"x")
    assert context_after(written, "mine", Context({A: 1})) == Context({A: 1}, ((B, 1),))
    blind = put(siblings(1), A, 7, None, "mine", 9, b"x")
    assert context_after(blind, "mine", None) == Context({}, ((A, 7),))


TOMBSTONES = [([], False), ([True], True), ([True, True], True), ([True, False], False), ([False], False)]


@pytest.mark.parametrize(("deletions", "expected"), TOMBSTONES)
def test_a_tombstone_has_nothing_but_deleted_siblings(deletions: list[bool], expected: bool) -> None:
    stored = EMPTY
    for number, deleted in enumerate(deletions):
        stored = put(stored, A, number + 1, None, f"op{number}", number, b"", deleted)
    assert is_tombstone(stored) is expected


def test_values_are_shown_by_stamp_and_then_dot() -> None:
    stored = EMPTY
    for number, (actor, stamp) in enumerate([(B, 5), (A, 9), (A, 5), (B, 1)]):
        stored = put(stored, actor, number + 1, None, f"op{number}", stamp, str(number).encode())
    assert visible(stored) == [b"3", b"2", b"0", b"1"]
