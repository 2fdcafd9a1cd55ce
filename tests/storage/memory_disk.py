"""A world for the store without files: a disk in memory whose syncs end when the test says so, and a clock by hand."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, cast

from cluster.config import Durability, StorageSettings
from cluster.env import Env, Network, OutputTick
from cluster.layout import PARTITIONS
from cluster.storage import Boot, Recovery, Store

FIRST_BOOT = Boot(1)

Synced = Callable[[OSError | None], None]


class MemoryFile:
    """One file opened for appending."""

    def __init__(self, disk: "MemoryDisk", path: str) -> None:
        self.disk = disk
        self.path = path
        self.size = len(disk.files[path])

    def append(self, data: bytes) -> None:
        if self.disk.refusal is not None:
            raise self.disk.refusal
        self.disk.files[self.path] += data
        self.disk.appends.append((self.path, len(data)))
        self.size += len(data)

    def sync(self, done: Synced) -> None:
        self.disk.pending.append((self.path, self.size, done))

    def flush(self) -> None:
        if self.disk.refusal is not None:
            raise self.disk.refusal
        self.disk.synced[self.path] = self.size

    def close(self) -> None:
        self.disk.closed.append(self.path)


class MemoryDisk:
    """Files as byte arrays. A sync waits in `pending` until `finish_sync`."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.synced: dict[str, int] = {}
        self.appends: list[tuple[str, int]] = []
        self.closed: list[str] = []
        self.pending: list[tuple[str, int, Synced]] = []
        self.refusal: OSError | None = None

    def finish_sync(self, error: OSError | None = None) -> None:
        path, size, done = self.pending.pop(0)
        if error is None:
            self.synced[path] = size
        done(error)

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return bytes(self.files[path])

    def read_part(self, path: str, start: int, size: int, done: Callable[[bytes | OSError], None]) -> None:
        try:
            found: bytes | OSError = self.read(path)[start : start + size]
        except OSError as error:
            found = error
        done(found)

    def write(self, path: str, data: bytes) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.files[path] = bytearray(data)

    def write_in_place(self, path: str, data: bytes) -> None:
        if self.refusal is not None and path not in self.files:
            raise self.refusal
        self.files.setdefault(path, bytearray())[: len(data)] = data

    def append(self, path: str) -> MemoryFile:
        self.files.setdefault(path, bytearray())
        return MemoryFile(self, path)

    def truncate(self, path: str, size: int) -> None:
        del self.files[path][size:]
        self.synced[path] = size

    @property
    def segments(self) -> list[str]:
        """The paths of the segments, in order."""
        return sorted(path for path in self.files if path.endswith(".log"))

    def names(self, folder: str) -> list[str]:
        return sorted(path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/"))

    def remove(self, path: str) -> None:
        self.files.pop(path, None)

    remove_soon = remove


class Call:
    """A call that is still to come."""

    def __init__(self, when: float, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.when, self.function, self.args = when, function, args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class HandClock:
    """Time moves by `advance` alone; `run` makes the calls that are due."""

    def __init__(self) -> None:
        self.time = 0.0
        self.calls: list[Call] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    def call_at(self, when: float, function: Callable[..., object], *args: Any) -> Call:
        self.calls.append(Call(when, function, args))
        return self.calls[-1]

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> Call:
        return self.call_at(self.time + delay, function, *args)

    def call_soon(self, function: Callable[..., object], *args: Any) -> Call:
        return self.call_at(self.time, function, *args)

    def run(self) -> None:
        while due := [call for call in self.calls if call.when <= self.time]:
            self.calls = [call for call in self.calls if call.when > self.time]
            for call in due:
                if not call.cancelled:
                    call.function(*call.args)

    def advance(self, seconds: float) -> None:
        self.time += seconds
        self.run()


class World:
    """A store with its disk and clock, and what it reported. `reboot` gives the next life on the same disk."""

    def __init__(
        self,
        disk: MemoryDisk | None = None,
        *,
        durability: Durability = Durability.INTERVAL,
        segment_bytes: int = 1 << 20,
        recover: bool = True,
        boot: Boot = FIRST_BOOT,
        owned: Sequence[int] = range(PARTITIONS),
    ) -> None:
        self.boot = boot
        self.owned = owned
        self.disk = MemoryDisk() if disk is None else disk
        self.clock = HandClock()
        self.fatal: list[OSError] = []
        self.undone_calls = 0
        self.said: list[str] = []
        self.recorded: list[str] = []
        self.settings = StorageSettings(durability=durability, segment_bytes=segment_bytes)
        self.env = env = Env(self.clock, Random(0), self.disk, cast(Network, None), spawn=cast(Any, None))
        self.store = Store(
            env,
            OutputTick(self.clock),
            self.settings,
            on_fatal=self.fatal.append,
            on_undone=self.count_undone,
            on_full=self.said.append,
            record=lambda kind, cause, **fields: self.recorded.append(kind),
        )
        if recover:
            self.recovery = self.recover()

    def recover(self) -> Recovery:
        recovery = self.store.recover(self.boot, self.owned)
        self.disk.appends.clear()
        return recovery

    def count_undone(self) -> None:
        self.undone_calls += 1

    def put(self, key: str, value: bytes | None = b"value", *, partition: int = 0, table: int = 0) -> list[object]:
        """Stage one put; the list gets what its `done` is called with."""
        outcome: list[object] = []
        self.store.put(table, partition, key, value, outcome.append)
        return outcome

    def scan(self, partition: int, *, table: int = 0) -> dict[str, bytes]:
        """All rows of a partition, in order."""
        page, more = self.store.scan(table, partition, "", 1 << 30)
        assert not more
        return dict(page)

    def reboot(self, *, machine: bool = False, lost: str = "", durability: Durability | None = None) -> "World":
        """The process was killed, or with `machine` the machine booted (and yet the disk kept all): the disk is as the
        kernel has it, syncs under way are forgotten."""
        self.disk.pending.clear()
        self.disk.refusal = None
        return World(
            self.disk,
            durability=self.settings.durability if durability is None else durability,
            segment_bytes=self.settings.segment_bytes,
            boot=Boot(self.boot.epoch + 1, self.boot.epoch, machine, lost),
            owned=self.owned,
        )
