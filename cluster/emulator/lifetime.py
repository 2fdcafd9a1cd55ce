"""Why a node ends by itself: its leash was let go, its time to live passed, or its cluster was deleted under it.

A paused sibling notices none of that, and neither does a worker whose handler keeps its interpreter: whoever notices
ends them too, lock-verified.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cluster.emulator.home import NODE_LOCK_FILE, NODES_FOLDER, node_folders, worker_folders
from cluster.emulator.inspect import inspect_node
from cluster.emulator.leash import NO_LEASH, has_ended, is_leashed, open_leash
from cluster.emulator.nodelock import NodeLock, is_held
from cluster.emulator.signals import kill_nodes

CHECK_S: Final = 2.0
"""Between two looks at the wall clock (it may jump) and at the lock file (the folder may be deleted)."""
SIBLINGS_S: Final = 1.0
"""How long siblings have to notice by themselves."""
POLL_S: Final = 0.01


class Lifetime:
    """Watches on a loop, and calls `ended` with the reason, once."""

    def __init__(self, cluster: Path, expires_at: float | None, lock: NodeLock, ended: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._expires_at = expires_at
        self._lock = lock
        self._ended = ended
        self._leash = NO_LEASH
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch from now on. A leash that nobody holds already ends the node at once."""
        self._loop = loop
        self._leash = open_leash(self._cluster)
        if self._leash != NO_LEASH:
            loop.add_reader(self._leash, self._on_leash)
            loop.call_soon(self._on_leash)  # an end of file that was there before the reader raises no event
        self._check()

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._leash != NO_LEASH and self._loop is not None:
            self._loop.remove_reader(self._leash)

    def _on_leash(self) -> None:
        if not has_ended(self._leash):
            return
        self.stop()
        if is_leashed(self._cluster):
            self._ended("the leash was let go")
        else:  # taken off: lives on without
            self._leash = NO_LEASH
            self._check()

    def _check(self) -> None:
        assert self._loop is not None
        if not self._lock.in_place():
            self._end("the cluster was deleted")
            return
        remaining = CHECK_S
        if self._expires_at is not None:
            remaining = min(remaining, self._expires_at - time.time())
            if remaining <= 0:
                self._end("the time to live has passed")
                return
        self._timer = self._loop.call_later(remaining + 0.001, self._check)

    def _end(self, why: str) -> None:
        self.stop()
        self._ended(why)


def end_siblings(cluster: Path, me: str) -> None:
    """End the siblings: paused ones at once, others when they have not noticed by themselves after a moment. The caller
    has let its own lock go, so that those who wait for each other all see each other gone."""
    siblings = [folder for name, folder in node_folders(cluster).items() if name != me]
    kill_nodes(worker_folders(cluster / NODES_FOLDER / me))  # also those that hang, and notice nothing
    kill_nodes(folder for folder in siblings if inspect_node(folder).state == "paused")
    deadline = time.monotonic() + SIBLINGS_S
    while any(is_held(folder / NODE_LOCK_FILE) for folder in siblings):
        if time.monotonic() >= deadline:
            kill_nodes(siblings)
            return
        time.sleep(POLL_S)
