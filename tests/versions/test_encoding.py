"""Equal objects have equal bytes, garbage is refused, actors have one spelling."""

import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import errors
from cluster.versions import (
    EMPTY,
    FRONT_SHORT,
    Context,
    Sibling,
    Versions,
    actor_name,
    decode,
    decode_short,
    digest,
    encode,
    encode_clock,
    first_number,
    has_clock,
    is_deleted,
    is_tombstone,
    merge,
    merge_blobs,
    newest,
    outline,
    put,
    stamp_at,
)
from cluster.versions.encoding import clock_of
from cluster.versions.versions import EPOCH_MAX, NUMBER_MAX

A, B = "n1-00000001.1.0", "n2-00000002.1.0"
ONE = put(EMPTY, A, 7, None, "op1", 7, b"one")
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
    assert encode(clouded)[0] == 0x93 and encode(OBJECT)[0] == 0x92 and encode(ONE)[0] == FRONT_SHORT
    assert has_clock(encode(OBJECT), encode_clock(OBJECT.clock)) and has_clock(encode(ONE), encode_clock(ONE.clock))
    assert not has_clock(encode(ONE), encode_clock(OBJECT.clock))
    assert not has_clock(encode(clouded), encode_clock(clouded.clock)), "its clock is not all that it has seen"


def test_the_encoding_is_arrays_in_sorted_order() -> None:
    """The bytes on disk and between replicas: a change needs a new format number."""
    expected = "9282af6e312d30303030303030312e312e3001af6e322d30303030303030322e312e3001"
    assert encode(OBJECT).hex().startswith(expected)
    assert list(OBJECT.clock) == [A, B]
    assert [sibling.dot for sibling in OBJECT.siblings] == [(A, 1), (B, 1)]


def test_one_value_whose_dot_is_in_the_clock_names_it_once() -> None:
    """What nearly all objects are: 16 bytes beside actor, number, operation, stamp and value."""
    expected = f"9581af{A.encode().hex()}0700a36f70310{7}c403{b'one'.hex()}"
    assert encode(ONE).hex() == expected
    usual = put(EMPTY, A, first_number(1) + 1, None, "k" * 17, stamp_at(1.7e9), b"v" * 100)
    assert len(encode(usual)) == 15 + 8 + 17 + 8 + 100 + 9
    replaced = put(usual, B, 5, Context(usual.clock), "op2", 8, b"two")
    assert encode(replaced)[0] == FRONT_SHORT and decode(encode(replaced)) == replaced
    deleted = put(replaced, A, first_number(2), Context(replaced.clock), "op3", 9, b"", True)
    assert encode(deleted)[0] == FRONT_SHORT and encode(deleted)[-1] == 0xC0 and decode(encode(deleted)) == deleted


@pytest.mark.parametrize(
    "versions",
    [
        EMPTY,
        Versions({A: 1}, ()),
        Versions({A: 2}, (Sibling(A, 1, "op", 1, False, b"x"),)),  # a context named a later write of its actor
        Versions({A: 1}, (Sibling(A, 1, "op", 1, False, b"x"),), ((B, 9),)),
        Versions({A: 1, B: 1}, (Sibling(A, 1, "a", 1, False, b"x"), Sibling(B, 1, "b", 1, False, b"y"))),
        Versions({A: 1}, (Sibling(A, 1, "op", 1, True, b"x"),)),
    ],
)
def test_any_other_object_has_the_long_form(versions: Versions) -> None:
    assert encode(versions)[0] != FRONT_SHORT and decode(encode(versions)) == versions
    shape = outline(encode(versions))
    assert shape.clock == versions.clock and shape.cloud == versions.cloud
    assert [(dot.actor, dot.counter) for dot in shape.siblings] == [sibling.dot for sibling in versions.siblings]


actors = st.sampled_from([A, B, "n3-00000003.1.0"])
clocks = st.dictionaries(actors, st.integers(1, NUMBER_MAX), min_size=1).map(lambda clock: dict(sorted(clock.items())))


