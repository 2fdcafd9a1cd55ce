"""Ending what has expired: every command does this first, so that no cluster outlives its time to live or its leash
even when none of its nodes could notice.
"""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from cluster.emulator.disk import locked, read
from cluster.emulator.home import NEW, OLD, RECORD_FILE, Home, node_folders
from cluster.emulator.leash import is_gone
from cluster.emulator.signals import end_nodes
from cluster.emulator.spec import decode_record
from cluster.errors import ClusterError, Damaged, Failed

Verdict = Literal["keep", "end", "remove"]


def verdict(expires_at: float | None, leash_gone: bool, now: float) -> Verdict:
    """What is due for a cluster at `now` (Unix time). A leash made it temporary: nothing of it stays. The time to live
    ends the nodes and keeps the data, as `down` does."""
    if leash_gone:
        return "remove"
    if expires_at is not None and expires_at <= now:
        return "end"
    return "keep"


def sweep(home: Home) -> list[str]:
    """End or remove what has expired; returns the names. A cluster that another command works on is passed over, and so
    is one that cannot be removed now: the next command tries again."""
    swept = []
    entries = home.entries()
    for name in [name for name in home.locks() if name not in entries]:
        lock = home.lock(name)
        with suppress(ClusterError, OSError), locked(lock, wait_s=0.0):
            if not home.cluster(name).exists():  # else it has been made meanwhile
                lock.unlink(missing_ok=True)
    for entry in entries:  # what an interrupted command left of a cluster that it made or removed
        if entry.startswith((NEW, OLD)):
            lock = home.lock(entry.removeprefix(NEW).removeprefix(OLD))
            with suppress(ClusterError, OSError), locked(lock, wait_s=0.0):
                shutil.rmtree(home.folder / "clusters" / entry, ignore_errors=True)
    for name in home.names():
        folder = home.cluster(name)
        if _due(folder) == "keep":
            continue
        with suppress(ClusterError, OSError), locked(home.lock(name), wait_s=0.0):
            due = _due(folder)  # again, now that nobody else changes it
            if due != "keep":
                end_nodes(node_folders(folder).values())
                if due == "remove":
                    remove_folder(home, name)
                swept.append(name)
    return swept


def _due(folder: Path) -> Verdict:
    try:
        record = decode_record(read(folder / RECORD_FILE))
    except Damaged:
        expires_at = None
    else:
        if record.name != folder.name:  # a copy that somebody made: the leash is not its own
            return "keep"
        expires_at = record.expires_at
    try:
        leash_gone = is_gone(folder)
    except OSError:  # no leash of ours
        leash_gone = False
    return verdict(expires_at, leash_gone, time.time())


def remove_folder(home: Home, name: str) -> None:
    """Delete a cluster's folder, which disappears as a whole, and then its lock. The caller holds the lock and has
    ended the nodes."""
    folder = home.cluster(name)
    old = folder.with_name(OLD + name)
    shutil.rmtree(old, ignore_errors=True)
    try:
        folder.rename(old)
        shutil.rmtree(old)
    except OSError as error:
        raise Failed(f"cannot remove {folder}: {error.strerror}") from error
    home.lock(name).unlink(missing_ok=True)
