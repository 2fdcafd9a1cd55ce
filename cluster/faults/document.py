"""The content of `faults.json`: every fault since `up`, oldest first, under a generation number.

The document is the truth about faults: commands write a new generation and then have the nodes reload it, and a node
that missed that reads the same file at boot and after a stall. All functions here return a new document. Invariants:
the generation grows with each change, an id is never given twice, and at most `ENDED_MAX` ended faults are kept.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from cluster.errors import Damaged, NotFound, Usage
from cluster.faults.fault import Fault
from cluster.faults.kind import EVERYONE

ENDED_MAX: Final = 1000  # a chaos run of an hour makes a few hundred; the file is reread at each reload


class FaultDocument(msgspec.Struct, frozen=True):
    """One generation. `last` is the number of the newest id, kept when its fault no longer is."""

    generation: int = 0
    faults: list[Fault] = []
    last: int = 0


_decoder = msgspec.json.Decoder(FaultDocument)


def encode_faults(document: FaultDocument) -> bytes:
    """The document as JSON, a line a fault, so that a person can read the file."""
    head = msgspec.json.encode({"generation": document.generation, "last": document.last})[:-1]
    lines = b",\n".join(msgspec.json.encode(fault) for fault in document.faults)
    return head + b',"faults":[\n' + lines + b"\n]}\n"


def decode_faults(blob: bytes) -> FaultDocument:
    """The document that `blob` holds; Damaged for anything else."""
    try:
        document = _decoder.decode(blob)
        for fault in document.faults:
            fault.validate()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Usage) as error:
        raise Damaged(f"the file of faults cannot be read: {error}") from error
    if document.generation < 0 or document.last < 0:
        raise Damaged("the file of faults has a negative generation")
    return document


def add_fault(document: FaultDocument, fault: Fault) -> FaultDocument:
    """The document with `fault` last, under the next id. Raises Usage for a fault that cannot be."""
    fault.validate()
    number = document.last + 1
    return _next(document, [*document.faults, msgspec.structs.replace(fault, id=f"f{number}")], number)


def heal(document: FaultDocument, ids: Collection[str] | None, at: str) -> FaultDocument:
    """End the faults with these ids (None: all that heal can end, those of links, disks and clocks) at the time `at`.

    The same document when nothing was active. Raises NotFound for an unknown id, and Usage for that of a fault of
    processes: nothing is restarted here.
    """
    known = {fault.id: fault for fault in document.faults}
    for wanted in ids or ():
        if wanted not in known:
            raise NotFound(f"unknown fault {wanted!r}", help="`dsectl faults` lists the faults with their ids.")
        fault = known[wanted]
        if fault.active and fault.of.scope == "process":
            help = f"`dsectl {fault.of.cure} {' '.join(fault.nodes)}`"
            raise Usage(f"{wanted} is a {fault.kind}, which heal does not end", help=help)
    ending = [
        fault.id
        for fault in document.faults
        if fault.active and fault.of.scope != "process" and (ids is None or fault.id in ids)
    ]
    return _end(document, ending, at)


def mark_returned(document: FaultDocument, nodes: Collection[str], at: str) -> FaultDocument:
    """Note that the processes of `nodes` run again, which ends the kills and pauses whose nodes are all back."""
    faults = []
    for fault in document.faults:
        back = [name for name in fault.nodes if name in nodes or name in fault.returned]
        if fault.active and fault.of.scope == "process" and back != fault.returned:
            fault = msgspec.structs.replace(fault, returned=back)
        faults.append(fault)
    if faults == document.faults:
        return document
    ending = [fault.id for fault in faults if fault.active and fault.nodes and fault.returned == fault.nodes]
    changed = _next(document, faults, document.last)
    return _next(document, _end(changed, ending, at).faults, document.last)


def mark_left(document: FaultDocument, members: Collection[str], at: str) -> FaultDocument:
    """Note that there are no other members, and no other workers beside them, than these. That ends the faults which
    none of them meets any more."""

    def is_met(fault: Fault) -> bool:
        if fault.nodes:
            return any(name in members for name in fault.nodes if name not in fault.returned)
        if fault.groups:
            return sum(any(name in members for name in group) for group in fault.groups) > 1
        return all(end in members or end == EVERYONE for end in (fault.source, fault.target))

    return _end(document, [fault.id for fault in document.faults if fault.active and not is_met(fault)], at)


def reset(document: FaultDocument) -> FaultDocument:
    """No faults, as after `up`; ids go on, so that old receipts cannot be taken for those of a new fault."""
    return _next(document, [], document.last)


def _end(document: FaultDocument, ids: Collection[str], at: str) -> FaultDocument:
    if not ids:
        return document
    faults = [
        msgspec.structs.replace(fault, active=False, ended=at) if fault.id in ids else fault
        for fault in document.faults
    ]
    return _next(document, faults, document.last)


def _next(document: FaultDocument, faults: list[Fault], last: int) -> FaultDocument:
    surplus = sum(not fault.active for fault in faults) - ENDED_MAX
    kept = []
    for fault in faults:
        if fault.active or surplus <= 0:
            kept.append(fault)
        else:
            surplus -= 1
    return FaultDocument(document.generation + 1, kept, last)
