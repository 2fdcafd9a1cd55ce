"""What a bucket may be, which keys are its own, and what the entries around its definition keep of it."""

from dataclasses import dataclass

import pytest

from cluster.chain.bucket import LWW, Bucket, bucket_name
from cluster.chain.entry import (
    ChainEntry,
    added,
    decode_chain,
    encode_chain,
    forced,
    genesis,
    left,
    renamed,
    reverted,
    switched,
    with_bucket,
    with_emptied,
)
from cluster.errors import AlreadyExists, Damaged, NotFound, Usage
from cluster.layout import LayoutEntry, LayoutMember
from cluster.limits import BUCKETS_MAX

MEMBERS = tuple(LayoutMember(f"n{place}", "z1", "127.0.0.1", 7000 + place) for place in range(1, 6))
FIRST = genesis(LayoutEntry(1, "c", MEMBERS, 3, 2, 2))
NEW = LayoutMember("n6", "z1", "127.0.0.1", 7006)
DEFINED = with_bucket(FIRST, "orders", Bucket(LWW, ttl_s=60.0))


def test_a_definition_raises_the_slot_alone() -> None:
    assert DEFINED.slot == 2 and DEFINED.layout == FIRST.layout and DEFINED.acceptors == FIRST.acceptors
    assert DEFINED.what == "create bucket orders" and DEFINED.buckets == {"orders": Bucket(LWW, ttl_s=60.0)}


@pytest.mark.parametrize(
    "next",
    [
        added(DEFINED, [NEW]),
        switched(added(DEFINED, [NEW])),
        reverted(added(DEFINED, [NEW])),
        switched(left(DEFINED, ["n1"], gone=True)),
        switched(forced(DEFINED, ["n1", "n2", "n3"], 0, lossy=True)),
        renamed(DEFINED, "n1", "n1-abcd"),
        with_bucket(DEFINED, "carts", Bucket()),
    ],
    ids=lambda entry: entry.what,
)
def test_every_later_entry_keeps_it(next: ChainEntry) -> None:
    assert next.buckets["orders"] == DEFINED.buckets["orders"]
    assert decode_chain(encode_chain(next)) == next


def test_equal_buckets_give_equal_bytes_whatever_came_first() -> None:
    one = with_bucket(with_bucket(FIRST, "b", Bucket()), "a", Bucket(LWW))
    other = with_bucket(with_bucket(FIRST, "a", Bucket(LWW)), "b", Bucket())
    assert encode_chain(one).partition(b'"buckets"')[2] == encode_chain(other).partition(b'"buckets"')[2] != b""


def test_an_entry_without_buckets_is_as_it_was() -> None:
    """Chains that were written before stay whole: each entry has the digest of the bytes of the one before."""
    assert b"buckets" not in encode_chain(FIRST) and b"goes_on" not in encode_chain(DEFINED)


def test_defined_in_a_transition_it_neither_ends_nor_renames_it() -> None:
    moving = with_bucket(added(DEFINED, [NEW]), "carts", Bucket())
    assert moving.moving and moving.layout == added(DEFINED, [NEW]).layout and moving.joining
    assert (moving.what, moving.change_of_members) == ("create bucket carts", "add n6")
    assert switched(moving).what == "add n6: done" and reverted(moving).what == "revert: add n6"
    assert switched(moving).change_of_members == "add n6: done"
    with pytest.raises(Usage, match=r"under way \(add n6\)"):
        added(moving, [LayoutMember("n7", "z1", "127.0.0.1", 7007)])
    twice = with_bucket(moving, "others", Bucket())
    assert twice.change_of_members == "add n6"


def test_the_same_bucket_again_is_no_change_and_another_one_is_refused() -> None:
    assert with_bucket(DEFINED, "orders", Bucket(LWW, ttl_s=60.0)) is DEFINED
    with pytest.raises(AlreadyExists, match="other options"):
        with_bucket(DEFINED, "orders", Bucket(LWW))


@pytest.mark.parametrize(
    ("name", "bucket", "reason"),
    [
        ("", Bucket(), "invalid name"),
        ("a/b", Bucket(), "invalid name"),
        ("Orders", Bucket(), "invalid name"),
        ("x" * 33, Bucket(), "invalid name"),
        ("a", Bucket("newest"), "siblings or lww"),
        ("a", Bucket(r=4), "R of bucket a is 4; it is from 1 to N, which is 3"),
        ("a", Bucket(w=-1), "W of bucket a is -1"),
        ("a", Bucket(ttl_s=60.0), "do not expire"),
        ("a", Bucket(LWW, ttl_s=-1.0), "time to live"),
        ("a", Bucket(LWW, ttl_s=float("nan")), "time to live"),
        ("a", Bucket(emptied=-1), "emptied"),
    ],
)
def test_what_cannot_be_is_refused_and_not_taken_over_from_others(name: str, bucket: Bucket, reason: str) -> None:
    with pytest.raises(Usage, match=reason):
        with_bucket(FIRST, name, bucket)
    if bucket.ttl_s == bucket.ttl_s:  # JSON has no NaN
        entry = ChainEntry(2, "x", FIRST.layout, FIRST.acceptors, buckets={name: bucket})
        with pytest.raises(Damaged):
            decode_chain(encode_chain(entry))


def test_there_are_so_many_at_most() -> None:
    entry = FIRST
    for number in range(BUCKETS_MAX):
        entry = with_bucket(entry, f"b{number}", Bucket())
    with pytest.raises(Usage, match="at most"):
        with_bucket(entry, "more", Bucket())


@dataclass(frozen=True)
class Case:
    key: str
    name: str


@pytest.mark.parametrize(
    "case",
    [
        Case("orders/7", "orders"),
        Case("orders/eu/7", "orders"),
        Case("orders/", "orders"),
        Case("orders", ""),
        Case("/orders/7", ""),
        Case("ordersx/7", ""),
        Case("carts/7", ""),
        Case("cart", ""),
    ],
)
def test_a_key_belongs_to_the_bucket_that_its_first_part_names(case: Case) -> None:
    assert bucket_name(case.key, DEFINED.buckets) == case.name


def test_emptied_it_has_a_higher_stamp_than_before() -> None:
    once = with_emptied(DEFINED, "orders", 7)
    assert (once.slot, once.what, once.layout) == (3, "empty bucket orders", DEFINED.layout)
    assert once.buckets["orders"] == Bucket(LWW, ttl_s=60.0, emptied=7)
    assert with_emptied(once, "orders", 5).buckets["orders"].emptied == 8, "whatever the clock says"
    assert with_bucket(once, "orders", Bucket(LWW, ttl_s=60.0)) is once, "and it was created as it was"
    with pytest.raises(NotFound):
        with_emptied(DEFINED, "carts", 7)
    with pytest.raises(Usage, match="keeps siblings"):
        with_emptied(with_bucket(DEFINED, "carts", Bucket()), "carts", 7)
