"""Both cores saturated: no suspicion of a live node turns into its death."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes.fleet import real, until

SECONDS = float(os.environ.get("DSECTL_SATURATED_S", "8"))
HOGS_PER_CORE = 2


def test_no_live_node_is_declared_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))
    with real(5) as fleet:
        spin = f"import time; end = time.monotonic() + {SECONDS}\nwhile time.monotonic() < end: pass"
        hogs = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(HOGS_PER_CORE * (os.cpu_count() or 1))]
        try:
            end = time.monotonic() + SECONDS
            looks = 0
            while time.monotonic() < end:
                for node in fleet.files.nodes:
                    states = {name: row["state"] for name, row in fleet.ask(node, "members").items()}
                    assert "dead" not in states.values(), (node, states)
                    looks += 1
            assert looks > 20
            assert [fleet.events(node, "member.dead") for node in fleet.files.nodes] == [[]] * 5
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        until(fleet.settled, 30.0)
