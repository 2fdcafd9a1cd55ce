"""The ports of gateways: chosen once, persisted, given to nodes that join, and asked for by number."""

from pathlib import Path

import msgspec
import pytest

from cluster.chain.entry import decode_chain
from cluster.emulator.gateports import SHARES, allot, ports_of
from cluster.emulator.genesis import create, owned_ports
from cluster.emulator.home import Home
from cluster.emulator.spec import ClusterSpec, Place
from cluster.errors import Usage


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_each_node_has_one_and_they_share_another(home: Home) -> None:
    files = create(home, ClusterSpec(name="c", nodes=3, gateway="redis"))
    at = files.gateways["redis"]
    assert list(at) == ["n1", "n2", "n3"] + ["any"] * SHARES
    assert len(set(ports_of(files.record))) == 6 + SHARES and set(owned_ports(home)) == set(ports_of(files.record))
    url = files.gateway_variables["REDIS_URL"]
    assert url == f"redis://:{files.gateway_password}@{at['any' if SHARES else 'n1']}/0"
    assert files.gateway_password not in repr(files)


def test_nodes_are_born_with_the_bucket_of_the_gateway(home: Home) -> None:
    files = create(home, ClusterSpec(name="c", nodes=2, gateway="redis"))
    for name in files.nodes:
        entry = decode_chain((files.node(name) / "chain" / "00000002.json").read_bytes())
        assert list(entry.buckets) == ["redis"]
    plain = create(home, ClusterSpec(name="p", nodes=1))
    assert not (plain.node("n1") / "chain").exists() and plain.gateways == {} and plain.gateway_variables == {}


def test_a_port_by_number_is_that_of_n1(home: Home) -> None:
    free = ports_of(create(home, ClusterSpec(name="a", nodes=1)).record)[0] + 40
    files = create(home, ClusterSpec(name="c", nodes=3, gateway=f"redis:{free}"))
    assert [place.gateways["redis"] for place in files.record.places] == [free, free + 1, free + 2]
    with pytest.raises(Usage, match=f"port {free} belongs to cluster 'c'"):
        create(home, ClusterSpec(name="d", nodes=1, gateway=f"redis:{free}"))
    joined = msgspec.structs.replace(files.record, places=[*files.record.places, Place("n4", "z1", free + 20)])
    assert allot(joined, {}).places[3].gateways == {"redis": free + 3}
    other = allot(joined, {free + 3: "somebody"})
    assert other.places[3].gateways["redis"] not in ports_of(files.record) and other.places[:3] == joined.places[:3]


@pytest.mark.parametrize(
    ("gateway", "said"),
    [("smtp", "unknown gateway 'smtp': expected http or nats or redis or sqs"), ("redis:x", "invalid port"),
     ("redis,redis", "named twice"),
     ("redis:80", "1024 to 65535"), ("redis:65535", "1024 to 65535"), ("redis:", "invalid port")],
)  # fmt: skip
def test_what_cannot_be_is_refused(gateway: str, said: str) -> None:
    with pytest.raises(Usage, match=said):
        ClusterSpec(name="c", nodes=3, gateway=gateway).resolved()
