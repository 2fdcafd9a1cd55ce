"""Services for people: endpoints, and operations written as signatures."""

from typing import Any

from dsectl.ui.table import state, table
from dsectl.ui.text import Paint, shown

TRAITS = ("readonly", "idempotent")


def services_lines(services: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each endpoint."""
    rows = [
        (one["service"], end["node"], state(end["state"]), str(end.get("version", "")), end.get("reason", ""))
        for one in services
        for end in one["endpoints"]
    ]
    return table(("SERVICE", "NODE", "STATE", "VERSION", "REASON"), rows, paint, columns) if rows else []


def description_lines(described: dict[str, Any], paint: Paint) -> list[str]:
    """The operations of a service, each with what it takes, what it gives, and what may be relied on."""
    schemas = described.get("components", {}).get("schemas", {})
    version = paint(f"version {described.get('version', '')}", "dim")
    lines = [f"{paint(shown(described['service']), 'strong')}  {version}", shown(described.get("summary", ""))]
    for name, one in described.get("operations", {}).items():
        call = f"{paint(shown(name), 'name')}({shown(_fields(one['request'], schemas))})"
        traits = paint(", ".join(trait for trait in TRAITS if one.get(trait)), "good")
        about = "  ".join(part for part in (shown(one.get("summary", "")), traits) if part)
        lines += ["", f"{call} -> {shown(_type(one['reply'], schemas))}", *([f"    {about}"] if about else [])]
    return lines


def _resolve(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = schemas.get(name, schema)
    return found


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The properties of an object as parameters; those that may be left out have a question mark."""
    properties = _resolve(schema, schemas).get("properties", {})
    required = _resolve(schema, schemas).get("required", [])
    parts = [f"{name}{'' if name in required else '?'}: {_type(one, schemas)}" for name, one in properties.items()]
    return ", ".join(parts)


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "anyOf" in schema:
        return " | ".join(_type(one, schemas) for one in schema["anyOf"])
    found = _resolve(schema, schemas)
    if found.get("type") == "array":
        return f"[{_type(found.get('items', {}), schemas)}]"
    if "$ref" in schema:
        fields = _fields(schema, schemas)
        return f"{{{fields}}}" if fields else str(schema["$ref"]).rpartition("/")[2]
    return str(found.get("type", "any"))
