"""The key-value store, messages and requests by command, with real nodes."""

import os
import subprocess
import sys

import msgspec
import pytest

from cluster.emulator.home import Home
from tests.processes.commands import ask, dsectl

DSECTL = [sys.executable, "-m", "dsectl"]


@pytest.fixture(autouse=True)
def three(home: Home) -> None:
    """A cluster of three nodes."""
    dsectl("up", "-n", "3")


def test_a_value_through_every_node() -> None:
    put = ask("put", "cart", "book", "--via", "n1")
    assert (put["key"], put["outcome"], put["durability"]) == ("cart", "ok", "interval")
    assert put["acks"] >= 2 and put["hints"] == 0 and put["coordinator"] in ("n1", "n2", "n3")
    for node in ("n1", "n2", "n3"):
        found = ask("get", "cart", "--via", node)
        assert (found["value"], found["siblings"], found["degraded"]) == ("book", ["book"], False)
    explained = ask("explain", "cart")
    assert sorted(explained["owners"]) == ["n1", "n2", "n3"] and explained["hints"] == 0
    assert ask("ring", "--partition", str(explained["partition"]))[0]["owners"] == explained["owners"]


def test_contexts() -> None:
    first = ask("put", "cart", "book")
    assert ask("put", "cart", "pen")["siblings"] == 1, "a put reads first, so it replaces"
    ask("put", "cart", "cup", "--ctx", first["context"])
    assert ask("get", "cart")["siblings"] == ["pen", "cup"], "it replaced only what its context covers"
    ask("put", "cart", "blind", "--blind")
    assert len(ask("get", "cart")["siblings"]) == 3
    dsectl("put", "cart", "all")
    assert ask("get", "cart")["value"] == "all"
    dsectl("del", "cart")
    assert ask("get", "cart", code=6)["siblings"] == []


def test_bytes_survive_the_way_there_and_back() -> None:
    data = bytes(range(256)) * 10
    subprocess.run([*DSECTL, "put", "blob", "-"], input=data, capture_output=True, check=True)
    done = subprocess.run([*DSECTL, "get", "blob", "--raw"], capture_output=True, check=True)
    assert done.stdout == data
    assert "base64" in ask("get", "blob")["value"]


def test_counters_and_sets() -> None:
    for number, node in enumerate(("n1", "n2", "n3"), 1):
        counted = ask("incr", "hits", "2", "--via", node)
        assert (counted["value"], counted["outcome"], counted["degraded"]) == (2 * number, "ok", False)
    assert ask("decr", "hits")["value"] == 5 and ask("get", "hits")["value"] == "5"
    assert ask("sadd", "tags", "x", "y", "--via", "n1")["changed"] == 2
    seen = ask("smembers", "tags", "--via", "n2")
    assert seen["items"] == ["x", "y"]
    ask("sadd", "tags", "x", "--via", "n3")
    assert ask("srem", "tags", "x", "y", "--ctx", seen["context"])["changed"] == 1, "x was added anew"
    assert ask("smembers", "tags")["items"] == ["x"]
    assert ask("incr", "tags", code=1)["error"]["code"] == "wrong-type"
    assert ask("put", "hits", "5", code=1)["error"]["code"] == "wrong-type"
    dsectl("delete", "tags")
    dsectl("delete", "hits")
    assert ask("smembers", "tags")["items"] == [] and ask("get", "hits", code=6)["value"] is None


def test_a_counter_goes_on_over_sigkill() -> None:
    """Each increment that was acknowledged is in the sum, once."""
    dsectl("incr", "hits", "--via", "n1")
    dsectl("kill", "n1")
    assert ask("incr", "hits", "10", "--via", "n2")["value"] == 11
    dsectl("restart", "n1")
    assert ask("incr", "hits", "100", "--via", "n1", "--strict")["value"] == 111


