"""The log of a node or a worker."""

import errno
import io
import sys
from pathlib import Path

import pytest

from cluster.emulator.process import log


class Full(io.StringIO):
    """A disk without room."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        log("first")
    log("its file is closed")
    assert (tmp_path / "log").read_text().endswith("first\n")
    monkeypatch.setattr(sys, "stderr", Full())
    log("no room")
