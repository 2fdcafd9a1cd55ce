"""`explain ID`: where a key or a message of a queue belongs, and what every node holds of it, asked directly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cluster.errors import ClusterError, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import as_json, check_text
from dsectl.ui.cells import cell_lines, chosen, rules
from dsectl.ui.events import events_lines
from dsectl.ui.messages import message_lines
from dsectl.ui.table import Cell, table
from dsectl.ui.text import Paint, count, shown
from dsectl.ui.units import clock as time_of_day
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

ANSWER_S = 1.0
STEPS_MAX = 20
DIGEST_SHOWN = 12
NOTHING: dict[str, Any] = {
    "clock": None,
    "digest": None,
    "siblings": [],
    "siblings_count": 0,
    "cell": None,
    "ahead_s": 0.0,
}


@command("explain", "Show who owns a key or message, and what each holds.", group="inspect", rank=3, readonly=True)
def explain(
    id: Annotated[str, typer.Argument(metavar="ID", help="Key to explain, or id of a message.")],
    key: Annotated[bool, typer.Option("--key", help="Read the argument as a key (the default).")] = False,
    message: Annotated[bool, typer.Option("--message", help="Read it as the id of a message of a queue.")] = False,
) -> Answer:
    """Bucket, owners and fallbacks; the clock and digest of each copy, and its siblings: value, author and dot; of a
    register, counter or set its stamps, its end, and what a merge of the copies chooses; hints that wait for an owner;
    and the last decisions. Of a message (--message) who accepted it, who leased it to whom and how often, and when it
    was acknowledged."""
    from cluster.client.dispatch import nobody

    if key and message:
        raise Usage("--key and --message exclude each other")
    what, arguments = ("explain-message", {"id": id}) if message else ("explain", {"key": check_text(id, "key")})
    client = current().client()
    limit = min(ANSWER_S, client.timeout)
    answers = client.ask_all(None, what, arguments, timeout=limit)
    answered = {name: answer for name, answer in answers.items() if not isinstance(answer, ClusterError)}
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if not answered:
        raise next((error for error in silent.values() if isinstance(error, Usage)), nobody(current().cluster, silent))
    if message:
        told = merge_message(answered, list(silent))
        return Answer(told, lambda console: console.lines(message_lines(told, console.paint, console.columns)))
    found = merge(id, answered, list(silent))
    return Answer(found, lambda console: console.lines(explain_lines(found, console.paint, console.columns)))


def merge(key: str, answered: dict[str, dict[str, Any]], silent: list[str]) -> dict[str, Any]:
    """The answers of all nodes as one: every owner that answered, and every other holder of a copy."""
    one = next(iter(answered.values()))
    owners: list[str] = one["owners"]
    holders = [name for name in [*owners, *answered] if name in answered and (name in owners or answered[name]["held"])]
    hints_at = {name: answer["hints_for"] for name, answer in answered.items() if answer["hints_for"]}
    steps = sorted((step for answer in answered.values() for step in answer["steps"]), key=lambda step: step["at"])
    replicas = {name: _replica_json(answered[name]) for name in dict.fromkeys(holders)}
    return {
        "key": key,
        "bucket": one["bucket"],
        "partition": one["partition"],
        "token": one["token"],
        "owners": owners,
        "fallbacks": one["fallbacks"],
        "replicas": replicas,
        "merge": chosen(_cells(replicas)),
        "hints": sum(len(targets) for targets in hints_at.values()),
        "hints_at": hints_at,
        "silent": silent,
        "steps": steps[-STEPS_MAX:],
    }


def merge_message(answered: dict[str, dict[str, Any]], silent: list[str]) -> dict[str, Any]:
    """The answers of all nodes as one. Done at one is done; the latest lease is the one that counts."""
    one = next(iter(answered.values()))
    states = {answer["state"] for answer in answered.values()}
    held = [answer["held"] for answer in answered.values() if answer["held"]]
    leases = [copy["lease"] for copy in held if copy["lease"]]
    steps = told_steps([{"node": name, **step} for name, answer in answered.items() for step in answer["steps"]])
    some = held[0] if held else {}
    nodes = {
        name: {field: answer[field] for field in ("state", "votes")} | {"lease": (answer["held"] or {}).get("lease")}
        for name, answer in answered.items()
        if name in one["owners"] or answer["state"] != "none"
    }
    return {
        **{field: one[field] for field in ("id", "queue", "shard", "partition", "owners", "fallbacks", "accepted_by")},
        "state": next((state for state in ("done", "live") if state in states), "none"),
        **{
            field: some.get(field)
            for field in ("accepted_at", "visible_at", "expires_at", "bytes", "headers", "dedup_id")
        },
        "body": _value_json({"value": some["body"], "bytes": some["bytes"]}) if some else None,
        "lease": max(leases, key=lambda lease: (lease["attempt"], lease["left_s"]), default=None),
        "nodes": nodes,
        "silent": silent,
        "steps": steps,
    }


def told_steps(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps of all nodes, oldest first, without details that say nothing. A lease after another one says why."""
    told: list[dict[str, Any]] = []
    before = ""
    for step in sorted(steps, key=lambda step: str(step["at"])):
        one = {name: value for name, value in step.items() if value not in ("", None, 0.0)}
        if step["step"] == "leased":
            if before:
                one["why"] = "it was returned" if before == "returned" else "its lease ended"
            before = "leased"
        elif step["step"] == "returned":
            before = "returned"
        told.append(one)
    return told


