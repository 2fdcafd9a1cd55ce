"""Real nodes beside a crowd, and beside clients that ask for what only nodes may do."""

import socket
from pathlib import Path

import pytest

from cluster.errors import HandshakeRefused
from cluster.layout import partition_of
from cluster.replication.mergeable import TABLE_KV
from cluster.wire.frames import Body, Failure
from cluster.wire.kv import Put
from cluster.wire.membership import PushPull, Rumor, Tell
from cluster.wire.replication import Replicate, Scan
from cluster.wire.requests import Call
from cluster.wire.rights import ROLE_CLIENT, ROLE_NODE, role_key
from tests.processes.fleet import real, until
from tests.processes.strangers import ask, connect

CLIENTS_MAX = 512


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def test_a_client_is_refused_what_only_nodes_may() -> None:
    wanted: list[Body] = [
        Replicate(TABLE_KV, partition_of("new"), "new", b"garbage"),
        Replicate(TABLE_KV, partition_of("x"), "x", b"garbage", hint_for="nobody"),
        Scan(TABLE_KV, -5, "", 1 << 20),
        Tell([Rumor("dead", "n2", 9, 0, "n1")]),
        PushPull([]),
        Put("victim", b"bad", "1", hops=2),
        Call("echo", "echo", b"{}", routed=True),
    ]
    with real(3) as fleet:
        fleet.client.kv.put("victim", b"good")
        with connect(fleet, "n1") as link:
            for number, body in enumerate(wanted, 1):
                answer = ask(link, body, number)
                assert isinstance(answer, Failure) and answer.code == "forbidden", (body, answer)
            assert ask(link, Put("k", b"v", "operation", w=99), 99).code == "usage", "the connection goes on"  # type: ignore[union-attr]
        key = role_key(fleet.files.secret_path.read_bytes(), ROLE_CLIENT)
        with pytest.raises(HandshakeRefused):
            connect(fleet, "n1", role=ROLE_NODE, key=key)
        assert fleet.client.kv.get("victim").value == b"good"
        assert fleet.client.kv.put("new", b"y").outcome == "ok"
        assert fleet.client.kv.keys().keys == ["new", "victim"]
        until(fleet.settled)


def test_a_crowd_of_clients_and_of_strangers_keeps_no_peer_out() -> None:
    with real(3) as fleet:
        links = []
        assert fleet.settled(), "this client has its own place on each node"
        try:
            with pytest.raises(HandshakeRefused, match="clients already"):
                for _ in range(CLIENTS_MAX + 1):
                    links.append(connect(fleet, "n1"))
            assert len(links) > CLIENTS_MAX - 20, "the fleet's own client has some"
            strangers = [socket.create_connection(fleet.files.addresses["n1"], timeout=3.0) for _ in range(400)]
            links += strangers
            fleet.kill("n2")
            fleet.start("n2")
            for number in range(20):
                key = f"key-{number}"
                assert fleet.client.kv.put(key, b"x", w=3).outcome == "ok"
            with pytest.raises(ConnectionResetError):  # who proves nothing is let go
                strangers[0].recv(10)
        finally:
            for link in links:
                link.close()
