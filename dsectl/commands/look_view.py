"""What nodes tell of themselves and each other, for people."""

from typing import Any

from dsectl.ui.table import Cell, state, table
from dsectl.ui.text import Paint, by_number, count, shown
from dsectl.ui.units import clock

DIGEST_SHOWN = 12
HEAD = ("id", "at", "node", "kind", "cause")
"""What every event has; the rest is its evidence."""


def members_lines(members: dict[str, Any], viewer: str, paint: Paint, columns: int | None) -> list[str]:
    """One node's table of members."""
    rows = [
        (name, state(one["state"]), "{}.{}".format(*one["incarnation"]), one["zone"], one["address"])
        for name, one in members.items()
    ]
    head = paint(f"as {viewer} sees it", "dim")
    return [head, *table(("NODE", "STATE", "INCARNATION", "ZONE", "ADDRESS"), rows, paint, columns)]


def matrix_lines(matrix: dict[str, dict[str, str]], silent: list[str], paint: Paint, columns: int | None) -> list[str]:
    """Who sees whom how: a row for each observer."""
    subjects = sorted({name for row in matrix.values() for name in row}, key=by_number)
    rows = [(observer, *(state(row.get(name, "?")) for name in subjects)) for observer, row in matrix.items()]
    lines = table(("OBSERVER", *subjects), rows, paint, columns)
    return [*lines, *([paint(f"silent: {', '.join(silent)}", "dim")] if silent else [])]


def ring_lines(ring: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """Partitions one by one."""
    rows = [(str(one["partition"]), " ".join(one["owners"]), " ".join(one["fallbacks"])) for one in ring]
    return table(("PARTITION", "OWNERS", "FALLBACKS"), rows, paint, columns, right=("PARTITION",))


def shares_lines(ring: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """How many partitions each node owns: what a glance at the ring is for."""
    owned: dict[str, int] = {}
    first: dict[str, int] = {}
    for one in ring:
        for at, name in enumerate(one["owners"]):
            owned[name] = owned.get(name, 0) + 1
            first[name] = first.get(name, 0) + (at == 0)
    total = sum(owned.values()) or 1
    rows = [
        (name, str(owned[name]), str(first[name]), f"{100 * owned[name] / total:.1f} %")
        for name in sorted(owned, key=by_number)
    ]
    head = (
        f"{count(len(ring), 'partition')}, {count(max((len(one['owners']) for one in ring), default=0), 'owner')} each"
    )
    heading = ("NODE", "OWNS", "FIRST", "SHARE")
    return [head, "", *table(heading, rows, paint, columns, right=("OWNS", "FIRST", "SHARE"))]


def explain_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """Where a key lives and what each copy is."""
    rows = [_replica(found, name) for name in dict.fromkeys([*found["owners"], *found["replicas"]])]
    heading = ("NODE", "ROLE", "STANDING", "COPY", "SIBLINGS", "DIGEST", "CLOCK")
    lines = [
        f"{paint(shown(found['key']), 'strong')}  partition {found['partition']}  token {found['token']}",
        f"owners {' '.join(found['owners'])}  fallbacks {' '.join(found['fallbacks']) or 'none'}",
        "",
        *table(heading, rows, paint, columns, right=("SIBLINGS",)),
    ]
    if found["hints"]:
        waiting = ", ".join(f"{holder} for {' '.join(targets)}" for holder, targets in found["hints_at"].items())
        lines += ["", paint(f"{count(found['hints'], 'hint')} waiting: {waiting}", "warn")]
    if found["steps"]:
        lines += ["", *events_lines(found["steps"], paint, columns)]
    return lines


def _replica(found: dict[str, Any], name: str) -> tuple[Cell, ...]:
    role = "owner" if name in found["owners"] else "fallback"
    one = found["replicas"].get(name)
    if one is None:
        return name, role, ("no answer", "bad"), "", "", "", ""
    digests = {other["digest"] for other in found["replicas"].values() if other["digest"]}
    standing: Cell = "" if one["votes"] else ("not voting", "warn")
    copy = _agreement(one["digest"], digests)
    return (
        name, role, standing, copy, str(one["siblings"] or ""), (one["digest"] or "")[:DIGEST_SHOWN],
        _clock(one["clock"]),
    )  # fmt: skip


def _agreement(digest: str | None, digests: set[str]) -> tuple[str, str]:
    if not digest:
        return "none", "warn" if digests else "dim"
    return ("same", "good") if len(digests) == 1 else ("differs", "warn")


def _clock(clock: dict[str, Any] | None) -> str:
    return " ".join(f"{actor}:{counter}" for actor, counter in sorted((clock or {}).items()))


def events_lines(events: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each event."""
    rows = [
        ((clock(one["at"]), "dim"), (one["node"], "name"), one["kind"], f"{one['cause']}{_evidence(one)}")
        for one in events
    ]
    return table(("TIME", "NODE", "EVENT", "CAUSE"), rows, paint, columns)


def event_line(one: dict[str, Any], paint: Paint) -> str:
    """One event of a stream of them, where no table can be aligned."""
    time, node = paint(clock(one["at"]), "dim"), paint(f"{one['node']:<4}", "name")
    return f"{time}  {node}  {shown(one['kind']):<20}  {shown(one['cause'])}{shown(_evidence(one))}"


def _evidence(event: dict[str, Any]) -> str:
    """The fields of an event behind its cause, those that its cause does not say already."""
    fields = {name: value for name, value in event.items() if name not in HEAD and value not in ("", None)}
    parts = [f"{name}={_value(value)}" for name, value in fields.items()]
    return f"  ({', '.join(parts)})" if parts else ""


def _value(value: Any) -> str:
    return ".".join(map(str, value)) if isinstance(value, list) else str(value)


def health_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """Who is well, and what the others lack."""
    rows = [
        (name, state("healthy") if one["healthy"] else ("unwell", "bad"), "; ".join(one["reasons"]))
        for name, one in found["nodes"].items()
    ]
    return table(("NODE", "HEALTH", "REASONS"), rows, paint, columns)


def repair_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """Which nodes lack data, for whom they wait, and what may have been lost."""
    rows = [
        (name, _lacking(one), ", ".join(f"{owner} ({count(n, 'partition')})" for owner, n in one["waits_for"].items()))
        for name, one in found.items()
    ]
    lines = table(("NODE", "COMPLETE", "WAITS FOR"), rows, paint, columns)
    for name, one in found.items():
        lines += [paint(f"{name}: {text}", "warn") for text in one["may_have_lost"]]
        if one["help"]:
            lines.append(f"{name}: {one['help']}")
    return lines


def _lacking(one: dict[str, Any]) -> Cell:
    missing = len(one["recovering"])
    return (f"lacks {count(missing, 'partition')}: {one['cause']}", "warn") if missing else ("yes", "good")


def hints_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """How many copies wait, for whom and where."""
    head = f"{count(found['pending'], 'copy waits', 'copies wait')} for absent owners"
    if not found["by_target"]:
        return [head]
    rows = [(target, str(number), _holders(found, target)) for target, number in found["by_target"].items()]
    return [head, "", *table(("OWNER", "COPIES", "HELD BY"), rows, paint, columns, right=("COPIES",))]


def _holders(found: dict[str, Any], target: str) -> str:
    return ", ".join(f"{holder}: {of[target]}" for holder, of in found["by_holder"].items() if target in of)
