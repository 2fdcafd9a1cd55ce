"""Equal objects have equal bytes, garbage is refused, actors have one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import errors
from cluster.versions import (
    EMPTY,
    Context,
    Sibling,
    Versions,
    actor_name,
    decode,
    digest,
    encode,
    encode_clock,
    first_number,
    has_clock,
    merge,
    put,
)
from cluster.versions.versions import EPOCH_MAX, NUMBER_MAX

A, B = "n1-00000001.1.0", "n2-00000002.1.0"
OBJECT = put(put(EMPTY, B, 1, None, "op1", 7, b"one"), A, 1, None, "op2", 8, b"", deleted=True)


def test_an_actor_is_node_epoch_and_mint() -> None:
    assert actor_name("n3-5f3a9c1e", 4, 0) == "n3-5f3a9c1e.4.0"


def test_the_numbers_of_a_boot_are_above_those_of_the_boots_before_it() -> None:
    assert first_number(2) - first_number(1) == 2**40
    assert first_number(EPOCH_MAX) + 2**40 == NUMBER_MAX
    with pytest.raises(AssertionError):
        first_number(EPOCH_MAX + 1)


def test_a_cloud_stands_behind_the_siblings_and_takes_no_byte_when_it_is_empty() -> None:
    clouded = put(OBJECT, A, 5, Context({}, ((B, 7),)), "op3", 9, b"z")
    assert clouded.cloud == ((B, 7),) and decode(encode(clouded)) == clouded
    assert encode(clouded)[0] == 0x93 and encode(OBJECT)[0] == 0x92
    assert has_clock(encode(OBJECT), encode_clock(OBJECT.clock))
    assert not has_clock(encode(clouded), encode_clock(clouded.clock)), "its clock is not all that it has seen"


def test_the_encoding_is_arrays_in_sorted_order() -> None:
    """The bytes on disk and between replicas: a change needs a new format number."""
    expected = "9282af6e312d30303030303030312e312e3001af6e322d30303030303030322e312e3001"
    assert encode(OBJECT).hex().startswith(expected)
    assert list(OBJECT.clock) == [A, B]
    assert [sibling.dot for sibling in OBJECT.siblings] == [(A, 1), (B, 1)]


def test_decoding_gives_the_object_back() -> None:
    assert decode(encode(OBJECT)) == OBJECT
    assert decode(encode(EMPTY)) == EMPTY


def test_the_path_to_an_object_does_not_show_in_its_bytes() -> None:
    left, right = put(EMPTY, A, 1, None, "op1", 1, b"x"), put(EMPTY, B, 1, None, "op2", 2, b"y")
    assert encode(merge(left, right)) == encode(merge(right, left))
    grown = put(put(EMPTY, B, 1, None, "op2", 2, b"y"), A, 1, None, "op1", 1, b"x")
    assert encode(grown) == encode(merge(right, left))


def test_digests_tell_objects_apart() -> None:
    assert len(digest(encode(OBJECT))) == 8
    assert digest(encode(OBJECT)) == digest(encode(decode(encode(OBJECT))))
    assert digest(encode(OBJECT)) != digest(encode(EMPTY))


GARBAGE = [
    b"",
    b"\xc1",
    b"\x80",
    encode(OBJECT)[:-1],
    encode(OBJECT) + b"\x00",
    encode(Versions({A: 0}, ())),  # counters start at 1
    encode(Versions({A: -1}, (Sibling(A, -1, "op", 0, False, b""),))),
    b"\x92\x81\xa1\xff\x01\x90",  # an actor that is not UTF-8
    b"\x93\x80\x90" + b"\x91" * 100_000,
]


@pytest.mark.parametrize("blob", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_damaged(blob: bytes) -> None:
    with pytest.raises(errors.Damaged):
        decode(blob)


@given(st.binary(max_size=64))
def test_bytes_are_an_object_or_damaged(blob: bytes) -> None:
    try:
        decode(blob)
    except errors.Damaged:
        pass


@given(st.integers(0, len(encode(OBJECT)) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_another_object_or_damaged(place: int, flip: int) -> None:
    blob = bytearray(encode(OBJECT))
    blob[place] ^= flip
    try:
        assert encode(decode(bytes(blob))) != encode(OBJECT)
    except errors.Damaged:
        pass
