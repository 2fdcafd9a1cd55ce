"""Seeds from the command line, and the line that repeats a failure."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.simulation.seeds import parse_seeds, run_seeds

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("1..4", [1, 2, 3, 4]), ("9,1..3,2", [9, 1, 2, 3]), ("0..0", [0])],
)
def test_seeds_as_text(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "5..1", "1.."])
def test_text_that_is_no_seeds(text: str) -> None:
    with pytest.raises(ValueError):
        parse_seeds(text)


def test_run_seeds_tells_how_to_replay() -> None:
    ran: list[int] = []

    def scenario(seed: int) -> None:
        ran.append(seed)
        if seed == 3:
            raise ValueError("lost a write")

    assert run_seeds(scenario, [1, 2]) == 2
    with pytest.raises(ValueError, match="lost a write") as caught:
        run_seeds(scenario, range(1, 10), "tests/simulation/test_x.py")
    assert caught.value.__notes__ == ["replay with: python -m pytest tests/simulation/test_x.py --seed 3"]
    assert ran == [1, 2, 1, 2, 3]


def test_the_options_of_pytest(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests/simulation/conftest.py").read_text())
    (tmp_path / "test_it.py").write_text("def test_seed(seed, world):\n    assert seed == world.seed != 12\n")

    def pytest_run(*options: str) -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"]
        environment = {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60).stdout

    assert "5 passed" in pytest_run()
    assert "1 passed" in pytest_run("--seed", "7")
    failed = pytest_run("--seeds", "10..13")
    assert "1 failed, 3 passed" in failed
    assert "python -m pytest test_it.py::test_seed --seed 12" in failed
    assert "no tests ran" in pytest_run("--seeds", "1..9", "--seeds-s", "0")
    (tmp_path / "test_it.py").write_text(
        "import time\n\nSEEN = []\n"
        "def test_one(seed):\n    SEEN.append(seed)\n    time.sleep(0.1)\n"
        "def test_two(seed):\n    assert SEEN[-1] == seed and (time.sleep(0.1) or seed != 5)\n"
        "def test_no_seed():\n    assert False\n"
    )
    started = time.monotonic()
    found = pytest_run("--seeds", "5..900", "--seeds-s", "2")
    assert time.monotonic() - started < 60
    assert "1 failed" in found and "python -m pytest test_it.py::test_two --seed 5" in found
