"""Readiness: when `up` or `restart` returns, what a node offers is found by all."""

from typing import Any

import pytest

from cluster.emulator.known import Knowledge
from cluster.membership import Membership
from cluster.node import ready
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from tests.simulation.safeguards.registry import Safeguard

SLICE_S = 0.5


def wait_known(fleet: Fleet, started: list[str], timeout: float = 20.0) -> None:
    """As `cluster.emulator.known.wait_known`, in virtual time."""
    knowledge = Knowledge(started, fleet.up)
    late, deadline = list(knowledge.wanted), fleet.world.now + timeout
    while late:
        assert fleet.world.now < deadline, f"not known after {timeout} s: {knowledge.behind()}"
        asked = {name: fleet.ask(name, "ready", {"holds": knowledge.question(name)}, SLICE_S) for name in late}
        fleet.until(lambda asked=asked: all(one.ended for one in asked.values()))  # type: ignore[misc]
        for name, one in asked.items():
            if isinstance(one.answer, AdminAnswer):
                knowledge.answered(name, one.answer.value["holds"])
        late = knowledge.late()


def find_everywhere(fleet: Fleet, wanted: list[str]) -> None:
    """Every node would send a call to the endpoints of these, which the lossy links may still delay."""
    for name in fleet.up:
        registry = fleet.nodes[name].requests.registry
        found = [one.node for one in registry.endpoints("flaky") if registry.can_call(one)]
        missing = [node for node in wanted if node not in found]
        assert not missing, f"{name} does not find the endpoints on {missing}"


def lose(fleet: Fleet, share: float) -> None:
    for source in fleet.names:
        for target in fleet.names:
            if source != target:
                fleet.world.slow(source, target, loss=share)


def a_killed_node_is_restarted(seed: int) -> None:
    """Datagrams are lost, so that the new boot and its services do not come to everyone together."""
    with Fleet.running(seed, 5) as fleet:
        lose(fleet, 0.3)
        for _ in range(3):
            fleet.crash("n4")
            fleet.start("n4")
            fleet.until(lambda: "n4" in fleet.nodes)
            wait_known(fleet, ["n4"])
            find_everywhere(fleet, ["n4"])


def all_nodes_are_started(seed: int) -> None:
    with Fleet(seed, 8) as fleet:
        lose(fleet, 0.3)
        fleet.start()
        fleet.until(lambda: len(fleet.nodes) == len(fleet.names))
        wait_known(fleet, fleet.names)
        find_everywhere(fleet, fleet.names)


def gossip_is_lost_while_all_start(seed: int) -> None:
    """Push-pull comes by itself only every ten seconds."""
    with Fleet(seed, 8) as fleet:
        lose(fleet, 0.5)
        fleet.start()
        fleet.until(lambda: len(fleet.nodes) == len(fleet.names))
        wait_known(fleet, fleet.names, 8.0)


def fetch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Membership, "fetch", lambda self, name: None)


def wait_for_states_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was: alive is enough."""

    def holds(held: Any, wanted: Any) -> bool:
        return held is not None

    monkeypatch.setattr(ready, "holds", holds)
    monkeypatch.setattr(
        Knowledge, "_lacks", lambda self, name, other: other not in self._held.get(name, {}) or self._old(name, other)
    )
    monkeypatch.setattr(
        Knowledge,
        "_old",
        lambda self, name, other: self._held[name][other][0] < self.announced.get(other, (0,))[0],
        raising=False,
    )


SAFEGUARDS = [
    Safeguard(
        "a restarted node is ready when its services are known",
        "A request straight behind `restart` finds the endpoints of the node that was restarted.",
        wait_for_states_only,
        a_killed_node_is_restarted,
        range(1, 11),
    ),
    Safeguard(
        "started nodes are ready when their services are known",
        "A request straight behind `up` or `restart --all` finds every endpoint, whichever node it is sent to.",
        wait_for_states_only,
        all_nodes_are_started,
        range(1, 6),
    ),
    Safeguard(
        "announcements that gossip missed are fetched",
        "`up` and `restart` wait for what is missing no longer than it takes to ask for it.",
        fetch_nothing,
        gossip_is_lost_while_all_start,
        range(2, 6),
    ),
]
