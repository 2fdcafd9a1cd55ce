"""A signal to the demo, at whatever moment: the right exit code, and nothing left running."""

import signal
from pathlib import Path

import pytest

from tests.processes.test_demo import dsectl, nothing_is_left


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))
    return tmp_path


MOMENTS = [
    ("nodes starts", signal.SIGINT, 130),
    ("is killed", signal.SIGTERM, 143),
    ("is started again", signal.SIGINT, 130),
    ("is checked", signal.SIGINT, 130),
]


@pytest.mark.parametrize(("moment", "number", "code"), MOMENTS)
def test_a_signal_at_any_moment_leaves_nothing(home: Path, moment: str, number: signal.Signals, code: int) -> None:
    process = dsectl(home, "demo", "-n", "4")
    assert process.stdout is not None
    for line in process.stdout:
        if moment in line:
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in err, (out, err)
    assert nothing_is_left(home)
