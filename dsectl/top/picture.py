"""The screen of `top` as lines: operations, and below them endpoints or entry nodes. Pure: rates, a size, choices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dsectl.snapshot.services import EndpointSeen, ServicesSnapshot
from dsectl.top.rates import Flow, ServiceRates, together, total
from dsectl.ui.text import STATES, Line, count, fit, flow, length, piece, shown
from dsectl.ui.units import UNKNOWN, clock, number, rate, show_duration

COLUMNS_MIN, ROWS_MIN = 30, 8
NAME_MIN, NAME_MAX = 12, 32
CELL = 7
"""Columns of a figure with the gap before it."""
REASON_MIN = 12
SLOW_STYLES = ((0.05, "good"), (0.5, "warn"), (float("inf"), "bad"))
"""Up to the first a person waits for nothing; from the second on for something."""

SORTS: dict[str, tuple[str, Callable[[str, Flow], tuple[float, str]]]] = {
    "r": ("rate", lambda name, flow: (-flow.calls, name)),
    "p": ("p99", lambda name, flow: (-(flow.quantile_s(0.99) or 0.0), name)),
    "e": ("errors", lambda name, flow: (-flow.failed, name)),
    "n": ("name", lambda name, flow: (0.0, name)),
}
"""By key: what comes first."""


@dataclass(frozen=True)
class TopChoices:
    """What the person has chosen. `focus` is an operation, `SERVICE.OPERATION`."""

    sort: str = "r"
    by_entry: bool = False
    frozen: bool = False
    focus: str | None = None
    done: bool = False


def press(choices: TopChoices, key: str, operations: Sequence[str]) -> TopChoices:
    """The choices after a key: a character, or `up`, `down`, `escape`."""
    if key in ("q", "Q"):
        return replace(choices, done=True)
    if key == " ":
        return replace(choices, frozen=not choices.frozen)
    if key in SORTS:
        return replace(choices, sort=key)
    if key == "b":
        return replace(choices, by_entry=not choices.by_entry)
    if key in ("0", "escape"):
        return replace(choices, focus=None)
    if key in ("up", "down", "k", "j") and operations:
        ring: list[str | None] = [None, *operations]
        at = ring.index(choices.focus) if choices.focus in ring else 0
        return replace(choices, focus=ring[(at + (1 if key in ("down", "j") else -1)) % len(ring)])
    return choices


class FlowColumn:
    """One column of figures: its heading, what it says of a flow, and how bad that is."""

    def __init__(self, title: str, text: Callable[[Flow], str], style: Callable[[Flow], str] = lambda flow: "") -> None:
        self.title = title
        self.text = text
        self.style = style


def _slow(seconds: float | None) -> str:
    return "" if seconds is None else next(style for limit, style in SLOW_STYLES if seconds < limit)


FLOW_COLUMNS = (
    FlowColumn("RATE", lambda flow: rate(flow.calls), lambda flow: "strong"),
    FlowColumn("P99", lambda flow: show_duration(flow.quantile_s(0.99), 2), lambda flow: _slow(flow.quantile_s(0.99))),
    FlowColumn("ERRORS", lambda flow: rate(flow.failed), lambda flow: "bad"),
    FlowColumn("SHED", lambda flow: rate(flow.shed), lambda flow: "bad"),
    FlowColumn("RETRY", lambda flow: rate(flow.retries), lambda flow: "warn"),
    FlowColumn("HEDGE", lambda flow: rate(flow.hedges), lambda flow: "warn"),
    FlowColumn("OPEN", lambda flow: number(flow.in_flight)),
    FlowColumn("P50", lambda flow: show_duration(flow.quantile_s(0.5), 2), lambda flow: _slow(flow.quantile_s(0.5))),
    FlowColumn("DECL", lambda flow: rate(flow.declared), lambda flow: "warn"),
)
"""The most wanted first; where there is no room, the last are left out."""
IN_ORDER = ("RATE", "P50", "P99", "ERRORS", "DECL", "SHED", "RETRY", "HEDGE", "OPEN")
SORTED_BY = {"rate": "RATE", "p99": "P99", "errors": "ERRORS"}


def operation_names(rates: ServiceRates, choices: TopChoices) -> list[str]:
    """The operations that were called since the nodes' boot, as sorted."""
    flows = together(rates.calls(), lambda row: f"{row.service}.{row.operation}")
    return sorted(flows, key=lambda name: SORTS[choices.sort][1](name, flows[name]))


