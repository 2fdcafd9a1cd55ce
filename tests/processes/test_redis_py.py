"""redis-py's own tests of the commands that the gateway has, against a real cluster.

They are not part of this repository: `pip download --no-deps --no-binary :all: redis==8.1.0` gets them, and
REDIS_PY_SOURCE names the folder of the unpacked archive. Without it the test is skipped.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.fleet import real

SOURCE = os.environ.get("REDIS_PY_SOURCE", "")
VERSION = "8.1.0"
HOLD = Path(__file__).parents[1] / "gateways" / "redis" / "redis_py.txt"


@pytest.mark.skipif(not SOURCE, reason="REDIS_PY_SOURCE does not name the source of redis-py")
@pytest.mark.parametrize("protocol", ["2", "3"])
def test_those_that_hold(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    assert f"version: {VERSION}" in (Path(SOURCE) / "PKG-INFO").read_text(encoding="utf-8").lower()
    ids = [line for line in HOLD.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    with real(3, gateway="redis") as running:
        url = f"redis://:{running.files.gateway_password}@{running.files.gateways['redis']['n1']}/0"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "--tb=short"]
        options = ["--redis-url", url, "--protocol", protocol]
        done = subprocess.run([*command, *options, *ids], cwd=SOURCE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
