"""Boot records: epochs only rise, ids stay, and what is not a record is named."""

import pytest

from cluster.errors import Damaged, StorageFull
from cluster.storage import BootRecord, load_boot, next_boot, read_document
from tests.storage.memory_disk import MemoryDisk


def never() -> str:
    raise AssertionError("an id exists")


def test_an_empty_directory_takes_a_new_id_and_later_boots_keep_it() -> None:
    disk = MemoryDisk()
    assert load_boot(disk) is None
    assert next_boot(disk, "n1", lambda: "id-1") == BootRecord("n1", "id-1", 1)
    assert next_boot(disk, "n1", never) == BootRecord("n1", "id-1", 2)
    assert load_boot(disk) == BootRecord("n1", "id-1", 2)


def test_the_epoch_that_could_not_be_written_is_not_used() -> None:
    disk = MemoryDisk()
    next_boot(disk, "n1", lambda: "id-1")
    disk.refusal = OSError(28, "No space left on device")
    with pytest.raises(StorageFull, match=r"boot\.json"):
        next_boot(disk, "n1", never)
    assert load_boot(disk) == BootRecord("n1", "id-1", 1)


def test_a_directory_belongs_to_its_name() -> None:
    disk = MemoryDisk()
    next_boot(disk, "n1", lambda: "id-1")
    with pytest.raises(Damaged, match="'n1'"):
        next_boot(disk, "n2", never)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"{}",
        b'{"name":"n1","id":"i"}',
        b'{"name":"\xff","id":"i","epoch":1}',
        b'{"name":"n1","id":"i","epoch":-1}',
        b'{"name":"n1","id":"i","epoch":1.5}',
        b'{"name":"n1","id":"","epoch":1}',
        b'{"name":"n1","id":"i","epoch":1,"more":2}',
        b'{"name":"n1","id":"i","epoch":1}x',
    ],
)
def test_garbage_is_named(content: bytes) -> None:
    disk = MemoryDisk()
    disk.files["boot.json"] = bytearray(content)
    with pytest.raises(Damaged, match=r"boot\.json"):
        next_boot(disk, "n1", never)


def test_read_document() -> None:
    disk = MemoryDisk()
    assert read_document(disk, "layout.json") is None
    disk.write("layout.json", b"{}")
    assert read_document(disk, "layout.json") == b"{}"
