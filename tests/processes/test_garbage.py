"""Garbage on every port: the nodes live, others are served, and only the offending connection is closed."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from cluster.client.blocking import BlockingCluster
from cluster.client.locate import Location
from cluster.env.real_local import dialled_locally
from cluster.errors import ClusterError
from tests.env.stages import tcp_ends
from tests.processes.fleet import real, until
from tests.processes.strangers import connect


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def dial(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=3.0)


def dial_locally(address: tuple[str, int]) -> socket.socket:
    link = dialled_locally(*address)
    assert link is not None
    link.settimeout(3.0)
    return link


WAYS = [dial] if sys.platform != "linux" else [dial, dial_locally]


def is_closed(link: socket.socket) -> bool:
    """Whether the node ends the connection (after whatever it says)."""
    try:
        while link.recv(4096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("dial", WAYS)
def test_garbage_on_every_port(dial: Callable[[tuple[str, int]], socket.socket]) -> None:
    random = Random(1)
    with real(3) as fleet:
        fleet.client.kv.put("cart", b"book")
        for node, address in fleet.files.addresses.items():
            for payload in (
                b"GET / HTTP/1.1\r\n\r\n",
                b"\xff" * 64,
                b"\x00\x00\x00\x05\x91\x01\x02\x03\x04",
                random.randbytes(900),
            ):
                with dial(address) as link:
                    link.sendall(payload)
                    assert is_closed(link), payload[:16]
            for payload in (
                b"\xff\xff\xff\xff",
                b"\x00\x00\x00\x03\xc1\xc1\xc1",
                b"\x00\x00\x00\x00",
                random.randbytes(400),
            ):
                with connect(fleet, node) as link:
                    link.sendall(payload)
                    assert is_closed(link), payload[:16]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                for size in (0, 1, 17, 60, 1400, 9000):
                    udp.sendto(random.randbytes(size), address)
        assert fleet.client.kv.get("cart").value == b"book"
        for node in fleet.files.nodes:
            assert fleet.events(node, "wire.refused"), "a refusal is told"
            assert fleet.ask(node, "status")["state"] == "running"
        until(fleet.settled)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no short way here")
def test_nodes_and_clients_of_one_machine_need_no_tcp() -> None:
    with real(3) as fleet:
        fleet.client.kv.put("cart", b"book")
        assert fleet.client.kv.get("cart").value == b"book"
        assert [tcp_ends(port) for _, port in fleet.files.addresses.values()] == [0, 0, 0]
        fleet.kill("n2")
        fleet.client.kv.put("cart", b"pen")
        fleet.start("n2")
        until(fleet.settled)
        assert fleet.client.kv.get("cart", r=3).value == b"pen"
        assert [tcp_ends(port) for _, port in fleet.files.addresses.values()] == [0, 0, 0]


def test_strangers_are_refused() -> None:
    with real(3) as fleet:
        address = next(iter(fleet.files.addresses.values()))
        secret = fleet.files.secret_path.read_bytes()
        for name, key in (("real", b"w" * 32), ("other", secret)):
            with (
                BlockingCluster(Location(name, key, {"n1": address}), timeout=3.0) as stranger,
                pytest.raises(ClusterError) as caught,
            ):
                stranger.kv.get("cart")
            assert caught.value.code == "handshake" and caught.value.definite


@pytest.mark.parametrize("dial", WAYS)
def test_silent_connections_are_bounded_and_given_up(dial: Callable[[tuple[str, int]], socket.socket]) -> None:
    with real(3) as fleet:
        address = fleet.files.addresses["n1"]
        silent = [dial(address) for _ in range(300)]
        try:
            until(lambda: fleet.client.kv.get("nothing").value is None)
            assert is_closed(silent[0]), "who proves nothing in time is let go"
            until(lambda: fleet.ask("n1", "status")["state"] == "running")
        finally:
            for link in silent:
                link.close()
