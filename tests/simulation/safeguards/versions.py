"""Versions: a dot is never given twice, a clock claims only what is true, and a writer replaces what it has seen."""

from collections.abc import Mapping

import pytest

from cluster.kv import coordinator
from cluster.kv.actors import Actors
from cluster.kv.coordinator import Coordinator
from cluster.kv.operations import Operations
from cluster.layout import partition_of
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.versions import Context, Sibling, Versions, decode, put
from cluster.wire.kv import PutDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, got, settle, settled_siblings


def a_coordinator_forgets_what_it_counted(seed: int) -> None:
    """An owner acknowledges a write, loses it with its power, and writes the same key again as soon as it runs."""
    with Fleet.running(seed, 5) as fleet:
        owner = fleet.owners("cart")[0]
        acknowledged(fleet, owner, "cart", b"one")
        fleet.power_loss(owner)
        boot(fleet, owner)
        again = fleet.wait(fleet.put(owner, "cart", b"two"))
        wanted = [b"one", b"two"] if isinstance(again.answer, PutDone) else [b"one"]
        found = settled_siblings(fleet, "cart")
        assert found == wanted or (again.error is not None and found == [b"one", b"two"]), found


def keep_the_actor_over_a_power_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock then claims that the lost write was replaced: whoever holds it drops it."""
    kept = Actors._kept

    def resume(self: Actors, lost: str) -> str:
        found = kept(self)
        if found is None:
            self._keep()
        else:
            self.actor = found.actor
        return ""

    monkeypatch.setattr(Actors, "resume", resume)


def remove_rows(fleet: Fleet, key: str, *names: str) -> None:
    """The rows of a key are gone at these nodes, in their logs too."""
    for name in names:
        fleet.nodes[name].store.put(TABLE_KV, partition_of(key), key, None, None)
    fleet.world.run_for(0.1)


def a_session_outlives_the_collection_of_a_key(seed: int) -> None:
    """It deletes the key, whose rows are then collected; another session writes it anew, and the first one again."""
    with Fleet.running(seed, 5) as fleet:
        owners = fleet.owners("cart")
        one = acknowledged(fleet, owners[0], "cart", b"one")
        gone = acknowledged(fleet, owners[0], "cart", b"", deleted=True, context=one.context)
        settle(fleet)
        remove_rows(fleet, "cart", *owners)
        acknowledged(fleet, owners[0], "cart", b"new")
        acknowledged(fleet, owners[0], "cart", b"never read new", context=gone.context)
        assert settled_siblings(fleet, "cart") == [b"never read new", b"new"]


def number_writes_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dot is then given again, and an old context covers a write that nobody had read."""

    def put_by_row(stored: Versions, actor: str, number: int, context: Context | None, *rest: object) -> Versions:
        known = 0 if context is None else context.clock.get(actor, 0)
        return put(stored, actor, max(stored.clock.get(actor, 0), known) + 1, context, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(coordinator, "put", put_by_row)
    monkeypatch.setattr(coordinator, "has_clock", lambda blob, clock_bytes: False)


def an_owner_has_lost_a_row_and_nobody_noticed(seed: int) -> None:
    """Two sessions wrote blindly through it; one of them, whose context names its own write only, writes again."""
    with Fleet.running(seed, 5) as fleet:
        owner = fleet.owners("cart")[0]
        acknowledged(fleet, owner, "cart", b"of another session")
        mine = acknowledged(fleet, owner, "cart", b"mine")
        settle(fleet)
        remove_rows(fleet, "cart", owner)
        acknowledged(fleet, owner, "cart", b"mine again", context=mine.context)
        assert settled_siblings(fleet, "cart") == [b"mine again", b"of another session"]


def believe_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock then claims that all earlier writes of the actor were replaced, and the others drop one."""
    monkeypatch.setattr(coordinator, "proves_amnesia", lambda *known: False)


def a_batch_is_undone_and_its_copies_are_not(seed: int) -> None:
    """The coordinator's disk is full; both other owners take the write. It writes again once it has seen that there is
    room, by what another node coordinates."""
    with Fleet.running(seed, 5) as fleet:
        owner = fleet.owners("cart")[0]
        other = next(key for key in (f"key-{number}" for number in range(200)) if owner in fleet.owners(key)[1:])
        fleet.world.disk(owner).full_after(0)
        first = fleet.wait(fleet.put(owner, "cart", b"one"))
        fleet.world.disk(owner).full_after(None)
        acknowledged(fleet, fleet.owners(other)[0], other, b"there is room")
        fleet.world.run_until_true(lambda: not fleet.nodes[owner].store.full, timeout=1.0, step=0)
        again = fleet.wait(fleet.put(owner, "cart", b"two"))
        wanted = [
            value
            for value, result in ((b"one", first), (b"two", again))
            if isinstance(result.answer, PutDone) and result.answer.outcome in ("ok", "ok-sloppy")
        ]
        assert set(wanted) <= set(settled_siblings(fleet, "cart"))


def go_on_after_an_undone_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock then claims that the write which the row lacks was replaced."""
    monkeypatch.setattr(Actors, "renew", lambda self: None)


def a_fallback_writes_again_after_its_hint_went_home(seed: int) -> None:
    """Owners die, a fallback takes a write and delivers it; they die again, and it takes another one."""
    with Fleet.running(seed, 5) as fleet:
        owners, fallback = fleet.owners("cart"), fleet.fallbacks("cart")[0]
        values = [b"one", b"three", b"two"]
        for value in values:
            crash_and_wait(fleet, *owners)
            acknowledged(fleet, fallback, "cart", value)
            acknowledged(fleet, fallback, "cart", value + b" more")
            boot(fleet, *owners)
            settle(fleet, 120.0)
        assert settled_siblings(fleet, "cart") == sorted([*values, *(value + b" more" for value in values)])
        held = fleet.stored(owners[0], "cart")
        assert held is not None
        assert len(decode(held).clock) <= len(values), "one entry an outage, not one a write"


def write_as_a_fallback_in_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What went home is then claimed to be replaced."""
    monkeypatch.setattr(Actors, "for_fallback", lambda self, key, clock: self.actor)


def write_as_a_fallback_in_a_name_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Safe, and a clock of 39 KB after 2,000 writes."""

    def for_fallback(self: Actors, key: str, clock: Mapping[str, int]) -> str:
        return self.mint()

    monkeypatch.setattr(Actors, "for_fallback", for_fallback)


def an_owner_boots_again_and_again(seed: int) -> None:
    """It is killed, and loses nothing by that, between its writes."""
    with Fleet.running(seed, 3) as fleet:
        owner, context = fleet.owners("cart")[0], None
        for number in range(4):
            context = acknowledged(fleet, owner, "cart", b"%d" % number, context=context).context
            fleet.crash(owner)
            boot(fleet, owner)
            settle(fleet)
        held = fleet.stored(owner, "cart")
        assert held is not None and len(decode(held).clock) == 1


def take_a_new_actor_each_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Actors, "_kept", lambda self: None)


