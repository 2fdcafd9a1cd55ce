"""Tombstones go once nothing older can come back, and nothing comes back."""

import pytest

from cluster.config import node_settings
from cluster.layout import partition_of
from cluster.replication import digests
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from tests.simulation.growth import GROWTH
from tests.simulation.nemesis import LOSSES, STEPS
from tests.simulation.runs import run
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, got, read, settle, wipe

KEYS = [f"key-{number}" for number in range(40)]
SOON_S = 15.0


def delete(fleet: Fleet, via: str, key: str) -> None:
    acknowledged(fleet, via, key, b"", context=got(fleet, via, key).context, deleted=True)


def rows(fleet: Fleet) -> int:
    """How many copies of keys there are."""
    return sum(node.store.count(TABLE_KV, partition) for node in fleet.nodes.values() for partition in range(256))


def equal(fleet: Fleet) -> bool:
    return all(not node.replication.antientropy.unverified() for node in fleet.nodes.values())


def test_deleted_keys_are_gone_from_all_owners_soon(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        for key in KEYS[1:]:
            delete(fleet, "n2", key)
        assert rows(fleet) == 3 * len(KEYS)
        fleet.until(lambda: rows(fleet) == 3, SOON_S)
        fleet.until(lambda: equal(fleet), SOON_S)
        assert read(fleet, "n3", KEYS[0], strict=True) == [b"v"]
        assert all(read(fleet, "n3", key, strict=True) == [] for key in KEYS[1:])


def test_what_was_written_faster_than_it_is_followed_is_collected_too(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "FOLLOWED_MAX", 0)
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        for key in KEYS[1:]:
            delete(fleet, "n2", key)
        acknowledged(fleet, "n2", KEYS[1], b"again")
        fleet.until(lambda: rows(fleet) == 6, SOON_S)
        assert read(fleet, "n3", KEYS[0], strict=True) == [b"v"]
        assert read(fleet, "n3", KEYS[1], strict=True) == [b"again"]


def test_a_node_alone_collects_its_own(seed: int) -> None:
    with Fleet.running(seed, 1, settings=node_settings(replication="1/1/1")) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
            delete(fleet, "n1", key)
        fleet.until(lambda: rows(fleet) == 0, SOON_S)
        found = fleet.wait(fleet.ask("n1", "explain", {"key": KEYS[0]})).answer
        assert isinstance(found, AdminAnswer) and found.value["held"] is None


def messages(fleet: Fleet) -> int:
    return sum(node.replication.collecting.surveyed for node in fleet.nodes.values())


def test_without_tombstones_nothing_is_sent_for_it(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        fleet.world.run_for(30.0)
        assert messages(fleet) == 0
        delete(fleet, "n1", KEYS[0])
        fleet.until(lambda: rows(fleet) == 3 * len(KEYS) - 3, SOON_S)
        before = messages(fleet)
        assert before > 0
        fleet.world.run_for(30.0)
        assert messages(fleet) == before


def test_nothing_goes_while_a_member_is_away(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        away = fleet.fallbacks(KEYS[0])[0]
        crash_and_wait(fleet, away)
        via = fleet.owners(KEYS[0])[0]
        for key in KEYS:
            delete(fleet, via, key)
        fleet.world.run_for(30.0)
        assert rows(fleet) > 0 and messages(fleet) == 0
        boot(fleet, away)
        settle(fleet)
        fleet.until(lambda: rows(fleet) == 0, 2 * SOON_S)


def test_an_old_context_is_as_good_as_ever(seed: int) -> None:
    """A writer read the key before it was deleted and collected. What it writes is there, and no actor is minted."""
    with Fleet.running(seed, 5) as fleet:
        acknowledged(fleet, "n1", "cart", b"v")
        old = got(fleet, "n1", "cart").context
        delete(fleet, "n2", "cart")
        fleet.until(lambda: rows(fleet) == 0, SOON_S)
        actors = {name: node.actors.actor for name, node in fleet.nodes.items()}
        for via in fleet.owners("cart"):
            acknowledged(fleet, via, "cart", b"w", context=old, strict=True)
        assert read(fleet, "n3", "cart", strict=True) == [b"w"] * 3
        assert actors == {name: node.actors.actor for name, node in fleet.nodes.items()}


def test_a_wiped_owner_gets_no_row_back_and_knows_what_was_collected(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
            delete(fleet, "n2", key)
        fleet.until(lambda: rows(fleet) == 0, SOON_S)
        wipe(fleet, "n3")
        boot(fleet, "n3")
        settle(fleet)
        fleet.until(lambda: equal(fleet), 60.0)
        assert rows(fleet) == 0
        clocks = {
            key: [fleet.nodes[name].replication.context.stable_clock for name in fleet.owners(key)] for key in KEYS
        }
        assert all(len({str(clock(partition_of(key))) for clock in found}) == 1 for key, found in clocks.items())


def test_an_owner_that_dies_between_the_removals_follows(seed: int) -> None:
    """The others have removed the rows; it holds them still, and is compared with when it is back."""
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
            delete(fleet, "n2", key)
        fleet.until(lambda: rows(fleet) < 3 * len(KEYS), SOON_S)
        late = next(name for name, node in fleet.nodes.items() if node.replication.collecting.status()["left"])
        fleet.crash(late)
        fleet.world.run_for(3.0)
        boot(fleet, late)
        settle(fleet)
        fleet.until(lambda: rows(fleet) == 0 and equal(fleet), 2 * SOON_S)
        fleet.world.run_for(10.0)
        assert rows(fleet) == 0 and equal(fleet)


def test_nothing_comes_back_whatever_happens(seed: int) -> None:
    run(seed, "deletes", down_max=2, collects=True)


def test_nothing_comes_back_when_data_is_lost(seed: int) -> None:
    run(seed, "deletes", down_max=1, steps=[*STEPS, *LOSSES], collects=True)


def test_nothing_comes_back_while_members_come_and_go(seed: int) -> None:
    run(seed, "deletes", down_max=1, grows=True, steps=GROWTH, collects=True)
