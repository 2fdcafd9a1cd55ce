"""Lives and deaths of one store in the simulated world: what each durability promises holds after each kind of crash.

A seed is a run. Every put has a number of its own as its value, so that a value tells which put it came from.
"""

from math import inf

import pytest

from cluster.config import Durability, StorageSettings, TableKind
from cluster.env import Clock, OutputTick
from cluster.errors import ClusterError
from cluster.simulation import World
from cluster.storage import Boot, Store
from cluster.storage.disk_tables import open_disk_tables

LIVES = 8
GENERATION_BYTES = 3000  # some ten puts
KEYS = 20
SYNC_GRACE_S = 1.1  # a put acknowledged so long ago has been synced: the interval, and a sync


class Chronicle:
    """What was put, acknowledged and refused, over all lives of one node."""

    def __init__(self, seed: int, durability: Durability, kind: TableKind = TableKind.MEMORY) -> None:
        self.world = World(seed)
        self.random = self.world.random("puts")
        self.settings = StorageSettings(durability=durability, segment_bytes=2000, tables=kind)
        self.acknowledged: dict[str, list[tuple[float, int]]] = {}  # by key: when, and which put
        self.refused: set[int] = set()
        self.puts: dict[int, str] = {}
        self.epoch = 0
        self.lossy = False  # nobody completes it

    def live(self, *, lost_since: float = inf, rebooted: bool = False, puts: int | None = None) -> None:
        """One life: recover, check, and put until the end of a random time, or so often within half a second. What was
        acknowledged after `lost_since` may be gone. `rebooted`: the power was cut before it."""
        env = self.world.env("n1")
        tables = open_disk_tables(env, GENERATION_BYTES) if self.settings.tables is TableKind.DISK else None
        self.store = Store(env, OutputTick(env.clock), self.settings, on_fatal=self.on_fatal, tables=tables)
        self.position = tables.position if tables else (0, 0)
        recovery = self.store.recover(Boot(self.epoch + 1, self.epoch, rebooted, ""), range(8))
        self.epoch += 1
        self.lossy |= rebooted and self.settings.durability is not Durability.ALWAYS
        assert list(recovery.recovering) == (list(range(8)) if self.lossy else []), recovery
        self.check(self.state(), lost_since)
        if puts is None:
            env.clock.call_soon(self.put, env.clock)
            self.world.run_for(self.random.uniform(0.0, 3.0))
            return
        for number in range(puts):
            env.clock.call_later(number * 0.4 / puts, self.put_one)
        self.world.run_for(0.5)

    def put(self, clock: Clock) -> None:
        if self.random.random() < 0.01:
            self.world.disk("n1").full_after(self.random.choice([0, 100, 300, 1000, None, None]))
        for _ in range(self.random.randint(1, 4)):
            self.put_one()
        clock.call_later(self.random.choice([0.001, 0.01, 0.03]), self.put, clock)

    def put_one(self) -> None:
        number, key = len(self.puts), f"k{self.random.randrange(KEYS)}"
        self.puts[number] = key
        self.store.put(0, hash_of(key), key, b"%d" % number, lambda error: self.done(number, error))

    def done(self, number: int, error: ClusterError | None) -> None:
        if error is None:
            self.acknowledged.setdefault(self.puts[number], []).append((self.world.now, number))
        else:
            self.refused.add(number)

    def on_fatal(self, error: OSError) -> None:
        raise AssertionError("no sync was told to fail")

    def state(self) -> dict[str, int]:
        return {key: int(v) for p in range(8) for key, v in self.store.scan(0, p, "", KEYS)[0]}

    def check(self, found: dict[str, int], lost_since: float) -> None:
        """No older put than the last acknowledged one, nothing refused, and no value under a wrong key."""
        for key, puts in self.acknowledged.items():
            assert found.get(key, -1) >= max([n for when, n in puts if when < lost_since], default=-1), key
        assert all(self.puts[number] == key for key, number in found.items())
        assert not self.refused.intersection(found.values())
        # What was allowed to be lost is lost for good: later lives are not measured by it, but by what is here now.
        self.acknowledged = {key: [(-inf, number)] for key, number in found.items()}


def hash_of(key: str) -> int:
    """A partition for a key."""
    return int(key[1:]) % 8


def lives(seed: int, durability: Durability, kind: TableKind, *, power: bool, grace: float = 0.0) -> Chronicle:
    """Some lives, each of which is checked against those before it."""
    chronicle = Chronicle(seed, durability, kind)
    with chronicle.world as world:
        chronicle.live()
        for _ in range(LIVES):
            if power:
                world.power_loss("n1", torn=True)
            else:
                world.crash("n1")
            world.disk("n1").full_after(None)
            chronicle.live(lost_since=world.now - grace if grace else inf, rebooted=power)
    return chronicle


@pytest.mark.parametrize("kind", TableKind)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("durability", "power", "grace"),
    [
        (Durability.ALWAYS, True, 0.0),
        (Durability.ALWAYS, False, 0.0),
        (Durability.INTERVAL, True, SYNC_GRACE_S),
        (Durability.INTERVAL, False, 0.0),
    ],
)
def test_what_was_promised_is_there(
    seed: int, durability: Durability, power: bool, grace: float, kind: TableKind
) -> None:
    chronicle = lives(seed, durability, kind, power=power, grace=grace)
    assert chronicle.refused and chronicle.acknowledged
    assert (chronicle.position > (3, 0)) == (kind is TableKind.DISK), "the tables were written"