def a_session_only_puts(seed: int) -> None:
    """Beside a value of another session, which it never reads."""
    with Fleet.running(seed, 5) as fleet:
        context = acknowledged(fleet, "n1", "cart", b"mine").context
        acknowledged(fleet, "n2", "cart", b"of another session")
        for number in range(60):
            via = fleet.names[number % 5]
            context = acknowledged(fleet, via, "cart", b"mine %d" % number, context=context).context
        assert settled_siblings(fleet, "cart") == [b"mine 59", b"of another session"]


def leave_a_writers_own_write_out_of_its_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each put then adds a sibling."""

    def context_before(result: Versions, operation: str, context: Context | None) -> Context:
        if len(result.siblings) == 1:
            return Context(result.clock, result.cloud)
        return Context({}) if context is None else context

    monkeypatch.setattr(coordinator, "context_after", context_before)


def a_maybe_is_tried_again_after_it_was_replaced(seed: int) -> None:
    """Its coordinator heard from nobody; then somebody read and replaced it, and the coordinator booted."""
    with Fleet.running(seed, 5) as fleet:
        owner = fleet.owners("cart")[0]
        fleet.world.partition([[owner], [name for name in fleet.names if name != owner]])
        late = fleet.wait(fleet.put(owner, "cart", b"one", operation="once", strict=True)).answer
        assert isinstance(late, PutDone) and late.outcome == "maybe"
        fleet.world.heal()
        settle(fleet)
        acknowledged(fleet, "n1", "cart", b"two", context=got(fleet, "n1", "cart").context)
        fleet.crash(owner)
        boot(fleet, owner)
        settle(fleet)
        acknowledged(fleet, "n2", "cart", b"one", operation="once", coordinator=owner)
        assert settled_siblings(fleet, "cart") == [b"two"]


def coordinate_a_retry_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was replaced is then back."""
    monkeypatch.setattr(Coordinator, "_retry", Coordinator._coordinate)


