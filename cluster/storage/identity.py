"""Who lives in a directory, in its how-manieth boot, and what it has given away: the boot record.

The boot epoch seeds incarnations, actors and request ids, so no two boots of a directory may ever share one: the next
epoch is on the medium before anything else happens. The record is replaced as a whole.

Evidence is kept until what it shows is written down elsewhere: the machine's boot id is that of the last boot whose log
was opened, and `lost` stays until the log holds the losses (`settle`). So a boot that fails in between hides nothing
from the next one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from cluster.errors import Damaged, StorageFull
from cluster.storage.record import MARK, Mark, decode_mark, encode_mark

if TYPE_CHECKING:
    from cluster.env import Disk

BOOT = "boot.json"


class BootRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. Epoch 0 is what genesis writes, for a node that never booted. The name is a place, causality belongs to
    the id."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    id: Annotated[str, msgspec.Meta(min_length=1)]
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    machine: str = ""
    """The boot id of the machine under which the log was opened last."""
    lost: str = ""
    """Why what lies here does not count as complete, until the log says so itself."""
    joins: str = ""
    """Why what its partitions hold is not here: it was made for a cluster that had begun. Until the log says so."""
    announced: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The highest epoch that others may know of this id, when that is above its own: an earlier holder of the name was
    known in higher ones."""


@dataclass(frozen=True)
class Boot:
    """What is known of a boot before its log is read."""

    epoch: int
    previous_epoch: int = 0
    """Of the boot before; 0 when there was none."""
    rebooted: bool = False
    """The machine booted since this log was opened last, or that cannot be told."""
    lost: str = ""
    """Why nothing that is found here counts as complete; empty when that is not so."""
    joins: str = ""
    """Why the partitions lack what others hold of them, though nothing was lost."""


def read_document(disk: "Disk", path: str) -> bytes | None:
    """The file's bytes, or None when there is none. Raises Damaged when the system cannot read it."""
    try:
        return disk.read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error}", file=path) from error


def load_boot(disk: "Disk") -> BootRecord | None:
    """The record of the last boot, or None for an empty directory. Raises Damaged when it is not one."""
    data = read_document(disk, BOOT)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=BootRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"{BOOT} is not a boot record: {error}", file=BOOT) from error


def encode_boot(record: BootRecord) -> bytes:
    """The record as it stands in its file."""
    return msgspec.json.encode(record) + b"\n"


def newborn_files(name: str, id: str, lacks: str = "") -> dict[str, bytes]:
    """What stands in a node's folder before its first boot, by path: who lives there, and a log that never held
    anything. With the mark there from the start, a mark that is missing always means that something was lost. `lacks`
    is the reason why it does not have what its partitions hold: it joins a cluster that has begun without it."""
    return {BOOT: encode_boot(BootRecord(name, id, 0, joins=lacks)), MARK: encode_mark(Mark(0, (0, 0), clean=True))}


class Identity:
    """This boot of a node, and who it is.

    Making one begins a boot: the next epoch is durable before this returns. An empty directory gets a new id and epoch
    1; so does one whose boot record is older than its log (it was put back), for the epochs in between were used.
    Raises Damaged when the directory belongs to another name, StorageFull when the record cannot be written.
    """

    def __init__(self, disk: "Disk", name: str, machine: str, mint_id: Callable[[], str]) -> None:
        self._disk = disk
        self._machine = machine
        self._mint_id = mint_id
        before = load_boot(disk)
        self.before = before
        """The record as it was found: None in a directory that was wiped, epoch 0 after genesis."""
        if before is not None and before.name != name:
            raise Damaged(f"{BOOT} belongs to node {before.name!r}, not {name!r}", file=BOOT)
        data = read_document(disk, MARK)
        mark = None if data is None else decode_mark(data)
        if before is None:
            self._record = BootRecord(name, mint_id(), 1, lost="its directory was empty")
        elif not before.lost and mark is not None and mark.epoch > before.epoch:
            self._record = BootRecord(name, mint_id(), 1, lost=f"its {BOOT} is older than its log")
        else:
            self._record = msgspec.structs.replace(before, epoch=max(before.epoch, before.announced) + 1)
        # Nothing can have been lost before the first boot, so that its machine is the one to compare with at once.
        self._write(machine=machine if self.newborn else self._record.machine)

    @property
    def name(self) -> str:
        """The place."""
        return self._record.name

    @property
    def id(self) -> str:
        """Whoever holds the place: it lasts as long as what it remembers."""
        return self._record.id

    @property
    def epoch(self) -> int:
        """The number of this boot."""
        return self._record.epoch

    @property
    def newborn(self) -> bool:
        """Whether this is the first boot after genesis: nobody can have written anything that this node missed."""
        return self.before is not None and self.before.epoch == 0 and not self.before.lost

    @property
    def boot(self) -> Boot:
        """What the store must know before it reads the log."""
        record, before = self._record, self.before
        rebooted = not self.newborn and (not self._machine or record.machine != self._machine)
        # A record without an epoch before it (a wiped directory) carries a loss, so that 0 does not stand for newborn.
        epoch = 0 if before is None else before.epoch
        return Boot(record.epoch, epoch, rebooted, record.lost, record.joins)

    def settle(self) -> None:
        """The log is open and holds what was lost: from now on this boot of the machine is the one to compare with.
        Raises StorageFull."""
        if self._machine != self._record.machine or self._record.lost or self._record.joins:
            self._write(machine=self._machine, lost="", joins="")

    def raised(self, epoch: int) -> None:
        """This boot announces itself in a higher epoch than its own: the next one begins above that, or its peers would
        take it for a copy from before. On a full disk it is taken for one, and recovers."""
        try:
            self._write(announced=epoch)
        except StorageFull:
            pass

    def forget(self, reason: str) -> None:
        """A peer has seen a later boot of this id than this one, so what lies here is a copy from before: durable when
        this returns, the next boot takes a new id and votes on nothing. The process must end. Raises StorageFull."""
        self._write(id=self._mint_id(), epoch=0, machine="", lost=reason, announced=0)

    def _write(self, **changes: object) -> None:
        record = msgspec.structs.replace(self._record, **changes)
        try:
            self._disk.write(BOOT, encode_boot(record))
        except OSError as error:
            raise StorageFull(f"{BOOT} cannot be written: {error}") from error
        self._record = record
