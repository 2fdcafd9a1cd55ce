"""Topics: interest over restarts of nodes, and groups whose members' nodes are stopped and cut off."""

from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random

import pytest

from cluster.messaging import topics
from cluster.messaging.groups import draw_nodes
from cluster.messaging.topics import NodeTopics
from cluster.simulation.fleet import Fleet
from cluster.wire.topics import Message, Publish, Published, Subscribe, Subscribed
from tests.messaging.world import FakeInbound, FakeLink
from tests.simulation.safeguards.registry import Safeguard


def subscribe(fleet: Fleet, node: str, pattern: str, group: str = "") -> FakeLink:
    """A subscription of a client that nothing but its node can end."""
    link, env = FakeLink(), fleet.nodes[node].env
    inbound = FakeInbound(Subscribe(1, pattern, group), link)
    env.clock.call_soon(fleet.nodes[node].rpc.handler(Subscribe), inbound)
    fleet.until(lambda: bool(inbound.answers))
    assert isinstance(inbound.answers[0], Subscribed)
    return link


def publish(fleet: Fleet, node: str, payload: bytes) -> FakeInbound:
    """A message to `a.b` under way."""
    inbound, running = FakeInbound(Publish("a.b", payload), FakeLink()), fleet.nodes[node]
    inbound.deadline = running.env.clock.now() + 5.0
    running.env.clock.call_soon(running.rpc.handler(Publish), inbound)
    return inbound


def reached(inbound: FakeInbound) -> int:
    """Towards how many it was sent, in the end."""
    (answer,) = inbound.answers
    assert isinstance(answer, Published), answer
    return answer.subscribers


def payloads(*links: FakeLink) -> list[int]:
    """The numbers of the messages that came."""
    found: list[Message] = [message for link in links for message in link.got]
    return sorted(int(message.payload) for message in found)


def a_node_boots_and_takes_messages_at_once(seed: int) -> None:
    """Its first publishes reach the subscribers of nodes that it has not heard yet."""
    random = Random(seed)
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        everyone, crew = subscribe(fleet, "n2", "a.*"), [subscribe(fleet, node, "a.b", "crew") for node in ("n3", "n4")]
        for turn in range(4):
            fleet.kill("n1")
            if random.random() < 0.5:
                fleet.until(lambda: fleet.believes("n5", "n1") == "dead")
            fleet.start("n1")
            fleet.world.run_until_true(
                lambda: "n1" in fleet.nodes and fleet.nodes["n1"].topics._kept is not None, step=0
            )
            inbound = publish(fleet, "n1", b"%d" % turn)
            fleet.until(lambda inbound=inbound: bool(inbound.answers))  # type: ignore[misc]
            assert reached(inbound) == 2
            fleet.until(lambda turn=turn: payloads(everyone) == payloads(*crew) == list(range(turn + 1)))  # type: ignore[misc]
            fleet.until(fleet.converged)


def nodes_of_a_group_fail(seed: int) -> None:
    """Nobody gets a message twice; once a node does not answer, all messages go to the other members."""
    random = Random(seed)
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        crew = {node: subscribe(fleet, node, "a.>", "crew") for node in ("n2", "n3", "n4")}
        count = 0
        for _ in range(4):
            victim, how = random.choice(list(crew)), random.choice(("pause", "partition"))
            if how == "pause":
                fleet.pause(victim)
            else:
                fleet.fault("partition", groups=[[victim], [name for name in fleet.names if name != victim]])
            fleet.until(lambda victim=victim: fleet.nodes["n1"].reach.avoided(victim))  # type: ignore[misc]
            before, sent = len(crew[victim].got), range(count, count + 20)
            count += 20
            inbounds = [publish(fleet, "n1", b"%d" % number) for number in sent]
            fleet.until(lambda sent=sent: set(sent) <= set(payloads(*crew.values())))  # type: ignore[misc]
            assert all(reached(inbound) == 1 for inbound in inbounds)
            assert len(crew[victim].got) == before
            fleet.heal()
            if how == "pause":
                fleet.resume(victim)
            fleet.until(fleet.settled, timeout=60.0)
            fleet.world.run_for(1.0)  # the links that were cut have carried something again
        assert payloads(*crew.values()) == list(range(count))


def wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    original = NodeTopics._learn

    def learn(self: NodeTopics, until: float) -> None:
        original(self, self._clock.now())

    monkeypatch.setattr(NodeTopics, "_learn", learn)


def draw_also_who_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(
        route: Sequence[tuple[str, int]], tried: Collection[str], avoided: Callable[[str], bool], random: Random
    ) -> Iterator[str]:
        return draw_nodes(route, tried, lambda node: False, random)

    monkeypatch.setattr(topics, "draw_nodes", draw)


SAFEGUARDS = [
    Safeguard(
        "a node that has booted keeps publishes until it knows who listens",
        "A message that a node takes right behind its restart reaches those who were subscribed before it.",
        wait_for_nobody,
        a_node_boots_and_takes_messages_at_once,
    ),
    Safeguard(
        "a group's message goes to a node that answers",
        "While a member at a node that answers is known, no message of its group waits for one that does not.",
        draw_also_who_does_not_answer,
        nodes_of_a_group_fail,
    ),
]
