"""Votes: only an owner that missed nothing may say that a key is not there."""

from dataclasses import replace
from typing import Any

import pytest

from cluster.config import local_membership, node_settings
from cluster.replication import catchup
from cluster.replication.catchup import CatchUp
from cluster.replication.hintloss import HintLoss
from cluster.replication.voting import VotingStatus
from cluster.replication.writer import Writer
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Got
from cluster.wire.replication import Attest
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, read, settle, settled_siblings, wipe


def denied(fleet: Fleet, via: str, key: str) -> bool:
    """Whether a read says that there is no such key."""
    found = fleet.wait(fleet.get(via, key)).answer
    return isinstance(found, Got) and not found.siblings


def returning_owners_are_read_at_once(seed: int) -> None:
    """Both reachable owners of a key were away when it was written; they return, cut off from who has it, and are
    read."""
    with Fleet.running(seed, 5) as fleet:
        first, *others = fleet.owners("cart")
        for name in others:
            fleet.crash(name)
        fleet.until(lambda: all(fleet.believes(first, name) != "alive" for name in others))
        acknowledged(fleet, first, "cart", b"book")
        fleet.world.partition([others, [name for name in fleet.names if name not in others]])
        boot(fleet, *others)
        assert not denied(fleet, others[0], "cart"), "not found, by two who knew that they had been away"
        fleet.world.heal()
        assert settled_siblings(fleet, "cart") == [b"book"]


def vote_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CatchUp, "begin", lambda self, reason, quiet=False: None)
    monkeypatch.setattr(VotingStatus, "votes", lambda self, partition: True)


def keys_of(fleet: Fleet, owners: list[str], count: int) -> list[str]:
    """Some keys with these owners, in any order."""
    keys = (f"key-{number}" for number in range(20_000))
    return [key for key in keys if sorted(fleet.owners(key)) == sorted(owners)][:count]


def many_hints_wait(seed: int) -> None:
    """Two owners return to hundreds of hints, which come to them over slow links, and the third owner dies: the last
    key is denied for as long as its hint has not come."""
    with Fleet.running(seed, 5) as fleet:
        first, *others = fleet.owners("cart")
        keys = keys_of(fleet, [first, *others], 300)
        crash_and_wait(fleet, *others)
        for key in keys:
            fleet.put(first, key, b"book")
            fleet.world.run_for(0.001)
        fleet.world.run_for(1.5)
        for holder in fleet.fallbacks("cart"):
            for name in others:
                fleet.world.slow(holder, name, delay=0.2)
        boot(fleet, *others)
        fleet.until(lambda: all(fleet.votes(name, keys[-1]) for name in others), 60.0)
        fleet.crash(first)
        assert not denied(fleet, others[0], keys[-1]), "not found, and a hint for it is on its way"


def attest_whatever_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    on_attest = VotingStatus.on_attest
    monkeypatch.setattr(
        VotingStatus, "on_attest", lambda self, member, asked, hints, in_flight=0: on_attest(self, member, asked, 0)
    )


def hints_are_on_their_way_to_fallbacks(seed: int, lives: int = 1, attests_s: float = 0.0) -> None:
    """A write goes to fallbacks over slow links while the owners that it goes round return, in the last of `lives`. It
    is acknowledged, its coordinator dies (after it had some time to attest), and they are read. Nothing else opens the
    lane that hints take."""
    settings = node_settings()
    settings = replace(settings, replication=replace(settings.replication, compare=False))
    with Fleet.running(seed, 5, settings=settings) as fleet:
        first, *others = fleet.owners("cart")
        for _ in range(lives - 1):
            crash_and_wait(fleet, *others)
            boot(fleet, *others)
            settle(fleet)
        for number in range(20):
            acknowledged(fleet, first, f"k{number}", b"")  # connections to all are open
        settle(fleet)
        crash_and_wait(fleet, *others)
        fallbacks = fleet.fallbacks("cart")
        for name in fallbacks:
            fleet.world.slow(first, name, delay=0.4)
            for other in others:
                fleet.world.slow(name, other, delay=0.1)
        result = fleet.put(first, "cart", b"book")
        fleet.world.run_for(0.001)
        boot(fleet, *others)
        fleet.wait(result)
        assert result.answer is not None, result.error
        fleet.world.run_for(attests_s)
        fleet.crash(first)
        for _ in range(10):
            assert not denied(fleet, others[0], "cart"), f"not found, and acknowledged; {fallbacks} have hints"
            fleet.world.run_for(0.03)


