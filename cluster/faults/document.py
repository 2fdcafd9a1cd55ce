"""The content of `faults.json`: every fault since `up`, oldest first, under a generation number.

The document is the truth about faults: commands write a new generation and then poke the nodes, and a node that missed
the poke reads the same file at boot and after a stall. All functions here return a new document. Invariants: the
generation grows with each change, an id is never given twice, and at most `ENDED_MAX` ended faults are kept.
"""

from collections.abc import Collection, Sequence
from typing import Final, Literal, get_args

import msgspec

from cluster.errors import Damaged, NotFound, Usage

FaultKind = Literal["partition", "slow", "kill", "pause", "restart", "disk", "clock"]

LINK_KINDS: Final = ("partition", "slow")
PROCESS_KINDS: Final = ("kill", "pause")
HEALED_KINDS: Final = (*LINK_KINDS, "disk", "clock")
"""What `heal` ends. It restarts nothing, so a kill or a pause ends when the process is back."""

EVERYONE: Final = "all"
ENDED_MAX: Final = 1000  # a chaos run of an hour makes a few hundred; the file is reread at each poke


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault; which of the fields below the first five matter depends on the kind."""

    id: str = ""
    """`f1`, `f2`…, given by `add_fault`."""
    kind: FaultKind
    at: str
    """When it began, RFC 3339."""
    active: bool = True
    ended: str | None = None

    groups: list[list[str]] = []
    """partition: the sides. Nodes in no group keep all their links."""
    one_way: bool = False
    """partition: traffic from the first group to the others is dropped; from the others to the first it passes, and so
    does what the others send each other."""

    source: str = ""
    """slow: whose packets, a name or `all`."""
    target: str = ""
    """slow: on their way to whom, a name or `all`."""
    both: bool = False
    """slow: the other direction too."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """slow: the delay is uniform in delay ± jitter, not below 0."""
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """slow: probabilities from 0 to 1; duplication and reordering are of datagrams only."""
    rate_bytes_s: float = 0.0
    """slow: how much passes in a second; 0 is no limit."""

    nodes: list[str] = []
    """kill, pause, restart, disk, clock: the nodes."""
    returned: list[str] = []
    """kill, pause: those of `nodes` that were brought back; the fault ends with the last."""
    disk: str = ""
    """disk: what was done to it."""
    skew_ms: float = 0.0
    """clock: by how much it is wrong."""

    @property
    def subject(self) -> str:
        """Whom it hits, for people: `n1,n2 | n3`, `n1 -> n2`, `n3`."""
        if self.kind == "partition":
            return (" -> " if self.one_way else " | ").join(",".join(group) for group in self.groups)
        if self.kind == "slow":
            return f"{self.source} {'<->' if self.both else '->'} {self.target}"
        return ",".join(self.nodes)

    def validate(self) -> None:
        """Raise Usage, saying what is wrong, for a fault that cannot be."""
        if self.kind == "partition":
            _validate_groups(self.groups)
        elif self.kind == "slow":
            _validate_slow(self)
        elif not self.nodes:
            raise Usage(f"a {self.kind} needs at least one node")


def _validate_groups(groups: Sequence[Sequence[str]]) -> None:
    if len(groups) < 2 or not all(groups):
        raise Usage("a partition needs at least two groups with a node in each")
    seen: dict[str, None] = {}
    for name in (name for group in groups for name in group):
        if name in seen:
            raise Usage(f"node {name} is named twice in the partition")
        seen[name] = None


def _validate_slow(fault: Fault) -> None:
    if not fault.source or not fault.target:
        raise Usage("slow needs the two ends of the link")
    if fault.source == fault.target != EVERYONE:
        raise Usage(f"node {fault.source} has no link to itself")
    for name in ("loss", "duplicate", "reorder"):
        if not 0 <= getattr(fault, name) <= 1:
            raise Usage(f"{name} is a probability from 0 to 1, not {getattr(fault, name)}")
    for name in ("delay_ms", "jitter_ms", "rate_bytes_s"):
        if not 0 <= getattr(fault, name) < float("inf"):
            raise Usage(f"{name.partition('_')[0]} cannot be {getattr(fault, name)}")
    if not any((fault.delay_ms, fault.jitter_ms, fault.loss, fault.duplicate, fault.reorder, fault.rate_bytes_s)):
        raise Usage("slow needs at least one of delay, jitter, loss, duplicate, reorder and rate")


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
    except (msgspec.DecodeError, UnicodeDecodeError, Usage) as error:
        raise Damaged(f"the file of faults cannot be read: {error}") from error
    if document.generation < 0 or document.last < 0:
        raise Damaged("the file of faults has a negative generation")
    return document


def add_fault(document: FaultDocument, fault: Fault) -> FaultDocument:
    """The document with `fault` last, under the next id. Raises Usage for a fault that cannot be."""
    assert fault.kind in get_args(FaultKind)
    fault.validate()
    number = document.last + 1
    return _next(document, [*document.faults, msgspec.structs.replace(fault, id=f"f{number}")], number)


def heal(document: FaultDocument, ids: Collection[str] | None, at: str) -> FaultDocument:
    """End the link, disk and clock faults with these ids (None: all of them) at the time `at`.

    The same document when nothing was active. Raises NotFound for an unknown id, and Usage for that of a kill or pause,
    which `restart` or `resume` ends.
    """
    known = {fault.id: fault for fault in document.faults}
    for wanted in ids or ():
        if wanted not in known:
            raise NotFound(f"there is no fault {wanted}", help="`dsectl faults` lists the faults with their ids.")
        fault = known[wanted]
        if fault.active and fault.kind not in HEALED_KINDS:
            cure = "resume" if fault.kind == "pause" else "restart"
            raise Usage(f"{wanted} is a {fault.kind}, which heal does not end", help=f"`dsectl {cure} {fault.subject}`")
    ending = [
        fault.id
        for fault in document.faults
        if fault.active and fault.kind in HEALED_KINDS and (ids is None or fault.id in ids)
    ]
    return _end(document, ending, at)


def mark_returned(document: FaultDocument, nodes: Collection[str], at: str) -> FaultDocument:
    """Note that the processes of `nodes` run again, which ends the kills and pauses whose nodes are all back."""
    faults = [_returned(fault, nodes) for fault in document.faults]
    if faults == document.faults:
        return document
    ending = [fault.id for fault in faults if fault.active and fault.nodes and fault.returned == fault.nodes]
    changed = _next(document, faults, document.last)
    return _next(document, _end(changed, ending, at).faults, document.last)


def _returned(fault: Fault, nodes: Collection[str]) -> Fault:
    if not fault.active or fault.kind not in PROCESS_KINDS:
        return fault
    back = [name for name in fault.nodes if name in nodes or name in fault.returned]
    return fault if back == fault.returned else msgspec.structs.replace(fault, returned=back)


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
