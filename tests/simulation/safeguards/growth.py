"""Growing and shrinking: one chain, a fence, an end and a way back, and nothing acknowledged is lost on the way."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cluster.ballot import proposer as ballot_proposer
from cluster.chain.chain import BALLOT_FILE, Chain, Kept
from cluster.chain.entry import ChainEntry, decode_chain
from cluster.chain.transition import obstacles
from cluster.config import node_settings
from cluster.layout import LayoutView, partition_of
from cluster.node import layouts as node_layouts
from cluster.node.layouts import Layouts
from cluster.replication.handoff import Handoff
from cluster.replication.replication import Replication
from cluster.replication.writer import MovingWrite, WriteOperation
from cluster.simulation.disk import ProcessDisk
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from cluster.wire.kv import PutDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, read, settle, wipe

KEYS = [f"key-{number}" for number in range(60)]


def change(fleet: Fleet, via: str, what: dict[str, Any]) -> None:
    """Have a change decided."""
    result = fleet.wait(fleet.ask(via, "change", what))
    assert isinstance(result.answer, AdminAnswer), result.error


def add(fleet: Fleet, via: str, name: str) -> None:
    """Have a member named, and boot it."""
    result = fleet.wait(fleet.add(via=via))
    assert isinstance(result.answer, AdminAnswer), result.error
    fleet.join(name, via=via)


def newest(fleet: Fleet) -> ChainEntry:
    return max((node.layouts.chain.entry for node in fleet.nodes.values()), key=lambda entry: entry.slot)


def end(fleet: Fleet) -> None:
    """Wait until the transition has ended, those that left are gone, and nobody waits for anything."""
    fleet.until(lambda: not newest(fleet).moving, 60.0)
    members = [member.name for member in newest(fleet).layout.members]
    fleet.until(lambda: all(name in members for name in fleet.nodes), 10.0)
    for name in [name for name in fleet.names if name not in members]:
        fleet.fatal.pop(name, None)
        fleet.names.remove(name)
    settle(fleet)


def hold(fleet: Fleet, held: bool) -> None:
    """Keep everybody from proposing the end of the transition, or no longer."""
    for node in fleet.nodes.values():
        node.layouts._proposing = held


def copies(fleet: Fleet, key: str) -> int:
    """How many owners have a copy."""
    return sum(name in fleet.nodes and fleet.stored(name, key) is not None for name in fleet.owners(key))


def all_there(fleet: Fleet, keys: list[str] = KEYS) -> None:
    """What was acknowledged is at every owner before anybody reads it, and is found."""
    few = {key: copies(fleet, key) for key in keys if copies(fleet, key) < 3}
    assert not few, f"not at every owner: {few}"
    assert all(read(fleet, fleet.up[0], key, strict=True) == [b"v"] for key in keys)


def three_nodes_join_three(seed: int) -> None:
    """Some partitions then have one owner of before. Reads are answered all the time."""
    with Fleet.running(seed, 3) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        result = fleet.wait(fleet.add(3, via="n2"))
        assert isinstance(result.answer, AdminAnswer), result.error
        for name in ("n4", "n5", "n6"):
            for source in ("n1", "n2", "n3"):
                fleet.fault("slow", source=source, target=name, delay_ms=20.0)
            fleet.join(name, via="n2")
        place = 0
        while newest(fleet).moving or place < len(KEYS):
            assert read(fleet, "n1", KEYS[place % len(KEYS)], strict=True) == [b"v"]
            fleet.world.run_for(0.01)
            place += 1
        end(fleet)
        all_there(fleet)


def a_node_leaves(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        change(fleet, "n2", {"leave": ["n3"]})
        end(fleet)
        all_there(fleet)


def written_while_data_moves(seed: int) -> None:
    """One owner is down and some links are slow, so that a write is acknowledged by as few nodes as can be. At its
    answer W of the owners in force have it, and W of those to come, whichever of the two will be left."""
    with Fleet.running(seed, 5) as fleet:
        add(fleet, "n2", "n6")
        fleet.until(lambda: "n6" in fleet.nodes)
        hold(fleet, True)
        fleet.until(lambda: all(node.view.number == 2 for node in fleet.nodes.values()))
        fleet.until(lambda: not any(node.replication.lacking() for node in fleet.nodes.values()))
        fleet.crash(fleet.names[seed % 5])
        view, random = fleet.nodes["n6"].view, fleet.world.random("slow")
        for number, key in enumerate(KEYS):
            if number % 10 == 0:
                fleet.heal()
                for target in random.sample(fleet.up, 2):
                    for source in [name for name in fleet.up if name != target]:
                        fleet.fault("slow", source=source, target=target, delay_ms=100.0)
                fleet.world.run_for(0.1)
            partition = partition_of(key)
            answer = fleet.wait(fleet.put(fleet.up[0], key, b"v", strict=True)).answer
            if isinstance(answer, PutDone) and answer.outcome == "ok":
                for owners in (view.owners(partition), view.coming(partition)):
                    held = [name for name in owners if name in fleet.nodes and fleet.stored(name, key) is not None]
                    assert len(held) >= 2, f"{key}: of {owners} only {held} have it"


def two_halves_change_the_members(seed: int) -> None:
    """Each side of a partition is asked to add a node. At the end there is one chain."""
    with Fleet.running(seed, 5) as fleet:
        fleet.fault("partition", groups=[["n1", "n2"], ["n3", "n4", "n5"]])
        fleet.world.run_for(0.5)
        for via in ("n1", "n4"):
            fleet.add(via=via, zone="z1" if via == "n1" else "z2", timeout=2.0)
        fleet.world.run_for(3.0)
        fleet.heal()
        fleet.until(lambda: len({node.layouts.chain.entry.slot for node in fleet.nodes.values()}) == 1, 30.0)
        chains = {str(node.layouts.chain.entries) for node in fleet.nodes.values()}
        assert len(chains) == 1, "two chains"


def decided_and_not_told(fleet: Fleet) -> None:
    """n1 has an entry decided, with the vote of n2, and is gone before it tells anybody."""
    chain = fleet.nodes["n1"].layouts
    chain._tell = lambda: None  # type: ignore[method-assign]
    chain.chain.announce = lambda blob: None  # type: ignore[method-assign]
    fleet.fault("partition", groups=[["n1", "n2"], ["n3"]])
    fleet.world.run_for(0.1)
    change(fleet, "n1", {"add": [{"name": "n4", "zone": "z1", "host": "10.0.0.4", "port": 7000}]})
    fleet.crash("n1")


def one_chain_in_the_end(fleet: Fleet) -> None:
    """n3 proposes something else with n2, and then n1 is back."""
    fleet.heal()
    asked = {"add": [{"name": "n5", "zone": "z1", "host": "10.0.0.5", "port": 7000}]}
    fleet.ask("n3", "change", asked, 3.0)
    fleet.world.run_for(4.0)
    boot(fleet, "n1")
    fleet.until(lambda: min(node.layouts.chain.entry.slot for node in fleet.nodes.values()) >= 2, 30.0)
    second = {str(node.layouts.chain.entries[1]) for node in fleet.nodes.values()}
    assert len(second) == 1, f"slot 2 was decided twice: {second}"


def an_acceptor_reboots_between_two_ballots(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        decided_and_not_told(fleet)
        fleet.power_loss("n2")
        boot(fleet, "n2")
        one_chain_in_the_end(fleet)


def an_acceptor_is_wiped_between_two_ballots(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        decided_and_not_told(fleet)
        wipe(fleet, "n2")
        boot(fleet, "n2")
        one_chain_in_the_end(fleet)


def an_owner_with_hints_is_forgotten(seed: int) -> None:
    """What was kept for it goes to the owners that there are instead."""
    with Fleet.running(seed, 5) as fleet:
        fleet.crash("n3")
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        change(fleet, "n2", {"forget": ["n3"]})
        fleet.names.remove("n3")
        fleet.until(lambda: not newest(fleet).moving, 60.0)
        settle(fleet)
        all_there(fleet)


def a_holder_of_hints_leaves(seed: int) -> None:
    """Two nodes are down, and others hold hints for them; one of these is to leave. Its way to them is slow, and it
    brings a few at a time."""
    settings = node_settings()
    few = replace(settings, replication=replace(settings.replication, hint_batch=1, compare=False))
    with Fleet.running(seed, 6, settings=few) as fleet:
        away = ["n5", "n6"]
        for name in away:
            fleet.crash(name)
        fleet.until(lambda: all(fleet.believes("n1", name) == "dead" for name in away), 60.0)
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        # An owner that merges others while these lack what comes to them as hints may lack it as well, with W left.
        kept = [key for key in KEYS if "n2" not in fleet.owners(key)]
        for target in away:
            fleet.fault("slow", source="n2", target=target, delay_ms=300.0)
        change(fleet, "n1", {"leave": ["n2"]})
        fleet.world.run_for(1.0)
        boot(fleet, *away)
        end(fleet)
        all_there(fleet, keys=kept)


def a_holder_of_hints_learns_late_that_it_leaves(seed: int) -> None:
    """Everybody else would end the transition meanwhile."""
    settings = node_settings()
    apart = replace(settings, replication=replace(settings.replication, compare=False))
    with Fleet.running(seed, 6, settings=apart) as fleet:
        away = ["n5", "n6"]
        crash_and_wait(fleet, *away)
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        kept = [key for key in KEYS if "n2" not in fleet.owners(key)]
        for target in away:
            fleet.fault("slow", source="n2", target=target, delay_ms=1500.0)
        chain = fleet.nodes["n2"].layouts.chain
        chain.learn = lambda *args, **options: None  # type: ignore[method-assign]
        change(fleet, "n1", {"leave": ["n2"]})
        boot(fleet, *away)
        fleet.world.run_for(5.0)
        del chain.learn
        fleet.world.run_for(0.5)
        fleet.heal()
        end(fleet)
        all_there(fleet, keys=kept)


def taken_back_while_few_can_be_reached(seed: int) -> None:
    """n1 reaches only n5, which joins, when it coordinates a write. Then the change is taken back, n5 cannot bring its
    hints home before it ends, and the disk of n1 is lost."""
    settings = node_settings()
    apart = replace(settings, replication=replace(settings.replication, compare=False))
    with Fleet.running(seed, 4, settings=apart) as fleet:
        add(fleet, "n2", "n5")
        fleet.until(lambda: "n5" in fleet.nodes)
        hold(fleet, True)
        fleet.until(lambda: all(node.view.number == 2 for node in fleet.nodes.values()))
        fleet.until(lambda: not any(node.replication.lacking() for node in fleet.nodes.values()))
        view, others = fleet.nodes["n5"].view, ["n2", "n3", "n4"]
        key = next(key for key in KEYS if fleet.owners(key)[0] == "n1" and not view.joining(partition_of(key)))
        fleet.fault("partition", groups=[["n1", "n5"], others])
        fleet.until(lambda: all(fleet.nodes["n1"].reach.avoided(name) for name in others))
        written = [fleet.wait(fleet.put(via, key, b"v")) for via in ("n1", "n5")]
        fleet.heal()
        fleet.nodes["n5"].replication.handoff._deliver = lambda target: None  # type: ignore[method-assign]
        change(fleet, "n2", {"revert": True})
        fleet.crash("n1")
        fleet.until(lambda: "n5" not in fleet.nodes)
        wipe(fleet, "n1")
        boot(fleet, "n1")
        end(fleet)
        for result in written:
            if isinstance(result.answer, PutDone) and result.answer.outcome in ("ok", "ok-sloppy"):
                assert read(fleet, "n2", key) != [], "it was acknowledged, and one disk was lost"


def away_while_a_partition_went_and_came_back(seed: int) -> None:
    """n5 misses the end of a transition that takes partitions from it to n6, and the beginning of the next, in which
    n6 leaves and gives some back."""
    with Fleet.running(seed, 5) as fleet:
        add(fleet, "n2", "n6")
        fleet.until(lambda: "n6" in fleet.nodes)
        hold(fleet, True)
        fleet.until(lambda: all(node.view.number == 2 for node in fleet.nodes.values()))
        fleet.until(lambda: not any(node.replication.lacking() for node in fleet.nodes.values()))
        fleet.world.run_for(0.5)
        fleet.fault("partition", groups=[["n5"], ["n1", "n2", "n3", "n4", "n6"]])
        hold(fleet, False)
        fleet.until(lambda: newest(fleet).slot == 3, 10.0)
        kept = [key for key in KEYS if "n5" not in fleet.owners(key)]
        for key in kept:
            acknowledged(fleet, "n2", key, b"v")
        change(fleet, "n2", {"leave": ["n6"]})
        fleet.heal()
        end(fleet)
        all_there(fleet, keys=kept)


# -- removals


def count_one_set(monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    start: Any = MovingWrite.start

    def with_one_set(self: MovingWrite, *args: Any) -> None:
        self.sets = (self.sets[which],)
        start(self, *args)

    monkeypatch.setattr(MovingWrite, "start", with_one_set)


def count_the_owners_in_force_only(monkeypatch: pytest.MonkeyPatch) -> None:
    count_one_set(monkeypatch, 0)


def count_the_owners_to_come_only(monkeypatch: pytest.MonkeyPatch) -> None:
    count_one_set(monkeypatch, 1)


def count_all_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MovingWrite, "on_ack", WriteOperation.on_ack)


def end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_layouts, "obstacles", lambda *args: [])


def lack_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replication, "lack", lambda self, partitions, reason: None)


def one_is_a_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ballot_proposer, "majority", lambda acceptors: min(2, acceptors))


def keep_no_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[[ProcessDisk, str, bytes], None] = ProcessDisk.write

    def forgetful(self: ProcessDisk, path: str, data: bytes) -> None:
        if path != BALLOT_FILE or b'"promised":[0' in data:
            write(self, path, data)

    monkeypatch.setattr(ProcessDisk, "write", forgetful)


def vote_under_the_old_id(monkeypatch: pytest.MonkeyPatch) -> None:
    read_ballot = Chain._read_ballot

    def same(self: Chain, newborn: bool) -> Kept:
        kept = read_ballot(self, newborn)
        return Kept(self.entry.acceptors.get(self.me, kept.id), kept.state)

    monkeypatch.setattr(Chain, "_read_ballot", same)


def leave_hints_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handoff, "_redirect", lambda self: None)


def say_nothing_of_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Layouts.progress
    monkeypatch.setattr(Layouts, "progress", lambda self: progress(self)._replace(hints=0))


def wait_for_no_news_of_who_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        node_layouts,
        "obstacles",
        lambda *args: [why for why in obstacles(*args) if why != "n2 has not taken over layout 2"],
    )


def keep_hints_where_none_may_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_others(self: LayoutView, partition: int) -> tuple[str, ...]:
        return tuple(name for name in self.members if name not in self.takers(partition))

    monkeypatch.setattr(LayoutView, "fallbacks", all_others)


def skip_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jump to the last entry of those that are given."""
    learn = Chain.learn

    def last_only(self: Chain, blobs: list[bytes], peer: str) -> None:
        entries = [decode_chain(blob) for blob in blobs]
        newer = [entry for entry in entries if entry.slot > self.entry.slot]
        for entry in newer[:-1]:
            self.entries.append(entry)  # known, and not acted on
        learn(self, blobs, peer)

    monkeypatch.setattr(Chain, "learn", last_only)


