"""Storage: what a node must not forget is on its disk before it says anything."""

from collections.abc import Callable

import pytest

from cluster.config import node_settings
from cluster.env import Disk, Env, OutputTick
from cluster.node.storage_errors import StorageErrors
from cluster.ports import Position, RowTables
from cluster.replication.transfer import PartitionScan
from cluster.simulation import World
from cluster.simulation.disk import SimulatedDisk
from cluster.simulation.fleet import Fleet
from cluster.storage import Boot, Done, Store
from cluster.storage.record import Mark, encode_release
from cluster.storage.recovery import Replay
from cluster.storage.segments import SegmentLog
from cluster.wire.kv import Got, PutDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import (
    acknowledged,
    boot,
    crash_and_wait,
    empty,
    files_of,
    read,
    settled_siblings,
)

KEYS = [f"key-{number}" for number in range(20)]
BLOCK_BYTES = 4096


def remove_log(disk: SimulatedDisk) -> None:
    for name in disk.names("log"):
        disk.remove(f"log/{name}")


def cut_log(size: int) -> Callable[[SimulatedDisk], None]:
    """The newest segment that holds something ends after so many bytes."""

    def cut(disk: SimulatedDisk) -> None:
        segments = [f"log/{name}" for name in disk.names("log") if name.endswith(".log")]
        disk.truncate(max(path for path in segments if disk.read(path)), size)

    return cut


def damaged_and_crashed_again(seed: int, harm: Callable[[SimulatedDisk], None]) -> None:
    """One of two holders of acknowledged writes loses its data, boots, cannot be completed, and is killed; then the
    other holder dies, and the third owner, which missed all, returns. Nobody who is left may say *not found*."""
    with Fleet.running(seed, 3) as fleet:
        crash_and_wait(fleet, "n3")
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious", strict=True)
        fleet.world.run_for(1.5)  # so that all is synced, and marked
        fleet.crash("n2")
        harm(fleet.world.disk("n2"))
        fleet.world.partition([["n1"], ["n2"]])  # or it would take over all that the only holder has
        boot(fleet, "n2")
        acknowledged(fleet, "n2", "other", b"x", w=1)
        fleet.world.run_for(0.5)
        fleet.crash("n2")
        boot(fleet, "n2")
        fleet.world.run_for(0.5)
        fleet.crash("n1")
        fleet.world.heal()
        boot(fleet, "n3")
        fleet.until(lambda: all(fleet.believes(name, "n1") == "dead" for name in fleet.up), 60.0)
        fleet.world.run_for(3.0)
        for key in KEYS:
            answer = fleet.wait(fleet.get("n2", key, strict=True)).answer
            assert not isinstance(answer, Got) or answer.siblings == [b"precious"], f"{key}: not found"
        boot(fleet, "n1")
        assert all(settled_siblings(fleet, key) == [b"precious"] for key in KEYS)


def forget_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = SegmentLog.open

    def begin(
        self: SegmentLog,
        epoch: int,
        segment: int,
        previous: Position,
        records: object,
        sizes: dict[int, int],
        *,
        marked: bool = True,
    ) -> None:
        opened(self, epoch, segment, previous, [], sizes, marked=marked)

    monkeypatch.setattr(SegmentLog, "open", begin)


def ignore_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Replay.run

    def unmarked(self: Replay) -> None:
        run(self)
        self.mark = Mark(0, (0, 0))

    monkeypatch.setattr(Replay, "run", unmarked)


def read_in_the_pass_of_a_refused_write(seed: int) -> None:
    """The log of every owner refuses a write, a definite no, that a read arrived beside; through any node, any way."""
    with Fleet.running(seed, 3) as fleet:
        for number, (via, options) in enumerate(
            (via, options) for via in fleet.owners("cart") for options in ({"r": 1}, {"r": 3}, {"local": True})
        ):
            key = f"cart-{number}"
            for name in fleet.names:
                fleet.world.disk(name).full_after(0)
            write, shown = fleet.put(via, key, b"never"), fleet.get(via, key, **options)
            fleet.wait(write)
            fleet.wait(shown)
            for name in fleet.names:
                fleet.world.disk(name).full_after(None)
            assert write.error is not None and write.error.definite
            assert not isinstance(shown.answer, Got) or shown.answer.siblings == [], "a read showed what never was"
            assert read(fleet, via, key) == []


def show_what_is_staged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "logged", Store.get)


