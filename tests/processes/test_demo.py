"""The demo on real processes: green as it is, red when it is spoiled, and nothing left running either way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.client.blocking import connect_blocking
from cluster.emulator import cluster as emulator
from dsectl.demo import story
from dsectl.demo.findings import Findings
from dsectl.demo.story import Teller, run_demo
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for what a spoiled run will never see, and show less of what goes well."""
    for name in ("NOTICE_S", "RETURN_S", "DELIVERY_S"):
        monkeypatch.setattr(story, name, 3.0)
    for name in ("WARM_UP_S", "OUTAGE_S"):
        monkeypatch.setattr(story, name, 0.5)
    monkeypatch.setattr(story, "AFTER_S", 0.0)


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
    assert found["writes_in_outage"] > 0 and found["hints_peak"] > 0 and found["showcase_kept"]
    assert [found["load"][family]["unanswered"] for family in ("kv", "publish", "request")] == [0, 0, 0]
    assert nothing_is_left(home)


@pytest.mark.usefixtures("short")
def test_a_node_that_is_not_brought_back_is_red(home: Path) -> None:
    found = Findings(nodes=5)
    verdict = run_demo(Teller(found), restart=lambda name, nodes: None)
    assert verdict.verdict == FAILED and found.alive_again_s is None, verdict
    assert nothing_is_left(home)


@pytest.mark.usefixtures("short")
def test_a_kill_that_touches_nothing_is_inconclusive(home: Path) -> None:
    found = Findings(nodes=5)
    verdict = run_demo(Teller(found), kill=lambda name, nodes: None)
    assert verdict.verdict == INCONCLUSIVE and found.dead_s is None, verdict
    assert nothing_is_left(home)


@pytest.mark.usefixtures("short")
def test_a_lost_write_is_red(home: Path) -> None:
    """Somebody deletes acknowledged keys behind the back of the load, while a node is being started again."""

    def restart_and_lose(name: str, nodes: list[str]) -> None:
        emulator.restart(name, nodes, story.RESTART_S)
        with connect_blocking(name) as client:
            for key in client.kv.keys("load-", limit=200).keys:
                client.kv.delete(key)

    found = Findings(nodes=5)
    verdict = run_demo(Teller(found), restart=restart_and_lose)
    assert verdict.verdict == FAILED and any("(load kv)" in reason for reason in verdict.reasons), verdict
    assert nothing_is_left(home)


def test_a_demo_that_is_cut_short_is_inconclusive_and_tells_what_it_has(home: Path) -> None:
    found = Findings(nodes=4)
    verdict = run_demo(Teller(found), limit_s=3.0)
    assert verdict.verdict == INCONCLUSIVE and found.cut_short, verdict
    assert nothing_is_left(home)
