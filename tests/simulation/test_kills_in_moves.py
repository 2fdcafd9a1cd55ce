"""SIGKILL in each phase of a transition, of who gives, who takes and who proposes: it ends, or is taken back, and every
owner has what was acknowledged."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.layout import partition_of
from cluster.node import Node
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from cluster.wire.kv import PutDone
from tests.simulation.safeguards.growth import end, newest
from tests.simulation.safeguards.scenes import acknowledged, boot, read

KEYS = [f"key-{number}" for number in range(50)]
CHANGES = {"add": "n6", "leave": "n1"}
PROPOSER = "n2"
CHANGE_ID = "the change"


def any_node(fleet: Fleet, has: Callable[[Node], bool]) -> str | None:
    return next((name for name, node in fleet.nodes.items() if has(node)), None)


def accepted(slot: int) -> Callable[[Node], bool]:
    return lambda node: (
        node.layouts.chain._acceptor.state.slot == slot and node.layouts.chain._acceptor.state.value != b""
    )


def decided(slot: int) -> Callable[[Node], bool]:
    return lambda node: node.layouts.chain.entry.slot >= slot


def takers(fleet: Fleet) -> list[str]:
    return [name for name in fleet.up if fleet.nodes[name].replication.lacking()]


def half_moved(fleet: Fleet) -> bool:
    """Something has moved, and not all of it."""
    moving = [node.layouts.moving() for node in fleet.nodes.values()]
    counts = [(sum(one["joining"].values()), sum(one["lacking"].values())) for one in moving if one is not None]
    return any(0 < lacking < joining for joining, lacking in counts) and bool(takers(fleet))


def complete(fleet: Fleet) -> bool:
    """The fence: all owners to come have everything, and the owners in force still answer."""
    everywhere = all(node.layouts.chain.entry.slot == 2 for node in fleet.nodes.values())
    return everywhere and "n6" in (*fleet.nodes, CHANGES["add"]) and not takers(fleet)


PHASES: dict[str, Callable[[Fleet], bool]] = {
    "proposed": lambda fleet: any_node(fleet, accepted(2)) is not None,
    "decided": lambda fleet: any_node(fleet, decided(2)) is not None,
    "known": lambda fleet: all(decided(2)(node) for node in fleet.nodes.values()),
    "moving": half_moved,
    "complete": lambda fleet: bool(fleet.nodes) and complete(fleet) and len(fleet.nodes) == len(fleet.names),
    "ending": lambda fleet: any_node(fleet, accepted(3)) is not None,
    "ended": lambda fleet: any_node(fleet, decided(3)) is not None,
    "dropping": lambda fleet: any_node(fleet, lambda node: node.replication.dropping.left > 0) is not None,
}
EARLY = ("proposed", "decided", "known")


def victim(fleet: Fleet, role: str, change: str, phase: str) -> str:
    """Whom to kill. Who takes of a `leave` is whoever still lacks something, else the last."""
    if role == "taker":
        return "n6" if change == "add" else (takers(fleet) or ["n5"])[-1]
    if role == "proposer":
        return PROPOSER if phase in EARLY else any_node(fleet, lambda node: node.layouts._proposing) or PROPOSER
    dropping = any_node(fleet, lambda node: node.replication.dropping.left > 0)
    return dropping or ("n1" if change == "leave" else "n3")


ROLES = ("giver", "taker", "proposer")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("change", CHANGES)
def test_who_is_killed_in_a_move_loses_nothing(seed: int, change: str, phase: str) -> None:
    """The seed says who it is, and whether the change is taken back then."""
    role, back = ROLES[seed % 3], seed // 3 % 2 == 1
    if role == "taker" and phase in EARLY:
        role = "giver"  # there is none yet
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n4", key, b"v")
        keys = list(KEYS)
        for name in ("n1", "n2", "n3", "n4", "n5"):
            fleet.world.slow(name, "n6" if change == "add" else "n5", delay=0.01)
        row = {"name": "n6", "zone": "z1", "host": "10.0.0.6", "port": 7000}
        what: dict[str, Any] = {change: [row] if change == "add" else ["n1"], "id": CHANGE_ID}
        fleet.ask(PROPOSER, "change", what)
        if phase not in EARLY:
            fleet.until(lambda: any_node(fleet, decided(2)) is not None)
            if change == "add":
                fleet.join("n6", via=PROPOSER)
        fleet.world.run_until_true(lambda: PHASES[phase](fleet), 30.0, step=0)
        struck = victim(fleet, role, change, phase)
        fleet.crash(struck)
        for number in range(10):
            put = fleet.put("n4" if struck != "n4" else "n5", f"late-{number}", b"v")
            answer = fleet.wait(put).answer
            if isinstance(answer, PutDone) and answer.outcome in ("ok", "ok-sloppy"):
                keys.append(f"late-{number}")
        fleet.world.run_for(0.5)
        over = newest(fleet).slot >= 3
        if struck in {member.name for member in newest(fleet).layout.all_members}:
            boot(fleet, struck)
        fleet.until(lambda: asked_again(fleet, what))
        if change == "add" and "n6" not in fleet.names:
            fleet.join("n6", via="n4")
        if back and not over:
            fleet.wait(fleet.ask("n4", "change", {"revert": True}, 10.0), 15.0)  # or it is over by now
        end(fleet)
        equal_everywhere(fleet, keys)
        assert newest(fleet).slot == 3


def asked_again(fleet: Fleet, what: dict[str, Any]) -> bool:
    """As the command does: of another node, under the same id."""
    return isinstance(fleet.wait(fleet.ask("n4", "change", what), 10.0).answer, AdminAnswer)


def equal_everywhere(fleet: Fleet, keys: list[str]) -> None:
    """Each owner has the same of each key, and what was acknowledged is found."""

    def differ() -> list[str]:
        return [key for key in keys if len({fleet.stored(name, key) for name in fleet.owners(key)}) != 1]

    fleet.until(lambda: not differ(), 30.0)
    assert all(fleet.stored(fleet.owners(key)[0], key) is not None for key in keys)
    assert all(read(fleet, fleet.up[0], key, strict=True) == [b"v"] for key in keys)

    def left_over() -> list[tuple[str, str]]:
        return [
            (name, key)
            for name, node in fleet.nodes.items()
            for key in keys
            if name not in fleet.owners(key) and node.store.count(TABLE_KV, partition_of(key))
        ]

    fleet.world.run_for(5.0)
    assert left_over() == []
