"""Draining: nodes are restarted one after the other under load, and nobody notices."""

from collections.abc import Callable

import pytest

from cluster.kv.forward import Forwarder
from cluster.membership.facts import Announcing
from cluster.node.drain import Drain
from cluster.ports import Inbound
from cluster.requests import CallContext, operation, service
from cluster.requests.hosting import ServiceHosting
from cluster.requests.registry import KIND_DRAIN, Registry
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.admin import AdminAnswer
from cluster.wire.requests import Call
from tests.simulation.safeguards.readiness import lose, wait_known
from tests.simulation.safeguards.registry import Safeguard

CALL_EVERY_S = 0.004
WORK_S = 0.15
SLOW_S = 0.065
"""Less than what makes a node look dead to its client."""
STALLED_S = 0.14
"""More than a drain waits for silence, and less than what makes a node look silent to another one."""
EASY = (2, 3, 4)
"""Seeds under which links that lose a third let a drain come to its end."""
SIGNAL_S = 0.05
"""From the answer of a drain to the end of the process: the command has to send a signal."""


@service(name="work", version=1)
class Work:
    """Takes a while, and may not be repeated: a call that a restart cuts off is `maybe`."""

    @operation()
    async def do(self, call: CallContext) -> None:
        await call.sleep(WORK_S)


class Load:
    """Calls through nodes that take new ones, as clients do which were pushed `Draining`."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.results: list[SimulatedRequest] = []
        self._turn = 0
        self.ended = False
        fleet.world.call_later(CALL_EVERY_S, self._next)

    def _next(self) -> None:
        taking = [name for name in self.fleet.up if not self.fleet.nodes[name].drain.draining]
        self._turn += 1
        self.results.append(self.fleet.call(taking[self._turn % len(taking)], "work.do"))
        if not self.ended:
            self.fleet.world.call_later(CALL_EVERY_S, self._next)


def host_work(fleet: Fleet, *names: str) -> None:
    for name in names:
        fleet.nodes[name].requests.host(Work())


def a_rolling_restart_under_load(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        host_work(fleet, *fleet.names)
        fleet.world.run_for(1.5)
        load = Load(fleet)
        for name in fleet.names:
            drained = fleet.wait(fleet.ask(name, "drain"), 6.0)
            assert isinstance(drained.answer, AdminAnswer), drained.error
            fleet.world.run_for(SIGNAL_S)
            fleet.crash(name)
            fleet.start(name)
            fleet.until(lambda name=name: name in fleet.nodes)  # type: ignore[misc]
            host_work(fleet, name)
            wait_known(fleet, [name])
        load.ended = True
        fleet.world.run_for(6.0)
        failed = [result.error for result in load.results if result.answer is None]
        assert not failed, f"{len(failed)} of {len(load.results)} calls failed: {failed[0]}"


def writes_go_on_at_other_nodes(seed: int) -> None:
    """Through nodes that own no copy, which pass them on to owners; one that drains comes to its end all the same."""
    with Fleet.running(seed, 5) as fleet:
        keys = [key for key in (f"key-{number}" for number in range(200)) if fleet.owners(key)[0] == "n1"][:20]
        results: list[SimulatedRequest] = []

        def put() -> None:
            key = keys[len(results) % len(keys)]
            results.append(fleet.put(fleet.fallbacks(key)[0], key, b"v"))
            fleet.world.call_later(CALL_EVERY_S, put)

        put()
        fleet.world.run_for(0.5)
        drained = fleet.wait(fleet.ask("n1", "drain"), 6.0)
        assert isinstance(drained.answer, AdminAnswer), drained.error
        before = sum(fleet.nodes["n1"].kv.writes.counts)
        fleet.world.run_for(0.5)
        began = sum(fleet.nodes["n1"].kv.writes.counts) - before
        assert began == 0, f"n1 coordinated {began} writes after its drain"
        told = fleet.wait(fleet.ask("n1", "health")).answer
        assert isinstance(told, AdminAnswer) and told.value["draining"] and told.value["healthy"], told
        failed = [result.error for result in results if result.error is not None]
        assert not failed, failed[0]


def forward_to_whoever_owns(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = Forwarder.owners

    def any_order(self: Forwarder, partition: int, hops: int) -> list[str]:
        self.is_draining = lambda name: False
        return owners(self, partition, hops)

    monkeypatch.setattr(Forwarder, "owners", any_order)


def gossip_of_a_drain_is_lost(seed: int) -> None:
    """When a node says that it is drained, everyone passes it over, whatever became of the packets; or it says that it
    is not drained in time."""
    with Fleet.running(seed, 8) as fleet:
        lose(fleet, 0.3)
        drained = fleet.wait(fleet.ask("n1", "drain"), 6.0)
        if drained.error is not None:
            assert seed not in EASY and drained.error.code == "deadline", drained.error
            return
        unaware = [name for name in fleet.up if "n1" in fleet.nodes[name].requests.registry.candidates("echo")]
        assert not unaware, f"{unaware} would still send calls to n1"


def a_drained_node_is_restarted(seed: int) -> None:
    """What was drained until `undrain` gets no calls in its next boot either."""
    with Fleet.running(seed, 3) as fleet:
        fleet.wait(fleet.ask("n2", "drain", {"keep": True}), 6.0)
        fleet.crash("n2")
        fleet.start("n2")
        fleet.until(lambda: "n2" in fleet.nodes)
        wait_known(fleet, ["n2"])
        assert all("n2" not in fleet.nodes[name].requests.registry.candidates("echo") for name in fleet.names)
        assert fleet.nodes["n2"].drain.draining, "its clients are told, too"
        fleet.wait(fleet.ask("n2", "undrain"))
        fleet.until(
            lambda: all("n2" in fleet.nodes[name].requests.registry.candidates("echo") for name in fleet.names), 2.0
        )


def what_was_sent_is_still_on_its_way(seed: int) -> None:
    """A client sends something just before it learns that a node drains, over a link that takes about as long as the
    node would wait for silence."""
    with Fleet.running(seed, 3) as fleet:
        host_work(fleet, *fleet.names)
        client = fleet.client("client")
        fleet.world.run_for(2.0)
        fleet.world.slow("client", "n1", delay=SLOW_S)
        fleet.world.slow("n1", "client", delay=SLOW_S)
        drain = fleet.ask("n1", "drain")
        fleet.world.run_for(SLOW_S - 0.005)
        results = [client.ask(Call("work", "do", b"{}")) for _ in range(6)]
        drained = fleet.wait(drain, 6.0)
        assert isinstance(drained.answer, AdminAnswer), drained.error
        fleet.world.run_for(SIGNAL_S)
        fleet.crash("n1")
        fleet.world.run_for(6.0)
        lost = [one.error for one in results if one.error is not None]
        assert not lost, f"{len(lost)} of {len(results)} calls failed: {lost[0]}"


def what_another_node_sent_is_still_on_its_way(seed: int) -> None:
    """An entry node sends calls on a connection that stalls, and learns by another one that their node drains."""
    with Fleet.running(seed, 3) as fleet:
        host_work(fleet, "n1")
        fleet.world.run_for(2.0)
        fleet.wait(fleet.call("n2", "work.do"))
        fleet.world.slow("n2", "n1", delay=STALLED_S)
        results = [fleet.call("n2", "work.do") for _ in range(6)]
        fleet.world.run_for(0.001)
        fleet.world.slow("n2", "n1")
        drained = fleet.wait(fleet.ask("n1", "drain"), 6.0)
        assert isinstance(drained.answer, AdminAnswer), drained.error
        fleet.world.run_for(SIGNAL_S)
        fleet.crash("n1")
        fleet.world.run_for(6.0)
        lost = [one.error for one in results if one.error is not None]
        assert not lost, f"{len(lost)} of {len(results)} calls failed: {lost[0]}"


def announce_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "set_draining", lambda self, node, draining: None)


def wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(self: Drain, inbound: Inbound, quiet_since: float) -> None:
        inbound.reply(AdminAnswer({"draining": True, "in_flight": 0}))

    monkeypatch.setattr(Drain, "_look", look)


def leave_gossip_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announce, but do not wait until the others have it."""

    def drain(self: ServiceHosting, draining: bool, done: Callable[[int], None]) -> None:
        self.registry.set_draining(self.node, draining)
        self._facts.announce(KIND_DRAIN, b"1" if draining else b"")
        done(1)

    monkeypatch.setattr(ServiceHosting, "drain", drain)


