"""bucket create, list, show: whom they ask, and what they print."""

from typing import Any

import pytest

from cluster.errors import AlreadyExists, ClusterError, Maybe, NotYet, Usage
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Frame, Request
from tests.client.fake_node import Peer, Script
from tests.dsectl.conftest import Run, Serve

ORDERS = {"bucket": "orders", "resolver": "lww", "r": 2, "w": 2, "ttl_s": 90.0, "emptied": None}


def node(slot: int, outcome: dict[str, Any] | ClusterError | None) -> Script:
    """A node whose chain ends with this slot, and what it answers to the creation of a bucket."""

    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request) and isinstance(frame.body, AdminQuery)
        if frame.body.what == "layout":
            peer.reply(frame, AdminAnswer({"slot": slot, "number": 1, "alive": 3}))
        elif isinstance(outcome, ClusterError):
            peer.fail(frame, outcome.code, outcome.message)
        elif outcome is not None:
            peer.reply(frame, AdminAnswer(outcome if frame.body.what == "create-bucket" else [outcome]))

    return script


def asked(fake: Any) -> list[dict[str, Any]]:
    return [body.arguments for body in fake.bodies(AdminQuery) if body.what == "create-bucket"]


def test_who_has_the_newest_chain_is_asked_with_what_was_wanted(run: Run, serve: Serve) -> None:
    nodes = serve(node(1, None), node(2, {**ORDERS, "slot": 3, "late": ["n3"]}), node(1, None))
    ran = run("bucket", "create", "orders", "--resolver", "lww", "--w", "2", "--ttl", "90s")
    assert (ran.code, ran.out) == (0, "bucket orders: lww, R=2 W=2, expires after 1.5m\n"), ran
    assert "not taken over yet by n3" in ran.err
    [arguments] = asked(nodes[1])
    assert arguments.pop("id") and arguments == {"name": "orders", "resolver": "lww", "r": 0, "w": 2, "ttl_s": 90.0}
    assert asked(nodes[0]) == asked(nodes[2]) == []


def test_the_next_node_is_asked_for_the_same_change(run: Run, serve: Serve) -> None:
    nodes = serve(node(2, Maybe("may still be decided")), node(1, {**ORDERS, "slot": 2, "late": []}))
    ran = run("bucket", "create", "orders")
    assert ran.code == 0 and ran.err == ""
    assert asked(nodes[0])[0]["id"] == asked(nodes[1])[0]["id"]


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (Maybe("may still be decided"), Usage("keys exist"), 5),  # the first may be what the second refuses it for
        (NotYet("another one"), Usage("keys exist"), 2),
        (Usage("keys exist"), NotYet("another one"), 2),
        (AlreadyExists("with other options"), NotYet("another one"), 1),
    ],
)
def test_what_is_unknown_stays_unknown(
    run: Run, serve: Serve, first: ClusterError, second: ClusterError, code: int
) -> None:
    serve(node(2, first), node(1, second))
    ran = run("bucket", "create", "orders")
    assert ran.code == code and (code == 5 or "dsectl bucket list" in ran.err)


def test_the_list_is_a_table_and_json(run: Run, serve: Serve) -> None:
    serve(node(1, ORDERS))
    ran = run("bucket", "list")
    heading, row = (line.split() for line in ran.lines)
    assert heading == ["BUCKET", "RESOLVER", "R", "W", "TTL"] and row == ["orders", "lww", "2", "2", "1.5m"]
    assert run("bucket", "list", "--json").json == [ORDERS]