def the_coordinator_attests_at_last(seed: int) -> None:
    """As above, and the fallbacks, where the hints lie by then, had attested before."""
    hints_are_on_their_way_to_fallbacks(seed, attests_s=0.15)


def a_second_life(seed: int) -> None:
    """As above, for owners that returned, and asked everybody in their first round, once before."""
    hints_are_on_their_way_to_fallbacks(seed, lives=2)


def forget_what_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writer, "waiting_for", lambda self, target, since: 0)


def ask_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members that attested before the copies landed with them are not asked again."""
    on_attest = VotingStatus.on_attest
    monkeypatch.setattr(
        VotingStatus,
        "on_attest",
        lambda self, member, asked, hints, in_flight=0: on_attest(self, member, asked, hints + in_flight),
    )


def tell_no_boots_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def attest(target: str, boot: str, round: int, loss: str) -> Attest:
        return Attest(target, "", round, loss)

    monkeypatch.setattr(catchup, "Attest", attest)


def two_owners_stood_still(seed: int) -> None:
    """A write goes to fallbacks for two owners that are paused, too shortly to be suspected. They go on, cut
    off from the fallbacks; the third owner dies, and they are read."""
    settings = replace(node_settings(), membership=replace(local_membership(), probe_interval_s=60.0, watch_links=0))
    with Fleet.running(seed, 5, settings=settings) as fleet:
        first, *others = fleet.owners("cart")
        for name in others:
            fleet.world.pause(name)
        acknowledged(fleet, first, "cart", b"book")
        fleet.world.run_for(1.5)
        fleet.world.partition([others, fleet.fallbacks("cart")])
        fleet.crash(first)
        for name in others:
            fleet.world.resume(name)
        fleet.world.run_for(0.02)
        for _ in range(10):
            assert not denied(fleet, others[0], "cart"), "not found, by two who knew that they had stood still"
            fleet.world.run_for(0.03)


def go_on_after_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = CatchUp.begin

    def unless_stalled(self: CatchUp, reason: str, **options: Any) -> None:
        if "did not run" not in reason:
            begin(self, reason, **options)

    monkeypatch.setattr(CatchUp, "begin", unless_stalled)


def two_owners_were_taken_for_dead(seed: int) -> None:
    """Cut off for so long that the others declare them dead and give hints for them to fallbacks; the cut heals, both
    refute their deaths, the third owner dies, and they are read."""
    with Fleet.running(seed, 5) as fleet:
        first, *others = fleet.owners("cart")
        rest = [name for name in fleet.names if name not in others]
        keys = keys_of(fleet, [first, *others], 100)
        fleet.world.partition([others, rest])
        fleet.until(lambda: all(fleet.believes(one, name) == "dead" for one in rest for name in others), 60.0)
        for key in keys:
            acknowledged(fleet, first, key, b"book")
        for holder in fleet.fallbacks("cart"):
            for name in others:
                fleet.world.slow(holder, name, delay=0.2)
        fleet.world.heal()
        fleet.until(lambda: all(fleet.nodes[name].events.since(kind="member.refuted") for name in others), 60.0)
        fleet.crash(first)
        for _ in range(10):
            assert not denied(fleet, others[0], keys[-1]), "not found, by two who knew that they had been given up"
            fleet.world.run_for(0.05)


def go_on_after_a_refutation(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = CatchUp.begin

    def unless_refuted(self: CatchUp, reason: str, **options: Any) -> None:
        if "did not run" in reason or "booted" in reason:
            begin(self, reason, **options)

    monkeypatch.setattr(CatchUp, "begin", unless_refuted)


def the_holders_of_hints_are_wiped(seed: int) -> None:
    """Two owners are away, a write goes to the third and to two fallbacks, and these lose everything. The two owners
    return, all settles, and the third owner dies."""
    with Fleet.running(seed, 5) as fleet:
        first, *others = fleet.owners("cart")
        crash_and_wait(fleet, *others)
        acknowledged(fleet, first, "cart", b"book")
        fleet.world.run_for(1.5)
        holders = fleet.fallbacks("cart")
        wipe(fleet, *holders)
        boot(fleet, *holders)
        boot(fleet, *others)
        settle(fleet)
        fleet.crash(first)
        assert read(fleet, others[0], "cart") == [b"book"], "the hints are gone, but it was to be found elsewhere"


def lost_hints_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HintLoss, "unknown_to", lambda self, member: False)


def the_holder_returns_with_its_hints(seed: int) -> None:
    """An owner returns while the holder of its hints is dead; then the holder returns. All settles."""
    with Fleet.running(seed, 5) as fleet:
        away = fleet.owners("cart")[2]
        crash_and_wait(fleet, away)
        for number in range(40):
            acknowledged(fleet, fleet.up[0], f"k{number}", b"book")
        fleet.world.run_for(1.5)
        holder = max(fleet.up, key=lambda name: fleet.hints(name).get(away, 0))
        crash_and_wait(fleet, holder)
        boot(fleet, away)
        status = fleet.nodes[away].replication.context.status
        fleet.until(lambda: status.state() == "running", 60.0)
        assert status.may_miss_hints
        boot(fleet, holder)
        settle(fleet)
        fleet.until(lambda: not status.may_miss_hints, 5.0)
        found = fleet.wait(fleet.get(away, "k1")).answer
        assert isinstance(found, Got) and not found.degraded
        health: Any = fleet.wait(fleet.ask(away, "health")).answer
        assert health.value["healthy"], health


def ask_a_returning_member_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody asked it again once it has answered that it holds some."""
    monkeypatch.setattr(CatchUp, "_tick", lambda self: None)


