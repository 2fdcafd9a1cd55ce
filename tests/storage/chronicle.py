"""The lives and deaths of one store in the simulated world, each of which checks what those before it promised, while
checkpoints copy rows forward and the log is cut behind them.

A seed is a run. Every put has a number of its own as its value, so that a value tells which put it came from.
"""

from dataclasses import dataclass, field
from math import inf

import pytest

from cluster.config import Durability, StorageSettings, TableKind
from cluster.env import OutputTick
from cluster.errors import ClusterError
from cluster.simulation import World
from cluster.storage import Boot, Store, checkpoints
from cluster.storage.disk_tables import open_disk_tables
from cluster.storage.record import MARK, decode_mark
from cluster.storage.segments import segment_path

LIVES = 12
KEYS = 20
PARTITIONS = 3
SYNC_GRACE_S = 1.1  # a put acknowledged so long ago has been synced: the interval, and a sync
GENERATION_BYTES = 3000  # some ten puts
POINTS = ("append", "append", "sync", "overwrite", "remove")


@dataclass
class Key:
    """What may be found of a key, absent being -1: what was there at the last boot, if nothing was acknowledged since,
    or any put from the last acknowledged one on."""

    base: int = -1
    since: int = 0
    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    """When, and which put."""


class Chronicle:
    """What was put, acknowledged and refused, over all lives of one node."""

    def __init__(
        self, seed: int, durability: Durability, kind: TableKind, *, segment_bytes: int = 400, flips: bool = False
    ) -> None:
        self.world = World(seed)
        self.random = self.world.random("puts")
        self.settings = StorageSettings(durability=durability, segment_bytes=segment_bytes, tables=kind)
        self.flips = flips
        self.keys = {f"k{number}": Key() for number in range(KEYS)}
        self.puts: list[tuple[str, bool]] = []
        """Key, and whether it is a delete."""
        self.refused: set[int] = set()
        self.lacking: set[int] = set()
        """Partitions that were said to be recovering, and not completed."""
        self.completing: set[int] = set()
        """Of these, those of which nobody knows."""
        self.epoch = self.cuts = 0
        self.died = 0.0

    def boot(self, *, rebooted: bool = False, lost_since: float = inf) -> None:
        """Recover, and check. What was acknowledged after `lost_since` may be gone. `rebooted`: the power was cut."""
        env = self.world.env("n1")
        self.clock = env.clock
        tables = open_disk_tables(env, GENERATION_BYTES) if self.settings.tables is TableKind.DISK else None
        self.store = Store(
            env, OutputTick(env.clock), self.settings, on_fatal=self.on_fatal, tables=tables, record=self.record
        )
        recovery = self.store.recover(Boot(self.epoch + 1, self.epoch, rebooted, ""), range(PARTITIONS))
        self.epoch += 1
        lossy = rebooted and self.settings.durability is not Durability.ALWAYS
        assert lossy == bool(recovery.lost) or self.flips, recovery
        must_lack = set(range(PARTITIONS)) if lossy else self.lacking - self.completing
        assert must_lack <= set(recovery.recovering), "a loss was forgotten"
        assert lossy or self.flips or set(recovery.recovering) <= self.lacking, recovery
        self.lacking, self.completing = set(recovery.recovering), set()
        self.position = tables.position if tables else (0, 0)
        self.check(lost_since)

    def put_evenly(self, puts: int) -> None:
        """So often within half a second."""
        for number in range(puts):
            key = f"k{self.random.randrange(KEYS)}"
            self.clock.call_later(number * 0.4 / puts, lambda key=key: self.put_one(key, deletes=False))
        self.world.run_for(0.5)

    def live(self, *, power: bool, lost_since: float = inf) -> None:
        """One life: boot, and put until it ends, in the middle of something or between."""
        self.boot(rebooted=power and self.epoch > 0, lost_since=lost_since)
        self.ended = False
        self.clock.call_soon(self.put)
        off = None
        if self.random.random() < 0.7:
            point, count = self.random.choice(POINTS), self.random.randint(1, 200)
            off = self.world.crash_inside("n1", point, count, power=power, then=self.end)
        self.world.run_for(self.random.uniform(0.0, 3.0))
        if not self.ended:
            if off is not None:
                off()
            if power:
                self.world.power_loss("n1", torn=True)
            else:
                self.world.crash("n1")
            self.end()
        disk = self.world.disk("n1")
        disk.full_after(None)
        if self.flips and self.random.random() < 0.7:
            files = [f"log/{name}" for name in disk.names("log") if disk.read(f"log/{name}")]
            if power:  # what is damaged behind the mark is taken for what was not synced
                mark = decode_mark(disk.read(MARK))
                assert mark is not None
                files = [path for path in files if path < segment_path(mark.end[0]) and path != MARK]
            if files:
                disk.flip_byte(self.random.choice(files))

    def end(self) -> None:
        self.ended, self.died = True, self.world.now

    def put(self) -> None:
        if self.random.random() < 0.01:
            self.world.disk("n1").full_after(self.random.choice([0, 100, 1000, None, None]))
        if self.random.random() < 0.02:
            self.complete(self.random.randrange(PARTITIONS))
        for _ in range(self.random.randint(1, 4)):
            self.put_one(f"k{self.random.randrange(KEYS)}", deletes=self.random.random() < 0.3)
        if not self.ended:
            self.clock.call_later(self.random.choice([0.001, 0.01, 0.03]), self.put)

    def put_one(self, key: str, *, deletes: bool) -> None:
        number = len(self.puts)
        self.puts.append((key, deletes))
        value = None if deletes else b"%d" % number
        self.store.put(0, partition_of(key), key, value, lambda error: self.done(number, error))

    def complete(self, partition: int) -> None:
        """Its co-owners give it every key again, and so it lacks nothing."""
        if partition in self.lacking:
            for key in self.keys:
                if partition_of(key) == partition:
                    self.put_one(key, deletes=self.random.random() < 0.3)
            self.completing.add(partition)
            self.store.complete(partition, lambda error: self.completed(partition, error))

    def completed(self, partition: int, error: ClusterError | None) -> None:
        if error is None:
            self.lacking.discard(partition)

    def done(self, number: int, error: ClusterError | None) -> None:
        if error is None:
            self.keys[self.puts[number][0]].acknowledged.append((self.world.now, number))
        else:
            self.refused.add(number)

    def record(self, kind: str, cause: str, **fields: object) -> None:
        self.cuts += kind == "storage.cut"

    def on_fatal(self, error: OSError) -> None:
        raise AssertionError("no sync was told to fail")

    def check(self, lost_since: float) -> None:
        """No older state than the last acknowledged one, nothing that was refused, and no value under a wrong key; but
        where bytes flip, a partition that says what it lacks may lack it."""
        found = {key: int(v) for p in range(PARTITIONS) for key, v in self.store.scan(0, p, "", KEYS)[0]}
        assert all(self.puts[number] == (key, False) for key, number in found.items())
        assert not self.refused.intersection(found.values())
        for name, key in self.keys.items():
            number, known = found.get(name, -1), [n for when, n in key.acknowledged if when < lost_since]
            if not self.flips or partition_of(name) not in self.lacking:
                first = max(known) if known else key.since
                later = [n for n in range(first, len(self.puts)) if self.puts[n][0] == name and n not in self.refused]
                allowed = {-1 if self.puts[n][1] else n for n in later}
                assert number in allowed or (not known and number == key.base), (name, number, key)
            # What was allowed to be lost is lost for good: later lives are measured by what is here now.
            self.keys[name] = Key(number, len(self.puts))


def partition_of(key: str) -> int:
    """A partition for a key."""
    return int(key[1:]) % PARTITIONS


def lives(
    seed: int, durability: Durability, kind: TableKind, *, power: bool, grace: float = 0.0, flips: bool = False
) -> Chronicle:
    """Some lives, each of which is checked against those before it. A checkpoint takes as many slices as rows."""
    chronicle = Chronicle(seed, durability, kind, flips=flips)
    with chronicle.world, pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "PAGE_ROWS", 1)
        for _ in range(LIVES):
            chronicle.live(power=power, lost_since=chronicle.died - grace if grace else inf)
    return chronicle
