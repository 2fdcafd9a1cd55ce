"""`faults.json` of a cluster: read by its nodes, changed by commands, one generation after the other.

A change is made under the lock and appears by rename, so that no reader meets half a document and no two commands write
the same generation. Whoever changes it pokes the nodes afterwards; a node that misses the poke rereads the file itself.
"""

from collections.abc import Callable
from pathlib import Path

from cluster.emulator.disk import disk_errors, locked, read, replace
from cluster.emulator.home import FAULTS_FILE
from cluster.errors import Damaged
from cluster.faults import Fault, FaultDocument, add_fault, decode_faults, encode_faults, heal, reset

# Commands reach the faults through here, because dsectl does not import the blocks below.
__all__ = ["Fault", "FaultDocument", "add_fault", "change_faults", "clear_faults", "heal", "read_faults"]

LOCK_WAIT_S = 5.0


def read_faults(folder: Path) -> FaultDocument:
    """The faults of the cluster in `folder`; Damaged when the file cannot be read."""
    path = folder / FAULTS_FILE
    if not path.exists():
        return FaultDocument()
    try:
        return decode_faults(read(path))
    except Damaged as error:
        raise Damaged(f"{path}: {error.message}", help="The next `dsectl up` begins a new one.") from error


def change_faults(folder: Path, change: Callable[[FaultDocument], FaultDocument]) -> FaultDocument:
    """Write what `change` makes of the document, unless that is the same one; returns what holds now."""
    with locked(folder / f"{FAULTS_FILE}.lock", LOCK_WAIT_S):
        before = read_faults(folder)
        after = change(before)
        if after is not before:
            assert after.generation > before.generation
            with disk_errors("write the faults"):
                replace(folder / FAULTS_FILE, encode_faults(after))
        return after


def clear_faults(folder: Path) -> None:
    """Begin anew, as `up` does; a file that cannot be read is replaced."""
    try:
        if read_faults(folder).faults:
            change_faults(folder, reset)
    except Damaged:
        with disk_errors("write the faults"):
            replace(folder / FAULTS_FILE, encode_faults(FaultDocument()))
