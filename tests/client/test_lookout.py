"""Asking all nodes again and again: silent ones, those that go and come back, answers that come too late."""

import time
from collections.abc import Callable, Iterator

import pytest

from cluster.client.lookout import Lookout
from cluster.errors import ClusterError, DeadlinePassed, Unreachable
from cluster.wire.frames import Frame, Request
from tests.client.fake_node import FakeNode, Peer, Script, location, silence
from tests.client.scripts import healthy

SOON_S = 0.15
Look = Callable[..., Lookout]


@pytest.fixture
def nodes() -> Iterator[list[FakeNode]]:
    running: list[FakeNode] = []
    yield running
    for node in running:
        node.stop()


def at(nodes: list[FakeNode], *scripts: Script) -> Lookout:
    nodes += [FakeNode(f"n{number}", script) for number, script in enumerate(scripts, 1)]
    return Lookout(location(*nodes))


def test_each_is_asked_with_its_own_arguments_over_one_stream(nodes: list[FakeNode]) -> None:
    lookout = at(nodes, healthy("n1"), healthy("n2"))
    for seen in (1, 2):
        found = lookout.look("vitals", {"n2": {"seen": seen}}, 5.0)
        assert found["n1"]["arguments"] == {} and found["n2"]["arguments"] == {"seen": seen}
    assert [node.accepted for node in nodes] == [1, 1]
    lookout.close()


def test_a_silent_node_costs_the_others_nothing_and_is_heard_when_it_wakes(nodes: list[FakeNode]) -> None:
    asleep = True

    def sleeper(peer: Peer, frame: Frame) -> None:
        if not asleep:
            healthy("n2")(peer, frame)

    lookout = at(nodes, healthy("n1"), sleeper)
    began = time.monotonic()
    found = lookout.look("vitals", {}, SOON_S)
    assert time.monotonic() - began < 3 * SOON_S
    assert found["n1"]["node"] == "n1" and isinstance(found["n2"], DeadlinePassed)
    asleep = False
    assert lookout.look("vitals", {}, 5.0)["n2"]["node"] == "n2" and nodes[1].accepted == 1
    lookout.close()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(nodes: list[FakeNode]) -> None:
    late: list[tuple[Peer, Request]] = []

    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        late.append((peer, frame))
        if len(late) == 2:
            for number, (to, asked) in enumerate(late):
                healthy(f"answer-{number}")(to, asked)

    lookout = at(nodes, script)
    assert isinstance(lookout.look("vitals", {}, SOON_S)["n1"], DeadlinePassed)
    assert lookout.look("vitals", {}, 5.0)["n1"]["node"] == "answer-1"
    lookout.close()


def test_a_node_that_goes_and_comes_back(nodes: list[FakeNode]) -> None:
    def hangs_up(peer: Peer, frame: Frame) -> None:
        peer.hang_up()

    lookout = at(nodes, hangs_up)
    assert isinstance(lookout.look("vitals", {}, 5.0)["n1"], Unreachable)
    nodes[0].script = healthy("n1")
    assert lookout.look("vitals", {}, 5.0)["n1"]["node"] == "n1"
    nodes[0].stop()
    assert isinstance(lookout.look("vitals", {}, 5.0)["n1"], ClusterError)
    lookout.close()


def test_a_node_that_never_says_a_word(nodes: list[FakeNode]) -> None:
    nodes.append(FakeNode("n1", silence, greeting=b""))
    lookout = Lookout(location(*nodes))
    assert isinstance(lookout.look("vitals", {}, SOON_S)["n1"], Unreachable)
    lookout.close()
