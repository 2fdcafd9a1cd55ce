"""The faults of a node's disk and clock.

A slow or full disk and a wrong clock are rules in the cluster's document, which the node itself applies. A flipped byte
and a wiped disk are done here, to the node's files, and recorded with what was done; both destroy data for good, as the
user wished.
"""

import os
import shutil
from random import SystemRandom
from typing import Final

from cluster.emulator import cluster
from cluster.emulator.disk import disk_errors, locked
from cluster.emulator.home import load_cluster
from cluster.emulator.nodefiles import cure, held_entries
from cluster.emulator.signals import kill_nodes
from cluster.emulator.spec import timestamp
from cluster.errors import Failed
from cluster.faults import Fault, add_fault
from cluster.faults.disk import RECEIPTS
from cluster.storage.disk_tables import FOLDER as TABLE_FOLDER
from cluster.storage.record import FOLDER as LOG_FOLDER
from cluster.storage.record import HEADER_BYTES

__all__ = ["fill_disk", "flip_byte", "skew_clock", "slow_disk", "wipe"]

RANDOM: Final = SystemRandom()


def slow_disk(name: str, node: str, delay_ms: float, *, world: cluster.LocalMachine | None = None) -> Fault:
    """Let each append to the node's log, and each sync of it, take so much longer, until `heal`. Raises Usage or
    NotFound, as all here do."""
    return _add(name, node, world, Fault(kind="disk-slow", at=timestamp(), nodes=[node], delay_ms=delay_ms))


def fill_disk(name: str, node: str, *, world: cluster.LocalMachine | None = None) -> Fault:
    """Refuse what the node writes, until `heal`."""
    return _add(name, node, world, Fault(kind="disk-full", at=timestamp(), nodes=[node]))


def skew_clock(name: str, node: str, skew_ms: float, *, world: cluster.LocalMachine | None = None) -> Fault:
    """Let the node's wall clock be ahead by so much (behind, if it is negative), until `heal`."""
    return _add(name, node, world, Fault(kind="clock", at=timestamp(), nodes=[node], skew_ms=skew_ms))


def flip_byte(name: str, node: str, *, world: cluster.LocalMachine | None = None) -> Fault:
    """Change one byte of the records in the node's log, or of the rows in the files of its tables. The node appends to
    the one, and writes each of the others once. Raises Failed when there is neither."""
    where = world or cluster.LocalMachine()
    folder = load_cluster(name, where.home).node(node)
    places = [
        (path, HEADER_BYTES, path.stat().st_size - HEADER_BYTES) for path in sorted((folder / LOG_FOLDER).glob("*.log"))
    ]
    # Behind the rows a file of the tables has what finds them again, without which none of them could be read.
    places += [(path, 0, path.stat().st_size * 9 // 10) for path in sorted((folder / TABLE_FOLDER).glob("*.sst"))]
    sizes = [max(0, size) for _, _, size in places]
    if not any(sizes):
        raise Failed(f"the log of node {node} holds no record", help="Write something first: `dsectl put cart book`.")
    # Each byte as likely as any other.
    [(file, start, size)] = RANDOM.choices(places, sizes)
    offset = start + RANDOM.randrange(size)
    with disk_errors(f"write {file}"):
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        try:
            byte = os.pread(descriptor, 1, offset)[0]
            os.pwrite(descriptor, bytes([byte ^ RANDOM.randrange(1, 256)]), offset)
        finally:
            os.close(descriptor)
    at, path = timestamp(), str(file.relative_to(folder))
    done = Fault(kind="disk-flip-byte", at=at, active=False, ended=at, nodes=[node], file=path, offset=offset)
    return _add(name, node, where, done)


def wipe(name: str, node: str, *, world: cluster.LocalMachine | None = None) -> Fault:
    """Kill the node if it runs, and delete all that it holds but the text of its own log and the counts of faults. The
    caller starts it again. Raises Failed for the only node of a cluster."""
    where = world or cluster.LocalMachine()
    files = load_cluster(name, where.home)
    folder = files.node(node)
    if len(files.nodes) == 1:
        raise Failed(f"node {node} is alone: no peer could complete it", help=cure(name, node, 1))
    at = timestamp()
    with locked(where.home.lock(name), cluster.LOCK_WAIT_S):
        kill_nodes([folder])
        held = [entry for entry in held_entries(folder) if entry.name != RECEIPTS]
        deleted = sum(sum(len(found) for _, _, found in os.walk(entry)) if entry.is_dir() else 1 for entry in held)
        # Recorded first: whoever looks at a node without data must find why.
        done = Fault(kind="disk-wipe", at=at, active=False, ended=timestamp(), nodes=[node], files=deleted)
        fault = _add(name, node, where, done)
        with disk_errors(f"delete {folder}"):
            for entry in held:
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
    return fault


def _add(name: str, node: str, world: cluster.LocalMachine | None, fault: Fault) -> Fault:
    where = world or cluster.LocalMachine()
    load_cluster(name, where.home).node(node)
    return cluster.change(name, lambda document: add_fault(document, fault), world=where).faults[-1]
