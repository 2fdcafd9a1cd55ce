"""Services for people: endpoints, and operations written as signatures."""

from typing import Any

from dsectl.views.table import state, table
from dsectl.views.text import Paint, shown


def services_lines(services: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each endpoint."""
    rows = [
        (one["service"], end["node"], state(end["state"]), str(end.get("version", "")), end.get("reason", ""))
        for one in services
        for end in one["endpoints"]
    ]
    return table(("SERVICE", "NODE", "STATE", "VERSION", "REASON"), rows, paint, columns) if rows else []


def description_lines(described: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """The operations of a service."""
    head = paint(shown(described["service"]), "strong")
    lines = [f"{head} {shown(str(described.get('version', '')))}  {shown(described.get('summary', ''))}".rstrip(), ""]
    schemas = described.get("components", {}).get("schemas", {})
    rows = [
        (
            f"{name}({_fields(one['request'], schemas)})",
            _type(one["reply"], schemas),
            _traits(one),
            one.get("summary", ""),
        )
        for name, one in described.get("operations", {}).items()
    ]
    return lines + table(("OPERATION", "REPLY", "TRAITS", "SUMMARY"), rows, paint, columns)


def _signature(name: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    return f"{name}({_fields(operation['request'], schemas)})"


def _traits(operation: dict[str, Any]) -> str:
    return " ".join(trait for trait in ("readonly", "idempotent") if operation.get(trait))


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