SAFEGUARDS = [
    Safeguard(
        "a returning owner has no vote until it has caught up",
        "Not found needs N-W+1 owners that missed nothing.",
        vote_at_once,
        returning_owners_are_read_at_once,
    ),
    Safeguard(
        "only a member that holds no hint attests",
        "An owner that boots is catching up until each live member attests that it holds no hint for it.",
        attest_whatever_is_held,
        many_hints_wait,
    ),
    Safeguard(
        "writes in flight count when a member attests",
        "Writes and fallback copies in flight are counted.",
        forget_what_is_in_flight,
        hints_are_on_their_way_to_fallbacks,
    ),
    Safeguard(
        "all are asked again after copies were in flight",
        "A copy in flight may become a hint at a member that has attested already.",
        ask_each_once,
        the_coordinator_attests_at_last,
    ),
    Safeguard(
        "rounds of attestations are told apart across boots",
        "Rounds are told apart across boots.",
        tell_no_boots_apart,
        a_second_life,
    ),
    Safeguard(
        "an owner catches up after a stall",
        "An owner that stalled is catching up.",
        go_on_after_a_stall,
        two_owners_stood_still,
    ),
    Safeguard(
        "an owner catches up after a refutation",
        "An owner that refutes its own death is catching up.",
        go_on_after_a_refutation,
        two_owners_were_taken_for_dead,
    ),
    Safeguard(
        "lost hints are unknown, not none",
        "A node that lost hint records answers unknown, which makes the asker recovering.",
        lost_hints_are_none,
        the_holders_of_hints_are_wiped,
    ),
    Safeguard(
        "a returning member is asked until it attests",
        "Every wait ends, or names what it waits for: after settling no read is degraded.",
        ask_a_returning_member_once,
        the_holder_returns_with_its_hints,
    ),
]