SAFEGUARDS = [
    Safeguard(
        "a moving write counts the owners to come",
        "In a transition a write is `ok` once W of the owners to come have it.",
        count_the_owners_in_force_only,
        written_while_data_moves,
    ),
    Safeguard(
        "a moving write counts the owners in force",
        "A transition can be taken back: W of the owners in force always have what is `ok`.",
        count_the_owners_to_come_only,
        written_while_data_moves,
    ),
    Safeguard(
        "each layout of a transition has its own quorum",
        "Copies at old owners do not stand for copies at new ones.",
        count_all_alike,
        written_while_data_moves,
    ),
    Safeguard(
        "a transition ends when all owners to come are complete",
        "Reads are answered all the time, since the owners that are left have what they own.",
        end_at_once,
        three_nodes_join_three,
    ),
    Safeguard(
        "what an entry gives a node it lacks",
        "An owner to come is complete only once it has merged enough complete owners.",
        lack_nothing,
        a_node_leaves,
    ),
    Safeguard(
        "a majority decides an entry",
        "Changes from both sides of a partition end in one chain.",
        one_is_a_majority,
        two_halves_change_the_members,
    ),
    Safeguard(
        "promises are on the disk",
        "No reboot of an acceptor decides a slot twice.",
        keep_no_promise,
        an_acceptor_reboots_between_two_ballots,
    ),
    Safeguard(
        "lost promises take the vote with them",
        "An emptied directory votes on nothing until the chain names its new id.",
        vote_under_the_old_id,
        an_acceptor_is_wiped_between_two_ballots,
    ),
    Safeguard(
        "hints for a former owner go to the owners",
        "What was kept for a node that is forgotten reaches those that own the key now.",
        leave_hints_where_they_are,
        an_owner_with_hints_is_forgotten,
    ),
    Safeguard(
        "who leaves delivers its hints first",
        "A copy that was acknowledged does not leave with a fallback.",
        say_nothing_of_hints,
        a_holder_of_hints_leaves,
    ),
    Safeguard(
        "who leaves is waited for until it counts its hints",
        "A node that has not learned yet that it leaves does not leave with copies that were acknowledged.",
        wait_for_no_news_of_who_leaves,
        a_holder_of_hints_learns_late_that_it_leaves,
    ),
    Safeguard(
        "who joins or leaves is no fallback",
        "A copy that was acknowledged does not end with a node that was to join.",
        keep_hints_where_none_may_stay,
        taken_back_while_few_can_be_reached,
    ),
    Safeguard(
        "entries are taken one by one",
        "A node that was away while a partition went elsewhere and came back has missed what was written there.",
        skip_entries,
        away_while_a_partition_went_and_came_back,
    ),
]
