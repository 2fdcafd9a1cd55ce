"""When the shell looks at the cluster."""

import threading
import time

import pytest

from dsectl.cli.invocation import Session
from dsectl.shell import toolbar
from dsectl.shell.toolbar import ClusterView, StatusPoller

LATEST_S = 1.0


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When there were looks, each of which finds a green cluster."""
    times: list[float] = []

    def look(session: Session) -> ClusterView:
        times.append(time.monotonic())
        return ClusterView("c", "green")

    monkeypatch.setattr(toolbar, "look", look)
    monkeypatch.setattr(toolbar, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(toolbar, "KEYS_PAUSE_S", 60.0)
    monkeypatch.setattr(toolbar, "LOOK_LATEST_S", LATEST_S)
    return times


def wait_for(looks: list[float], count: int) -> None:
    deadline = time.monotonic() + 20.0
    while len(looks) < count:
        assert time.monotonic() < deadline, looks
        threading.Event().wait(0.002)


@pytest.fixture
def watch() -> StatusPoller:
    return StatusPoller(lambda: "c", lambda before, after: None)


def test_looks_wait_for_a_pause_of_the_keys_but_not_for_ever(looks: list[float], watch: StatusPoller) -> None:
    watch.touched()
    watch.start()
    wait_for(looks, 2)
    watch.stop()
    assert looks[1] - looks[0] >= LATEST_S


def test_without_keys_looks_are_regular(looks: list[float], watch: StatusPoller) -> None:
    watch.start()
    wait_for(looks, 4)
    watch.stop()
    assert looks[1] - looks[0] < LATEST_S or looks[2] - looks[1] < LATEST_S or looks[3] - looks[2] < LATEST_S


def test_a_look_in_a_hurry_waits_for_no_key(looks: list[float], watch: StatusPoller) -> None:
    watch.touched()
    watch.start()
    wait_for(looks, 1)
    watch.hurry()
    wait_for(looks, 2)
    watch.stop()
    assert looks[1] - looks[0] < LATEST_S
