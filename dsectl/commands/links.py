"""Faults of links: partition, slow, heal; and the list of all faults with what each has touched."""

from typing import Annotated, Any

import typer

from cluster.emulator import linkfaults
from cluster.errors import ClusterError, Usage
from dsectl.cli.invocation import current
from dsectl.ui.faults import fault_json, faults_lines, receipt_line
from dsectl.ui.text import count
from dsectl.ui.units import duration, probability, size

ANSWER_S = 1.0


def partition(
    groups: Annotated[list[str], typer.Argument(metavar="GROUP GROUP...", help="Comma lists; `rest` is all others.")],
    one_way: Annotated[bool, typer.Option("--one-way", help="Drop only what the first group sends.")] = False,
) -> None:
    """Nodes in no group keep all their links. The way from clients to nodes stays open: `dsectl` reaches both sides."""
    if len(groups) < 2:
        raise Usage("a partition needs two groups", help="`dsectl partition n1,n2 rest` cuts n1 and n2 off the others.")
    sides = [[name for name in group.split(",") if name] for group in groups]
    _receipt(linkfaults.partition(_cluster(), sides, one_way))


def slow(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Whose packets: a node, or `all`.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="On their way to whom: a node, or `all`.")],
    both: Annotated[bool, typer.Option("--both", help="The other direction too.")] = False,
    delay: Annotated[float | None, typer.Option(parser=duration, metavar="D", help="How late each is.")] = None,
    jitter: Annotated[float | None, typer.Option(parser=duration, metavar="D", help="Delay ± this, uniform.")] = None,
    loss: Annotated[
        float | None, typer.Option(parser=probability, metavar="P", help="How many are lost; TCP pays with time.")
    ] = None,
    duplicate: Annotated[
        float | None, typer.Option(parser=probability, metavar="P", help="How many datagrams come twice.")
    ] = None,
    reorder: Annotated[
        float | None, typer.Option(parser=probability, metavar="P", help="How many datagrams are overtaken.")
    ] = None,
    rate: Annotated[int | None, typer.Option(parser=size, metavar="SIZE", help="How much passes in a second.")] = None,
) -> None:
    """One direction of a link, as in `dsectl slow n1 n2 --delay 50ms --loss 10%`."""
    fault = linkfaults.slow(
        _cluster(), source, target, both=both, delay_ms=(delay or 0.0) * 1000, jitter_ms=(jitter or 0.0) * 1000,
        loss=loss or 0.0, duplicate=duplicate or 0.0, reorder=reorder or 0.0, rate_bytes_s=rate or 0,
    )  # fmt: skip
    _receipt(fault)


def heal(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[FAULT]...", help="Faults to end (default: all).")] = None,
) -> None:
    """Ends faults of links. What was killed or paused stays so: see `restart`, `resume`."""
    at, ended = linkfaults.heal(_cluster(), ids or None)
    console = current().console
    if console.options.json:
        console.value({"healed": [fault.id for fault in ended], "at": at, "faults": [fault_json(one) for one in ended]})
    elif ended:
        console.lines([f"healed  {receipt_line(fault_json(fault), console.paint)}" for fault in ended])
    else:
        console.line("nothing to heal")


def faults(
    active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = False,
) -> None:
    """All since `up`, oldest first. Each node counts what met the fault there and is asked directly; a node that is
    down tells its count when it is back."""
    name = _cluster()
    found = [fault for fault in linkfaults.faults(name) if fault.active or not active]
    answers = current().client().ask_all(None, "faults", timeout=ANSWER_S) if found else {}
    counted = sum_receipts(answers)
    rows = [_with_receipt(fault_json(fault), counted.get(fault.id, {})) for fault in found]
    console = current().console
    if console.options.json:
        console.value(rows)
    elif rows:
        console.lines(faults_lines(rows, console.paint, console.columns))
        silent = [node for node, answer in answers.items() if isinstance(answer, ClusterError)]
        if silent:
            console.note(f"note: without the count of {', '.join(silent)}, which {_verb(silent)} not answer")
    else:
        console.note("no faults")


def sum_receipts(answers: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The counts of all nodes together: fault -> link -> count."""
    counted: dict[str, dict[str, int]] = {}
    for answer in answers.values():
        if isinstance(answer, ClusterError):
            continue
        for id, links in answer["receipts"].items():
            total = counted.setdefault(id, {})
            for link, number in links.items():
                total[link] = total.get(link, 0) + number
    return counted


def _with_receipt(fault: dict[str, Any], links: dict[str, int]) -> dict[str, Any]:
    return {**fault, "affected": sum(links.values()), "links": dict(sorted(links.items()))}


def _verb(names: list[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _cluster() -> str:
    return current().files().name


def _receipt(fault: Any) -> None:
    console = current().console
    fields = fault_json(fault)
    if console.options.json:
        console.value(fields)
        return
    console.line(receipt_line(fields, console.paint))
    nodes = count(len(current().files().nodes), "node")
    console.note(f"`dsectl heal {fault.id}` ends it; `dsectl faults` counts what it touches on {nodes}")
