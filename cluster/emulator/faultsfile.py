"""`faults.json` of a cluster: read by its nodes, changed by commands, one generation after the other.

A change is made under the lock and appears by rename, so that no reader meets half a document and no two commands write
the same generation. Whoever changes it has the nodes reload it; one that misses that rereads the file itself.
"""

import time
from collections.abc import Callable
from pathlib import Path

from cluster.emulator.disk import disk_errors, locked, read, replace
from cluster.emulator.home import FAULTS_FILE
from cluster.errors import Damaged
from cluster.faults import KINDS, Fault, FaultDocument, Figure, add_fault, decode_faults, encode_faults, heal, reset

# Commands reach the faults through here, because dsectl does not import the blocks below.
__all__ = [
    "KINDS",
    "Fault",
    "FaultDocument",
    "Figure",
    "add_fault",
    "change_faults",
    "clear_faults",
    "heal",
    "read_faults",
]

LOCK_WAIT_S = 5.0


def read_faults(folder: Path) -> FaultDocument:
    """The faults of the cluster in `folder`; Damaged when the file cannot be read."""
    path = folder / FAULTS_FILE
    if not path.exists():
        return FaultDocument()
    try:
        return decode_faults(read(path))
    except Damaged as error:
        raise Damaged(
            f"{path}: {error.message}", help="`dsectl heal` ends all link faults and begins a new file."
        ) from error


def change_faults(folder: Path, change: Callable[[FaultDocument], FaultDocument]) -> FaultDocument:
    """Write what `change` makes of the document, unless that is the same one; returns what holds now.

    A file that cannot be read is set aside and begun anew, under a generation above any that a node has seen: nodes let
    go of what it said, and no command is kept from its work.
    """
    with locked(folder / f"{FAULTS_FILE}.lock", LOCK_WAIT_S):
        path = folder / FAULTS_FILE
        begun_anew = False
        try:
            before = read_faults(folder)
        except Damaged:
            begun_anew = True
            before = FaultDocument(generation=time.time_ns() // 1_000_000)
        after = change(before)
        if after is before and begun_anew:
            after = FaultDocument(before.generation + 1)
        if after is not before:
            assert after.generation > before.generation
            with disk_errors("write the faults"):
                if begun_anew:
                    path.replace(path.with_name(FAULTS_FILE + ".damaged"))
                replace(path, encode_faults(after))
        return after


def clear_faults(folder: Path) -> None:
    """Begin anew, as `up` does; a file that cannot be read is replaced."""
    try:
        if read_faults(folder).faults:
            change_faults(folder, reset)
    except Damaged:
        with disk_errors("write the faults"):
            replace(folder / FAULTS_FILE, encode_faults(FaultDocument()))
