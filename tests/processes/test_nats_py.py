"""nats-py's own tests of what the gateway offers, against a real cluster.

They are not part of this repository: NATS_PY_SOURCE names the folder `nats` of https://github.com/nats-io/nats.py at
the tag v2.15.0. Without it the test is skipped. They start a program called nats-server, as which a script of three
lines stands in (tests/gateways/nats/nats_server.py says what it does).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.fleet import real

SOURCE = os.environ.get("NATS_PY_SOURCE", "")
VERSION = "2.15.0"
HERE = Path(__file__).parents[1] / "gateways" / "nats"
SCRIPT = f"""#!/bin/sh
# nats-server, for the tests of nats-py
exec '{sys.executable}' '{HERE / "nats_server.py"}' "$@"
"""


@pytest.mark.skipif(not SOURCE, reason="NATS_PY_SOURCE does not name the source of nats-py")
def test_those_that_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    assert f'version = "{VERSION}"' in (Path(SOURCE) / "pyproject.toml").read_text(encoding="utf-8")
    ids = [line for line in (HERE / "nats_py.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    script = tmp_path / "bin" / "nats-server"
    script.parent.mkdir()
    script.write_text(SCRIPT, encoding="utf-8")
    script.chmod(0o755)
    with real(3, gateway="nats") as running:
        gateways = running.files.gateways["nats"]
        environment = {
            **os.environ,
            "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": "src",
            "NATS_GATEWAYS": ",".join(gateways[node] for node in ("n1", "n2", "n3")),
            "NATS_PASSWORD": running.files.gateway_password,
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "--tb=short"]
        done = subprocess.run(
            [*command, *ids], cwd=SOURCE, env=environment, capture_output=True, text=True, timeout=600
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
