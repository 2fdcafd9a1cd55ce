"""Fair shares by table: weight decides as far as zones and distinct owners allow."""

import pytest

from cluster.layout import PARTITIONS, LayoutMember
from cluster.layout.shares import caps, divide, fair_shares, zone_shares


def nodes(zones: str, weights: dict[int, int] | None = None) -> list[LayoutMember]:
    """A member for each letter of `zones`, which names its zone; members are n1, n2 and so on."""
    weights = weights or {}
    return [
        LayoutMember(f"n{place}", zone, "h", place, weights.get(place, 1)) for place, zone in enumerate(zones, start=1)
    ]


ZONE_SHARES = [
    ("a", 1, {"a": 256}),
    ("aaaaa", 3, {"a": 768}),
    ("abc", 3, {"a": 256, "b": 256, "c": 256}),
    ("abbbbcccc", 3, {"a": 256, "b": 256, "c": 256}),  # three zones, three replicas: one in each, whatever its size
    ("aabb", 3, {"a": 384, "b": 384}),
    ("abbb", 3, {"a": 256, "b": 512}),
    ("aabbb", 3, {"a": 307.2, "b": 460.8}),
    ("abcd", 3, {"a": 192, "b": 192, "c": 192, "d": 192}),
    ("aabbcd", 3, {"a": 256, "b": 256, "c": 128, "d": 128}),
    ("aaabcd", 3, {"a": 256, "b": 512 / 3, "c": 512 / 3, "d": 512 / 3}),  # the large zone is held to one copy of all
    ("abbbb", 4, {"a": 256, "b": 768}),
]


@pytest.mark.parametrize(("zones", "replicas", "expected"), ZONE_SHARES)
def test_zone_shares(zones: str, replicas: int, expected: dict[str, float]) -> None:
    assert zone_shares(nodes(zones), replicas) == pytest.approx(expected)


FAIR = [
    ("aaaa", {}, 3, {"n1": 192, "n2": 192, "n3": 192, "n4": 192}),
    ("aaaa", {1: 2}, 1, {"n1": 102.4, "n2": 51.2, "n3": 51.2, "n4": 51.2}),
    ("aaaa", {1: 9}, 3, {"n1": 256, "n2": 512 / 3, "n3": 512 / 3, "n4": 512 / 3}),
    ("abbcc", {}, 3, {"n1": 256, "n2": 128, "n3": 128, "n4": 128, "n5": 128}),
]


@pytest.mark.parametrize(("zones", "weights", "replicas", "expected"), FAIR)
def test_fair_shares(zones: str, weights: dict[int, int], replicas: int, expected: dict[str, float]) -> None:
    assert fair_shares(nodes(zones, weights), replicas) == pytest.approx(expected)


CAPS = [
    ("aaaa", 3, 202),  # 1.05 x 192 = 201.6
    ("a" * 5, 3, 162),  # 1.05 x 153.6 = 161.28
    ("aaa", 3, PARTITIONS),  # 1.05 x 256 is more than there is
    ("a" * 19, 3, 43),  # 40.4 replicas a node: still capped
    ("a" * 20, 3, PARTITIONS),  # 38.4: no cap
]


@pytest.mark.parametrize(("zones", "replicas", "cap"), CAPS)
def test_caps(zones: str, replicas: int, cap: int) -> None:
    assert set(caps(nodes(zones), replicas).values()) == {cap}


def test_each_zone_is_capped_by_its_own_share() -> None:
    limits = caps(nodes("abb" + "c" * 8), 3)
    assert limits == {"n1": 256, "n2": 135, "n3": 135} | {f"n{place}": PARTITIONS for place in range(4, 12)}


def test_division_reaches_its_total_within_its_bounds() -> None:
    parts = divide(100, {"a": 1, "b": 5, "c": 4}, {"a": 20, "b": 0, "c": 0}, {"a": 100, "b": 30, "c": 100})
    assert parts == pytest.approx({"a": 20, "b": 30, "c": 50})
