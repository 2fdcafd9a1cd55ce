"""`services`: every endpoint with its state, the reason, and the evidence, as one node or all see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from cluster.client.dispatch import nobody
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.snapshot.services import SEVERITY, EndpointEvidence, ServiceView, observe_services, service_views
from dsectl.ui.table import Cell, state, table
from dsectl.ui.text import Paint, by_number, count
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console

STATE_TITLES = ("SERVICE", "ENDPOINT", "VERSION", "STATE", "SEEN BY", "REASON")


@command("services", "List services and their endpoints.", group="requests", rank=1, readonly=True)
def services(matrix: Annotated[bool, typer.Option("--matrix", help="Show the view of every node.")] = False) -> Answer:
    """The view of one node, which --via chooses. Each judges endpoints by the calls that it took in itself, so views
    may differ: --matrix shows them all. An endpoint is ejected after five failures in a row. When that would leave out
    more than half of a service's endpoints, all of them are used, which is called panic."""
    client = current().client()
    if matrix:
        seen = observe_services(client, with_stats=False)
        if not seen.views:
            raise nobody(current().cluster, dict(seen.silent))

        def view_of_all(console: Console) -> None:
            console.lines(table(STATE_TITLES, state_rows(seen.views), console.paint, console.columns))
            console.lines([console.paint(line, "bad") for line in panic_lines(seen.panics())])
            if seen.silent:
                console.note(f"note: no answer from {', '.join(seen.silent)}")

        return Answer(seen.views, view_of_all)
    viewer = current().options.via or client.ask(None, "status")["name"]
    found = client.admin.services(node=viewer)
    views = service_views(found)

    def view(console: Console) -> None:
        if found:
            console.line(console.paint(f"as {viewer} sees it", "dim"))
            console.lines(service_lines(views, console.paint, console.columns))
        else:
            console.note("no node offers a service")

    return Answer(found, view)


def service_lines(views: Sequence[ServiceView], paint: Paint, columns: int | None) -> list[str]:
    """The endpoints as one node sees them, with what it knows of each; then what holds for a whole service."""
    rows = [
        (
            service.service,
            one.endpoint,
            str(one.version),
            state(one.state),
            f"{one.evidence.in_flight:,}" if one.evidence.in_flight else "",
            show_duration(one.evidence.latency_ms / 1000, 2) if one.evidence.latency_ms else "",
            "; ".join(part for part in (one.reason, evidence(one.evidence)) if part),
        )
        for service in views
        for one in service.endpoints
    ]
    titles = ("SERVICE", "ENDPOINT", "VERSION", "STATE", "IN FLIGHT", "LATENCY", "REASON")
    lines = table(titles, rows, paint, columns, right=("IN FLIGHT", "LATENCY"))
    for service in views:
        if service.weights:
            parts = ", ".join(f"version {version} {share:.3g}%" for version, share in service.weights.items())
            lines.append(f"{service.service}: {parts} of the calls")
    return lines + [paint(line, "bad") for line in panic_lines({one.service: [] for one in views if one.panic})]


def evidence(known: EndpointEvidence) -> str:
    """What speaks against an endpoint, in words."""
    parts = [f"{count(known.failures_in_row, 'failure')} in a row"] if known.failures_in_row else []
    parts += [f"ejected {known.ejections} times of late"] if known.ejections > 1 else []
    parts += [f"last: {known.last_failure}"] if known.last_failure and (parts or known.back_in_s) else []
    return ", ".join(parts)


def state_rows(views: Mapping[str, Sequence[ServiceView]], only: Sequence[str] = SEVERITY) -> list[tuple[Cell, ...]]:
    """A row for each endpoint and each state that somebody sees it in, with those who do."""
    seen: dict[tuple[str, str, int, str], tuple[list[str], str]] = {}
    for caller in sorted(views, key=by_number):
        for service in views[caller]:
            for one in service.endpoints:
                key = service.service, one.endpoint, one.version, one.state
                seen.setdefault(key, ([], one.reason))[0].append(caller)
    return [
        (service, endpoint, str(version), state(said), "all" if len(by) == len(views) else " ".join(by), reason)
        for (service, endpoint, version, said), (by, reason) in sorted(seen.items())
        if said in only
    ]


def panic_lines(panics: Mapping[str, Sequence[str]]) -> list[str]:
    """The services of which so many endpoints fail that all are used."""
    by = {service: f", as {', '.join(callers)} sees it" if callers else "" for service, callers in panics.items()}
    return [f"{service}: panic, over half of its endpoints fail, so all are used{who}" for service, who in by.items()]