def shut_down(fleet: Fleet, name: str) -> None:
    """SIGTERM."""
    fleet.nodes[name].stop()
    fleet.crash(name)


def cut_power(fleet: Fleet, name: str) -> None:
    """Of a machine, whether its node runs or has ended."""
    if fleet.world.is_up(name):
        fleet.power_loss(name)
    else:
        fleet.world.disk(name).power_loss(torn=True)
        fleet.world.reboot(name)


def a_coordinator_dies_between_its_sockets_and_its_log(seed: int) -> None:
    """The copies of its write have left, and one was read by somebody; then it writes the same key again."""
    with Fleet.running(seed, 3) as fleet:
        fleet.world.network._closed_on_crash = 1.0  # what its kernel was given still arrives
        zero = acknowledged(fleet, "n1", "cart", b"zero")
        fleet.world.crash_inside("n1", "write", 2, then=lambda: died.append("n1"))
        died: list[str] = []
        fleet.put("n1", "cart", b"one", context=zero.context)
        fleet.until(lambda: bool(died))
        del fleet.nodes["n1"]
        fleet.world.run_for(0.5)
        seen = read(fleet, "n2", "cart")
        boot(fleet, "n1")
        acknowledged(fleet, "n1", "cart", b"two", context=zero.context)
        left = settled_siblings(fleet, "cart")
        assert b"two" in left
        assert b"one" in left or b"one" not in seen, "what was read is gone, and nobody replaced it"


def write_the_sockets_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: OutputTick) -> None:
        self._armed, self._running = False, True
        try:
            self.write_sockets()
            self.write_log()
            self.write_sockets()  # with what the log has acknowledged
        finally:
            self._running = False

    monkeypatch.setattr(OutputTick, "_run", run)


def undo_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    undo = Store._undo
    monkeypatch.setattr(Store, "_undo", lambda self, changes, dones, error: undo(self, [], dones, error))


def completed_and_booted_again(seed: int) -> None:
    """What was made good stays made good: whoever reads it alone after its next boot gets an answer."""
    with Fleet.running(seed, 3) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious")
        fleet.world.run_for(1.5)
        fleet.crash("n3")
        [remove_log, cut_log(100)][seed % 2](fleet.world.disk("n3"))
        boot(fleet, "n3")
        assert fleet.nodes["n3"].events.since(kind="owner.recovering"), "the loss was not noticed"
        fleet.until(fleet.settled, 60.0)
        fleet.crash("n3")
        boot(fleet, "n3")
        assert not fleet.nodes["n3"].events.since(kind="owner.recovering")
        fleet.until(fleet.settled, 60.0)
        assert all(read(fleet, "n3", key, local=True) == [b"precious"] for key in KEYS)


def release_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.storage.store.encode_release", lambda spans: encode_release([]))


def completed_on_a_full_disk(seed: int) -> None:
    """The disk takes the boot of a node that lost its data, and nothing of what completes it."""
    with Fleet.running(seed, 3) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious")
        fleet.world.run_for(1.5)
        fleet.crash("n3")
        remove_log(fleet.world.disk("n3"))
        boot(fleet, "n3")
        fleet.world.disk("n3").full_after(0)
        fleet.world.run_for(5.0)
        for key in KEYS:
            answer = fleet.wait(fleet.get("n3", key, local=True)).answer
            assert not isinstance(answer, Got) or answer.siblings == [b"precious"], f"{key}: not found"
        fleet.world.disk("n3").full_after(None)
        fleet.until(fleet.settled, 60.0)
        assert all(read(fleet, "n3", key, local=True) == [b"precious"] for key in KEYS)


