"""services, health and top: what nodes say of services, merged and shown."""

import io
from typing import Any

import msgspec

from dsectl.cli.app import invoke
from tests.client.fake_node import Script
from tests.client.scripts import answering
from tests.dsectl.conftest import Run, Serve
from tests.dsectl.snapshot.services import endpoint, service, stats, totals
from tests.dsectl.snapshot.snapshots import vitals

EJECTED = endpoint(
    "n2/1", "ejected", "failed too often in a row; called again in 28 s", version=2, latency_ms=1500.0, in_flight=3,
    failures_in_row=5, last_failure="KeyError: 'sku'", ejections=2, back_in_s=28.0,
)  # fmt: skip


def node(name: str, *services: dict[str, Any]) -> Script:
    return answering(status={"name": name}, vitals=msgspec.to_builtins(vitals()), services=list(services))


def test_services_are_the_view_of_one_node_with_its_evidence(run: Run, serve: Serve) -> None:
    serve(
        node("n1", service("pricing", endpoint("n1", latency_ms=2.0), EJECTED, v1=90.0, v2=10.0)),
        node("n2", service("pricing", endpoint("n1"), endpoint("n2/1", version=2))),
    )
    ran = run("services", "--via", "n1")
    assert ran.lines[0] == "as n1 sees it"
    assert ran.lines[1].split() == ["SERVICE", "ENDPOINT", "VERSION", "STATE", "IN", "FLIGHT", "LATENCY", "REASON"]
    assert ran.lines[2].split() == ["pricing", "n1", "1", "ready", "2ms"]
    assert ran.lines[3].split()[:6] == ["pricing", "n2/1", "2", "ejected", "3", "1.5s"]
    assert ran.lines[3].endswith("5 failures in a row, ejected 2 times of late, last: KeyError: 'sku'")
    assert ran.lines[4] == "pricing: version 1 90%, version 2 10% of the calls"
    assert run("services", "--via", "n2").lines[3].split()[:4] == ["pricing", "n2/1", "2", "ready"]
    assert run("services", "--via", "n1", "--json").json[0]["endpoints"][1] == EJECTED, "as the node says it"


def test_the_matrix_says_who_sees_what(run: Run, serve: Serve) -> None:
    serve(
        node("n1", service("pricing", endpoint("n1"), EJECTED)),
        node("n2", service("pricing", endpoint("n1"), endpoint("n2/1", version=2), panic=True)),
        answering(),
    )
    ran = run("services", "--matrix")
    assert [line.split()[:5] for line in ran.lines[1:4]] == [
        ["pricing", "n1", "1", "ready", "all"],
        ["pricing", "n2/1", "2", "ejected", "n1"],
        ["pricing", "n2/1", "2", "ready", "n2"],
    ]
    assert ran.lines[4] == "pricing: panic, over half of its endpoints fail, so all are used, as n2 sees it"
    assert "no answer from n3" in ran.err
    assert set(run("services", "--matrix", "--json").json) == {"n1", "n2"}


def test_nobody_offers_a_service(run: Run, serve: Serve) -> None:
    serve(node("n1"))
    ran = run("services")
    assert (ran.code, ran.out) == (0, "") and "no node offers a service" in ran.err


def test_health_shows_what_is_left_out_and_panic_is_not_healthy(run: Run, serve: Serve) -> None:
    serve(node("n1", service("pricing", endpoint("n1"), EJECTED)), node("n2", service("pricing", endpoint("n1"))))
    ran = run("health", "--json")
    assert ran.code == 0 and ran.json["services"]["pricing"] == {
        "healthy": True, "reasons": [], "endpoints": {"n2/1": {"state": "ejected", "reason": EJECTED["reason"],
                                                               "seen_by": ["n1"]}},
    }  # fmt: skip
    assert run("health").lines[5].split()[:5] == ["pricing", "n2/1", "2", "ejected", "n1"]


def test_panic_is_not_healthy(run: Run, serve: Serve) -> None:
    serve(node("n1", service("pricing", endpoint("n1"), panic=True)))
    ran = run("health", "--json")
    assert ran.code == 1 and not ran.json["healthy"] and "panic" in ran.json["services"]["pricing"]["reasons"][0]
    assert run("health").lines[-1].startswith("pricing: panic, over half of its endpoints fail")


class Counting:
    """A node that has taken ten more calls in, a tenth of a second later, at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.looks += 1
        calls = 10 * self.looks
        rows = totals("pricing.quote", calls=calls, retries=self.looks), totals("pricing.quote", "n1", calls)
        return stats(self.looks / 10, *rows)


def counting() -> Script:
    said = {"services": [service("pricing", endpoint("n1"))], "services-stats": Counting()}
    return answering(status={"name": "n1"}, **said)


def test_top_is_one_picture_off_a_terminal_and_an_object_a_look_with_json(run: Run, serve: Serve) -> None:
    serve(counting(), answering())
    ran = run("top")
    assert "1 of 2 nodes answer" in ran.lines[0] and "100 calls/s" in ran.lines[0]
    assert any(line.split()[:2] == ["pricing.quote", "100"] for line in ran.lines), ran.out
    assert any(line.split()[:2] == ["pricing@n1", "100"] for line in ran.lines), ran.out
    out = io.StringIO()
    assert invoke(["top", "--json", "--every", "100ms", "--count", "2"], None, out, io.StringIO()) == 0
    one, other = (msgspec.json.decode(line) for line in out.getvalue().splitlines())
    (operation,) = other["operations"]
    assert (operation["service"], operation["operation"], operation["calls_per_s"]) == ("pricing", "quote", 100.0)
    assert operation["retries_per_s"] == 10.0 and operation["p99_ms"] < 1
    assert one["entries"][0]["node"] == "n1" and set(one["silent"]) == {"n2"}
    assert other["endpoints"][0] | {"endpoint": "n1", "state": "ready", "calls_per_s": 100.0} == other["endpoints"][0]


def test_top_refuses_a_pace_that_nobody_could_read(run: Run, serve: Serve) -> None:
    serve(counting())
    assert run("top", "--every", "1ms").code == 2
