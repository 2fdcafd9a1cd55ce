"""What directed scenarios share: operations that must succeed, and nodes that go and are missed by the others."""

from typing import Any

from cluster.simulation.disk import SimulatedDisk
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Got, PutDone


def acknowledged(fleet: Fleet, via: str, key: str, value: bytes, **options: Any) -> PutDone:
    """Write, and assert that it was acknowledged."""
    answer = fleet.wait(fleet.put(via, key, value, **options)).answer
    assert isinstance(answer, PutDone) and answer.outcome in ("ok", "ok-sloppy"), answer
    return answer


def got(fleet: Fleet, via: str, key: str, **options: Any) -> Got:
    """Read, and assert that there is an answer."""
    result = fleet.wait(fleet.get(via, key, **options))
    assert isinstance(result.answer, Got), result.error
    return result.answer


def read(fleet: Fleet, via: str, key: str, **options: Any) -> list[bytes]:
    """The values that a read returns, sorted."""
    return sorted(got(fleet, via, key, **options).siblings)


def crash_and_wait(fleet: Fleet, *names: str) -> None:
    """Kill these nodes, and wait until all others have declared them dead."""
    for name in names:
        fleet.crash(name)
    fleet.until(lambda: all(fleet.believes(other, name) == "dead" for other in fleet.up for name in names), 60.0)


def files_of(disk: SimulatedDisk) -> dict[str, bytes]:
    """All files of a node, by path."""
    paths: list[str] = []
    for name in disk.names(""):
        inside = disk.names(name)
        paths += [f"{name}/{inner}" for inner in inside] if inside else [name]
    return {path: disk.read(path) for path in paths}


def empty(disk: SimulatedDisk) -> None:
    """Leave only the layout and the chain, as `restart` gives them to a node without data."""
    for path in files_of(disk):
        if path != "layout.json" and not path.startswith("chain/"):
            disk.remove(path)


def wipe(fleet: Fleet, *names: str) -> None:
    """Kill these nodes if they run, and empty their disks."""
    for name in names:
        if fleet.world.is_up(name):
            fleet.crash(name)
        empty(fleet.world.disk(name))


def boot(fleet: Fleet, *names: str) -> None:
    """Start these nodes, and wait until they run."""
    fleet.start(*names)
    fleet.until(lambda: all(name in fleet.nodes for name in names))


def settle(fleet: Fleet, timeout: float = 60.0) -> None:
    """Wait until nobody waits for anything."""
    fleet.until(fleet.settled, timeout)


def settled_siblings(fleet: Fleet, key: str) -> list[bytes]:
    """What a strict read finds after all has settled."""
    settle(fleet)
    return read(fleet, "n1", key, strict=True)
