"""The demo on real processes: green as it is, red when it is spoiled, and nothing left running either way."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.emulator import cluster as emulator
from dsectl.demo import story
from dsectl.demo.findings import Findings
from dsectl.demo.run import run_demo
from dsectl.demo.story import Actions
from dsectl.ui.verdict import FAILED, INCONCLUSIVE, PASSED

ROOT = Path(__file__).resolve().parents[2]


class Silent:
    """A teller that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, title: str) -> None:
        self.lines.append(title)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def states(self, matrix: dict[str, dict[str, str]], hints: int | None) -> None: ...


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for what a spoiled run will never see."""
    for name in ("NOTICE_S", "RETURN_S", "DELIVERY_S"):
        monkeypatch.setattr(story, name, 3.0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))
    return tmp_path


def dsectl(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dsectl", *words],
        cwd=ROOT,
        env={**os.environ, "DSECTL_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def nothing_is_left(home: Path) -> bool:
    return emulator.clusters() == [] and not any((home / "clusters").glob("demo-*"))


def test_the_demo_passes_and_leaves_nothing(home: Path) -> None:
    process = dsectl(home, "demo", "--json")
    out, err = process.communicate(timeout=60)
    found = json.loads(out.splitlines()[-1])
    assert process.returncode == 0, (out, err)
    assert found["verdict"] == PASSED and found["took_s"] < 40
    assert found["writes_in_outage"] > 0 and found["hints_peak"] > 0 and found["keys_lost"] == []
    assert nothing_is_left(home)


@pytest.mark.usefixtures("short")
def test_a_node_that_is_not_brought_back_is_red(home: Path) -> None:
    found = Findings(nodes=5)
    verdict = run_demo(Silent(), found, actions=Actions(restart=lambda name, nodes: None))
    assert verdict.verdict == FAILED and found.alive_again_s is None, verdict
    assert nothing_is_left(home)


@pytest.mark.usefixtures("short")
def test_a_kill_that_touches_nothing_is_inconclusive(home: Path) -> None:
    found = Findings(nodes=5)
    verdict = run_demo(Silent(), found, actions=Actions(kill=lambda name, nodes: None))
    assert verdict.verdict == INCONCLUSIVE and found.dead_s is None, verdict
    assert nothing_is_left(home)


def test_control_c_in_the_middle_leaves_nothing(home: Path) -> None:
    process = dsectl(home, "demo")
    assert process.stdout is not None
    for line in process.stdout:
        if "flow" in line:
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert nothing_is_left(home)
