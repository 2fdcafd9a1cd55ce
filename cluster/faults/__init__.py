"""Fault rules: what happens to a packet at delivery, and how often. Pure; time and randomness are passed in."""

from cluster.faults.book import FaultBook
from cluster.faults.document import (
    Fault,
    FaultDocument,
    FaultKind,
    add_fault,
    decode_faults,
    encode_faults,
    heal,
    mark_returned,
    reset,
)

__all__ = [
    "Fault",
    "FaultBook",
    "FaultDocument",
    "FaultKind",
    "add_fault",
    "decode_faults",
    "encode_faults",
    "heal",
    "mark_returned",
    "reset",
]
