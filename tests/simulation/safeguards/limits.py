"""Limits: what is acknowledged can be read, and one key costs the others nothing."""

import pytest

from cluster.limits import SIBLINGS_MAX, SIBLINGS_MERGED_MAX, VALUE_BYTES_MAX
from cluster.replication import mergeable
from cluster.simulation.fleet import Fleet
from cluster.versions import decode, write
from cluster.wire.kv import PutDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, got, settle, wipe


def writers_never_read(seed: int) -> None:
    """Two of them put with a context that replaces nothing, for longer than a key takes siblings."""
    with Fleet.running(seed, 5) as fleet:
        stale = acknowledged(fleet, "n1", "cart", b"seen").context
        for number in range(SIBLINGS_MAX + 20):
            result = fleet.wait(fleet.put(fleet.names[number % 5], "cart", b"%d" % number, context=stale))
            assert result.answer is not None or (result.error is not None and result.error.definite)
        found = got(fleet, "n2", "cart")
        assert len(found.siblings) <= SIBLINGS_MAX
        assert acknowledged(fleet, "n3", "cart", b"merged", context=found.context).siblings == 1


def check_siblings_of_blind_puts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if whoever has a context had read the key; these all have one."""
    monkeypatch.setattr(write, "SIBLINGS_MAX", 1 << 30)


def values_of_a_mebibyte_are_put_blindly(seed: int) -> None:
    """More of them than a frame holds; what was acknowledged is then read, and another key is written."""
    with Fleet.running(seed, 5) as fleet:
        kept = []
        for letter in b"ABCDEFGHIJKLMNOPQR":
            result = fleet.wait(fleet.put("n1", "cart", bytes([letter]) * VALUE_BYTES_MAX), 10.0)
            if isinstance(result.answer, PutDone) and result.answer.outcome != "maybe":
                kept.append(bytes([letter]))
        settle(fleet, 4.0)
        assert sorted(value[:1] for value in got(fleet, "n2", "cart").siblings) == kept
        acknowledged(fleet, "n2", "other", b"x")


def let_objects_outgrow_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies that are kept as hints can then never be delivered."""
    monkeypatch.setattr(write, "OBJECT_BYTES_MAX", 1 << 40)


def many_nodes_fill_a_key_apart(seed: int) -> None:
    """Nine of them, each to the limit of a put; together it is more than a frame holds. An owner loses its data."""
    with Fleet.running(seed, 9) as fleet:
        fleet.world.partition([[name] for name in fleet.names])
        for number, name in enumerate(fleet.names * 2):
            fleet.wait(fleet.put(name, "cart", bytes([65 + number]) * VALUE_BYTES_MAX, w=1))
        fleet.world.heal()
        fleet.world.run_for(5.0)
        owner = fleet.owners("cart")[0]
        wipe(fleet, owner)
        boot(fleet, owner)
        fleet.until(lambda: fleet.nodes[owner].replication.context.status.state() == "running", 8.0)


def let_merges_outgrow_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """What owners hold can then not be sent to whoever lacks it, and ends the connection that carries other answers."""
    monkeypatch.setattr(mergeable, "MERGED_BYTES_MAX", 1 << 40)


def many_nodes_take_many_siblings_apart(seed: int) -> None:
    """Nine of them, each as many as it may. Owners store no more than the limit, the rest waits, and whoever reads and
    replaces again and again in the end sees all that was acknowledged."""
    with Fleet.running(seed, 9) as fleet:
        fleet.world.partition([[name] for name in fleet.names])
        kept = set()
        for name in fleet.names:
            for number in range(SIBLINGS_MAX):
                value = b"%s-%d" % (name.encode(), number)
                answer = fleet.wait(fleet.put(name, "cart", value, w=1)).answer
                if isinstance(answer, PutDone) and answer.outcome == "ok-sloppy":
                    kept.add(value)
        assert len(kept) > SIBLINGS_MERGED_MAX
        fleet.world.heal()
        fleet.world.run_for(5.0)
        seen: set[bytes] = set()
        for _ in range(6):
            for owner in fleet.owners("cart"):
                assert len(decode(fleet.stored(owner, "cart") or b"").siblings) <= SIBLINGS_MERGED_MAX
            refused = fleet.wait(fleet.put("n1", "cart", b"blind")).error
            found = got(fleet, "n1", "cart")
            seen |= set(found.siblings)
            assert len(found.siblings) < SIBLINGS_MAX or (refused is not None and refused.code == "siblings")
            acknowledged(fleet, "n1", "cart", b"", deleted=True, context=found.context)
            fleet.world.run_for(61.0)  # a hint that its owner refuses rests for a minute
            if kept <= seen:
                break
        assert kept <= seen, f"{len(kept - seen)} acknowledged values were never shown"


def let_merges_take_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mergeable, "SIBLINGS_MERGED_MAX", 1 << 30)


SAFEGUARDS = [
    Safeguard(
        "a merge keeps a bounded number of siblings",
        "Siblings are bounded in what is stored, and nothing acknowledged is lost for it.",
        let_merges_take_any_number,
        many_nodes_take_many_siblings_apart,
        range(1, 2),
    ),
    Safeguard(
        "a merge stays within a frame",
        "What comes together after a partition can be read, and holds up nothing else.",
        let_merges_outgrow_a_frame,
        many_nodes_fill_a_key_apart,
        range(1, 2),
    ),
    Safeguard(
        "siblings are counted for every writer",
        "At 50 siblings every put that does not replace enough of them is refused.",
        check_siblings_of_blind_puts_only,
        writers_never_read,
        range(1, 2),
    ),
    Safeguard(
        "an object with all its siblings fits a frame",
        "Every limit is checked before anything is logged.",
        let_objects_outgrow_a_frame,
        values_of_a_mebibyte_are_put_blindly,
        range(1, 2),
    ),
]
