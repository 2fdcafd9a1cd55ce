"""Each contract test runs on both worlds, and in the real one on both ways of streams."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.env import real_local
from tests.env.stages import RealStage, SimulatedStage, Stage


@pytest.fixture(params=["local", "tcp", "simulated"])
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made: Stage = SimulatedStage() if request.param == "simulated" else RealStage(tmp_path)
    if request.param == "tcp":
        monkeypatch.setattr(real_local, "LOOPBACK", ())
    elif request.param == "local":
        if sys.platform != "linux":
            pytest.skip("there is no short way here")
        made.aborted = "lost closed"  # a Unix socket knows no reset
    yield made
    made.close()


@pytest.fixture
def real_stage(tmp_path: Path) -> Iterator[RealStage]:
    made = RealStage(tmp_path)
    yield made
    made.close()
