"""Faults and their receipts: as JSON, the same in the receipt of a command and in the list of all; and for people."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cluster.emulator.faultsfile import KINDS, Fault
from dsectl.ui.table import state, table
from dsectl.ui.text import Paint
from dsectl.ui.units import clock, show_duration, show_size

LINKS_SHOWN = 4


def fault_json(fault: Fault) -> dict[str, Any]:
    """`id`, `kind`, `target`, `at`, `active`, the fields of its kind that say something, and when it ended."""
    fields = {"id": fault.id, "kind": fault.kind, "target": fault.subject, "at": fault.at, "active": fault.active}
    return fields | fault.details() | ({"ended": fault.ended} if fault.ended else {})


def fault_of(fields: dict[str, Any]) -> Fault:
    """The fault that such JSON describes, with the fields of its kind."""
    own = {name: fields[name] for name in KINDS[fields["kind"]].fields if name in fields}
    return Fault(id=fields["id"], kind=fields["kind"], at=fields["at"], active=fields["active"], **own)


def with_receipt(fields: dict[str, Any], receipts: Iterable[Mapping[str, dict[str, int]]]) -> dict[str, Any]:
    """Such JSON with `affected` and `links`: what the nodes counted of all faults, and what was done at once."""
    links: dict[str, int] = {}
    for counts in (*(one.get(fields["id"], {}) for one in receipts), KINDS[fields["kind"]].done(fault_of(fields))):
        for where, number in counts.items():
            links[where] = links.get(where, 0) + number
    return {**fields, "affected": sum(links.values()), "links": dict(sorted(links.items()))}


def receipt_line(fault: dict[str, Any], paint: Paint) -> str:
    """What a fault command did, on one line."""
    id, kind = paint(fault["id"], "name"), paint(fault["kind"], "strong")
    parts = [id, kind, fault["target"], details(fault), paint(fault["at"], "dim")]
    return "  ".join(part for part in parts if part)


def details(fault: dict[str, Any]) -> str:
    """What its kind says of it: what a slow link suffers, or that a partition is one way."""
    found = fault_of(fault)
    parts = list(found.of.remarks(found))
    for figure in found.of.figures(found):
        show = _VALUES[figure.unit]
        parts.append(f"{figure.label} {show(figure.value)}" + (f" ± {show(figure.spread)}" if figure.spread else ""))
    return ", ".join(parts)


_VALUES: dict[str, Callable[[float], str]] = {
    "s": show_duration,
    "share": lambda value: f"{100 * value:.3g}%",
    "skew": lambda value: f"{'-' if value < 0 else '+'}{show_duration(abs(value))}",
    "bytes/s": lambda value: f"{show_size(value)}/s",
}


def faults_lines(
    faults: list[dict[str, Any]], paint: Paint, columns: int | None, *, complete: bool = True
) -> list[str]:
    """A line for each fault, oldest first, with what it touched. Of one that touched nothing as far as is known it is
    said that it had no effect only where `complete`, when all nodes gave their counts."""
    rows = [
        (
            (fault["id"], "name"),
            fault["kind"],
            fault["target"],
            state("active" if fault["active"] else "ended"),
            clock(fault["at"]),
            str(fault["affected"]) if fault["affected"] else ("no effect" if complete else "unknown", "warn"),
            touched(fault),
        )
        for fault in faults
    ]
    heading = ("FAULT", "KIND", "TARGET", "STATE", "AT", "AFFECTED", "WHERE")
    return table(heading, rows, paint, columns, right=("AFFECTED",))


def touched(fault: dict[str, Any]) -> str:
    """The links, or the node, that met it most: `n1->n3: 41 dropped, n3->n1: 12 dropped`."""
    verb = KINDS[fault["kind"]].verb
    links = sorted(fault["links"].items(), key=lambda item: -item[1])
    shown = [f"{link}: {number} {verb}" for link, number in links[:LINKS_SHOWN]]
    if len(links) > LINKS_SHOWN:
        shown.append(f"{len(links) - LINKS_SHOWN} more")
    return ", ".join(shown)
