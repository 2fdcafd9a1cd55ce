"""How long a one-shot command takes, in units of starting Python: `pytest -m bench`."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.scripts import healthy
from tests.dsectl.conftest import Serve

RATIO_MAX = 12.0
RUNS, WARM_UPS = 15, 2


def run_s(words: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, env=environment, check=True)
    return time.perf_counter() - began


@pytest.mark.bench
def test_get_is_within_its_budget(serve: Serve, environment: Callable[[], dict[str, str]], tmp_path: Path) -> None:
    serve(healthy())
    settings = {**environment(), "PYTHONPYCACHEPREFIX": str(tmp_path / "cache")}  # byte code is kept, as when installed
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
        settings.pop(name, None)
    commands = {"pass": [sys.executable, "-c", "pass"], "get": [sys.executable, "-m", "dsectl", "get", "k"]}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(WARM_UPS + RUNS):
        for name, words in commands.items():
            times[name].append(run_s(words, settings))
    medians = {name: statistics.median(found[WARM_UPS:]) for name, found in times.items()}
    ratio = medians["get"] / medians["pass"]
    print(f"dsectl get: {medians['get'] * 1000:.0f} ms, {ratio:.1f} x python -c pass")  # noqa: T201
    assert ratio <= RATIO_MAX
