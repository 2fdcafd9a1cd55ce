"""incr, decr, sadd, srem, smembers: what they send, and what they print."""

import pytest

from cluster.versions import (
    NO_CELL,
    CellEvent,
    add_items,
    encode_cell_context,
)
from cluster.versions.context import make_token
from cluster.wire.frames import Frame, Request
from cluster.wire.kv import AddItems, Get, Got, Increment, Put, PutDone, Remove, RemoveItems, Update, Updated
from tests.client.fake_node import Peer, Script
from tests.dsectl.conftest import Run, Serve

SEEN = encode_cell_context(add_items(NO_CELL, CellEvent(1, "a1", 3), [b"x"]))


def counting(
    value: bytes | None = b"42", changed: int = 0, outcome: str = "ok", degraded: bool = False, kind: str = "set"
) -> Script:
    """A node whose every key is such a set or counter."""

    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        if isinstance(frame.body, Get):
            items = [b"a", b"\xff"] if kind == "set" else [] if kind == "nothing" else [b"7"]
            peer.reply(frame, Got(items, SEEN, 2, 0, degraded, "n1", "" if kind == "nothing" else kind))
        elif isinstance(frame.body, Update):
            done = Updated(outcome, 2, 1, SEEN, "n1", "interval", changed, value, degraded)
            peer.reply(frame, done)
        elif isinstance(frame.body, Put):
            peer.reply(frame, PutDone("ok", 2, 0, SEEN, "n1", 1, "interval"))

    return script


@pytest.mark.parametrize(
    ("line", "by"),
    [(("incr", "hits"), 1), (("incr", "hits", "41"), 41), (("decr", "hits"), -1), (("decr", "hits", "2"), -2)],
)
def test_a_counter_is_counted_without_a_read(run: Run, serve: Serve, line: tuple[str, ...], by: int) -> None:
    [node] = serve(counting())
    ran = run(*line)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("42  ok  2 acks through n1  1 hint kept for absent owners  ")
    [update] = node.bodies(Update)
    assert (update.key, update.change, update.context, node.bodies(Get)) == ("hits", Increment(by), None, [])


def test_a_counter_as_json_and_raw(run: Run, serve: Serve) -> None:
    serve(counting())
    found = run("incr", "hits", "--json").json
    assert found.items() >= {"key": "hits", "value": 42, "outcome": "ok", "acks": 2, "hints": 1}.items()
    assert run("incr", "hits", "--raw").out == "42\n"


def test_options_reach_the_node(run: Run, serve: Serve) -> None:
    [node] = serve(counting())
    assert run("incr", "hits", "5", "--w", "3", "--strict").code == 0
    [update] = node.bodies(Update)
    assert (update.w, update.strict) == (3, True)


@pytest.mark.parametrize("by", ["x", "1.5", "", str(2**63)])
def test_what_is_no_number_is_refused(run: Run, serve: Serve, by: str) -> None:
    serve(counting())
    assert run("incr", "hits", by).code == 2


def test_a_number_that_may_not_be_all_says_so(run: Run, serve: Serve) -> None:
    serve(counting(degraded=True))
    assert "not in this number" in run("incr", "hits").err


def test_a_maybe_exits_with_5_and_says_who_can_tell(run: Run, serve: Serve) -> None:
    serve(counting(outcome="maybe"))
    found = run("incr", "hits", "--json")
    assert (found.code, found.json["outcome"], found.json["coordinator"]) == (5, "maybe", "n1")


def test_items_are_added_without_a_read(run: Run, serve: Serve) -> None:
    [node] = serve(counting(None, 2))
    assert run("sadd", "tags", "a", "b").out.startswith("2 added  ok  2 acks through n1")
    assert [update.change for update in node.bodies(Update)] == [AddItems([b"a", b"b"])]
    assert node.bodies(Get) == []


def test_items_are_removed_as_they_were_read(run: Run, serve: Serve) -> None:
    [node] = serve(counting(None, 1))
    assert run("srem", "tags", "a", "b").out.startswith("1 removed  ok")
    [update] = node.bodies(Update)
    assert (update.change, update.context, len(node.bodies(Get))) == (RemoveItems([b"a", b"b"]), SEEN, 1)
    assert run("srem", "tags", "a", "--ctx", make_token("tags", SEEN)).code == 0
    assert len(node.bodies(Get)) == 1
    assert run("srem", "tags", "a", "--ctx", make_token("other", SEEN)).code == 2


def test_a_removal_of_nothing_says_why(run: Run, serve: Serve) -> None:
    serve(counting(None, 0))
    assert "after this session read" in run("srem", "tags", "a").err


def test_items_are_listed(run: Run, serve: Serve) -> None:
    serve(counting())
    assert run("smembers", "tags").out == "a\n\\xff\n"
    assert run("smembers", "tags", "--json").json["items"] == ["a", {"base64": "/w=="}]


def test_a_set_that_is_not_there_has_no_items(run: Run, serve: Serve) -> None:
    serve(counting(kind="nothing"))
    ran = run("smembers", "tags")
    assert (ran.code, ran.out, ran.err) == (0, "", "note: no items\n")
    assert run("smembers", "tags", "--json").json["items"] == []


def test_a_counter_is_no_set(run: Run, serve: Serve) -> None:
    serve(counting(kind="counter"))
    ran = run("smembers", "hits", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "wrong-type")


def test_whatever_a_key_holds_is_deleted(run: Run, serve: Serve) -> None:
    [node] = serve(counting(kind="counter"))
    assert run("delete", "hits").code == 0
    [update] = node.bodies(Update)
    assert (update.change, node.bodies(Put)) == (Remove(), [])
