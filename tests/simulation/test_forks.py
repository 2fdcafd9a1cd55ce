"""Members are forgotten by force where no majority is left: if the others live, the two never mix."""

from typing import Any

import pytest

from cluster.chain.entry import FOLDER, ChainEntry, decode_chain
from cluster.errors import QuorumMissing, Usage
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.admin import AdminAnswer
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, read

KEYS = [f"key-{number}" for number in range(40)]
ALL = ["n1", "n2", "n3", "n4", "n5"]


def force(fleet: Fleet, via: str, *names: str, accept_loss: bool = True, timeout: float = 5.0) -> SimulatedRequest:
    what = {"forget": list(names), "force": True, "accept_loss": accept_loss}
    return fleet.ask(via, "change", what, timeout)


def forgotten(fleet: Fleet, via: str, *names: str) -> ChainEntry:
    """Have it done; the entry that did it."""
    result = fleet.wait(force(fleet, via, *names))
    assert isinstance(result.answer, AdminAnswer), result.error
    return next(entry for entry in fleet.nodes[via].layouts.chain.entries if entry.fork)


def chains(fleet: Fleet, *names: str) -> set[str]:
    return {str([entry.what for entry in fleet.nodes[name].layouts.chain.entries]) for name in names}


def settle(fleet: Fleet, *names: str) -> None:
    """Only these are left, and nothing is under way."""
    fleet.names[:] = names
    fleet.until(lambda: set(fleet.nodes) == set(names), 60.0)
    fleet.until(fleet.settled, 60.0)
    assert len(chains(fleet, *names)) == 1


def row(name: str) -> dict[str, Any]:
    return {"name": name, "zone": "z1", "host": f"10.0.0.{name[1:]}", "port": 7000}