def vote_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the rows of a scan are waited for, nor the word that they complete the partition."""
    complete = Store.complete
    kept = PartitionScan._kept
    monkeypatch.setattr(PartitionScan, "_kept", lambda self, error: kept(self, None))

    def at_once(self: Store, partition: int, done: Done | None = None) -> None:
        complete(self, partition)
        self.recovering.pop(partition, None)
        if done is not None:
            done(None)

    monkeypatch.setattr(Store, "complete", at_once)


def a_sync_fails_and_the_power_goes(seed: int) -> None:
    """Under `always`: the disks of all owners fail to sync a write, and lose power."""
    with Fleet.running(seed, 3, settings=node_settings(durability="always")) as fleet:
        for name in fleet.names:
            fleet.world.disk(name).fail_next_sync(3)
        written = fleet.put("n1", "cart", b"book")
        fleet.world.run_for(1.0)
        for name in fleet.names:
            cut_power(fleet, name)
        boot(fleet, *fleet.names)
        fleet.until(fleet.settled, 60.0)
        if isinstance(written.answer, PutDone) and written.answer.outcome in ("ok", "ok-sloppy"):
            assert read(fleet, "n1", "cart", strict=True) == [b"book"]


def go_on_after_a_failed_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    synced = SegmentLog._synced

    def ignored(self: SegmentLog, end: tuple[int, int], covered: list[Done], error: OSError | None) -> None:
        synced(self, end, covered, None)

    monkeypatch.setattr(SegmentLog, "_synced", ignored)


def one_of_two_holders_loses_its_power(seed: int) -> None:
    """What it had not synced is gone; the other holder goes, and the owner that missed all returns."""
    with Fleet.running(seed, 3) as fleet:
        crash_and_wait(fleet, "n3")
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious", strict=True)
        fleet.power_loss("n2")
        boot(fleet, "n2")
        fleet.crash("n1")
        boot(fleet, "n3")
        fleet.until(lambda: all(fleet.believes(name, "n1") == "dead" for name in fleet.up), 60.0)
        fleet.world.run_for(3.0)
        for key in KEYS:
            answer = fleet.wait(fleet.get("n2", key, strict=True)).answer
            assert not isinstance(answer, Got) or answer.siblings == [b"precious"], f"{key}: not found"
        boot(fleet, "n1")
        assert all(settled_siblings(fleet, key) == [b"precious"] for key in KEYS)


def take_each_boot_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = World.env

    def env(self: World, name: str) -> Env:
        world = made(self, name)
        world.boot_id = "always the same"
        return world

    monkeypatch.setattr(World, "env", env)


def stopped_in_good_order_and_rebooted(seed: int) -> None:
    """All nodes end in good order, their machines boot, and nobody needs anything from anybody."""
    with Fleet.running(seed, 3) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious")
        for name in fleet.names:
            shut_down(fleet, name)
            if seed % 2:
                cut_power(fleet, name)
            else:
                fleet.world.reboot(name)
        boot(fleet, *fleet.names)
        for name in fleet.names:
            assert not fleet.nodes[name].events.since(kind="owner.recovering"), "a reboot behind a clean end"
        fleet.until(fleet.settled, 60.0)
        assert all(read(fleet, "n1", key, strict=True) == [b"precious"] for key in KEYS)


def leave_no_clean_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    close = SegmentLog.close

    def killed(self: SegmentLog) -> None:
        self.stopped = True
        close(self)

    monkeypatch.setattr(SegmentLog, "close", killed)


def put_back(disk: SimulatedDisk, files: dict[str, bytes]) -> None:
    for path in files_of(disk):
        disk.remove(path)
    for path, data in files.items():
        disk.write(path, data)


def a_directory_is_put_back(seed: int) -> None:
    """One of two holders of acknowledged writes is put back to what it was two boots before. A peer that is alive then
    has seen those boots; it goes, and the owner that missed all returns."""
    with Fleet.running(seed, 3) as fleet:
        fleet.world.run_for(1.5)
        fleet.crash("n3")
        before = files_of(fleet.world.disk("n3"))
        for _ in range(2):
            boot(fleet, "n3")
            fleet.until(fleet.settled, 60.0)
            fleet.crash("n3")
        boot(fleet, "n3")
        fleet.until(fleet.settled, 60.0)
        crash_and_wait(fleet, "n1")
        for key in KEYS:
            acknowledged(fleet, "n2", key, b"precious", strict=True)
        crash_and_wait(fleet, "n3")
        record = before["boot.json"]
        put_back(fleet.world.disk("n3"), before)
        fleet.start("n3")
        fleet.world.run_for(2.0)
        if "n3" in fleet.fatal:  # its process ends, and somebody starts it again
            if fleet.world.is_up("n3"):
                fleet.crash("n3")
            assert fleet.world.disk("n3").read("boot.json") != record
            boot(fleet, "n3")
            fleet.world.run_for(2.0)
        fleet.crash("n2")
        boot(fleet, "n1")
        fleet.until(lambda: all(fleet.believes(name, "n2") == "dead" for name in fleet.up), 60.0)
        fleet.world.run_for(3.0)
        for key in KEYS:
            answer = fleet.wait(fleet.get("n3", key, strict=True)).answer
            assert not isinstance(answer, Got) or answer.siblings == [b"precious"], f"{key}: not found"
        boot(fleet, "n2")
        assert all(settled_siblings(fleet, key) == [b"precious"] for key in KEYS)


def rise_above_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StorageErrors, "amnesia", lambda self, evidence: self._node.membership.on_amnesia.clear())


def blocks_reach_the_disk_out_of_order(seed: int) -> None:
    """Under `always`: the power fails while much is not synced. The last blocks of it are there, the first are not."""
    with Fleet.running(seed, 3, settings=node_settings(durability="always")) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious")
        for number in range(20):
            fleet.put("n1", f"late-{number}", bytes(3000))
        disk = fleet.world.disk("n3")
        path = max(f"log/{name}" for name in disk.names("log") if name.endswith(".log"))
        fleet.world.run_until_true(lambda: disk.unsynced(path) > 2 * BLOCK_BYTES, timeout=1.0, step=0.0)
        whole, synced = disk.read(path), len(disk.read(path)) - disk.unsynced(path)
        fleet.power_loss("n3")
        content = disk.open(path)
        content.data[:] = whole[:synced] + bytes(BLOCK_BYTES) + whole[synced + BLOCK_BYTES :]
        content.durable = len(content.data)
        boot(fleet, "n3")
        assert not fleet.nodes["n3"].events.since(kind="owner.recovering"), "nothing acknowledged was lost"
        fleet.until(fleet.settled, 60.0)
        assert all(read(fleet, "n3", key, local=True) == [b"precious"] for key in KEYS)


def take_holes_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Replay.__init__

    def init(self: Replay, disk: Disk, boot: Boot, tables: RowTables, *, always: bool) -> None:
        made(self, disk, boot, tables, always=always)
        self._torn_behind_mark = False

    monkeypatch.setattr(Replay, "__init__", init)


SAFEGUARDS = [
    Safeguard(
        "readers are shown what is logged",
        "Only what is logged is shown to readers: a write that was refused was never there.",
        show_what_is_staged,
        read_in_the_pass_of_a_refused_write,
    ),
    Safeguard(
        "a node remembers that it is recovering",
        "An owner that lost data votes only once it is complete again, through any number of restarts.",
        forget_losses,
        lambda seed: damaged_and_crashed_again(seed, [empty, remove_log][seed % 2]),
    ),
    Safeguard(
        "the mark of the log",
        "A log that ends before its mark has lost something, and its owner votes on nothing.",
        ignore_the_mark,
        lambda seed: damaged_and_crashed_again(seed, cut_log((0, 8, 16)[seed % 3])),
    ),
    Safeguard(
        "the log is written before the sockets",
        "A write that left a node is in its log, so that the node never writes as if it had not been.",
        write_the_sockets_first,
        a_coordinator_dies_between_its_sockets_and_its_log,
    ),
    Safeguard(
        "a refused batch is undone",
        "A write that was refused was never there, and is not found later.",
        undo_nothing,
        read_in_the_pass_of_a_refused_write,
    ),
    Safeguard(
        "the release record",
        "A partition that was completed is complete, also after the next boot.",
        release_nothing,
        completed_and_booted_again,
    ),
    Safeguard(
        "a vote waits until what it rests on is written",
        "An owner is complete again once the rows that completed it are as durable as the mode promises.",
        vote_before_it_is_written,
        completed_on_a_full_disk,
    ),
    Safeguard(
        "a failed sync ends the node",
        "No acknowledged write is lost under `always`, whatever the power does.",
        go_on_after_a_failed_sync,
        a_sync_fails_and_the_power_goes,
    ),
    Safeguard(
        "the boot id of the machine",
        "An owner that may have lost what it had not synced votes only once it is complete again.",
        take_each_boot_for_the_same,
        one_of_two_holders_loses_its_power,
        range(1, 7),
    ),
    Safeguard(
        "the clean mark",
        "An orderly end loses nothing, and a reboot behind it makes nobody recover.",
        leave_no_clean_mark,
        stopped_in_good_order_and_rebooted,
    ),
    Safeguard(
        "a node that its peers know better is somebody else",
        "A directory that was put back takes a new id, and votes once it is complete again.",
        rise_above_what_is_said,
        a_directory_is_put_back,
    ),
    Safeguard(
        "a hole behind the mark is what a power cut explains",
        "Under `always` a reboot loses nothing that was acknowledged, and makes nobody recover.",
        take_holes_for_damage,
        blocks_reach_the_disk_out_of_order,
    ),
]
