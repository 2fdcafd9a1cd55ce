"""A layout entry is refused with the reason, and survives its encoding."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import errors
from cluster.layout import LayoutEntry, LayoutMember, decode_entry, encode_entry

N1 = LayoutMember("n1", "z1", "127.0.0.1", 7001)
N2 = LayoutMember("n2", "z2", "127.0.0.1", 7002, weight=2)
ENTRY = LayoutEntry(2, "default", (N1, N2), n=3, r=2, w=2, previous=1)

names = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)


def test_a_valid_entry_passes() -> None:
    ENTRY.validate()


@pytest.mark.parametrize(("n", "replicas"), [(1, 1), (2, 2), (3, 2), (7, 2)])
def test_there_are_never_more_replicas_than_members(n: int, replicas: int) -> None:
    assert LayoutEntry(1, "default", (N1, N2), n, 1, 1).replicas == replicas


def test_genesis_follows_nothing() -> None:
    LayoutEntry(1, "default", (N1,), n=1, r=1, w=1).validate()


REFUSED = [
    ({"number": 0, "previous": None}, "not positive"),
    ({"previous": 2}, "cannot follow"),
    ({"previous": 0}, "cannot follow"),
    ({"cluster": "Default"}, "invalid name of a cluster"),
    ({"members": ()}, "at least one member"),
    ({"members": (N1, N1)}, "two members are called n1"),
    ({"members": (N1, LayoutMember("n2", "z1", "127.0.0.1", 7001))}, "share the address"),
    ({"n": 0}, "N is 0"),
    ({"n": 8}, "N is 8"),
    ({"r": 0}, "R is 0"),
    ({"r": 4}, "R is 4"),
    ({"w": 0}, "W is 0"),
    ({"w": 4}, "W is 4"),
    ({"members": (LayoutMember("N1", "z1", "h", 1),)}, "invalid name of a node"),
    ({"members": (LayoutMember("n1\n", "z1", "h", 1),)}, "invalid name of a node"),
    ({"members": (LayoutMember("n" * 33, "z1", "h", 1),)}, "invalid name of a node"),
    ({"members": (LayoutMember("n1", "", "h", 1),)}, "invalid name of a zone"),
    ({"members": (LayoutMember("n1", "z1", "", 1),)}, "no host"),
    ({"members": (LayoutMember("n1", "z1", "h", 0),)}, "has port 0"),
    ({"members": (LayoutMember("n1", "z1", "h", 65536),)}, "has port 65536"),
    ({"members": (LayoutMember("n1", "z1", "h", 1, 0),)}, "has weight 0"),
    ({"members": (LayoutMember("n1", "z1", "h", 1, 101),)}, "has weight 101"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_what_cannot_run_is_refused_with_its_reason(change: dict[str, object], reason: str) -> None:
    with pytest.raises(errors.Usage, match=reason):
        msgspec.structs.replace(ENTRY, **change).validate()


@given(st.lists(names, min_size=1, max_size=9, unique=True), st.integers(1, 7), st.data())
def test_encoding_keeps_an_entry(node_names: list[str], n: int, data: st.DataObject) -> None:
    members = tuple(LayoutMember(name, data.draw(names), "h", 1 + place) for place, name in enumerate(node_names))
    entry = LayoutEntry(data.draw(st.integers(1)), "c", members, n, data.draw(st.integers(1, n)), n)
    blob = encode_entry(entry)
    assert decode_entry(blob) == entry
    assert encode_entry(decode_entry(blob)) == blob


def test_fields_of_a_later_version_are_ignored() -> None:
    assert decode_entry(encode_entry(ENTRY)[:-1] + b', "later": [1]}') == ENTRY


GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    encode_entry(ENTRY)[:-1],
    encode_entry(msgspec.structs.replace(ENTRY, members=())),
    encode_entry(ENTRY).replace(b"7001", b'"x"'),
    b'{"later":' + b"[" * 100_000,
]


@pytest.mark.parametrize("blob", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_damaged(blob: bytes) -> None:
    with pytest.raises(errors.Damaged):
        decode_entry(blob)


@given(st.binary())
def test_random_bytes_are_damaged(blob: bytes) -> None:
    with pytest.raises(errors.Damaged):
        decode_entry(blob)