def top_picture(rates: ServiceRates, columns: int, rows: int, choices: TopChoices) -> list[Line]:
    """Exactly `rows` lines of `columns` columns."""
    pressed = [("q", "quit"), ("space", "go on" if choices.frozen else "freeze")]
    pressed += [(key, what) for key, (what, _) in SORTS.items() if key != choices.sort]
    pressed += [("b", "by endpoint" if choices.by_entry else "by entry node"), ("↑ ↓", "one operation")]
    pressed += [("0", "all")] if choices.focus else []
    keys = flow([[(key, "strong"), (f" {what}", "dim")] for key, what in pressed], columns, "   ")[:1]
    lines = _header(rates, columns, choices)
    snapshot = rates.snapshot
    if snapshot is not None and snapshot.lost is None:
        room = rows - len(lines) - len(keys)
        lines += _body(rates, snapshot, columns, room, choices)
    lines = lines[: rows - len(keys)]
    lines += [[]] * (rows - len(keys) - len(lines))
    return [fit(line, columns) for line in [*lines, *keys]]


def top_plain(rates: ServiceRates, columns: int, choices: TopChoices) -> list[Line]:
    """The same for a page that does not move: as many lines as it takes."""
    lines = _header(rates, columns, choices)
    if rates.snapshot is not None and rates.snapshot.lost is None:
        lines += _body(rates, rates.snapshot, columns, None, choices)
    return [fit(line, columns) for line in lines]


def _header(rates: ServiceRates, columns: int, choices: TopChoices) -> list[Line]:
    snapshot = rates.snapshot
    if snapshot is None:
        return [[("looking", "dim")], []]
    if snapshot.lost is not None:
        lost = [
            (snapshot.cluster, "strong"),
            ("  ", ""),
            (" LOST ", "bar-bad"),
            (f"  {shown(snapshot.lost.message)}", ""),
        ]
        return [lost, [], [("waiting for it to come back", "dim")]]
    right: Line = [(" ", ""), (" FROZEN ", "bar-warn")] if choices.frozen else []
    if columns >= 60:
        right += [(" ", ""), (f"{clock(snapshot.wall, 0)} UTC", "dim")]
    whole = total(rates.calls().values())
    answering, nodes = len(snapshot.views), len(snapshot.views) + len(snapshot.silent)
    left: Line = [(snapshot.cluster, "strong"), ("  ", "")]
    left += [(f"{answering} of {count(nodes, 'node')} answer", "warn" if answering < nodes else "dim"), ("  ", "")]
    if rates.is_known:
        errors = rate(whole.failed)
        left += [(f"{rate(whole.calls)} calls/s", "strong"), ("  ", "")]
        left += [(f"p99 {show_duration(whole.quantile_s(0.99), 2)}", ""), ("  ", "")]
        left += [(f"{errors} errors/s", "dim" if errors == "0" else "bad")]
    else:
        left += [("counting", "dim")]
    head = [*fit(left, columns - length(right)), *right]
    panics = [
        [(" PANIC ", "bar-bad"), (f" {service}: over half of its endpoints are ejected, so all are used", "bad"),
         (f" (as {', '.join(by)} sees it)", "dim")]
        for service, by in snapshot.panics().items()
    ]  # fmt: skip
    weights = [
        [(service, "name"), ("  " + ", ".join(f"version {one} {part:.3g}%" for one, part in parts.items()), "dim")]
        for service, parts in snapshot.weights().items()
    ]
    return [head, *panics, *weights, []]


