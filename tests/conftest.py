"""Settings that every test shares: how Hypothesis looks for examples, that SIGINT interrupts, and which tests may run
beside others."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a busy machine must not fail a correct test. The printed blob replays a failure seen elsewhere. Examples
# stay random, so that each run looks at something new; the blob is what makes a find repeatable.
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=False)
settings.load_profile("ci")

# A shell starts what it puts in the background with SIGINT ignored, and children inherit that. Some tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# nohup, and some CI, ignore SIGHUP. A handler that does nothing protects pytest as well, and does not outlive `exec`:
# the processes that tests hang up begin as at a terminal.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda signum, frame: None)

HERE = Path(__file__).parent
TIMED = (HERE / "processes", HERE / "dsectl" / "load", HERE / "env", HERE / "client", HERE / "emulator")
"""Folders whose tests use real processes, sockets and ports, or wait for real seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test `timed` or `untimed`, so that `-m` can pick either; benches are neither."""
    for item in items:
        if item.get_closest_marker("bench") is None:
            timed = any(folder in item.path.parents for folder in TIMED)
            item.add_marker(pytest.mark.timed if timed else pytest.mark.untimed)
