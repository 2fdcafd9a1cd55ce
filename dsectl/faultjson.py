"""A fault as JSON, the same in the receipt of the command that made it and in the list of all."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.emulator.linkfaults import Fault

DETAILS = (
    "groups", "one_way", "source", "both", "delay_ms", "jitter_ms", "loss", "duplicate", "reorder", "rate_bytes_s",
    "nodes", "returned", "ended",
)  # fmt: skip


def fault_json(fault: "Fault") -> dict[str, Any]:
    """`id`, `kind`, `target`, `at`, `active`, and of the details those that say something."""
    fields = {"id": fault.id, "kind": fault.kind, "target": fault.subject, "at": fault.at, "active": fault.active}
    return fields | {name: getattr(fault, name) for name in DETAILS if getattr(fault, name)}
