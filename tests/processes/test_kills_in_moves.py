"""SIGKILL of real nodes in each phase of a move, of who gives, who takes and who proposes: the move goes on, nothing
that was acknowledged is lost, and the owners have the same."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import cluster
from cluster.client.blocking import BlockingCluster
from cluster.emulator import cluster as emulator
from cluster.emulator import growth, linkfaults
from cluster.emulator.home import find_home, load_cluster
from cluster.errors import ClusterError
from tests.processes.fleet import Ledger, Real, real, until

WAIT_S = 60.0
PHASES = ("proposed", "decided", "moving", "complete", "ended")
ALL = ("n1", "n2", "n3", "n4", "n5", "n6")
GIVER, TAKER, PROPOSER = ("n3",), ("n6",), ("n1",)
"""Of `add n6`: who is alive and first in order proposes the end."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def phase(answers: Iterable[Any]) -> str:
    """How far the change is, as those say that answer."""
    first: dict[str, Any] = {"slot": 1}
    states = [answer for answer in answers if not isinstance(answer, ClusterError)]
    last = max([first, *states], key=lambda state: int(state["slot"]))
    if last["slot"] != 2:
        return "proposed" if last["slot"] < 2 else "ended"
    joining, lacking = (sum(last[what].values()) for what in ("joining", "lacking"))
    return "decided" if lacking == joining else "moving" if lacking else "complete"


class Change(threading.Thread):
    """A change of members by a command of its own."""

    def __init__(self, fleet: Real, leaver: str = "") -> None:
        super().__init__()
        self.fleet = fleet
        self.leaver = leaver
        self.moved: growth.Moved | None = None

    def run(self) -> None:
        home, files = find_home(), load_cluster(self.fleet.name)
        with cluster.connect_blocking(self.fleet.name) as client:
            if self.leaver:
                self.moved = growth.leave(client, home, files, [self.leaver], WAIT_S, lambda state: None)
            else:
                self.moved = growth.add(client, home, files, 1, None, WAIT_S, lambda state: None)


@pytest.mark.parametrize(
    ("leaver", "when", "victims"),
    [
        ("", "decided", GIVER),
        ("", "decided", PROPOSER),
        ("", "moving", GIVER),
        ("", "moving", TAKER),
        ("", "moving", PROPOSER),
        ("", "moving", ALL),
        ("", "complete", TAKER),
        ("", "ended", GIVER),
        ("", "ended", ("n1", "n2", "n3")),
        ("n5", "moving", ("n5",)),
        ("n5", "moving", ("n2", "n3")),
        ("n5", "complete", ("n5", "n1")),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value or "n6",
)
def test_who_is_killed_in_a_move_goes_on_with_it(leaver: str, when: str, victims: tuple[str, ...]) -> None:
    ledger = Ledger()
    with real(5) as fleet:
        while len(ledger.acknowledged) < 200:
            ledger.write(fleet.client)
        linkfaults.slow(fleet.name, "all", "all", delay_ms=10.0)  # so that each phase lasts
        change = Change(fleet, leaver)
        change.start()
        asked = list(ALL[:5])
        until(lambda: PHASES.index(phase(fleet.client.ask_all(asked, "layout").values())) >= PHASES.index(when), WAIT_S)
        emulator.kill(fleet.name, [name for name in victims if alive(fleet, name)])
        for _ in range(20):
            ledger.write(fleet.client)
        linkfaults.heal(fleet.name)
        emulator.start_nodes(fleet.name, [name for name in victims if name in members(fleet)])
        change.join(WAIT_S)
        assert change.moved is not None and change.moved.done, change.moved
        assert members(fleet) == [name for name in (*ALL[:5], "" if leaver else "n6") if name and name != leaver]
        with cluster.connect_blocking(fleet.name) as client:
            assert ledger.lost(client) == []
            until(lambda: not unequal(client, ledger.acknowledged))


def unequal(client: BlockingCluster, keys: list[str]) -> list[str]:
    """The keys of which two owners hold something else."""
    found = []
    for key in keys:
        owners = client.ask(None, "explain", {"key": key})["owners"]
        held = [answer["held"] for answer in client.ask_all(owners, "explain", {"key": key}).values()]
        if any(one is None or one["digest"] != held[0]["digest"] for one in held):
            found.append(key)
    return found


def alive(fleet: Real, name: str) -> bool:
    """Whether there is such a process: one that has left ends by itself."""
    return name in members(fleet) and emulator.processes(load_cluster(fleet.name))[name].alive


def members(fleet: Real) -> list[str]:
    return load_cluster(fleet.name).nodes
