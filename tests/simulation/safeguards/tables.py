"""Tables on the disk: they are what the log gives up to their position, and the log gives the rest."""

from collections.abc import Callable, Iterable, Sequence

import pytest

from cluster.config import Durability, TableKind
from cluster.layout import partition_of as partition_of_key
from cluster.ports import Position
from cluster.replication.replication import Replication
from cluster.simulation.fleet import Fleet
from cluster.simulation.sorted import SimulatedSortedRows
from cluster.storage import table_scrubber
from cluster.storage.disk_tables import DiskTable, DiskTables
from cluster.storage.record import Record
from cluster.storage.segments import SegmentLog
from cluster.storage.store import Store
from cluster.wire.kv import Got
from tests.simulation.account import Account
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.test_tables_on_disk import on_disk
from tests.storage.chronicle import Chronicle, lives

Rows = Iterable[tuple[bytes, bytes | None]]
Written = Callable[[OSError | None], None]


def killed_and_booted(seed: int) -> None:
    """Puts, full disks and kills, life after life; each finds what the ones before acknowledged."""
    lives(seed, Durability.INTERVAL, TableKind.DISK, power=False)


def a_log_loses_an_end_that_the_tables_have(seed: int) -> None:
    """The tables were written, and the log not synced yet, when the power went. What is put then outlives a kill."""
    chronicle = Chronicle(seed, Durability.INTERVAL, TableKind.DISK, segment_bytes=4000)
    with chronicle.world as world:
        chronicle.boot()
        chronicle.put_evenly(225)
        world.power_loss("n1", torn=False)
        chronicle.boot(rebooted=True, lost_since=0.0)
        chronicle.put_evenly(8)  # fewer than are written to the tables at once
        world.crash("n1")
        chronicle.boot()
        assert chronicle.position > (2, 0), "the tables were written too early: nothing was tested"


def a_table_rots(seed: int) -> None:
    """A byte flips in the tables of a node that runs. It goes on without what it cannot read, and does not deny it."""
    settings = on_disk(replication="2/1/2")
    with pytest.MonkeyPatch.context() as patch, Fleet(seed, 3, settings=settings) as fleet:
        patch.setattr(table_scrubber, "ROUND_S", 2.0)
        fleet.start()
        fleet.until(fleet.converged)
        account = Account(fleet)
        for number in range(80):
            account.write(fleet.names[number % 3])
            fleet.world.run_for(0.01)
        fleet.until(fleet.settled)
        tables, disk = fleet.nodes["n1"].tables, fleet.world.disk("n1")
        assert tables is not None
        disk.flip_byte("table/rows", len(disk.read("table/rows")) // 2)
        fleet.world.run_until_true(lambda: tables.scrubber.damaged > 0, timeout=60.0, step=0)
        mine = [key for key in account.writes if fleet.nodes["n1"].view.mine(partition_of_key(key))]
        for key, read in {key: fleet.get("n1", key, local=True) for key in mine}.items():
            found = fleet.wait(read).answer
            assert not isinstance(found, Got) or account.writes[key][0] in found.siblings, "denied"
        fleet.until(fleet.settled, timeout=60.0)
        account.check()


def write_the_position_first(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SimulatedSortedRows.write

    def write(self: SimulatedSortedRows, rows: Rows, done: Written) -> None:
        *rest, extent = rows
        whole(self, [extent], lambda error: done(error) if error else whole(self, rest, done))

    monkeypatch.setattr(SimulatedSortedRows, "write", write)


def begin_behind_the_last_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = SegmentLog.open

    def begin(
        self: SegmentLog,
        epoch: int,
        segment: int,
        previous: Position,
        records: Sequence[Record],
        sizes: dict[int, int],
        *,
        marked: bool = True,
    ) -> None:
        opened(self, epoch, previous[0] + 1, previous, records, sizes, marked=marked)

    monkeypatch.setattr(SegmentLog, "open", begin)


def drop_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SimulatedSortedRows.write

    def write(self: SimulatedSortedRows, rows: Rows, done: Written) -> None:
        whole(self, rows, lambda error: done(None))

    monkeypatch.setattr(SimulatedSortedRows, "write", write)


def forget_what_is_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def close_generation(self: DiskTable) -> None:
        self.writing, self._fresh = {}, {}

    monkeypatch.setattr(DiskTable, "close_generation", close_generation)


def write_what_the_log_has_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    put = Store.put

    def write(self: Store, table: int, partition: int, key: str, value: bytes | None, done: object) -> None:
        put(self, table, partition, key, value, done)  # type: ignore[arg-type]
        self._all.commit(self._log.end)

    monkeypatch.setattr(Store, "put", write)


def note_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = DiskTables.watch

    def watched(self: DiskTables, on_damage: Callable[[int, str], None], on_lost: object) -> None:
        watch(self, on_damage, lambda partitions, reason: None)

    monkeypatch.setattr(DiskTables, "watch", watched)


def scan_what_is_about_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    lack = Replication.lack

    def lacks(self: Replication, partitions: Iterable[int], reason: str) -> None:
        lacking = list(partitions)
        lack(self, lacking, reason)
        self.rows_gone(lacking, reason)

    monkeypatch.setattr(Replication, "lack", lacks)


SAFEGUARDS = [
    Safeguard(
        "rows and position in one batch",
        "Recovery is the table and the rest of the log behind its position: nothing acknowledged is lost.",
        write_the_position_first,
        killed_and_booted,
        range(1, 9),
    ),
    Safeguard(
        "each boot begins a segment above every position",
        "What is acknowledged after a lost end of the log is read by the next boot.",
        begin_behind_the_last_segment,
        a_log_loses_an_end_that_the_tables_have,
    ),
    Safeguard(
        "a write that the database refused is repeated",
        "A full disk loses nothing that was acknowledged, whatever the node writes after it.",
        drop_what_was_refused,
        killed_and_booted,
        range(1, 21),
    ),
    Safeguard(
        "what is being written stays in memory",
        "A node reads what it acknowledged, also while its tables are being written.",
        forget_what_is_being_written,
        killed_and_booted,
    ),
    Safeguard(
        "tables take what the log has taken",
        "A write that was refused was never there, and is not found after the next boot.",
        write_what_the_log_has_not_taken,
        killed_and_booted,
        range(1, 9),
    ),
    Safeguard(
        "what a copy of damaged tables lacks is noted as lost",
        "A node whose tables were replaced by what could be read votes on nothing that it lost.",
        note_no_loss,
        a_table_rots,
        range(1, 5),
    ),
    Safeguard(
        "a partition is completed once its rows are gone",
        "What a node is about to lose is not taken for what it has when its peers complete it.",
        scan_what_is_about_to_go,
        a_table_rots,
        range(1, 5),
    ),
]
