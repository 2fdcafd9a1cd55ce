"""A fault as JSON, the same in the receipt of the command that made it and in the list of all; and back, for views."""

from typing import Any

from cluster.emulator.faultsfile import KINDS, Fault


def fault_json(fault: Fault) -> dict[str, Any]:
    """`id`, `kind`, `target`, `at`, `active`, the fields of its kind that say something, and when it ended."""
    fields = {"id": fault.id, "kind": fault.kind, "target": fault.subject, "at": fault.at, "active": fault.active}
    return fields | fault.details() | ({"ended": fault.ended} if fault.ended else {})


def fault_of(fields: dict[str, Any]) -> Fault:
    """The fault that such JSON describes, with the fields of its kind."""
    own = {name: fields[name] for name in KINDS[fields["kind"]].fields if name in fields}
    return Fault(id=fields["id"], kind=fields["kind"], at=fields["at"], active=fields["active"], **own)
