"""Storage: what a node must not forget is on its disk before it says anything."""

from collections.abc import Callable

import pytest

from cluster.simulation.disk import SimulatedDisk
from cluster.simulation.fleet import Fleet
from cluster.storage import Store
from cluster.storage.record import Mark
from cluster.storage.recovery import Replay
from cluster.storage.segments import SegmentLog
from cluster.wire.kv import Got
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, read, settled_siblings

KEYS = [f"key-{number}" for number in range(20)]


def wipe(disk: SimulatedDisk) -> None:
    """Leave only the layout, as `restart` gives it to a node without data."""
    for path in [*disk.names(""), *[f"log/{name}" for name in disk.names("log")]]:
        if path != "layout.json":
            disk.remove(path)


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
        boot(fleet, "n2")
        acknowledged(fleet, "n1", "other", b"x")
        fleet.world.run_for(0.5)
        fleet.crash("n2")
        boot(fleet, "n2")
        fleet.world.run_for(0.5)
        fleet.crash("n1")
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
        self: SegmentLog, epoch: int, segment: int, previous: tuple[int, int], records: object, *, marked: bool = True
    ) -> None:
        opened(self, epoch, segment, previous, [], marked=marked)

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
        lambda seed: damaged_and_crashed_again(seed, [wipe, remove_log][seed % 2]),
    ),
    Safeguard(
        "the mark of the log",
        "A log that ends before its mark has lost something, and its owner votes on nothing.",
        ignore_the_mark,
        lambda seed: damaged_and_crashed_again(seed, cut_log((0, 8, 16)[seed % 3])),
    ),
]
