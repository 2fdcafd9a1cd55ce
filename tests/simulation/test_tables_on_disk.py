"""With tables on the disk a node promises what it promises with tables in memory, whatever a crash leaves of them."""

import errno
from dataclasses import replace
from random import Random

import pytest

from cluster.config import NodeSettings, node_settings
from cluster.replication.mergeable import TABLE_HINTS, TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.simulation.sorted import SimulatedSortedRows
from cluster.storage import table_scrubber
from cluster.wire.kv import Got
from tests.simulation import test_no_loss
from tests.simulation.account import Account
from tests.simulation.test_damage import assert_equal


def on_disk(durability: str = "interval", replication: str | None = None) -> NodeSettings:
    """Tables that are written over and over."""
    settings = node_settings(replication=replication, durability=durability, store="disk")
    storage = replace(settings.storage, generation_bytes=4000, segment_bytes=8000)
    return replace(settings, storage=storage)


def test_faults_on_one_node_at_a_time(seed: int) -> None:
    account = test_no_loss.run(seed, down_max=1, settings=on_disk())
    assert len(account.acknowledged()) > 20, "the run wrote too little to prove anything"


def test_power_losses_in_turn(seed: int) -> None:
    """Each node loses its power some time after it began to write its tables, and `always` loses nothing."""
    with Fleet.running(seed, 3, settings=on_disk("always")) as fleet:
        random, account = Random(f"{seed}/power"), Account(fleet)
        for _ in range(6):
            victim = random.choice(fleet.names)
            writers = [name for name in fleet.names if name != victim]
            for _ in range(random.randint(20, 60)):
                account.write(random.choice(writers))
                fleet.world.run_for(random.choice((0.0, 0.01, 0.05)))
            fleet.power_loss(victim, scattered=random.random() < 0.5)
            fleet.world.run_for(random.uniform(0.0, 1.0))
            fleet.start(victim)
            fleet.until(fleet.settled, timeout=60.0)
        assert any(node.tables is not None and node.tables.position > (0, 0) for node in fleet.nodes.values())
        account.check()
        assert not fleet.fatal


def test_a_row_that_cannot_be_read_is_no_absence_and_comes_back(seed: int) -> None:
    """Each owner in turn finds that it cannot read a row. None of them denies it, and no write takes its place."""
    with Fleet.running(seed, 3, settings=on_disk()) as fleet:
        random, account = Random(f"{seed}/damage"), Account(fleet)
        for number in range(60):
            account.write(fleet.names[number % 3])
            fleet.world.run_for(0.01)
        fleet.until(fleet.settled)
        for name in random.sample(fleet.names, 3):
            damaged = damage_rows(fleet, name, random)
            actor = fleet.nodes[name].actors.actor
            for key in damaged:
                found = fleet.get(name, key, local=True)
                fleet.put(name, key, b"beside it")  # before it could be completed
                fleet.wait(found)
                assert not isinstance(found.answer, Got) or account.writes[key][0] in found.answer.siblings, "denied"
            assert fleet.nodes[name].actors.actor != actor
            assert fleet.nodes[name].events.since(kind="storage.damaged")
            fleet.until(fleet.settled, timeout=60.0)
            for key in damaged:
                value = account.writes[key][0]
                answer = fleet.wait(fleet.get(name, key, strict=True)).answer
                assert isinstance(answer, Got) and value in answer.siblings, "a write took its place"


def test_an_owner_whose_hints_cannot_be_read_is_told_so_and_completes_itself(seed: int) -> None:
    with Fleet.running(seed, 3, settings=on_disk(replication="2/1/2")) as fleet:
        fleet.crash("n3")
        fleet.until(lambda: all(fleet.believes(name, "n3") == "dead" for name in fleet.up), 60.0)
        account = Account(fleet)
        for number in range(80):
            account.write(fleet.up[number % 2])
            fleet.world.run_for(0.01)
        fleet.world.run_for(1.0)
        for name in fleet.up:
            damage_rows(fleet, name, Random(seed), TABLE_HINTS)
        fleet.start("n3")
        fleet.until(fleet.settled, timeout=60.0)
        assert any(fleet.nodes[name].events.since(kind="storage.damaged") for name in ("n1", "n2"))
        assert fleet.nodes["n3"].events.since(kind="owner.recovering"), "it was told that it has all of them"
        account.check()


