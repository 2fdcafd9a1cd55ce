"""A service described, for people and as OpenAPI; and two of its versions compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import json

from cluster.errors import NotFound, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text
from dsectl.ui.table import table
from dsectl.ui.text import shown
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from cluster.client.descriptions import Description, VersionChange
    from dsectl.cli.console import Console
    from dsectl.ui.text import Paint

TRAITS = ("readonly", "idempotent")


@command("describe", "Show a service's operations.", group="requests", rank=2, readonly=True)
def describe(
    service: Annotated[
        str,
        typer.Argument(metavar="SERVICE|MODULE:CLASS", help="Name of the service, or a class that is not served yet."),
    ],
    diff: Annotated[
        int | None,
        typer.Option(metavar="VERSION", help="Version whose callers are to go on working; show what breaks."),
    ] = None,
    openapi: Annotated[bool, typer.Option("--openapi", help="Print an OpenAPI 3.1 document.")] = False,
) -> Answer:
    """Each version that nodes offer, the newest first: operations with their arguments, replies, errors and traits. A
    class is given as MODULE:CLASS or PATH.py:CLASS. With --diff, exit code 1 when callers of VERSION would break at
    the newest version, or at the class."""
    from cluster.client import descriptions

    if diff is not None and openapi:
        raise Usage("--diff and --openapi are two answers: give one of them")
    from_code = ":" in check_text(service, "service")
    versions: dict[int, Description] = {}
    differing: list[str] = []
    if from_code:
        from cluster.client.loading import load_service

        newest = descriptions.describe(load_service(service))
    if not from_code or diff is not None:
        client, name = current().client(), newest["service"] if from_code else service
        found = descriptions.offered_versions(
            current().cluster, name, lambda what, arguments: client.ask_all(None, what, arguments)
        )
        versions = {version: next(iter(one.values())) for version, one in found.items()}
        differing = [
            f"version {version} is not the same on all nodes: {_groups(one)}"
            for version, one in found.items()
            if len({given["digest"] for given in one.values()}) > 1
        ]
    if not from_code:
        newest = next(iter(versions.values()))
    if diff is not None:
        return _compared(newest, versions, diff, from_code)
    if openapi:
        document = descriptions.openapi(newest)
        indented = json.format(json.encode(document)).decode().splitlines()
        return Answer(document, lambda console: console.lines(indented))
    older = [one for one in versions.values() if one is not newest]

    def view(console: Console) -> None:
        for number, one in enumerate([newest, *older]):
            console.lines([""] * bool(number) + description_lines(one, console.paint))
        for text in differing:
            console.note(console.paint_err(text, "warn"))

    return Answer({**newest, "older": older}, view)


def _compared(newest: Description, versions: dict[int, Description], wanted: int, from_code: bool) -> Answer:
    from cluster.client.descriptions import compare, is_compatible

    name = newest["service"]
    old = versions.get(wanted)
    if old is None:
        offered = ", ".join(map(str, sorted(versions)))
        raise NotFound(
            f"no live node offers version {wanted} of {name}, only {offered}",
            help=f"`dsectl describe {name}` shows those there are.",
        )
    if old is newest:
        raise Usage(
            f"version {wanted} is the newest of {name} that is offered",
            help="Give an older version, or a class to compare with it: `dsectl describe MODULE:CLASS --diff VERSION`.",
        )
    changes = compare(old, newest)
    fits = is_compatible(changes)
    subject = "this class" if from_code else f"version {newest['version']}"

    def view(console: Console) -> None:
        console.lines(change_lines(changes, console.paint, console.columns))
        verdict = console.paint("can call" if fits else "cannot call", "good" if fits else "bad")
        console.lines([f"callers of {shown(name)} version {wanted} {verdict} {subject}"])

    value = {
        "service": name,
        "old": wanted,
        "new": newest["version"],
        "compatible": fits,
        "changes": [{"place": one.place, "what": one.what, "breaks": one.breaks} for one in changes],
    }
    return Answer(value, view, 0 if fits else 1)


def change_lines(changes: list[VersionChange], paint: Paint, columns: int | None) -> list[str]:
    """The changes, those first that break callers."""
    if not changes:
        return []
    rows = [
        (("breaks", "bad") if one.breaks else ("ok", "good"), shown(one.place), shown(one.what))
        for one in sorted(changes, key=lambda one: not one.breaks)
    ]
    return table(("VERDICT", "PLACE", "CHANGE"), rows, paint, columns)


def description_lines(described: Description, paint: Paint) -> list[str]:
    """The operations of a service, each with what it takes, what it gives, and what may be relied on."""
    schemas = described.get("components", {}).get("schemas", {})
    version = paint(f"version {described.get('version', '')}", "dim")
    lines = [f"{paint(shown(described['service']), 'strong')}  {version}", shown(described.get("summary", ""))]
    for name, one in described.get("operations", {}).items():
        call = f"{paint(shown(name), 'name')}({shown(_fields(one['request'], schemas))})"
        traits = [trait for trait in TRAITS if one.get(trait)]
        if one.get("timeout_s") is not None:
            traits.append(f"at most {show_duration(one['timeout_s'])}")
        if one.get("priority", "normal") != "normal":
            traits.append(f"{one['priority']} priority")
        about = "  ".join(part for part in (shown(one.get("summary", "")), paint(", ".join(traits), "good")) if part)
        reply = f"{'stream of ' if one.get('streams') else ''}{_type(one['reply'], schemas)}"
        lines += ["", f"{call} -> {shown(reply)}", *([f"    {about}"] if about else [])]
        for error, fields in one.get("errors", {}).items():
            lines.append(f"    {paint('raises', 'dim')} {shown(error)}({shown(_fields(fields, schemas))})")
    return lines


def _groups(by_node: dict[str, Description]) -> str:
    """Which nodes have which definition."""
    groups: dict[str, list[str]] = {}
    for node, one in by_node.items():
        groups.setdefault(one["digest"], []).append(node)
    return "; ".join(", ".join(nodes) for nodes in groups.values())


def _resolve(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = schemas.get(name, schema)
    return found


def _fields(schema: dict[str, Any], schemas: dict[str, Any], above: tuple[str, ...] = ()) -> str:
    """The properties of an object as parameters; those that may be left out have a question mark."""
    properties = _resolve(schema, schemas).get("properties", {})
    required = _resolve(schema, schemas).get("required", [])
    parts = [
        f"{name}{'' if name in required else '?'}: {_type(one, schemas, above)}" for name, one in properties.items()
    ]
    return ", ".join(parts)


def _type(schema: dict[str, Any], schemas: dict[str, Any], above: tuple[str, ...] = ()) -> str:
    """A schema in a word or two. `above`: the types that it is a part of, which are only named in it."""
    if "anyOf" in schema:
        return " | ".join(_type(one, schemas, above) for one in schema["anyOf"])
    found = _resolve(schema, schemas)
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if name in above:
            return name
        above = (*above, name)
        fields = _fields(schema, schemas, above)
        if fields:
            return f"{{{fields}}}"
        if "properties" in found or "prefixItems" in found:
            return name
    if "enum" in found:
        return " | ".join(map(repr, found["enum"]))
    if found.get("type") == "array" and "prefixItems" not in found:
        return f"[{_type(found.get('items', {}), schemas, above)}]"
    if found.get("type") == "object" and isinstance(values := found.get("additionalProperties"), dict):
        return f"{{string: {_type(values, schemas, above)}}}"
    return str(found.get("format") or found.get("type", "any"))