def test_keys() -> None:
    for number in range(30):
        dsectl("put", f"k{number:02}", "v", "--blind")
    expected = [f"k{number:02}" for number in range(30)]
    assert ask("keys", "k")["keys"] == expected
    page = ask("keys", "k", "--limit", "10", "--after", "k04")
    assert (page["keys"], page["more"]) == (expected[5:15], True)
    dsectl("kill", "n2")
    found = ask("keys")
    assert (found["keys"], found["silent"]) == (expected, ["n2"])


def test_a_message_from_node_to_node() -> None:
    with subprocess.Popen(
        [*DSECTL, "subscribe", "orders.*.new", "--count", "2", "--wait", "30s", "--via", "n3", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    ) as listener:  # fmt: skip
        assert listener.stdout is not None and listener.stderr is not None
        assert "subscribed to orders.*.new at n3" in listener.stderr.readline()
        sent = ask("publish", "orders.eu.new", "first", "--via", "n1")
        assert (sent["subject"], sent["subscribers"], sent["queues"]) == ("orders.eu.new", 1, [])
        assert ask("publish", "orders.eu.old", "nobody", "--via", "n1")["subscribers"] == 0
        ask("publish", "orders.us.new", "second", "--via", "n2")
        lines = [msgspec.json.decode(line) for line in listener.stdout]
        assert listener.wait(30) == 0
    assert {line["payload"] for line in lines} == {"first", "second"}
    assert all(set(line) >= {"subject", "payload", "id", "node"} for line in lines)


def test_services() -> None:
    names = [service["service"] for service in ask("services")]
    assert "echo" in names
    endpoints = next(service["endpoints"] for service in ask("services") if service["service"] == "echo")
    assert [(end["node"], end["state"]) for end in endpoints] == [(f"n{number}", "ready") for number in (1, 2, 3)]
    described = ask("describe", "echo")
    operation = next(iter(described["operations"]))
    assert operation in dsectl("describe", "echo").out
    assert ask("describe", "nothing", code=6)["error"]["code"] == "not-found"
    assert ask("request", "nothing.at-all", code=6)["error"]["code"] == "not-found"
    done = ask("request", "echo.echo", "text=hello", "--via", "n1")
    assert (done["service"], done["operation"], done["reply"]) == ("echo", "echo", {"text": "hello"})
    assert done["node"] in ("n1", "n2", "n3") and done["attempts"] == 1
    assert dsectl("request", "echo.echo", "text=hello", "-q").out == '{"text":"hello"}\n'
    refused = ask("request", "echo.echo", "text:=1", code=2)
    assert refused["error"]["message"] == "echo.echo: request.text is invalid: expected `str`, got `int`", refused
    assert "dsectl describe echo" in refused["error"]["help"]
    mistyped = ask("request", "echo.echo", "txt=hello", code=2)
    assert mistyped["error"]["message"].endswith("request.txt is unknown: did you mean text?")


def test_a_declared_error_of_a_service() -> None:
    ask("request", "flaky.set", "failure_rate:=1", "--only", "n1")
    found = ask("request", "flaky.work", "--only", "n1", code=1)
    ask("request", "flaky.set", "failure_rate:=0", "--only", "n1")
    assert found["error"]["code"] == "service-error"
    assert found["error"]["message"] == "flaky.work raised Unlucky: n1 fails 100% of its calls"
    assert (found["declared"], found["endpoint"]) == ("Unlucky", "n1")
    assert found["data"] == {"message": "n1 fails 100% of its calls"}


def test_events_tell_why() -> None:
    killed = ask("kill", "n3")
    dsectl("restart", "n3")
    found = ask("events", "--since", killed["at"], "--kind", "member.alive")
    assert {event["node"] for event in found} >= {"n1", "n2"}
    assert all(event["cause"] and event["at"] >= killed["at"] for event in found)
    assert found == sorted(found, key=lambda event: event["at"])
    last = found[-1]["id"]
    assert all(event["id"] != last for event in ask("events", "--since", last))
