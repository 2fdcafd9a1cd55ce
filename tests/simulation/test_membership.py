"""Membership over the real transport, tens of nodes in virtual time: convergence, detection, healing, false alarms."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cluster.config import NodeSettings
from cluster.env import OutputTick, StallWatch
from cluster.faults import FaultBook
from cluster.membership import Membership, OwnIdentity, SeedMember
from cluster.membership.rumors import START_NODES, START_S, START_S_PER_NODE
from cluster.rpc import Rpc
from cluster.simulation import World
from cluster.transport import DatagramEndpoint, Transport
from cluster.wire.handshake import ROLE_NODE, Party

SECRET = b"membership".ljust(32, b".")
SETTINGS = NodeSettings()
REST_S = 10.0
RETRY_S = 1.25 * SETTINGS.membership.reconnect_interval_s
"""The longest wait until the dead are tried again."""
START_DELAY_S = 0.001  # so that those that start together all listen before anybody dials


class Clique:
    """Nodes that have a transport and a membership, and nothing else."""

    def __init__(self, world: World, count: int) -> None:
        self.world = world
        self.names = [f"n{number + 1}" for number in range(count)]
        self.addresses = {name: (f"10.0.0.{number + 1}", 7000) for number, name in enumerate(self.names)}
        self.epochs = dict.fromkeys(self.names, 0)
        self.nodes: dict[str, Membership] = {}
        self.events: list[tuple[float, str, str, str]] = []

    def start(self, *names: str) -> None:
        for name in names or self.names:
            self.epochs[name] += 1
            self.world.env(name).clock.call_soon(self._boot, name)

    def _boot(self, name: str) -> None:
        env = self.world.env(name)
        now, epoch = env.clock.now(), self.epochs[name]
        stall = StallWatch(now, SETTINGS.stall_interval_s, SETTINGS.stall_limit_s)

        def record(kind: str, cause: str, **fields: Any) -> None:
            self.events.append((self.world.now, name, kind, fields.get("member", "")))

        me = Party("c", ROLE_NODE, name, f"{name}-id", epoch)
        faults = FaultBook(name)
        transport = Transport(env, OutputTick(env.clock), me, SECRET, SETTINGS.transport, faults, record)
        rpc = Rpc(env.clock, transport)
        datagrams = DatagramEndpoint(env, me, SECRET, faults, transport.addresses)
        datagrams.on_heard = transport.redial
        identity = OwnIdentity(name, me.id, epoch, "z", self.addresses[name])
        seeds = [SeedMember(other, "z", address) for other, address in self.addresses.items() if other != name]
        node = Membership(env, identity, seeds, rpc, transport, datagrams, SETTINGS.membership, stall, record)
        transport.on_lost.append(node.note_evidence)

        def beat() -> None:
            stall.beat(env.clock.now())
            env.clock.call_later(SETTINGS.stall_interval_s, beat)

        transport.start(self.addresses[name])
        datagrams.start(self.addresses[name])
        env.clock.call_later(START_DELAY_S, node.start)
        beat()
        self.nodes[name] = node

    def crash(self, name: str) -> None:
        del self.nodes[name]
        self.world.crash(name)

    def until(self, what: Callable[[], bool], timeout: float) -> float:
        return self.world.run_until_true(what, timeout)

    def heard(self) -> bool:
        return len(self.nodes) == len(self.names) and all(
            node.heard_in_this_boot() == len(self.names) for node in self.nodes.values()
        )

    def converged(self) -> bool:
        alive = sorted(self.nodes)
        return all(node.alive() == alive for node in self.nodes.values())

    def all_say(self, name: str, *states: str) -> bool:
        return all(node.state(name) in states for other, node in self.nodes.items() if other != name)

    def count(self, kind: str) -> int:
        return sum(1 for event in self.events if event[2] == kind)


def started(world: World, count: int) -> Clique:
    clique = Clique(world, count)
    clique.start()
    assert clique.until(clique.heard, 2.0) < 0.6
    world.run_for(1.0)
    assert clique.converged()
    return clique


def test_sixty_nodes_start_crash_restart_pause_and_heal(world: World) -> None:
    clique = started(world, 60)
    assert not clique.count("member.suspect")

    clique.crash("n7")
    assert clique.until(lambda: clique.all_say("n7", "suspect", "dead"), 2.0) < 0.5
    assert clique.until(lambda: clique.all_say("n7", "dead"), 10.0) < 4.0
    clique.start("n7")
    # Gossip misses one of sixty in a run of a hundred; whoever still takes n7 for dead asks it within 1.25 s.
    assert RETRY_S == 1.25
    assert clique.until(lambda: "n7" in clique.nodes and clique.converged(), 2.0) < RETRY_S + 0.05

    # While so many start, no silence accuses anybody.
    world.run_for(START_S + (60 - START_NODES) * START_S_PER_NODE)
    world.pause("n9")
    # SWIM section 3.1: in each period somebody probes it with probability 1 - 1/e; nine in vain are one run in 8000.
    clique.until(lambda: clique.all_say("n9", "suspect", "dead"), 4.5)
    clique.until(lambda: clique.all_say("n9", "dead"), 17.0)
    world.resume("n9")
    assert clique.until(clique.converged, 2.0) < 1.0

    left, right = clique.names[:20], clique.names[20:]
    world.partition([left, right])
    clique.until(lambda: all(clique.nodes[name].alive() == sorted(left) for name in left), 60.0)
    clique.until(lambda: all(clique.nodes[name].alive() == sorted(right) for name in right), 60.0)
    world.heal()
    assert clique.until(clique.converged, 10.0) < 3.0
    world.run_for(5.0)
    assert clique.converged()


def test_nothing_happens_at_rest(world: World) -> None:
    clique = started(world, 50)
    before = Counter(dict.fromkeys(clique.nodes, 0))
    world.run_for(2.0)
    for name, node in clique.nodes.items():
        before[name] = node.counts["packets"]
    events = len(clique.events)
    world.run_for(REST_S)
    rates = [(node.counts["packets"] - before[name]) / REST_S for name, node in clique.nodes.items()]
    assert sum(rates) / len(rates) == pytest.approx(5.0, rel=0.05), "a ping and an ack a period"
    assert len(clique.events) == events


def test_short_pauses_and_lost_datagrams_kill_nobody(world: World, seed: int) -> None:
    """Half of the time half of the processes do not run, and a tenth of all datagrams is lost."""
    clique = started(world, 12)
    random = world.random("hiccups")
    for source in clique.names:
        for target in clique.names:
            if source != target:
                world.slow(source, target, loss=0.1)

    def pause(name: str) -> None:
        world.pause(name)
        world.call_later(random.expovariate(1 / 0.15), resume, name)

    def resume(name: str) -> None:
        world.resume(name)
        world.call_later(random.expovariate(1 / 0.15), pause, name)

    for name in clique.names:
        world.call_later(random.random(), pause, name)
    world.run_for(40.0)
    assert clique.count("member.dead") == 0


def test_many_crashes_at_once(world: World) -> None:
    clique = started(world, 50)
    for name in clique.names[:20]:
        clique.crash(name)
    assert clique.until(clique.converged, 10.0) < 6.0
    clique.until(lambda: all(clique.all_say(name, "dead") for name in clique.names[:20]), 60.0)
    assert {event[3] for event in clique.events if event[2] == "member.dead"} == set(clique.names[:20])
    clique.start(*clique.names[:20])
    assert clique.until(lambda: len(clique.nodes) == 50 and clique.converged(), 10.0) < 2.0


def test_a_one_way_partition_is_no_death_while_others_hear_it(world: World) -> None:
    clique = started(world, 12)
    world.partition([["n2"], ["n1"]], one_way=True)
    world.run_for(30.0)
    assert clique.count("member.dead") == 0
    assert clique.nodes["n1"].state("n2") == "alive"


@pytest.mark.parametrize(("count", "killed"), [(3, 2), (5, 3), (5, 4), (9, 7)])
def test_when_most_are_killed_the_rest_notice_it_within_five_seconds(world: World, count: int, killed: int) -> None:
    """DESIGN section 3: a SIGKILL shows at once. No peer is left to confirm what a survivor's dials find."""
    clique = started(world, count)
    victims = clique.names[-killed:]
    for name in victims:
        clique.crash(name)
    clique.until(lambda: all(clique.all_say(name, "dead") for name in victims), 5.0)


def test_a_partition_from_the_majority_is_no_closed_port(world: World) -> None:
    """Nothing is refused, so the minority takes the longest suspicion before it gives the others up."""
    clique = started(world, 3)
    world.partition([["n1"], ["n2", "n3"]])
    world.run_for(5.0)
    assert clique.nodes["n1"].state("n2") != "dead" and clique.nodes["n1"].state("n3") != "dead"
    world.heal()
    clique.until(clique.converged, 5.0)


def test_many_nodes_that_start_slowly_suspect_nobody(world: World) -> None:
    """As two hundred processes on two cores: answers take a second while they all start, and the last starts late."""
    clique = Clique(world, 60)
    pairs = [(one, other) for one in clique.names for other in clique.names if one != other]
    for one, other in pairs:
        world.slow(one, other, delay=0.5)
    for number, name in enumerate(clique.names):
        world.call_later(number * 0.05, clique.start, name)
    world.run_for(6.0)
    for one, other in pairs:
        world.slow(one, other)
    clique.until(clique.heard, 10.0)
    world.run_for(20.0)
    assert clique.converged()
    assert clique.count("member.suspect") == clique.count("member.dead") == 0
