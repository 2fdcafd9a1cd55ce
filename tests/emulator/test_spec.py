"""What a cluster is made with: defaults, refusals, and what `up` of a stopped cluster may say."""

from typing import Any

import msgspec
import pytest

from cluster.emulator.spec import ClusterRecord, ClusterSpec, check_same, decode_record, encode_record, places
from cluster.errors import Damaged, Usage


def record(**options: Any) -> ClusterRecord:
    spec = ClusterSpec(name="c", **options).resolved()
    ports = list(range(20_000, 20_000 + (spec.nodes or 0)))
    return ClusterRecord(name="c", spec=spec, places=places(spec, ports), created="2025-05-01T12:00:00.000Z")


def test_defaults_fill_what_was_not_said() -> None:
    spec = ClusterSpec(name="c", nodes=7).resolved()
    assert (spec.nodes, spec.zones, spec.replication, spec.profile) == (7, 1, "3/2/2", "local")
    assert (spec.durability, spec.store, spec.base_port, spec.ttl_s) == ("interval", "memory", None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nodes": 0}, "1 to 200 nodes"),
        ({"nodes": 201}, "1 to 200 nodes"),
        ({"nodes": 3, "zones": 4}, "zones"),
        ({"zones": 0}, "zones"),
        ({"replication": "3/4/2"}, "R must be"),
        ({"replication": "three"}, "N/R/W"),
        ({"profile": "wan"}, "unknown profile"),
        ({"durability": "sometimes"}, "unknown durability"),
        ({"store": "tape"}, "unknown store"),
        ({"base_port": 80}, "1024"),
        ({"base_port": 65533}, "1024 to 65535"),
        ({"ttl_s": 0.0}, "above 0"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(Usage, match=words):
        ClusterSpec(name="c", **options).resolved()


def test_zones_are_taken_in_turn() -> None:
    made = record(nodes=5, zones=2)
    assert [(place.name, place.zone) for place in made.places] == [
        ("n1", "z1"),
        ("n2", "z2"),
        ("n3", "z1"),
        ("n4", "z2"),
        ("n5", "z1"),
    ]


def test_layout_one_is_the_places_and_the_quorums() -> None:
    entry = record(nodes=4, zones=2, replication="3/1/3").entry()
    assert (entry.number, entry.cluster, entry.n, entry.r, entry.w) == (1, "c", 3, 1, 3)
    assert [(member.name, member.zone, member.host, member.port) for member in entry.members][:2] == [
        ("n1", "z1", "127.0.0.1", 20_000),
        ("n2", "z2", "127.0.0.1", 20_001),
    ]


def test_a_record_survives_the_file() -> None:
    made = record(nodes=3, ttl_s=5.0)
    assert decode_record(encode_record(made)) == made


@pytest.mark.parametrize("blob", [b"", b"{}", b"\xff", b'{"name": "c"}', b'{"x":' + b"[" * 100_000])
def test_garbage_is_damage(blob: bytes) -> None:
    with pytest.raises(Damaged, match=r"cluster\.json"):
        decode_record(blob)


def test_a_record_that_contradicts_itself_is_damage() -> None:
    made = record(nodes=2)
    twins = msgspec.structs.replace(made, places=[made.places[0], made.places[0]])
    with pytest.raises(Damaged):
        decode_record(encode_record(twins))


def test_a_stopped_cluster_starts_with_what_it_was_made_with() -> None:
    made = record(nodes=3, replication="3/2/2")
    check_same(ClusterSpec(name="c"), made)
    check_same(ClusterSpec(name="c", nodes=3, replication="3/2/2", base_port=20_000, ttl_s=9.0), made)
    with pytest.raises(Usage, match="--nodes 3, not 5"):
        check_same(ClusterSpec(name="c", nodes=5), made)
    with pytest.raises(Usage, match="--base-port 20000, not 21000"):
        check_same(ClusterSpec(name="c", base_port=21_000), made)
