"""Classes as services: what is taken, what is refused, how it is described."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from cluster.errors import NotFound, Usage
from cluster.requests import CallContext, operation, service
from cluster.requests.description import describe, openapi
from cluster.requests.service import OPERATIONS_MAX, definition_of
from tests.requests.pricing import Item, Order, Price, Pricing, UnknownItem
from tests.requests.world import World


class Complex(Struct):
    number: complex


def test_a_class_is_taken_apart() -> None:
    definition = definition_of(Pricing)
    assert (definition.name, definition.version, definition.summary) == ("pricing", 3, "What things cost.")
    assert list(definition.operations) == ["quote", "order", "look", "stubborn", "reset", "wrong"]
    order = definition.operations["order"]
    assert (order.request, order.reply, order.request_as, order.context_as) == (Order, Price, "request", "call")
    assert order.is_async and order.traits.idempotent and not order.traits.readonly
    assert order.traits.timeout_s == 2.0 and order.traits.errors == (UnknownItem,)
    assert not definition.operations["quote"].is_async
    assert definition.operations["quote"].traits.idempotent
    assert definition.operations["reset"].reply is None and definition.operations["reset"].request_as == ""
    assert definition_of(Pricing()) is definition


def test_operations_are_inherited_and_replaced() -> None:
    @service(name="cheaper", version=1)
    class Cheaper(Pricing):
        @operation()
        def quote(self, request: Item) -> Price:
            return Price(1)

    definition = definition_of(Cheaper)
    assert list(definition.operations) == list(definition_of(Pricing).operations)
    assert not definition.operations["quote"].traits.readonly
    assert definition_of(Pricing).name == "pricing"


def offered(**traits: Any) -> Any:
    """An operation of its own."""

    def nothing(self: Any) -> None: ...

    return operation(**traits)(nothing)


def loose(self: Any, request: Item):  # type: ignore[no-untyped-def]
    ...


def starred(self: Any, *request: Item) -> None: ...


def keyword(self: Any, *, request: Item) -> None: ...


def two(self: Any, one: Item, other: Item) -> None: ...


def contexts(self: Any, one: CallContext, other: CallContext) -> None: ...


def untyped(self: Any, request) -> None:  # type: ignore[no-untyped-def]
    ...


def plain(self: Any, request: dict[str, int]) -> None: ...


def text(self: Any) -> str:
    return ""


def unknown(self: Any, request: "Missing") -> None:  # type: ignore[name-defined]  # noqa: F821
    ...


async def unsaid(self: Any):  # type: ignore[no-untyped-def]
    yield Price(1)


async def texts(self: Any) -> AsyncIterator[str]:
    yield ""


@dataclass
class Awkward(Exception):
    number: complex


def exotic(self: Any, request: Complex) -> None: ...


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "0 operations"),
        ({f"a{n}": operation()(lambda self: None) for n in range(OPERATIONS_MAX + 1)}, "65 operations"),
        ({"a": operation()(loose)}, "must say that it returns"),
        ({"a": operation()(text)}, "must say that it returns"),
        ({"a": operation()(starred)}, "use a plain parameter"),
        ({"a": operation()(keyword)}, "use a plain parameter"),
        ({"a": operation()(two)}, "`other` is neither"),
        ({"a": operation()(contexts)}, "`other` is neither"),
        ({"a": operation()(untyped)}, "`request` is neither"),
        ({"a": operation()(plain)}, "`request` is neither"),
        ({"a": operation()(unknown)}, "cannot be found"),
        ({"a": operation()(exotic)}, "JSON cannot carry"),
        ({"Big": offered()}, "expected a-z"),
        ({"_hidden": offered()}, "expected a-z"),
        ({"a": offered(timeout_s=0)}, "timeout_s"),
        ({"a": operation()(unsaid)}, "yields its replies"),
        ({"a": operation()(texts)}, "yields its replies"),
        ({"a": offered(errors=[UnknownItem, type("UnknownItem", (Exception,), {})])}, "two errors of one name"),
        ({"a": offered(errors=[Awkward])}, "JSON cannot carry"),
        ({"a": offered(errors=[Usage])}, "an exception class of the service's own"),
        ({"a": offered(errors=["Oops"])}, "an exception class"),
        ({"a": operation()(staticmethod(text))}, "not a plain method"),
    ],
)
def test_what_is_not_a_service(members: dict[str, Callable[..., Any]], message: str) -> None:
    with pytest.raises(Usage, match=message):
        service(name="bad")(type("Bad", (), members))


@pytest.mark.parametrize("name", ["", "Pricing", "a.b", "1a", "a" * 65, "ä"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(Usage):
        service(name=name)(type("Bad", (), {"a": offered()}))


@pytest.mark.parametrize("concurrency", [0, -1, 65_537])
def test_concurrency_is_bounded(concurrency: int) -> None:
    with pytest.raises(Usage, match="concurrency"):
        service(name="bad", concurrency=concurrency)(type("Bad", (), {"a": offered()}))


def test_a_priority_is_one_of_two() -> None:
    assert [offered(priority=name).traits.priority for name in ("normal", "low")] == [0, 1]
    with pytest.raises(Usage, match="normal or low"):
        offered(priority="high")


def test_a_stream_is_described_by_one_of_its_replies() -> None:
    @service(name="prices", concurrency=8)
    class Prices:
        @operation(readonly=True, priority="low")
        async def watch(self, request: Item) -> AsyncIterator[Price]:
            yield Price(1)

    definition = definition_of(Prices)
    watch = definition.operations["watch"]
    assert (watch.streams, watch.is_async, watch.reply) == (True, True, Price)
    assert definition.concurrency == 8 and watch.traits.priority == 1
    assert describe(Prices)["operations"]["watch"]["streams"]
    responses = openapi(describe(Prices))["paths"]["/services/prices/watch"]["post"]["responses"]
    assert list(responses["200"]["content"]) == ["application/jsonl"]


def test_an_instance_has_the_method_itself_and_the_class_no_call() -> None:
    assert Pricing().quote(request=Item("x", 2)) == Price(20)
    assert Pricing.quote.__doc__ == "The price of an item."
    with pytest.raises(Usage, match="called through a client"):
        vars(Pricing)["quote"](Item("x"))


def test_two_types_of_one_name_are_refused() -> None:
    def swap(self: Any, request: Any) -> Any: ...

    swap.__annotations__ = {"request": msgspec.defstruct("Twin", []), "return": msgspec.defstruct("Twin", [])}
    with pytest.raises(Usage, match="two types have one name"):
        service(name="bad")(type("Bad", (), {"a": operation()(swap)}))


def test_other_things_are_no_services() -> None:
    with pytest.raises(Usage, match="not a service"):
        definition_of(object())
    with pytest.raises(Usage, match="version"):
        service(name="bad", version=0)(type("Bad", (), {"a": offered()}))


def test_a_description_is_json_with_schemas() -> None:
    described = msgspec.json.decode(msgspec.json.encode(describe(Pricing)))
    assert (described["service"], described["version"]) == ("pricing", 3)
    assert described["operations"]["quote"] == {
        "summary": "The price of an item.",
        "readonly": True,
        "idempotent": True,
        "timeout_s": None,
        "priority": "normal",
        "streams": False,
        "errors": {
            "UnknownItem": {
                "title": "UnknownItem",
                "type": "object",
                "properties": {"message": {"type": "string"}},
                "required": ["message"],
            }
        },
        "request": {"$ref": "#/components/schemas/Item"},
        "reply": {"$ref": "#/components/schemas/Price"},
    }
    assert described["operations"]["reset"]["reply"] == {"type": "null"}
    assert described["components"]["schemas"]["Item"]["properties"]["count"]["minimum"] == 1
    assert sorted(described["components"]["schemas"]) == ["Item", "Nothing", "Order", "Price"]


def test_the_digest_tells_definitions_apart() -> None:
    members: dict[str, Any] = {"a": offered()}

    def digest(**other: Any) -> str:
        return str(describe(service(name="x", version=1)(type("X", (), {**members, **other})))["digest"])

    assert digest() == digest()
    assert digest() != digest(b=offered())
    assert len(digest()) == 16


def test_the_openapi_document() -> None:
    document = msgspec.json.decode(msgspec.json.encode(openapi(describe(Pricing()))))
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": "pricing", "version": "3", "description": "What things cost."}
    post = document["paths"]["/services/pricing/quote"]["post"]
    assert post["operationId"] == "pricing.quote"
    assert post["requestBody"]["required"]
    item = {"$ref": "#/components/schemas/pricing.Item"}
    assert post["requestBody"]["content"]["application/json"]["schema"] == item
    assert "UnknownItem" in post["responses"]["422"]["description"]
    assert not document["paths"]["/services/pricing/reset"]["post"]["requestBody"]["required"]


def test_references_point_to_what_is_there() -> None:
    document = openapi(describe(Pricing))
    names = [ref.removeprefix("#/components/schemas/") for ref in references(document)]
    assert names and all(name in document["components"]["schemas"] for name in names)


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [ref for key, one in value.items() for ref in ([one] if key == "$ref" else references(one))]
    return [ref for one in value for ref in references(one)] if isinstance(value, list | tuple) else []


def test_missing_services_are_not_described() -> None:
    node = World(1).nodes["n1"]
    assert node.describe("echo")["operations"]["whoami"]["readonly"]
    with pytest.raises(NotFound):
        node.describe("pricing")
