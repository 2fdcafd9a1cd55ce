"""Each contract test runs on both worlds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.env.stages import RealStage, SimulatedStage, Stage


@pytest.fixture(params=["real", "simulated"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    made: Stage = RealStage(tmp_path) if request.param == "real" else SimulatedStage()
    yield made
    made.close()


@pytest.fixture
def real_stage(tmp_path: Path) -> Iterator[RealStage]:
    made = RealStage(tmp_path)
    yield made
    made.close()
