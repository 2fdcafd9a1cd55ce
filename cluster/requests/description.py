"""A service described: for people, for other languages (OpenAPI 3.1), and as a digest that tells versions apart.

Types are JSON Schema 2020-12 as msgspec writes it, under `components.schemas` in both forms.
"""

from hashlib import blake2b
from typing import Any

import msgspec

from cluster.requests.service import Definition, Operation, definition_of

DIGEST_BYTES = 8
"""Enough to tell the definitions of one cluster apart; it is no secret and guards nothing."""

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


def openapi(made: Any) -> dict[str, Any]:
    """A minimal OpenAPI 3.1 document: one POST for each operation. Raises Usage."""
    definition = made if isinstance(made, Definition) else definition_of(made)
    paths: dict[str, Any] = {}
    for name, one in definition.operations.items():
        described = _describe(definition, one)
        declared = ", ".join(described["errors"])
        paths[f"/{definition.name}/{name}"] = {
            "post": {
                "operationId": f"{definition.name}.{name}",
                "requestBody": {"required": bool(one.request_as), "content": _json(described["request"])},
                "responses": {
                    "200": {"description": "The reply.", "content": _json(described["reply"])},
                    "default": {"description": f"A failure; declared: {declared}." if declared else "A failure."},
                },
                "x-readonly": one.traits.readonly,
                "x-idempotent": one.traits.idempotent,
                **({"summary": one.summary} if one.summary else {}),
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": definition.name,
            "version": str(definition.version),
            **({"description": definition.summary} if definition.summary else {}),
        },
        "paths": paths,
        "components": {"schemas": definition.schemas},
    }


def _describe(definition: Definition, one: Operation) -> dict[str, Any]:
    return {
        "summary": one.summary,
        "readonly": one.traits.readonly,
        "idempotent": one.traits.idempotent,
        "timeout_s": one.traits.timeout_s,
        "errors": [error.__name__ for error in one.traits.errors],
        "request": definition.references[one.request],
        "reply": {"type": "null"} if one.reply is None else definition.references[one.reply],
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
