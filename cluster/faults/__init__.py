"""Fault rules: what happens to a packet at delivery, to a disk and to a clock, and how often. Pure; time and randomness
are passed in."""

from cluster.faults.book import FaultBook
from cluster.faults.document import (
    FaultDocument,
    add_fault,
    decode_faults,
    encode_faults,
    heal,
    mark_left,
    mark_returned,
    reset,
)
from cluster.faults.fault import KINDS, Fault
from cluster.faults.kind import FaultKind, FaultRule, Figure

__all__ = [
    "KINDS",
    "Fault",
    "FaultBook",
    "FaultDocument",
    "FaultKind",
    "FaultRule",
    "Figure",
    "add_fault",
    "decode_faults",
    "encode_faults",
    "heal",
    "mark_left",
    "mark_returned",
    "reset",
]