def forget_operations_at_a_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coordinator can then only say that it does not remember."""
    monkeypatch.setattr(Operations, "recover", lambda self: None)


def a_refused_write_is_repeated_after_it_was_replaced(seed: int) -> None:
    """Its coordinator's log refuses it while another owner has it, there it is read and replaced, and the coordinator,
    which heard nothing of that, takes it again."""
    with Fleet.running(seed, 5) as fleet:
        first, second, _ = fleet.owners("cart")
        fleet.world.partition([[first, second], [name for name in fleet.names if name not in (first, second)]])
        fleet.world.disk(first).full_after(0)
        late = fleet.wait(fleet.put(first, "cart", b"one", operation="once", strict=True)).answer
        assert isinstance(late, PutDone) and late.outcome == "maybe"
        fleet.world.heal()
        fleet.world.partition([[first], [second]])
        found = got(fleet, second, "cart")
        assert found.siblings == [b"one"]
        acknowledged(fleet, second, "cart", b"two", context=found.context)
        fleet.world.disk(first).full_after(None)
        fleet.wait(fleet.put(first, "cart", b"one", operation="once", coordinator=first))
        fleet.world.heal()
        settle(fleet)
        assert got(fleet, "n1", "cart", strict=True, r=3).siblings == [b"two"]


def repeat_it_as_a_new_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def anew(stored: Versions, written: Sibling, context: Context | None) -> Versions:
        actor = f"{written.actor}x"
        number = written.counter + 1
        return put(stored, actor, number, context, written.operation, written.stamp, written.value, written.deleted)

    monkeypatch.setattr(coordinator, "restore", anew)


SAFEGUARDS = [
    Safeguard(
        "what the log refused is repeated as the event that it was",
        "A retry is idempotent at the coordinator named in the maybe, whatever its log refused meanwhile.",
        repeat_it_as_a_new_event,
        a_refused_write_is_repeated_after_it_was_replaced,
    ),
    Safeguard(
        "a retry goes to its coordinator, which knows its dot",
        "A retry is idempotent at the coordinator named in the maybe.",
        coordinate_a_retry_anew,
        a_maybe_is_tried_again_after_it_was_replaced,
    ),
    Safeguard(
        "operations that ended as maybe are rows of the log",
        "A retry is idempotent at its coordinator, over boots too.",
        forget_operations_at_a_boot,
        a_maybe_is_tried_again_after_it_was_replaced,
    ),
    Safeguard(
        "a new actor after a power loss",
        "The actor changes whenever something may be lost.",
        keep_the_actor_over_a_power_loss,
        a_coordinator_forgets_what_it_counted,
    ),
    Safeguard(
        "a new actor after an undone batch",
        "The actor changes whenever something may be lost.",
        go_on_after_an_undone_batch,
        a_batch_is_undone_and_its_copies_are_not,
    ),
    Safeguard(
        "numbers come from the node",
        "A dot is never given twice: not after collection, TTL or undo.",
        number_writes_by_row,
        a_session_outlives_the_collection_of_a_key,
    ),
    Safeguard(
        "the amnesia check",
        "The actor changes whenever something may be lost.",
        believe_the_row,
        an_owner_has_lost_a_row_and_nobody_noticed,
    ),
    Safeguard(
        "a fallback that does not hold its last write takes a new actor",
        "A clock claims no write that its giver did not hold.",
        write_as_a_fallback_in_one_name,
        a_fallback_writes_again_after_its_hint_went_home,
    ),
    Safeguard(
        "a fallback goes on with its actor",
        "Clocks are bounded: one entry an outage, not one a write.",
        write_as_a_fallback_in_a_name_each_time,
        a_fallback_writes_again_after_its_hint_went_home,
    ),
    Safeguard(
        "an owner keeps its actor over boots",
        "Clocks are bounded: boots that lose nothing add nothing.",
        take_a_new_actor_each_boot,
        an_owner_boots_again_and_again,
    ),
    Safeguard(
        "a put's context covers its own write",
        "A put's reply covers what the writer has seen and its own write.",
        leave_a_writers_own_write_out_of_its_context,
        a_session_only_puts,
    ),
]