def test_two_of_five_go_on_by_force_and_the_others_stop_when_they_come_back(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        kept = [key for key in KEYS if {"n1", "n2"} & set(fleet.owners(key))]
        crash_and_wait(fleet, "n3", "n4", "n5")
        refused = fleet.wait(fleet.ask("n1", "change", {"forget": ["n3", "n4", "n5"], "accept_loss": True})).error
        assert isinstance(refused, QuorumMissing) and "--force" in refused.message
        refused = fleet.wait(force(fleet, "n1", "n3", "n4", "n5", accept_loss=False)).error
        assert refused is not None and "too few owners" in refused.message
        entry = forgotten(fleet, "n1", "n3", "n4", "n5")
        assert entry.what == "forget n3, n4, n5 by force" and entry.fork == entry.layout.number >= 1_000_000
        settle(fleet, "n1", "n2")
        assert all(read(fleet, "n2", key, strict=True) == [b"v"] for key in kept)
        acknowledged(fleet, "n2", "later", b"v", strict=True)
        before = chains(fleet, "n1", "n2")
        fleet.start("n3", "n4", "n5")
        fleet.until(lambda: all("was forgotten" in fleet.fatal.get(name, "") for name in ("n3", "n4", "n5")), 30.0)
        settle(fleet, "n1", "n2")
        assert chains(fleet, "n1", "n2") == before
        result = fleet.wait(fleet.add(1, via="n2"))
        assert isinstance(result.answer, AdminAnswer), result.error
        fleet.join("n3", via="n2")
        settle(fleet, "n1", "n2", "n3")


def test_all_that_stay_must_agree(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        crash_and_wait(fleet, "n2", "n3", "n4", "n5")
        refused = fleet.wait(force(fleet, "n1", "n3", "n4")).error
        assert isinstance(refused, Usage) and "n1, n2, n5 are a majority" in refused.message
        refused = fleet.wait(force(fleet, "n1", "n3", "n4", "n5"), 10.0).error
        assert isinstance(refused, QuorumMissing) and "all of n1, n2 must agree" in refused.message
        forgotten(fleet, "n1", "n2", "n3", "n4", "n5")
        settle(fleet, "n1")
        acknowledged(fleet, "n1", "alone", b"v", strict=True)


@pytest.mark.parametrize("fresh", [True, False])
def test_the_others_go_on_with_a_majority_and_stop_when_they_meet_the_fork(seed: int, fresh: bool) -> None:
    """What is promised: one chain wins as a whole, and nobody serves the other. What is not: the writes that only the
    others acknowledged meanwhile. `fresh`: their chain went on, so it is another one; else they are only behind."""
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        kept = [key for key in KEYS if {"n1", "n2"} & set(fleet.owners(key))]
        fleet.fault("partition", groups=[["n1", "n2"], ["n3", "n4", "n5"]])
        fleet.until(lambda: fleet.believes("n1", "n3") == fleet.believes("n3", "n1") == "dead", 60.0)
        if fresh:
            result = fleet.wait(fleet.ask("n3", "change", {"add": [row("n6")]}))
            assert isinstance(result.answer, AdminAnswer), result.error
            fleet.wait(fleet.ask("n3", "change", {"revert": True}))
        forgotten(fleet, "n1", "n3", "n4", "n5")
        fleet.world.run_for(3.0)
        acknowledged(fleet, "n3", "theirs", b"w")
        acknowledged(fleet, "n1", "ours", b"v")
        fleet.heal()
        fleet.until(lambda: set(fleet.nodes) == {"n1", "n2"}, 60.0)
        assert all("forgotten" in fleet.fatal[name] or "by force" in fleet.fatal[name] for name in ("n3", "n4", "n5"))
        settle(fleet, "n1", "n2")
        assert all(read(fleet, "n2", key, strict=True) == [b"v"] for key in kept) and read(fleet, "n1", "ours")
        assert not any("n6" in chain for chain in chains(fleet, "n1", "n2")), "no entry of theirs is among ours"
        fleet.start("n3", "n4", "n5")
        fleet.until(lambda: set(fleet.nodes) == {"n1", "n2"}, 30.0)


def test_of_two_forks_one_wins(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        crash_and_wait(fleet, "n5")
        sides = [["n1", "n2"], ["n3", "n4"]]
        fleet.fault("partition", groups=sides)
        fleet.until(lambda: fleet.believes("n1", "n3") == fleet.believes("n3", "n1") == "dead", 60.0)
        forks = [forgotten(fleet, "n1", "n3", "n4", "n5"), forgotten(fleet, "n3", "n1", "n2", "n5")]
        fleet.world.run_for(1.0)
        fleet.heal()
        won = sides[0] if forks[0].fork > forks[1].fork else sides[1]
        settle(fleet, *won)


def test_a_fork_that_was_accepted_is_not_given_up_for_an_entry_of_the_others(seed: int) -> None:
    """n1 dies when n2 has accepted, too: nobody knows that it is decided. The others decide something else, and n2
    meets them before n1 is back."""
    with Fleet.running(seed, 5) as fleet:
        fleet.fault("partition", groups=[["n1", "n2"], ["n3", "n4", "n5"]])
        fleet.until(lambda: fleet.believes("n1", "n3") == fleet.believes("n3", "n1") == "dead", 60.0)
        force(fleet, "n1", "n3", "n4", "n5")
        fleet.world.run_until_true(lambda: fleet.nodes["n2"].layouts.chain.bound is not None, 5.0, step=0)
        fleet.crash("n1")
        result = fleet.wait(fleet.ask("n3", "change", {"add": [row("n6")]}))
        assert isinstance(result.answer, AdminAnswer), result.error
        fleet.heal()
        fleet.world.run_for(5.0)
        chain = fleet.nodes["n2"].layouts.chain
        assert chain.entry.slot == 1 and chain.bound is not None, "neither this nor that, while n1 may have it"
        boot(fleet, "n1")
        settle(fleet, "n1", "n2")
        assert "by force" in chains(fleet, "n1").pop()


def test_a_fork_that_cannot_be_decided_any_more_is_given_up(seed: int) -> None:
    """n2 accepted it, n1 did not, and has the others' entry now."""
    with Fleet.running(seed, 5) as fleet:
        fleet.fault("partition", groups=[["n1", "n2"], ["n3", "n4", "n5"]])
        fleet.until(lambda: fleet.believes("n1", "n3") == fleet.believes("n3", "n1") == "dead", 60.0)
        fleet.world.slow("n2", "n1", delay=0.02)
        force(fleet, "n2", "n3", "n4", "n5")
        fleet.world.run_until_true(lambda: fleet.nodes["n2"].layouts.chain.bound is not None, 5.0, step=0)
        fleet.fault("partition", groups=[["n2"], ["n1"]])
        fleet.world.run_for(0.01)
        fleet.crash("n2")
        fleet.world.run_for(0.1)
        fleet.world.slow("n2", "n1")
        fleet.heal()
        result = fleet.wait(fleet.ask("n3", "change", {"add": [row("n6")]}))
        assert isinstance(result.answer, AdminAnswer), result.error
        fleet.until(lambda: fleet.nodes["n1"].layouts.chain.entry.slot == 2)
        boot(fleet, "n2")
        fleet.until(lambda: fleet.nodes["n2"].layouts.chain.entry.slot == 2, 30.0)
        fleet.join("n6", via="n3")
        settle(fleet, *ALL, "n6")


def test_whatever_is_changed_on_both_sides_one_chain_is_left(seed: int) -> None:
    """Changes with and without force from any node, among partitions, crashes and boots: who runs in the end has one
    chain, of the highest fork, with all changes that its side acknowledged."""
    with Fleet.running(seed, 6) as fleet:
        random, made = fleet.world.random("changes"), dict[str, tuple[str, SimulatedRequest]]()
        alive = list(fleet.names)
        for number in range(14):
            step = random.choice(("split", "heal", "crash", "boot", "leave", "force", "force"))
            up = [name for name in alive if name in fleet.nodes]
            if step == "split":
                fleet.heal()
                side = random.sample(alive, random.randint(1, 5))
                fleet.fault("partition", groups=[side, [name for name in alive if name not in side]] if side else [])
            elif step == "heal":
                fleet.heal()
            elif step == "crash" and len(up) > 3:
                fleet.crash(random.choice(up))
            elif step == "boot":
                start(fleet, alive)
            elif step in ("leave", "force") and up:
                via, id = random.choice(up), f"change {number}"
                others = [name for name in alive if name != via]
                names = random.sample(others, random.randint(3, 5) if step == "force" else 1)
                what = {"forget": names, "force": True, "accept_loss": True} if step == "force" else {"leave": names}
                made[id] = (via, fleet.ask(via, "change", {**what, "id": id}, 2.0))
            fleet.world.run_for(random.uniform(0.1, 3.0))
        fleet.heal()

        def one_chain() -> bool:
            start(fleet, alive)
            running = [name for name in alive if name in fleet.nodes]
            entries = [fleet.nodes[name].layouts.chain.entry for name in running]
            members = {one.name for one in entries[0].layout.members} if entries else set[str]()
            return len(chains(fleet, *running)) == 1 and not entries[0].moving and members == set(running)

        fleet.until(one_chain, 120.0)
        left = next(iter(fleet.nodes.values())).layouts.chain
        for id, (via, request) in made.items():
            if isinstance(request.answer, AdminAnswer) and via in fleet.nodes:
                assert any(entry.change_id == id for entry in left.entries), f"{id} was acknowledged by {via}"


def start(fleet: Fleet, names: list[str]) -> None:
    """Boot those that are down, and that are members as far as their own folders say."""
    for name in names:
        if name not in fleet.nodes and not fleet.world.is_up(name) and name not in fleet.fatal:
            disk = fleet.world.disk(name)
            last = max((path for path in disk.paths() if path.startswith(f"{FOLDER}/")), default="")
            if not last or name in {one.name for one in decode_chain(disk.read(last)).layout.all_members}:
                fleet.start(name)
                fleet.world.run_for(0.2)