def tell_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Announcing, "tell_all", Announcing.tell)


def wait_for_silence_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drain, "_is_noted", lambda self, now: True)


def wait_for_clients_only(monkeypatch: pytest.MonkeyPatch) -> None:
    is_noted = Drain._is_noted

    def by_clients(self: Drain, now: float) -> bool:
        self._noted |= dict.fromkeys(sender for sender in self._senders() if isinstance(sender, str))
        return is_noted(self, now)

    monkeypatch.setattr(Drain, "_is_noted", by_clients)


def forget_at_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drain, "start", lambda self: None)


SAFEGUARDS = [
    Safeguard(
        "routers pass over a node that drains",
        "A rolling restart drains, and fails no request.",
        announce_nothing,
        a_rolling_restart_under_load,
    ),
    Safeguard(
        "writes are passed on to owners that do not drain",
        "A node that drains gets nothing new as long as others can take it.",
        forward_to_whoever_owns,
        writes_go_on_at_other_nodes,
    ),
    Safeguard(
        "a drain waits for what is in flight",
        "A node that is restarted finishes what it has begun.",
        wait_for_nobody,
        a_rolling_restart_under_load,
    ),
    Safeguard(
        "a drain is known to all before the node is stopped",
        "No request is on its way to a node that stops.",
        leave_gossip_to_it,
        gossip_of_a_drain_is_lost,
    ),
    Safeguard(
        "a drain is told until everyone has answered",
        "No request is on its way to a node that stops, however bad its links are.",
        tell_once,
        gossip_of_a_drain_is_lost,
        range(6, 11),
    ),
    Safeguard(
        "a drain waits until all senders have noted it",
        "A node that is restarted finishes what was sent to it, however slow the way is.",
        wait_for_silence_only,
        what_was_sent_is_still_on_its_way,
        range(1, 8),
    ),
    Safeguard(
        "a drain waits for the nodes, too",
        "A node that is restarted finishes what other nodes have sent to it, however slow their connections are.",
        wait_for_clients_only,
        what_another_node_sent_is_still_on_its_way,
    ),
    Safeguard(
        "a drain is on the disk",
        "A node drained with `drain` gets nothing new until `undrain`, also behind a restart.",
        forget_at_boot,
        a_drained_node_is_restarted,
    ),
]
