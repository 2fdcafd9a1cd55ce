"""What a copy has to say to an owner that knows up to where everything is settled."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.versions import (
    EMPTY,
    Context,
    Versions,
    decode,
    encode,
    is_deleted,
    is_settled,
    is_tombstone,
    newest,
    proves_amnesia,
    put,
    unsettled,
)

A, B, OTHER_BOOT = "n1-aa.1.0", "n2-bb.1.0", "n1-aa.3.7"


def written(*writes: tuple[str, int, bool]) -> Versions:
    """Blind writes by these actors under these numbers; whether each is a delete."""
    stored = EMPTY
    for actor, number, deleted in writes:
        stored = put(stored, actor, number, None, f"{actor}/{number}", number, b"" if deleted else b"v", deleted)
    return stored


def deleted(stored: Versions, actor: str, number: int) -> Versions:
    return put(stored, actor, number, Context(stored.clock), f"delete {number}", number, b"", True)


def test_an_entry_stands_for_all_actors_of_a_node() -> None:
    assert is_settled({"n1-aa": 5}, A, 5) and is_settled({"n1-aa": 5}, OTHER_BOOT, 4)
    assert not is_settled({"n1-aa": 5}, A, 6) and not is_settled({"n1-aa": 5}, B, 1)
    assert newest(encode(written((A, 4, False), (OTHER_BOOT, 9, False), (B, 2, False)))) == {"n1-aa": 9, "n2-bb": 2}


def test_what_is_settled_and_not_held_was_replaced() -> None:
    blob = encode(written((A, 3, False), (B, 8, False)))
    assert unsettled(blob, None, {}) is blob
    assert unsettled(blob, None, {"n1-aa": 2, "n2-bb": 7}) is blob
    left = unsettled(blob, None, {"n1-aa": 3})
    assert left is not None and [s.dot for s in decode(left).siblings] == [(B, 8)]
    assert decode(left).clock == {A: 3, B: 8}, "it goes on to say that it saw the other"
    assert unsettled(blob, None, {"n1-aa": 3, "n2-bb": 8}) is None


def test_what_is_held_is_there_however_old() -> None:
    held = encode(written((A, 3, False)))
    assert unsettled(held, held, {"n1-aa": 9}) is held
    both = encode(written((A, 3, False), (B, 4, False)))
    left = unsettled(both, held, {"n1-aa": 9, "n2-bb": 9})
    assert left is not None and [s.dot for s in decode(left).siblings] == [(A, 3)]


def test_a_context_from_before_a_collection_is_no_proof_of_amnesia() -> None:
    assert proves_amnesia(EMPTY, A, 9, Context({A: 5}))
    assert not proves_amnesia(EMPTY, A, 9, Context({A: 5}), {"n1-aa": 5})
    assert proves_amnesia(EMPTY, A, 9, Context({A: 6}), {"n1-aa": 5})


@given(st.lists(st.tuples(st.sampled_from([A, B, OTHER_BOOT]), st.booleans()), max_size=5), st.booleans())
def test_tombstones_are_told_by_their_bytes(writes: list[tuple[str, bool]], whole: bool) -> None:
    versions = written(*((actor, number, gone) for number, (actor, gone) in enumerate(writes, 1)))
    if whole:
        versions = deleted(versions, B, 99)
    assert is_deleted(encode(versions)) == is_tombstone(versions)


def test_a_tombstone_with_a_cloud_is_one_too() -> None:
    versions = put(written((A, 1, False)), A, 5, Context({A: 1}, ((B, 7),)), "delete", 1, b"", True)
    assert versions.cloud and is_deleted(encode(versions)) and newest(encode(versions)) == {"n1-aa": 5, "n2-bb": 7}
