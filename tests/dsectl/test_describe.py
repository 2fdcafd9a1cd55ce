"""Services described: each version, as OpenAPI, and what breaks the callers of one at another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from msgspec import Struct

from cluster.client.descriptions import describe
from cluster.requests import operation, service
from tests.client.fake_node import Script
from tests.client.scripts import answering
from tests.dsectl.conftest import Run, Serve


class Quote(Struct):
    sku: str
    count: int | None = None


class Price(Struct):
    cents: int
    parts: "list[Price]" = []


@dataclass
class UnknownItem(Exception):
    sku: str


@service(name="pricing", version=1)
class Pricing:
    """Prices."""

    @operation(readonly=True, errors=[UnknownItem])
    def quote(self, request: Quote) -> Price:
        """One price."""
        return Price(1)

    @operation(timeout_s=2.0, priority="low")
    def reset(self) -> None: ...


class Colours(Struct):
    sku: str
    colour: Literal["red", "blue"]


@service(name="pricing", version=2)
class Newer(Pricing):
    @operation(readonly=True, errors=[UnknownItem])
    def paint(self, request: Colours) -> Price:
        return Price(1)


@service(name="pricing", version=3)
class Newest(Newer):
    @operation()
    def quote(self, request: Colours) -> Price:  # type: ignore[override]
        return Price(1)


CODE = """
from msgspec import Struct
from cluster.requests import operation, service

class Price(Struct):
    cents: int

@service(name="pricing", version=4)
class Pricing:
    @operation()
    def quote(self) -> Price:
        return Price(1)

class Other: ...
"""


def offering(*classes: type) -> Script:
    """A node that offers these versions."""
    found = {one["version"]: one for one in map(describe, classes)}
    services = [{"service": "pricing", "endpoints": [{"node": "n1", "version": version} for version in found]}]

    def script(arguments: dict[str, Any]) -> Any:
        version = arguments["version"] or max(found)
        return found.get(version)

    return answering(describe=script, services=services)


def test_one_version(run: Run, serve: Serve) -> None:
    serve(answering(), offering(Pricing))
    assert run("describe", "pricing").lines == [
        "pricing  version 1",
        "Prices.",
        "",
        "quote(sku: string, count?: integer | null) -> {cents: integer, parts?: [Price]}",
        "    One price.  readonly, idempotent",
        "    raises UnknownItem(message: string, sku: string)",
        "",
        "reset() -> null",
        "    at most 2s, low priority",
    ]
    told = run("describe", "pricing", "--json").json
    assert told == {**msgspec.to_builtins(describe(Pricing)), "older": []}


def test_versions_side_by_side(run: Run, serve: Serve) -> None:
    """On different nodes, or on one."""
    serve(offering(Pricing), offering(Newer, Newest), answering())
    lines = run("describe", "pricing").lines
    assert [line for line in lines if "version" in line] == [f"pricing  version {number}" for number in (3, 2, 1)]
    assert "paint(sku: string, colour: 'blue' | 'red') -> {cents: integer, parts?: [Price]}" in lines
    told = run("describe", "pricing", "--json").json
    assert told["version"] == 3 and [one["version"] for one in told["older"]] == [2, 1]


def test_one_number_for_two_definitions(run: Run, serve: Serve) -> None:
    serve(offering(Pricing), offering(service(name="pricing")(type("Other", (Newer,), {}))), offering(Pricing))
    ran = run("describe", "pricing")
    assert "version 1 is not the same on all nodes: n1, n3; n2" in ran.err and ran.code == 0


def test_openapi(run: Run, serve: Serve) -> None:
    serve(offering(Pricing))
    document = run("describe", "pricing", "--openapi", "--json").json
    assert document["openapi"] == "3.1.0" and "/services/pricing/quote" in document["paths"]
    assert msgspec.json.decode(run("describe", "pricing", "--openapi").out) == document
    assert run("describe", "pricing", "--openapi", "--diff", "1").code == 2


def test_what_breaks_callers(run: Run, serve: Serve) -> None:
    serve(offering(Pricing, Newer), offering(Newest))
    ran = run("describe", "pricing", "--diff", "1")
    assert ran.code == 1
    assert ran.lines == [
        "VERDICT  PLACE                  CHANGE",
        "breaks   quote: request.colour  was added and is required",
        "breaks   quote                  is not readonly any more: a call of unknown outcome is not sent again",
        "breaks   quote                  is not idempotent any more: a call of unknown outcome is not sent again",
        "ok       quote: request.count   is ignored now",
        "ok       quote                  does not raise UnknownItem any more",
        "ok       paint                  was added",
        "callers of pricing version 1 cannot call version 3",
    ]
    told = run("describe", "pricing", "--diff", "1", "--json")
    assert told.code == 1
    assert (told.json["old"], told.json["new"], told.json["compatible"]) == (1, 3, False)
    assert told.json["changes"][-1] == {"place": "paint", "what": "was added", "breaks": False}
    assert run("describe", "pricing", "--diff", "3").code == 2
    missing = run("describe", "pricing", "--diff", "7")
    assert missing.code == 6 and "version 7 of pricing, only 1, 2, 3" in missing.err


def test_compatible_versions(run: Run, serve: Serve) -> None:
    serve(offering(Pricing, Newer))
    ran = run("describe", "pricing", "--diff", "1")
    assert ran.code == 0 and ran.lines[-1] == "callers of pricing version 1 can call version 2"


def test_a_class_before_it_is_served(run: Run, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_of_tomorrow.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert run("describe", "shop_of_tomorrow:Pricing").lines[0] == "pricing  version 4"
    path = f"{tmp_path / 'shop_of_tomorrow.py'}:Pricing"
    assert run("describe", path, "--json").json["version"] == 4
    serve(offering(Newer))
    ran = run("describe", path, "--diff", "2")
    assert ran.code == 1 and ran.lines[-1] == "callers of pricing version 2 cannot call this class"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{}/absent.py:Pricing", "there is no file"),
        ("absent_module:Pricing", "there is no module"),
        ("{}/shop.py:Absent", "has no class 'Absent'"),
        ("{}/shop.py:Other", "not a service"),
        ("{}/shop.py:", "expected MODULE:CLASS or PATH.py:CLASS"),
        ("{}/broken.py:Pricing", "cannot be loaded: ZeroDivisionError"),
        ("{}/needy.py:Pricing", "cannot be loaded: No module named 'absent_module'"),
    ],
)
def test_classes_that_cannot_be_loaded(run: Run, tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "shop.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "needy.py").write_text("import absent_module\n")
    ran = run("describe", target.format(tmp_path))
    assert ran.code == 2 and message in ran.err


def test_a_service_that_nobody_offers(run: Run, serve: Serve) -> None:
    serve(answering(services=[]), answering())
    assert run("describe", "nothing").code == 6
