"""Small durable documents of a node: files that are replaced as a whole, and the boot record.

The boot epoch seeds incarnations, actors and request ids, so no two boots of a directory may ever share one: the next
epoch is on the medium before anything else happens.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec

from cluster.env import Disk
from cluster.errors import Damaged, StorageFull

BOOT = "boot.json"


class BootRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who lives in a directory, and in its how-manieth life: 0 is what genesis writes, for a node that never booted.
    The name is a place, causality belongs to the id."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    id: Annotated[str, msgspec.Meta(min_length=1)]
    epoch: Annotated[int, msgspec.Meta(ge=0)]


def read_document(disk: Disk, path: str) -> bytes | None:
    """The file's bytes, or None when there is none. Raises Damaged when the system cannot read it."""
    try:
        return disk.read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error}") from error


def load_boot(disk: Disk) -> BootRecord | None:
    """The record of the last boot, or None for an empty directory. Raises Damaged when it is not one."""
    data = read_document(disk, BOOT)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=BootRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"{BOOT} is not a boot record: {error}") from error


def encode_boot(record: BootRecord) -> bytes:
    """The record as it stands in its file."""
    return msgspec.json.encode(record) + b"\n"


def next_boot(disk: Disk, name: str, mint_id: Callable[[], str]) -> BootRecord:
    """Begin a boot: the next epoch, durable before this returns. An empty directory gets a new id and epoch 1.

    Raises Damaged when the directory belongs to another name, StorageFull when the record cannot be written.
    """
    last = load_boot(disk)
    if last is None:
        record = BootRecord(name, mint_id(), 1)
    elif last.name == name:
        record = BootRecord(name, last.id, last.epoch + 1)
    else:
        raise Damaged(f"{BOOT} belongs to node {last.name!r}, not {name!r}")
    try:
        disk.write(BOOT, encode_boot(record))
    except OSError as error:
        raise StorageFull(f"{BOOT} cannot be written: {error}") from error
    return record
