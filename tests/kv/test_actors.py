"""When a node keeps its actor, and when it takes another one, across boots and on a full disk."""

from random import Random
from typing import Any

import pytest

from cluster.env import Env
from cluster.kv import actors as module
from cluster.kv.actors import ACTOR, FALLBACK_KEYS_MAX, Actors
from tests.storage.memory_disk import MemoryDisk

ID = "n1-00000001"


def boot(disk: MemoryDisk, epoch: int, machine: str = "m1", lost: str = "") -> tuple[Actors, str]:
    """A boot's actors after recovery, and why the owner's is a new one."""
    nothing: Any = None
    actors = Actors(Env(nothing, Random(0), disk, nothing, nothing, machine), ID, epoch)
    return actors, actors.resume(lost)


@pytest.fixture
def disk() -> MemoryDisk:
    """With the actor of a first boot on it."""
    disk = MemoryDisk()
    assert boot(disk, 1)[1] == "no actor was kept"
    return disk


def test_a_process_that_was_killed_goes_on_with_its_actor_and_with_higher_numbers(disk: MemoryDisk) -> None:
    first, _ = boot(disk, 2)
    second, why = boot(disk, 3)
    assert (first.actor, second.actor, why) == (f"{ID}.1.0", f"{ID}.1.0", "")
    assert second.number > first.number + 1_000_000_000


@pytest.mark.parametrize(
    ("machine", "lost", "why"),
    [("m2", "", "the machine has booted"), ("m1", "a torn tail", "a torn tail"), ("", "", "the machine has booted")],
)
def test_whatever_may_have_lost_something_takes_a_new_one_and_keeps_that(
    disk: MemoryDisk, machine: str, lost: str, why: str
) -> None:
    actors, told = boot(disk, 2, machine, lost)
    assert (actors.actor, told) == (f"{ID}.2.0", why)
    following, told = boot(disk, 3, machine)
    assert following.actor == (f"{ID}.2.0" if machine else f"{ID}.3.0"), "a machine that does not say is equal to none"


def test_a_new_one_in_the_middle_of_a_boot_is_not_the_next_boots(disk: MemoryDisk) -> None:
    actors, _ = boot(disk, 2)
    actors.renew()
    actors.renew()
    assert actors.actor == f"{ID}.2.2" and ACTOR not in disk.files
    following, why = boot(disk, 3)
    assert (following.actor, why) == (f"{ID}.3.0", "no actor was kept")


def test_a_full_disk_keeps_no_actor_that_has_lost_writes(disk: MemoryDisk) -> None:
    disk.refusal = OSError("no space left on device")
    actors, _ = boot(disk, 2, lost="a record was damaged")
    assert actors.actor == f"{ID}.2.0" and ACTOR not in disk.files
    disk.refusal = None
    assert boot(disk, 3)[0].actor == f"{ID}.3.0"


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"actor": "n2-77.1.0", "boot_id": "m1"}'])
def test_what_is_no_actor_of_this_node_is_not_kept(disk: MemoryDisk, data: bytes) -> None:
    disk.files[ACTOR] = bytearray(data)
    assert boot(disk, 2)[0].actor == f"{ID}.2.0"


def test_a_fallback_goes_on_while_it_holds_its_last_write(disk: MemoryDisk) -> None:
    actors, _ = boot(disk, 2)
    first = actors.for_fallback("cart", {})
    assert first != actors.actor
    actors.gave("cart", first, 7)
    assert actors.for_fallback("cart", {first: 7}) == actors.for_fallback("cart", {first: 9}) == first
    assert actors.for_fallback("cart", {first: 6}) != first, "what it holds is older"
    assert actors.for_fallback("cart", {}) != first, "its hint went home"
    assert actors.for_fallback("other", {first: 7}) != first, "it gave nothing there that it remembers"


def test_a_fallback_remembers_a_bounded_number_of_keys(disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FALLBACK_KEYS_MAX", 2)
    actors, _ = boot(disk, 2)
    for key in ("a", "b", "a", "c"):
        actors.gave(key, "actor", 1)
    assert [actors.for_fallback(key, {"actor": 1}) == "actor" for key in "abc"] == [True, False, True]
    assert FALLBACK_KEYS_MAX > 1000
