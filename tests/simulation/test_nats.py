"""NATS clients under seeds, while other nodes are killed, stopped and cut off: what is published on one connection
comes in its order and once, and of a group one member gets it."""

from random import Random

from cluster.simulation.fleet import Fleet
from tests.gateways.nats.simulated import SimulatedNats

TURNS, MESSAGES = 8, 20


def test_order_and_groups_survive_faults(seed: int) -> None:
    with Fleet(seed, 5, gateways=["nats"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(seed)
        everyone = SimulatedNats(fleet, "n3", name="everyone")
        everyone.raw(b"SUB a.> 1\r\n")
        everyone.flush()
        crew = [SimulatedNats(fleet, node, name=f"crew-{node}") for node in ("n2", "n3")]
        for member in crew:
            member.raw(b"SUB a.* crew 1\r\n")
            member.flush()
        publishers = [SimulatedNats(fleet, node, name=f"from-{node}") for node in ("n1", "n2")]
        expected: list[tuple[int, int]] = []
        for turn in range(TURNS):
            victim, how = random.choice(("n4", "n5")), random.choice(("kill", "pause", "partition", ""))
            if how == "partition":
                fleet.fault("partition", groups=[[victim], [name for name in fleet.names if name != victim]])
            elif how:
                getattr(fleet, how)(victim)
            for number in range(turn * MESSAGES, (turn + 1) * MESSAGES):
                for place, publisher in enumerate(publishers):
                    publisher.publish(f"a.{place}", b"%d" % number)
                    expected.append((place, number))
            for publisher in publishers:
                publisher.flush()
            if how == "pause":
                fleet.resume(victim)
            elif how == "kill":
                fleet.start(victim)
            fleet.heal()
            fleet.until(fleet.converged)
        fleet.until(lambda: len(everyone.messages) >= len(expected), timeout=60.0)
        fleet.until(lambda: sum(len(member.messages) for member in crew) >= len(expected), timeout=60.0)
        for place in range(len(publishers)):
            came = [int(message.payload) for message in everyone.messages if message.subject == f"a.{place}"]
            assert came == list(range(TURNS * MESSAGES)), "each once, in order"
        shared = sorted((int(m.subject[-1]), int(m.payload)) for member in crew for m in member.messages)
        assert shared == sorted(expected)
