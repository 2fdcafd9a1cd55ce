"""Faults and their receipts for people."""

from typing import Any

from dsectl.units import show_duration, show_size
from dsectl.views.table import state, table
from dsectl.views.text import Paint, count

LINKS_SHOWN = 4


def receipt_line(fault: dict[str, Any], paint: Paint) -> str:
    """What a fault command did, on one line."""
    parts = [
        paint(fault["id"], "name"),
        paint(fault["kind"], "strong"),
        fault["target"],
        details(fault),
        paint(fault["at"], "dim"),
    ]
    return "  ".join(part for part in parts if part)


def details(fault: dict[str, Any]) -> str:
    """What a slow link suffers, or that a partition is one way."""
    if fault.get("one_way"):
        return "one way"
    parts = []
    if fault.get("delay_ms"):
        jitter = f" ± {show_duration(fault['jitter_ms'] / 1000)}" if fault.get("jitter_ms") else ""
        parts.append(f"delay {show_duration(fault['delay_ms'] / 1000)}{jitter}")
    elif fault.get("jitter_ms"):
        parts.append(f"jitter {show_duration(fault['jitter_ms'] / 1000)}")
    parts += [f"{name} {100 * fault[name]:.3g}%" for name in ("loss", "duplicate", "reorder") if fault.get(name)]
    if fault.get("rate_bytes_s"):
        parts.append(f"rate {show_size(fault['rate_bytes_s'])}/s")
    return ", ".join(parts)


def faults_lines(faults: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each fault, oldest first, with what it touched."""
    rows = [
        (
            (fault["id"], "name"),
            fault["kind"],
            fault["target"],
            state("active" if fault["active"] else "ended"),
            fault["at"][11:23],
            str(fault["affected"]) if fault["affected"] else ("no effect", "warn"),
            touched(fault),
        )
        for fault in faults
    ]
    heading = ("FAULT", "KIND", "TARGET", "STATE", "AT", "AFFECTED", "LINKS")
    return table(heading, rows, paint, columns, right=("AFFECTED",))


def touched(fault: dict[str, Any]) -> str:
    """The links that met it most: `n1->n3: 41 dropped, n3->n1: 12 dropped`."""
    verb = {"partition": "dropped", "slow": "touched"}.get(fault["kind"], "failed")
    links = sorted(fault["links"].items(), key=lambda item: -item[1])
    shown = [f"{link}: {number} {verb}" for link, number in links[:LINKS_SHOWN]]
    if len(links) > LINKS_SHOWN:
        shown.append(f"{count(len(links) - LINKS_SHOWN, 'more link')}")
    return ", ".join(shown)