def _replica_json(answer: dict[str, Any]) -> dict[str, Any]:
    held = answer["held"] or NOTHING
    siblings = [{**one, "value": _value_json(one)} for one in held["siblings"]]
    cell = held["cell"]
    if cell is not None:
        cell = {**cell, "value": _value_json(cell), "items": [as_json(item) for item in cell["items"]]}
    return {**held, "siblings": siblings, "cell": cell, "votes": answer["voting"]}


def _value_json(one: dict[str, Any]) -> Any:
    data: bytes | None = one["value"]
    if data is not None and len(data) < one["bytes"]:  # the beginning, maybe cut within a character
        text = data.decode(errors="ignore")
        if len(data) - len(text.encode()) < 4:
            return text
    return None if data is None else as_json(data)


def _cells(replicas: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: one["cell"] for name, one in replicas.items() if one["cell"] is not None}


def explain_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """Where a key lives and what each copy is."""
    digests = {one["digest"] for one in found["replicas"].values() if one["digest"]}
    rows: list[tuple[Cell, ...]] = []
    for name in dict.fromkeys([*found["owners"], *found["replicas"]]):
        role = "owner" if name in found["owners"] else "fallback"
        replica = found["replicas"].get(name)
        if replica is None:
            rows.append((name, role, ("no answer", "bad"), "", "", "", ""))
            continue
        votes: Cell = "" if replica["votes"] else ("no", "warn")
        copy = ("same", "good") if len(digests) == 1 else ("differs", "warn")
        if not replica["digest"]:
            copy = ("none", "warn" if digests else "dim")
        clock = " ".join(f"{actor}:{counter}" for actor, counter in sorted((replica["clock"] or {}).items()))
        digest = (replica["digest"] or "")[:DIGEST_SHOWN]
        rows.append((name, role, votes, copy, str(replica["siblings_count"] or ""), digest, clock))
    heading = ("NODE", "ROLE", "VOTES", "COPY", "SIBLINGS", "DIGEST", "CLOCK")
    lines = [
        f"{paint(shown(found['key']), 'strong')}  partition {found['partition']}  token {found['token']}",
        f"owners {' '.join(found['owners'])}  fallbacks {' '.join(found['fallbacks']) or 'none'}",
        *([f"bucket {found['bucket']['bucket']}: {rules(found['bucket'])}"] if found["bucket"]["bucket"] else []),
        "",
        *table(heading, rows, paint, columns, right=("SIBLINGS",)),
    ]
    siblings = _siblings(found)
    if siblings:
        titles = ("DOT", "AUTHOR", "WRITTEN", "HELD BY", "VALUE")
        lines += ["", f"{count(len(siblings), 'sibling')}:", *table(titles, siblings, paint, columns)]
    if cells := cell_lines(_cells(found["replicas"]), paint, columns):
        lines += ["", *cells]
    if found["hints"]:
        waiting = ", ".join(f"{holder} for {' '.join(targets)}" for holder, targets in found["hints_at"].items())
        lines += ["", paint(f"{count(found['hints'], 'hint')} waiting: {waiting}", "warn")]
    ahead = {name: one["ahead_s"] for name, one in found["replicas"].items() if one.get("ahead_s")}
    if ahead:
        told = ", ".join(f"{show_duration(seconds)} by the clock of {name}" for name, seconds in ahead.items())
        lines += ["", paint(f"stamped in the future: {told}; a wrong clock, which no coordinator follows", "warn")]
    if found["steps"]:
        lines += ["", *events_lines(found["steps"], paint, columns)]
    return lines


def _siblings(found: dict[str, Any]) -> list[tuple[Cell, ...]]:
    """Each write that some copy still holds, once, with who holds it: HELD BY shows in what copies differ."""
    writes: dict[tuple[str, int], dict[str, Any]] = {}
    held_by: dict[tuple[str, int], list[str]] = {}
    for name, replica in found["replicas"].items():
        for one in replica["siblings"]:
            dot = (one["dot"][0], one["dot"][1])
            writes[dot] = one
            held_by.setdefault(dot, []).append(name)
    rows: list[tuple[Cell, ...]] = []
    for dot, one in sorted(writes.items(), key=lambda item: item[1]["at"]):
        value: Cell = one["value"] or ("empty", "dim")
        if one["value"] is None:
            value = "deleted", "warn"
        elif not isinstance(one["value"], str):
            value = f"{count(one['bytes'], 'byte')}, not text", "dim"
        elif len(one["value"].encode()) < one["bytes"]:
            value = f"{one['value']}…"
        author = one["author"], "name"
        rows.append((f"{dot[0]}:{dot[1]}", author, time_of_day(one["at"]), " ".join(held_by[dot]), value))
    return rows
