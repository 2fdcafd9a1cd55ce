"""`top` on a real screen with a real cluster under load."""

import subprocess
import sys

import pytest

from cluster.emulator.home import Home
from tests.processes.commands import dsectl
from tests.processes.projector import Projector


@pytest.mark.usefixtures("home")
def test_traffic_a_crash_and_a_drain_are_seen(home: Home) -> None:
    dsectl("up", "-n", "3", "-q")
    words = ("load", "request", "echo.echo", "flaky.work", "--rate", "200", "--for", "120s", "-q")
    load = subprocess.Popen([sys.executable, "-m", "dsectl", *words], stdout=subprocess.DEVNULL)
    screen = Projector("top", columns=130, rows=24)
    try:
        screen.shows("3 of 3 nodes answer", "echo.echo", "flaky.work", "flaky@n2", "b by entry node")
        dsectl("drain", "n2")
        screen.shows("draining: it takes no new requests")
        dsectl("kill", "n3")
        screen.shows("2 of 3 nodes answer", "unreachable: dead")
        screen.type("b")
        screen.shows("ENTRY NODE", "n3", "b by endpoint")
        screen.type("q")
        assert screen.leave() == 0 and screen.is_as_before
    finally:
        screen.close()
        load.terminate()
        load.wait(30)