def test_a_byte_that_flips_in_the_tables_of_a_node_that_runs_is_found_and_made_good(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads the rows. Their partitions are completed, and what is in their place is whole, after a crash too."""
    monkeypatch.setattr(table_scrubber, "ROUND_S", 2.0)
    with Fleet.running(seed, 3, settings=on_disk()) as fleet:
        random, account = Random(f"{seed}/rot"), Account(fleet)
        for number in range(80):
            account.write(fleet.names[number % 3])
            fleet.world.run_for(0.01)
        fleet.until(fleet.settled)
        victim = random.choice(fleet.names)
        tables, disk = fleet.nodes[victim].tables, fleet.world.disk(victim)
        assert tables is not None
        disk.flip_byte("table/rows", random.randrange(8, len(disk.read("table/rows"))))
        fleet.until(lambda: tables.scrubber.damaged > 0, timeout=60.0)
        assert fleet.nodes[victim].events.since(kind="storage.damaged")
        fleet.until(fleet.settled, timeout=60.0)
        for key, (value, *_) in account.writes.items():
            assert fleet.wait(fleet.get(victim, key, strict=True)).answer is not None, value
        account.check()
        fleet.crash(victim)
        fleet.start(victim)
        fleet.until(fleet.settled, timeout=60.0)
        again = fleet.nodes[victim].tables
        assert again is not None and not again.damaged
        account.check()
        assert_equal(fleet)


def damage_rows(fleet: Fleet, name: str, random: Random, table: int = TABLE_KV) -> list[str]:
    """Some rows in the database of a node fail their checksums from now on, until they are written again. Returns their
    keys."""
    tables = fleet.nodes[name].tables
    assert tables is not None
    rows = tables._rows
    assert isinstance(rows, SimulatedSortedRows)
    keys = [key for key in rows._rows if key[0] == table + 1]
    chosen = random.sample(keys, 5)
    damaged = set(chosen)
    whole, page, apply = rows.get, rows.page, rows._apply

    def get(key: bytes) -> bytes | None:
        if key in damaged:
            raise OSError(errno.EBADMSG, "checksum mismatch")
        return whole(key)

    def read(start: bytes, end: bytes, limit: int, bytes_max: int | None) -> tuple[list[tuple[bytes, bytes]], bool]:
        found, more = page(start, end, limit, bytes_max)
        if any(key in damaged for key, _ in found):
            raise OSError(errno.EBADMSG, "checksum mismatch")
        return found, more

    def applied(batch: list[tuple[bytes, bytes | None]], place: int) -> None:
        apply(batch, place)
        damaged.difference_update(key for key, _ in batch)

    rows.get, rows.page, rows._apply = get, read, applied  # type: ignore[method-assign]
    return [key[3:].decode() for key in chosen]


def test_tables_that_are_damaged_are_made_anew_and_what_the_log_has_no_more_comes_from_the_peers(seed: int) -> None:
    with Fleet.running(seed, 3, settings=on_disk()) as fleet:
        account, disk = Account(fleet), fleet.world.disk("n1")
        while "begin" not in disk.names("log"):
            assert len(account.writes) < 2000, "the log is never cut"
            account.write("n2")
            fleet.world.run_for(0.01)
        fleet.until(fleet.settled)
        fleet.crash("n1")
        disk.flip_byte("table/rows", 100)
        fleet.start("n1")
        fleet.until(lambda: "n1" in fleet.up)
        assert fleet.nodes["n1"].store.recovering, "it denies what it lost"
        fleet.until(fleet.settled, timeout=60.0)
        assert fleet.nodes["n1"].events.since(kind="storage.damaged")
        assert not fleet.nodes["n1"].store.recovering
        account.check()
