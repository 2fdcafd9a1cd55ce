"""JSON Schemas and OpenAPI documents, by the validators that others wrote."""

from datetime import datetime, time
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct
from openapi_spec_validator import validate

from cluster.requests.demo import Echo, Flaky
from cluster.requests.description import describe, openapi
from cluster.requests.schemas import schemas_of
from tests.requests.pricing import Pricing
from tests.requests.test_compatibility import NONE, described
from tests.requests.typing_cases import Shape, built, shapes


def document_of(schemas: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """One schema with all that it refers to, as a document of its own."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": {"schemas": schemas},
        **reference,
    }


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data(), shapes())
def test_any_value_is_valid_and_round_trips(data: st.DataObject, shape: Shape) -> None:
    kind, values = built(shape)
    references, schemas = schemas_of([kind])
    document = document_of(schemas, references[kind])
    Draft202012Validator.check_schema(document)
    value = data.draw(values)
    sent = msgspec.json.encode(value)
    Draft202012Validator(document).validate(msgspec.json.decode(sent))
    assert msgspec.json.decode(sent, type=kind) == value


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=10)
@given(shapes(), shapes())
def test_any_service_is_an_openapi_document(request: Shape, reply: Shape) -> None:
    described_one = described(built(request)[0], built(reply)[0])
    validate(openapi(described_one))
    validate(openapi(described(NONE, built(reply)[0], errors=[KeyError]), "/elsewhere"))


@pytest.mark.parametrize("made", [Echo, Flaky, Pricing])
def test_services_are_openapi_documents(made: type) -> None:
    validate(msgspec.json.decode(msgspec.json.encode(openapi(describe(made)))))


class Opened(Struct):
    at: datetime
    day: Annotated[datetime, Meta(tz=False)]
    hours: dict[int, list[time | None]]
    closed: tuple[datetime, "Opened | None"] | None = None


def test_what_msgspec_does_not_tell() -> None:
    references, schemas = schemas_of([Opened])
    fields = schemas["Opened"]["properties"]
    assert fields["at"] == {"type": "string", "format": "date-time"}
    assert fields["day"] == {"type": "string", "format": "date-time-local"}
    assert fields["hours"]["propertyNames"] == {"pattern": "^-?[0-9]+$"}
    assert {"type": "string", "format": "time"} in fields["hours"]["additionalProperties"]["items"]["anyOf"]
    assert fields["closed"]["anyOf"][0]["prefixItems"][0]["format"] == "date-time"
    assert references[Opened] == {"$ref": "#/components/schemas/Opened"}
