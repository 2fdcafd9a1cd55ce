"""Hints: what was acknowledged for an owner that is away reaches it."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from cluster.config import node_settings
from cluster.errors import TooLarge
from cluster.replication import handoff
from cluster.replication.hints import HintKey, HintStore
from cluster.replication.replica import Replica
from cluster.simulation.fleet import Fleet
from cluster.wire.replication import Replicate
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, read, settle, wipe


def the_owner_that_was_away_remains_alone(seed: int) -> None:
    """A write is acknowledged without one owner; that one returns, all settles, and the other two owners go."""
    with Fleet.running(seed, 5) as fleet:
        first, second, away = fleet.owners("cart")
        crash_and_wait(fleet, away)
        acknowledged(fleet, first, "cart", b"book")
        fleet.world.run_for(1.5)
        boot(fleet, away)
        settle(fleet)
        crash_and_wait(fleet, first, second)
        assert read(fleet, away, "cart", r=1) == [b"book"]


class LateReply:
    """A message whose answer takes its time on the way back."""

    def __init__(self, fleet: Fleet, inbound: Any) -> None:
        self.fleet = fleet
        self.inbound = inbound

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inbound, name)

    def reply(self, body: Any) -> None:
        self.fleet.world.call_later(0.85, self.inbound.reply, body)


def a_hint_grows_while_it_is_delivered(seed: int) -> None:
    """Its holder has brought it to its owner, and the answer is still under way, when another write of the key goes to
    the holder, through a node that cannot reach the owner. All settles."""
    with Fleet.running(seed, 4) as fleet:
        first, second, away = fleet.owners("cart")
        (holder,) = fleet.fallbacks("cart")
        crash_and_wait(fleet, away)
        one = acknowledged(fleet, first, "cart", b"one")
        fleet.world.run_for(1.5)
        assert fleet.hints(holder) == {away: 1}
        fleet.world.partition([[first, second], [away]])
        replicate = Replica.replicate

        def late(self: Replica, inbound: Any) -> None:
            replicate(self, LateReply(fleet, inbound) if self.context.me == away else inbound)

        with patch.object(Replica, "replicate", late):
            boot(fleet, away)
            fleet.until(lambda: fleet.stored(away, "cart") is not None, 10.0)
        acknowledged(fleet, first, "cart", b"two", context=one.context)
        fleet.until(lambda: not fleet.hints(holder), 20.0)
        assert read(fleet, away, "cart", local=True) == [b"two"], "the hint that grew was given up with the old copy"


def give_up_what_grew(monkeypatch: pytest.MonkeyPatch) -> None:
    delivered = HintStore.delivered

    def give_up(self: HintStore, hint: HintKey, blob: bytes) -> None:
        held = self.get(hint)
        if held is not None:
            delivered(self, hint, held)

    monkeypatch.setattr(HintStore, "delivered", give_up)


def power_fails_behind_a_delivery(seed: int) -> None:
    """Of two owners one is away; its hint is delivered, and the owner loses its power at once. The other is wiped."""
    with Fleet.running(seed, 3, settings=node_settings(replication="2/1/2")) as fleet:
        first, away = fleet.owners("cart")
        crash_and_wait(fleet, away)
        acknowledged(fleet, first, "cart", b"book")
        fleet.world.run_for(1.5)
        boot(fleet, away)
        (holder,) = fleet.fallbacks("cart")
        fleet.until(lambda: not fleet.hints(holder), 10.0)
        fleet.power_loss(away)
        wipe(fleet, first)
        boot(fleet, away, first)
        settle(fleet)
        assert read(fleet, away, "cart") == [b"book"]


def deliver_unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    def replicate(table: int, partition: int, key: str, blob: bytes, synced: bool) -> Replicate:
        return Replicate(table, partition, key, blob)

    monkeypatch.setattr(handoff, "Replicate", replicate)


def with_hints_for(fleet: Fleet, away: str) -> list[str]:
    """Kill an owner and write a hundred keys that it owns; returns them."""
    crash_and_wait(fleet, away)
    keys = [key for key in (f"key-{number}" for number in range(200)) if away in fleet.owners(key)]
    for key in keys:
        acknowledged(fleet, fleet.up[0], key, b"book")
    fleet.world.run_for(1.5)
    return keys


def an_owner_refuses_one_hint(seed: int) -> None:
    """Among a hundred for it, and nobody knows which. All others are delivered, and the one is named."""
    with Fleet.running(seed, 4) as fleet:
        away = fleet.owners("cart")[0]
        poisoned, *keys = with_hints_for(fleet, away)
        replicate = Replica.replicate

        def refuse(self: Replica, inbound: Any) -> None:
            if inbound.body.key == poisoned:
                inbound.fail(TooLarge("it does not fit"))
            else:
                replicate(self, inbound)

        with patch.object(Replica, "replicate", refuse):
            boot(fleet, away)
            fleet.until(lambda: all(fleet.stored(away, key) is not None for key in keys), 20.0)
            fleet.until(lambda: fleet.nodes[away].replication.context.status.state() == "running", 20.0)
            (holder,) = [name for name in fleet.up if fleet.hints(name)]
            assert fleet.hints(holder) == {away: 1}, "it stays where it is"
            fleet.world.run_for(100.0)
            said = fleet.nodes[holder].events.since(kind="hint.set-aside")
            assert [event["key"] for event in said] == [poisoned], "it is named once, though it is offered again"
            poisoned = ""
            fleet.until(lambda: not fleet.hints(holder), 120.0)


def set_nothing_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "REFUSALS", ())


def a_hint_breaks_its_owner(seed: int) -> None:
    """Whoever sends it gets no answer, nor does what is sent beside it."""
    with Fleet.running(seed, 4) as fleet:
        away = fleet.owners("cart")[0]
        keys = with_hints_for(fleet, away)
        replicate, broken = Replica.replicate, [-1.0]
        poisoned: list[str] = []

        def breaks(self: Replica, inbound: Any) -> None:
            if not poisoned:  # what is sent before it would not need the safeguard
                poisoned.append(inbound.body.key)
            if inbound.body.key in poisoned:
                broken[0] = fleet.world.now
            if fleet.world.now - broken[0] > 0.05:
                replicate(self, inbound)

        with patch.object(Replica, "replicate", breaks):
            boot(fleet, away)
            fleet.until(lambda: all(fleet.stored(away, key) is not None for key in keys if key not in poisoned), 30.0)


def send_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no try were counted: what got no answer goes out with the others again, first of all."""

    class Forgetful(dict[Any, int]):
        def __setitem__(self, key: Any, value: int) -> None:
            pass

    init = handoff.Handoff.__init__

    def made(self: handoff.Handoff, context: Any) -> None:
        init(self, context)
        self._tries = Forgetful()

    monkeypatch.setattr(handoff.Handoff, "__init__", made)


def keep_no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    def add(self: HintStore, hint: Any, blob: bytes, done: Callable[[None], None]) -> None:
        done(None)

    monkeypatch.setattr(HintStore, "add", add)


SAFEGUARDS = [
    Safeguard(
        "hints are kept",
        "After settling every owner holds what was acknowledged while it was away.",
        keep_no_hints,
        the_owner_that_was_away_remains_alone,
    ),
    Safeguard(
        "a hint that grew is kept",
        "A hint is removed only for the copy that its owner has.",
        give_up_what_grew,
        a_hint_grows_while_it_is_delivered,
    ),
    Safeguard(
        "a hint is given up for a synced copy only",
        "A hand-off makes no write less durable than it was before.",
        deliver_unsynced,
        power_fails_behind_a_delivery,
    ),
    Safeguard(
        "a refused hint is set aside",
        "One bad hint holds up nothing else, and is named.",
        set_nothing_aside,
        an_owner_refuses_one_hint,
    ),
    Safeguard(
        "a hint that got no answer is sent alone",
        "One hint that breaks its owner holds up no other.",
        send_all_together,
        a_hint_breaks_its_owner,
        seeds=range(1, 11),
    ),
]
