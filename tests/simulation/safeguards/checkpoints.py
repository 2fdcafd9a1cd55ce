"""Checkpoints: nothing is removed before what replaces it is on the medium, and what replaces it is all of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.config import Durability, TableKind
from cluster.ports import Position, RowTables
from cluster.simulation.disk import SimulatedAppendFile
from cluster.storage import recovery
from cluster.storage.checkpoints import Checkpoints, Copy
from cluster.storage.record import BEGIN, CHECKPOINT, Begin, Record, decode_begin, encode_checkpoint
from cluster.storage.recovery import Replay
from cluster.storage.segments import Done, SegmentLog
from tests.simulation.safeguards.registry import Safeguard
from tests.storage.chronicle import lives

Synced = Callable[[OSError | None], None]


def killed_and_booted(seed: int) -> None:
    """Puts, deletes, full disks and kills, life after life, while the log is cut: nothing acknowledged is lost."""
    lives(seed, Durability.INTERVAL, TableKind.MEMORY, power=False)


def powered_off_and_booted(seed: int) -> None:
    """The same with the power cut, and each write synced before it is acknowledged."""
    lives(seed, Durability.ALWAYS, TableKind.MEMORY, power=True)


def damaged_and_booted(seed: int) -> None:
    """Kills, and bytes that flip while the node is down: a partition that says it lacks nothing has all."""
    lives(seed, Durability.ALWAYS, TableKind.MEMORY, power=False, flips=True)


def cut_before_the_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    def synced(self: SegmentLog, done: Done) -> None:
        done(None)

    monkeypatch.setattr(SegmentLog, "synced", synced)


def remove_before_the_begin_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    sync = SimulatedAppendFile.sync

    def at_once(self: SimulatedAppendFile, done: Synced) -> None:
        if self._path == BEGIN:
            done(None)
        else:
            sync(self, done)

    monkeypatch.setattr(SimulatedAppendFile, "sync", at_once)


def read_what_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(data: bytes) -> Begin | None:
        found = decode_begin(data)
        return None if found is None else replace(found, segment=0)

    monkeypatch.setattr(recovery, "decode_begin", begin)


def carry_no_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    def last(self: Checkpoints, copy: Copy) -> list[Record]:
        return [(copy.partition, 0, CHECKPOINT, encode_checkpoint(copy.begin))]

    monkeypatch.setattr(Checkpoints, "_last", last)


def count_from_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Checkpoints._last

    def last(self: Checkpoints, copy: Copy) -> list[Record]:
        copy.begin = self._log.end
        return whole(self, copy)

    monkeypatch.setattr(Checkpoints, "_last", last)


def make_all_pages_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made, page = Copy.__init__, Copy.pages

    def init(self: Copy, partition: int, begin: Position, tables: RowTables) -> None:
        made(self, partition, begin, tables)
        pages = []
        while self.left:
            pages.append(page(self))
        self.left = pages  # type: ignore[assignment]

    monkeypatch.setattr(Copy, "__init__", init)
    monkeypatch.setattr(Copy, "pages", lambda self: self.left.pop(0))


def excuse_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Replay.run

    def excused(self: Replay) -> None:
        run(self)
        self.begun = dict.fromkeys(self.begun, self.end)

    monkeypatch.setattr(Replay, "run", excused)


SAFEGUARDS = [
    Safeguard(
        "the log is synced before it is cut",
        "No power loss takes a copied row whose older record was removed.",
        cut_before_the_sync,
        powered_off_and_booted,
        range(1, 9),
    ),
    Safeguard(
        "log/begin is on the medium before a file is removed",
        "A power loss in the middle of a cut is no loss of the segments that were cut.",
        remove_before_the_begin_is_durable,
        powered_off_and_booted,
        range(1, 9),
    ),
    Safeguard(
        "what was cut is not read again",
        "Files that a crash left, or a power loss brought back, change nothing.",
        read_what_was_cut,
        powered_off_and_booted,
        range(1, 9),
    ),
    Safeguard(
        "a checkpoint carries the losses of its partition",
        "A partition that lacks rows says so until it is completed, however often the log is cut.",
        carry_no_losses,
        damaged_and_booted,
        range(1, 9),
    ),
    Safeguard(
        "a checkpoint counts from where it began",
        "The log is cut before the first of the copied rows, not before the last.",
        count_from_the_end,
        killed_and_booted,
        range(1, 9),
    ),
    Safeguard(
        "a page is made where it is written",
        "A copied row does not bring back what was replaced or deleted since.",
        make_all_pages_first,
        killed_and_booted,
        range(1, 9),
    ),
    Safeguard(
        "damage behind a checkpoint counts",
        "Only what was written again since is no loss when it is damaged.",
        excuse_damage,
        damaged_and_booted,
        range(1, 9),
    ),
]