values = st.none() | st.binary(max_size=300) | st.just(b"\xc0")


@st.composite
def single(draw: st.DrawFn) -> Versions:
    """An object that has the short form."""
    clock, value = draw(clocks), draw(values)
    actor = draw(st.sampled_from(sorted(clock)))
    text = st.text(max_size=20)
    return Versions(
        clock,
        (Sibling(actor, clock[actor], draw(text), draw(st.integers(0, 2**62)), value is None, value or b""),),
    )


@given(single())
def test_the_short_form_is_read_as_what_it_stands_for(versions: Versions) -> None:
    blob, clock, (sibling,) = encode(versions), versions.clock, versions.siblings
    actor, value = sibling.actor, None if sibling.deleted else sibling.value
    assert blob[0] == FRONT_SHORT and decode(blob) == versions and encode(decode(blob)) == blob
    assert is_deleted(blob) == is_tombstone(versions) == (value is None)
    shape, short = outline(blob), decode_short(blob)
    assert (shape.clock, shape.cloud) == (clock, ()) and [(s.actor, s.counter) for s in shape.siblings] == [
        (actor, clock[actor])
    ]
    assert (short.clock, short.value) == (clock, value) and list(short.clock)[short.place] == actor
    assert clock_of(blob) == clock and has_clock(blob, encode_clock(clock))
    assert newest(blob) == {name.partition(".")[0]: number for name, number in clock.items()}


few = st.dictionaries(actors, st.integers(1, 3), min_size=1).map(lambda clock: dict(sorted(clock.items())))


@given(few, few, st.data())
def test_the_short_form_merges_as_any_object(a: dict[str, int], b: dict[str, int], data: st.DataObject) -> None:
    """Whatever either has seen of the other: also what no sequence of writes leads to."""
    mine, theirs = (
        Versions(clock, (Sibling(actor, clock[actor], f"{actor}/{clock[actor]}", 1, False, b"v"),))
        for clock in (a, b)
        for actor in [data.draw(st.sampled_from(sorted(clock)))]
    )
    merged, joined = merge_blobs(encode(mine), encode(theirs)), merge(mine, theirs)
    assert merged == encode(joined) == merge_blobs(encode(theirs), encode(mine))


def test_stored_bytes_have_no_room_to_spare() -> None:
    """What an encoder grew by stays with the bytes that it returns, unseen but by whoever counts memory."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [encode(put(EMPTY, A, number, None, "op", 7, b"v" * 100)) for number in range(1, 1001)]
        per_row = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    assert per_row <= sys.getsizeof(kept[0]) + 16


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
    encode(ONE)[:-1],
    encode(ONE) + b"\x00",
    encode(ONE).replace(b"\x07\x00\xa3", b"\x07\x01\xa3"),  # a place beyond the clock
    encode(ONE).replace(b"\x07\x00\xa3", b"\x07\xff\xa3"),  # and one before it
    b"\x95\x80\x00\xa1o\x01\xc4\x00",  # of a clock without entries
]


@pytest.mark.parametrize("blob", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_damaged(blob: bytes) -> None:
    with pytest.raises(errors.Damaged):
        decode(blob)
    if blob[:1] == bytes([FRONT_SHORT]):
        with pytest.raises(errors.Damaged):
            decode_short(blob)


@given(st.binary(max_size=64))
def test_bytes_are_an_object_or_damaged(blob: bytes) -> None:
    try:
        decode(blob)
    except errors.Damaged:
        pass


@given(st.sampled_from([OBJECT, ONE]), st.data(), st.integers(1, 255))
def test_a_flipped_byte_is_another_object_or_damaged(versions: Versions, data: st.DataObject, flip: int) -> None:
    blob = bytearray(encode(versions))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= flip
    try:
        assert encode(decode(bytes(blob))) != encode(versions)
    except errors.Damaged:
        pass
