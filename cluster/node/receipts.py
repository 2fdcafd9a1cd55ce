"""The receipts of faults, kept over restarts: a small file, written at most once a second and only when they changed.

Receipts are evidence, not data: the last second of them may be lost to a SIGKILL.
"""

import msgspec

from cluster.env import Env
from cluster.faults import FaultBook
from cluster.faults.disk import RECEIPTS

INTERVAL_S = 1.0


class Receipts:
    """Loads them at boot and saves them while faults count."""

    def __init__(self, env: Env, book: FaultBook) -> None:
        self._env = env
        self._book = book
        self._saved: dict[str, dict[str, int]] = {}

    def start(self) -> None:
        """Restore what an earlier boot counted."""
        try:
            self._saved = msgspec.json.decode(self._env.disk.read(RECEIPTS), type=dict[str, dict[str, int]])
        except (OSError, msgspec.DecodeError):
            self._saved = {}
        self._book.restore(self._saved)
        self._env.clock.call_later(INTERVAL_S, self._save)

    def _save(self) -> None:
        receipts = self._book.receipts()
        if receipts != self._saved:
            try:
                self._env.disk.write(RECEIPTS, msgspec.json.encode(receipts))
                self._saved = receipts
            except OSError:
                pass  # a full disk is told of by the log; receipts try again
        self._env.clock.call_later(INTERVAL_S, self._save)