def _body(
    rates: ServiceRates, snapshot: ServicesSnapshot, columns: int, room: int | None, choices: TopChoices
) -> list[Line]:
    """Operations, and below them endpoints or entry nodes, of the one that is chosen or of all; in `room` lines."""
    names = operation_names(rates, choices)
    flows = together(rates.calls(), lambda row: f"{row.service}.{row.operation}")
    sorted_by = SORTED_BY.get(SORTS[choices.sort][0], "")
    top_rows = [(name, flows[name], "", "") for name in names]
    below = _entries(rates, choices) if choices.by_entry else _endpoints(rates, snapshot, choices)
    title = "ENTRY NODE" if choices.by_entry else "ENDPOINT"
    half = None if room is None else max(3, room - min(len(below) + 2, room // 2))
    lines = _table("OPERATION", top_rows, columns, half, sorted_by, choices.focus)
    if not top_rows:
        lines = [[("no call since the nodes' start: `dsectl load request` makes some", "dim")]]
    left = None if room is None else room - len(lines) - 1
    if below and (left is None or left >= 2):
        lines += [[], *_table(title, below, columns, left, "", None)]
    return lines


Told = tuple[str, Flow, str, str]
"""A row: its name, what flows, and what is said of it, with its style."""


def _entries(rates: ServiceRates, choices: TopChoices) -> list[Told]:
    assert rates.snapshot is not None
    calls = {row: one for row, one in rates.calls().items() if _is_chosen(row.service, row.operation, choices)}
    flows = together(calls, lambda row: row.entry)
    silent = [(name, Flow(), error.message.removeprefix(f"{name}: "), "bad")
              for name, error in rates.snapshot.silent.items()]  # fmt: skip
    return [*((name, flows.get(name, Flow()), "", "") for name in rates.snapshot.views), *silent]


def _endpoints(rates: ServiceRates, snapshot: ServicesSnapshot, choices: TopChoices) -> list[Told]:
    attempts = {row: one for row, one in rates.attempts().items() if _is_chosen(row.service, row.operation, choices)}
    flows = together(attempts, lambda row: (row.service, row.endpoint, row.version))
    seen = [one for one in snapshot.endpoints() if _is_chosen(one.service, "", choices)]
    many = {(one.service, one.version) for one in seen}
    shows_version = len(many) > len({service for service, _ in many})

    def told(one: EndpointSeen) -> Told:
        version = f" v{one.version}" if shows_version else ""
        found = flows.get((one.service, one.endpoint, one.version), Flow())
        said = "" if one.state == "ready" else f"{one.state}: {one.told}"
        return f"{one.service}@{one.endpoint}{version}", found, said, STATES.get(one.state, "")

    order = SORTS[choices.sort][1]
    rows = [told(one) for one in seen]
    return sorted(rows, key=lambda row: (not row[2], order(row[0], row[1])))


def _is_chosen(service: str, operation: str, choices: TopChoices) -> bool:
    if choices.focus is None:
        return True
    name, _, chosen = choices.focus.rpartition(".")
    return service == name and operation in ("", chosen)


def _table(
    title: str, rows: Sequence[Told], columns: int, limit: int | None, sorted_by: str, focus: str | None
) -> list[Line]:
    """The heading and the rows, in at most `limit` lines; what is said of a row stands at its end."""
    widest = max([len(title), *(len(shown(row[0])) for row in rows)])
    name = max(min(widest, NAME_MAX, columns - CELL), min(NAME_MIN, columns - CELL))
    fitting = {one.title for one in FLOW_COLUMNS[: max(1, (columns - name) // CELL)]}
    figures = sorted((one for one in FLOW_COLUMNS if one.title in fitting), key=lambda one: IN_ORDER.index(one.title))
    heading: Line = [piece(title, name, "dim")]
    heading += [piece(one.title, CELL, "strong" if one.title == sorted_by else "dim", right=True) for one in figures]
    kept = rows if limit is None or len(rows) < limit else rows[: max(1, limit - 2)]
    spare = columns - name - CELL * len(figures) - 2
    lines = [heading]
    for label, found, said, style in kept:
        line: Line = [piece(label, name, "focus" if label == focus else "")]
        for one in figures:
            text = one.text(found)
            line.append(piece(text, CELL, "dim" if text in ("0", UNKNOWN) else one.style(found), right=True))
        if said and spare >= REASON_MIN:
            line.append((f"  {shown(said)}", style))
        elif said:
            line[0] = piece(f"!{label}", name, style)
        lines.append(line)
    left = len(rows) - len(kept)
    return [*lines, [(f"{left} more", "dim")]] if left else lines
