"""Asking all nodes again and again: silent ones, those that go and come back, answers that come too late."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.client.blocking import BlockingCluster
from cluster.client.router import PROBE
from cluster.errors import ClusterError, DeadlinePassed, Unreachable
from cluster.limits import CLIENT_TIMEOUT_S
from cluster.wire.frames import Frame, Request
from tests.client.fake_node import FakeNode, Peer, Script, location, silence
from tests.client.scripts import healthy

SOON_S = 0.15


@pytest.fixture
def nodes() -> Iterator[list[FakeNode]]:
    running: list[FakeNode] = []
    yield running
    for node in running:
        node.stop()


def look(client: BlockingCluster, timeout: float, each: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    return client.ask_all(None, "vitals", timeout=timeout, each=each)


def at(nodes: list[FakeNode], *scripts: Script) -> BlockingCluster:
    nodes += [FakeNode(f"n{number}", script) for number, script in enumerate(scripts, 1)]
    return BlockingCluster(location(*nodes))


def test_each_is_asked_with_its_own_arguments_over_one_stream(nodes: list[FakeNode]) -> None:
    client = at(nodes, healthy("n1"), healthy("n2"))
    for seen in (1, 2):
        found = look(client, 5.0, {"n2": {"seen": seen}})
        assert found["n1"]["arguments"] == {} and found["n2"]["arguments"] == {"seen": seen}
    assert [node.accepted for node in nodes] == [1, 1]
    client.close()


def test_a_silent_node_costs_the_others_nothing_and_is_heard_when_it_wakes(nodes: list[FakeNode]) -> None:
    asleep = True

    def sleeper(peer: Peer, frame: Frame) -> None:
        if not asleep:
            healthy("n2")(peer, frame)

    client = at(nodes, healthy("n1"), sleeper)
    began = time.monotonic()
    found = look(client, SOON_S)
    assert time.monotonic() - began < CLIENT_TIMEOUT_S / 2, "it waits for its own limit, not for the client's"
    assert found["n1"]["node"] == "n1" and isinstance(found["n2"], DeadlinePassed)
    asleep = False
    assert look(client, 5.0)["n2"]["node"] == "n2" and nodes[1].accepted == 1
    client.close()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(nodes: list[FakeNode]) -> None:
    late: list[tuple[Peer, Request]] = []

    def script(peer: Peer, frame: Frame) -> None:
        if not isinstance(frame, Request) or frame.body == PROBE:
            return
        late.append((peer, frame))
        if len(late) == 2:
            for number, (to, asked) in enumerate(late):
                healthy(f"answer-{number}")(to, asked)

    client = at(nodes, script)
    assert isinstance(look(client, SOON_S)["n1"], DeadlinePassed)
    assert look(client, 5.0)["n1"]["node"] == "answer-1"
    client.close()


def test_a_node_that_goes_and_comes_back(nodes: list[FakeNode]) -> None:
    def hangs_up(peer: Peer, frame: Frame) -> None:
        peer.hang_up()

    client = at(nodes, hangs_up)
    assert isinstance(look(client, 5.0)["n1"], Unreachable)
    nodes[0].script = healthy("n1")
    assert look(client, 5.0)["n1"]["node"] == "n1"
    nodes[0].stop()
    assert isinstance(look(client, 5.0)["n1"], ClusterError)
    client.close()


def test_a_node_that_never_says_a_word(nodes: list[FakeNode]) -> None:
    nodes.append(FakeNode("n1", silence, greeting=b""))
    client = BlockingCluster(location(*nodes))
    assert isinstance(look(client, SOON_S)["n1"], Unreachable)
    client.close()
