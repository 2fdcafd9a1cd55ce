"""The document is OpenAPI 3.1, has all routes and all services, and asks nodes for what it does not have."""

from http import HTTPStatus
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from cluster.errors import NoResponders, NotFound
from cluster.gateways.http.describing import DESCRIBE_S
from cluster.gateways.http.gateway import TABLE
from cluster.requests.demo import Echo
from cluster.requests.description import describe
from cluster.requests.registry import Offer, offer
from cluster.requests.service import definition_of, operation, service
from cluster.wire.admin import AdminAnswer, AdminQuery
from tests.gateways.http.fake import FakeClient, FakeNode

validator = pytest.importorskip("openapi_spec_validator")


class SoldOut(Exception):
    """None is left."""


class Text(Struct):
    """One type of that name."""

    sku: str


class Price(Struct):
    """What it costs."""

    cents: int


@service(name="pricing", version=3)
class Pricing:
    """Says what things cost."""

    @operation(readonly=True, errors=[SoldOut])
    def quote(self, request: Text) -> Price:
        """The price of one."""
        return Price(len(request.sku))


def announced(made: type) -> dict[str, Any]:
    definition = definition_of(made)
    return {definition.name: [offer(definition)]}


@pytest.fixture
def node() -> FakeNode:
    node = FakeNode()
    node.registry.update("n1", announced(Echo), "alive")
    node.registry.update("n2", announced(Pricing), "alive")
    node.admin_answer = describe(Echo)
    return node


def refs(value: Any) -> list[str]:
    """All that a document refers to."""
    if isinstance(value, list):
        return [ref for one in value for ref in refs(one)]
    if not isinstance(value, dict):
        return []
    found = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return found + [ref for one in value.values() for ref in refs(one)]


def test_the_document_is_valid_and_has_everything(node: FakeNode) -> None:
    client = FakeClient(node)
    client.send("GET", "/openapi.json")
    assert node.admin_asked == [("describe", {"service": "echo", "version": 1})]
    [(names, query)] = node.sent
    assert (names, query) == (["n2"], AdminQuery("describe", {"service": "pricing", "version": 3}))
    assert not client.written
    node.heard[0]("n2", AdminAnswer(describe(Pricing)))
    answer = client.take()
    document = answer.json
    assert answer.status == HTTPStatus.OK and answer.headers["content-type"] == "application/json"
    validator.validate(document)
    assert document["servers"] == [{"url": "http://127.0.0.1:9"}]
    for route in TABLE.routes:
        if route.shown:
            described = document["paths"][route.path][route.method.lower()]
            assert {str(status) for status in route.replies} <= set(described["responses"]), route.id
    quote = document["paths"]["/services/pricing/quote"]["post"]
    schema = quote["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/pricing.Text"}
    schemas = document["components"]["schemas"]
    assert "sku" in schemas["pricing.Text"]["properties"] and "text" in schemas["echo.Text"]["properties"]
    for ref in refs(document):
        found: Any = document
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
    parameters = {one["name"]: one for one in document["paths"]["/kv/{key}"]["get"]["parameters"]}
    assert parameters["r"]["schema"]["maximum"] == 3  # copies of a key


def test_descriptions_are_kept_until_they_change(node: FakeNode) -> None:
    client = FakeClient(node)
    client.send("GET", "/openapi.json")
    node.heard[0]("n2", AdminAnswer(describe(Pricing)))
    first = client.take().json
    assert client.ask("GET", "/openapi.json").json == first
    assert len(node.sent) == len(node.admin_asked) == 1
    node.registry.update("n2", {"pricing": [Offer(4, "other", [])]}, "alive")
    client.send("GET", "/openapi.json")
    assert len(node.sent) == 2
    node.heard[1]("n2", AdminAnswer(describe(Pricing) | {"digest": "other"}))
    client.take()
    node.registry.update("n2", announced(Pricing), "alive")  # what nobody offered meanwhile was forgotten
    client.send("GET", "/openapi.json")
    assert len(node.sent) == 3


def test_services_that_cannot_be_called_are_left_out(node: FakeNode) -> None:
    node.registry.set_state("n2", "dead")
    document = FakeClient(node).ask("GET", "/openapi.json").json
    assert not node.sent and "x-services-not-described" not in document["info"]


def test_the_nodes_that_describe_have_one_time_together(node: FakeNode) -> None:
    node.registry.update("n3", announced(Pricing), "alive")
    client = FakeClient(node)
    client.send("GET", "/openapi.json")
    node.time += DESCRIBE_S
    node.heard[0]("n2", NoResponders("silent"))
    assert client.take().json["info"]["x-services-not-described"] == ["pricing"] and len(node.sent) == 1


def test_the_next_node_is_asked_and_a_service_that_none_describes_is_named(node: FakeNode) -> None:
    node.registry.update("n3", announced(Pricing), "alive")
    [one] = announced(Pricing)["pricing"]
    node.registry.update("n2", {"pricing": [replace(one, workers=[1, 2])]}, "alive")
    client = FakeClient(node)
    client.send("GET", "/openapi.json")
    node.heard[0]("n2", NotFound("no such service"))
    assert [names for names, _ in node.sent] == [["n2"], ["n3"]]
    node.heard[1]("n3", AdminAnswer({"digest": "another"}))
    document = client.take().json
    assert document["info"]["x-services-not-described"] == ["pricing"]
    assert "/services/echo/echo" in document["paths"] and "/services/pricing/quote" not in document["paths"]
    validator.validate(document)


def test_this_node_is_asked_before_others(node: FakeNode) -> None:
    node.registry.update("a1", announced(Echo), "alive")
    node.registry.forget("n2")
    FakeClient(node).ask("GET", "/openapi.json")
    assert len(node.admin_asked) == 1 and not node.sent


def test_services_are_listed_as_they_are_seen(node: FakeNode) -> None:
    node.registry.set_state("n2", "dead")
    assert FakeClient(node).ask("GET", "/services").json == {
        "services": [
            {"service": "echo", "versions": [1], "ready": 1, "endpoints": 1},
            {"service": "pricing", "versions": [3], "ready": 0, "endpoints": 1},
        ]
    }
