"""A service described: for people, for other languages (OpenAPI 3.1), and as a digest that tells versions apart.

Types are JSON Schema 2020-12 as msgspec writes it, under `components.schemas` in both forms. A description is plain
JSON, so what is made of one (OpenAPI here, a comparison in compatibility.py) serves a service of another node as well.
"""

from hashlib import blake2b
from typing import Any

import msgspec

from cluster.requests.declared import error_schema
from cluster.requests.schemas import REFERENCE, resolve
from cluster.requests.service import PRIORITIES, Definition, Operation, definition_of

DIGEST_BYTES = 8
"""Enough to tell the definitions of one cluster apart; it is no secret and guards nothing."""
PREFIX = "/services"
"""Where the HTTP gateway has them: POST /services/SERVICE/OPERATION."""
JSON, JSON_LINES, PROBLEM = "application/json", "application/jsonl", "application/problem+json"

_canonical = msgspec.json.Encoder(order="sorted").encode


def describe(made: Any) -> dict[str, Any]:
    """The description of a service class, an instance of one, or a definition. Raises Usage."""
    definition = made if isinstance(made, Definition) else definition_of(made)
    described = {
        "service": definition.name,
        "version": definition.version,
        "summary": definition.summary,
        "operations": {name: _describe(definition, one) for name, one in definition.operations.items()},
        "components": {"schemas": definition.schemas},
    }
    return {**described, "digest": blake2b(_canonical(described), digest_size=DIGEST_BYTES).hexdigest()}


def openapi(described: dict[str, Any], prefix: str = PREFIX) -> dict[str, Any]:
    """A service's description as an OpenAPI 3.1 document: one POST for each operation."""
    paths, schemas = openapi_parts(described, prefix)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": described["service"],
            "version": str(described["version"]),
            **({"description": described["summary"]} if described["summary"] else {}),
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def openapi_parts(described: dict[str, Any], prefix: str = PREFIX) -> tuple[dict[str, Any], dict[str, Any]]:
    """The paths of a service and the schemas that they refer to, whose names begin with that of the service: those of
    several services go into one document."""
    service = described["service"]
    paths = {
        f"{prefix}/{service}/{name}": {"post": _named(_post(described, name, one), service)}
        for name, one in described["operations"].items()
    }
    schemas = {f"{service}.{name}": _named(one, service) for name, one in described["components"]["schemas"].items()}
    return paths, schemas


def _post(described: dict[str, Any], name: str, one: dict[str, Any]) -> dict[str, Any]:
    request = resolve(one["request"], described["components"]["schemas"])
    post: dict[str, Any] = {
        "operationId": f"{described['service']}.{name}",
        "tags": [described["service"]],
        "requestBody": {"required": bool(request.get("required")), "content": _content(JSON, one["request"])},
        "responses": {
            "200": {
                "description": "The replies, one a line." if one["streams"] else "The reply.",
                "content": _content(JSON_LINES if one["streams"] else JSON, one["reply"]),
            },
        },
        "x-readonly": one["readonly"],
        "x-idempotent": one["idempotent"],
    }
    if one["summary"]:
        post["summary"] = one["summary"]
    if one["errors"]:
        post["responses"]["422"] = {
            "description": f"A declared error: {', '.join(one['errors'])}.",
            "content": _content(PROBLEM, {"anyOf": [problem(*error) for error in one["errors"].items()]}),
        }
    return post


def problem(name: str, error: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a declared error as an RFC 9457 problem: its `error` is the name, `fields` what it carries."""
    return {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "status": {"const": 422},
            "detail": {"type": "string"},
            "error": {"const": name},
            "fields": error,
        },
        "required": ["title", "status", "error", "fields"],
    }


def _describe(definition: Definition, one: Operation) -> dict[str, Any]:
    traits, references = one.traits, definition.references
    return {
        "summary": one.summary,
        "readonly": traits.readonly,
        "idempotent": traits.idempotent,
        "timeout_s": traits.timeout_s,
        "priority": PRIORITIES[traits.priority],
        "streams": one.streams,
        "errors": {
            error.__name__: error_schema(error, definition.schemas, references.get(error)) for error in traits.errors
        },
        "request": references[one.request],
        "reply": {"type": "null"} if one.reply is None else references[one.reply],
    }


def _named(schema: Any, service: str) -> Any:
    """The same with each reference to a schema under the name of the service."""
    if isinstance(schema, dict):
        return {
            key: one.replace(REFERENCE, f"{REFERENCE}{service}.")
            if key == "$ref"
            else {tag: place.replace(REFERENCE, f"{REFERENCE}{service}.") for tag, place in one.items()}
            if key == "mapping" and isinstance(one, dict) and all(isinstance(place, str) for place in one.values())
            else _named(one, service)
            for key, one in schema.items()
        }
    return [_named(one, service) for one in schema] if isinstance(schema, list | tuple) else schema


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": schema}}
