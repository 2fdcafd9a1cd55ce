"""Boot records: epochs only rise, ids last as long as what they remember, and evidence waits to be used."""

import pytest

from cluster.errors import Damaged, StorageFull
from cluster.storage import Boot, BootRecord, Identity, encode_boot, read_document
from cluster.storage.record import MARK, Mark, encode_mark
from tests.storage.memory_disk import MemoryDisk


def never() -> str:
    raise AssertionError("an id exists")


def born(disk: MemoryDisk) -> MemoryDisk:
    """As genesis leaves it."""
    disk.write("boot.json", encode_boot(BootRecord("n1", "id-1", 0)))
    return disk


def booted(disk: MemoryDisk, machine: str = "boot-1") -> Identity:
    """One whole boot."""
    identity = Identity(disk, "n1", machine, lambda: "id-new")
    identity.settle()
    return identity


def test_the_first_boot_is_newborn_and_later_ones_keep_the_id() -> None:
    disk = born(MemoryDisk())
    first = booted(disk)
    assert (first.name, first.id, first.epoch, first.newborn) == ("n1", "id-1", 1, True)
    assert first.boot == Boot(1)
    second = booted(disk)
    assert (second.id, second.epoch, second.newborn) == ("id-1", 2, False)
    assert second.boot == Boot(2, 1)


def test_an_empty_directory_takes_a_new_id_and_is_no_newborn() -> None:
    disk = MemoryDisk()
    first = Identity(disk, "n1", "boot-1", lambda: "id-1")
    assert (first.id, first.epoch, first.newborn) == ("id-1", 1, False)
    assert first.boot.lost == "its directory was empty"


def test_what_was_lost_is_remembered_until_the_log_holds_it() -> None:
    disk = MemoryDisk()
    Identity(disk, "n1", "boot-1", lambda: "id-1")  # ends before its log was open
    second = Identity(disk, "n1", "boot-1", never)
    assert second.boot == Boot(2, 1, rebooted=True, lost="its directory was empty")
    second.settle()
    assert Identity(disk, "n1", "boot-1", never).boot == Boot(3, 2)


@pytest.mark.parametrize(("machine", "rebooted"), [("boot-1", False), ("boot-2", True), ("", True)])
def test_a_reboot_of_the_machine_is_seen_until_a_boot_got_so_far_that_it_opened_its_log(
    machine: str, rebooted: bool
) -> None:
    disk = born(MemoryDisk())
    booted(disk)
    for _ in range(2):
        assert Identity(disk, "n1", machine, never).boot.rebooted is rebooted
    booted(disk, machine)
    assert Identity(disk, "n1", machine, never).boot.rebooted is (machine == "")


def test_a_boot_record_older_than_its_log_was_put_back() -> None:
    disk = born(MemoryDisk())
    booted(disk)
    disk.write_in_place(MARK, encode_mark(Mark(2, (1, 16))))
    back = Identity(disk, "n1", "boot-1", lambda: "id-2")
    assert (back.id, back.epoch, back.newborn) == ("id-2", 1, False) and "older than its log" in back.boot.lost


def test_a_node_that_forgets_itself_is_somebody_else_at_its_next_boot() -> None:
    disk = born(MemoryDisk())
    booted(disk)
    booted(disk).forget("n2 has seen epoch 9 of it")
    after = Identity(disk, "n1", "boot-1", never)
    assert (after.id, after.epoch, after.newborn) == ("id-new", 1, False)
    assert after.boot.lost == "n2 has seen epoch 9 of it"


def test_what_could_not_be_written_is_not_used() -> None:
    disk = born(MemoryDisk())
    identity = booted(disk)
    disk.refusal = OSError(28, "No space left on device")
    with pytest.raises(StorageFull, match=r"boot\.json"):
        Identity(disk, "n1", "boot-1", never)
    with pytest.raises(StorageFull, match=r"boot\.json"):
        identity.forget("n2 has seen epoch 9 of it")
    assert (identity.id, identity.epoch) == ("id-1", 1)
    disk.refusal = None
    assert booted(disk).epoch == 2


def test_a_directory_belongs_to_its_name() -> None:
    disk = born(MemoryDisk())
    with pytest.raises(Damaged, match="'n1'"):
        Identity(disk, "n2", "boot-1", never)


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
    with pytest.raises(Damaged, match=r"boot\.json") as caught:
        Identity(disk, "n1", "boot-1", never)
    assert caught.value.detail == {"file": "boot.json"}


def test_read_document() -> None:
    disk = MemoryDisk()
    assert read_document(disk, "layout.json") is None
    disk.write("layout.json", b"{}")
    assert read_document(disk, "layout.json") == b"{}"
