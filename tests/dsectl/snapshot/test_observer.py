"""When a poller looks, and what an observer makes of nodes that it asks."""

import threading
import time
from pathlib import Path

import msgspec
import pytest

from cluster.layout import decode_entry, encode_entry
from dsectl.snapshot.observer import Observer, Poller
from dsectl.snapshot.snapshot import Snapshot
from tests.client.fake_node import CLUSTER
from tests.client.scripts import answering
from tests.dsectl.conftest import Serve
from tests.dsectl.snapshot.snapshots import event, snapshot, vitals

LATEST_S = 1.0


class Looks(Observer):
    """When there were looks, each of which finds the same."""

    def __init__(self) -> None:
        super().__init__(lambda: "c")
        self.times: list[float] = []

    def look(self) -> Snapshot:
        self.times.append(time.monotonic())
        return snapshot()

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 20.0
        while len(self.times) < count:
            assert time.monotonic() < deadline, self.times
            threading.Event().wait(0.002)


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def poller(looks: Looks) -> Poller[Snapshot]:
    return Poller(looks, 0.01, lambda: None, pause_s=60.0, latest_s=LATEST_S)


def test_looks_wait_for_a_pause_of_the_keys_but_not_for_ever(looks: Looks, poller: Poller[Snapshot]) -> None:
    poller.touched()
    poller.start()
    looks.wait_for(2)
    poller.stop()
    assert looks.times[1] - looks.times[0] >= LATEST_S


def test_without_keys_looks_are_regular(looks: Looks, poller: Poller[Snapshot]) -> None:
    poller.start()
    looks.wait_for(4)
    poller.stop()
    assert any(second - first < LATEST_S for first, second in zip(looks.times, looks.times[1:], strict=False))
    assert len(poller.take()) >= 4 and poller.take() == []


def test_a_look_in_a_hurry_waits_for_no_key(looks: Looks, poller: Poller[Snapshot]) -> None:
    poller.touched()
    poller.start()
    looks.wait_for(1)
    poller.hurry()
    looks.wait_for(2)
    poller.stop()
    assert looks.times[1] - looks.times[0] < LATEST_S


def test_what_ends_the_thread_is_raised_where_the_snapshots_are_taken(looks: Looks) -> None:
    ended = threading.Event()
    looks.look = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    poller = Poller(looks, 0.01, ended.set)
    poller.start()
    assert ended.wait(20.0)
    with pytest.raises(ZeroDivisionError):
        poller.take()


def test_each_event_is_asked_for_once(serve: Serve) -> None:
    said = vitals(events=[event("node.boot", "n1")])
    asked = []

    def answer(arguments: dict[str, object]) -> object:
        asked.append(arguments)
        return msgspec.to_builtins(said)

    serve(answering(vitals=answer))
    observer = Observer(lambda: CLUSTER)
    assert [observer.look().nodes["n1"].state for _ in range(2)] == ["running", "running"]
    observer.close()
    assert asked == [{"limit": 20}, {"epoch": said.epoch, "seen": 1}]


def test_of_a_node_that_does_not_run_that_is_said_and_not_what_a_client_met(serve: Serve) -> None:
    serve(answering())
    observer = Observer(lambda: CLUSTER)
    assert observer.look().nodes["n1"].problems == ["its process does not run"]
    observer.close()


def test_a_change_of_members_brings_no_event_again(serve: Serve, home: Path) -> None:
    said, asked = vitals(events=[event("node.boot", "n1")]), []

    def answer(arguments: dict[str, object]) -> object:
        asked.append(arguments)
        return msgspec.to_builtins(said)

    serve(answering(vitals=answer))
    observer = Observer(lambda: CLUSTER)
    observer.look()
    path = home / "clusters" / CLUSTER / "layout.json"
    path.write_bytes(encode_entry(msgspec.structs.replace(decode_entry(path.read_bytes()), number=2, previous=1)))
    assert observer.look().layout == 2
    observer.close()
    assert asked == [{"limit": 20}, {"epoch": said.epoch, "seen": 1}]


def test_what_is_lost_is_said_and_looked_for_again(serve: Serve, home: Path) -> None:
    cluster = ["nothing"]
    observer = Observer(lambda: cluster[0])
    lost = observer.look().lost
    assert lost is not None and lost.code == "unknown-cluster"
    serve(answering(vitals=msgspec.to_builtins(vitals())))
    cluster[0] = CLUSTER
    found = observer.look()
    observer.close()
    assert found.lost is None and (found.verdict, found.cluster) == ("green", CLUSTER)
