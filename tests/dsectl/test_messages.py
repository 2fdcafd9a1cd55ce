"""publish, subscribe, request: what they send, and what they print."""

import re

import msgspec
import pytest

from cluster.wire.frames import Frame, Request
from cluster.wire.requests import Call
from cluster.wire.topics import Message, Publish, Subscribe, Subscribed, TopicRequest
from dsectl.cli.app import invoke
from dsectl.commands.requests import parse_arguments
from tests.client.fake_node import Peer
from tests.client.scripts import healthy
from tests.dsectl.conftest import Run, Serve, Terminal


def test_publish(run: Run, serve: Serve) -> None:
    [node] = serve()
    assert run("publish", "orders.new", "hello").out == "sent to 1 subscription  m1\n"
    found = run("publish", "orders.new", "hello", "--json").json
    assert found == {"subject": "orders.new", "id": "m1", "subscribers": 1, "queues": []}
    assert node.bodies(Publish)[0].payload == b"hello"


def test_an_id_of_its_own_is_that_of_the_message(run: Run, serve: Serve) -> None:
    [node] = serve()
    assert run("publish", "orders.new", "hello", "--id", "order-7").code == 0
    assert node.bodies(Publish)[0].id == "order-7"
    assert run("publish", "orders.new", "hello", "--id", "order-7", "--request").code == 2
    refused = run("publish", "orders.new", "hello", "--id", "")
    assert refused.code == 2 and "at least one character" in refused.err and len(node.bodies(Publish)) == 1


def test_headers_are_sent_and_an_answer_is_awaited(run: Run, serve: Serve) -> None:
    [node] = serve()
    assert run("publish", "orders.new", "hello", "--header", "a=1", "--header", "b=x=y").code == 0
    assert node.bodies(Publish)[0].headers == {"a": "1", "b": "x=y"}
    ran = run("publish", "time", "?", "--header", "zone=utc", "--request")
    assert (ran.code, ran.out) == (0, "_REPLY.n1.1  noon  from=clock\n")
    assert node.bodies(TopicRequest)[0].headers == {"zone": "utc"}
    found = run("publish", "time", "?", "--request", "--json").json
    assert found["payload"] == "noon" and found["headers"] == {"from": "clock"}
    refused = run("publish", "a", "b", "--header", "nothing")
    assert refused.code == 2 and "expected NAME=TEXT" in refused.err


def test_a_message_says_where_its_answer_is_awaited(run: Run, serve: Serve) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Subscribe):
            peer.reply(frame, Subscribed(1))
            peer.push(Message(1, "time", b"?", "m1", "n1", 0, {"a": "b"}, "_REPLY.n1.7"))

    serve(script)
    assert run("subscribe", "time", "--count", "1").out == "time  ?  a=b  answer to _REPLY.n1.7\n"


def test_a_member_of_a_group(run: Run, serve: Serve) -> None:
    [node] = serve()
    assert run("subscribe", "orders.>", "--group", "crew", "--count", "1").code == 0
    assert node.bodies(Subscribe)[0].group == "crew"


def test_subscriptions_of_all_nodes(run: Run, serve: Serve) -> None:
    serve(healthy("n1"), healthy("n2"))
    ran = run("subscriptions")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["NODE", "PATTERN", "GROUP", "DELIVERED", "DROPPED"],
        ["n1", "orders.>", "crew", "7", "2"],
        ["n2", "orders.>", "crew", "7", "2"],
    ]
    assert run("subscriptions", "--json").json[1] == {
        "node": "n2",
        "pattern": "orders.>",
        "group": "crew",
        "delivered": 7,
        "dropped": 2,
    }


def test_subscribe_prints_a_line_for_each_message(run: Run, serve: Serve) -> None:
    serve()
    ran = run("subscribe", "orders.>", "--count", "1")
    assert (ran.code, ran.out) == (0, "orders.new  hello\n")
    assert ran.err == "subscribed to orders.> at n1; announced to 5 nodes\n"
    found = run("subscribe", "orders.>", "--count", "1", "--json").json
    assert found == {"subject": "orders.new", "payload": "hello", "id": "m1", "node": "n1"}
    assert run("subscribe", "orders.>", "--count", "1", "--raw", "-q").err == ""


def test_a_count_that_is_not_reached_in_time(run: Run, serve: Serve) -> None:
    serve()
    ran = run("subscribe", "orders.>", "--count", "2", "--wait", "50ms")
    assert (ran.code, ran.out) == (5, "orders.new  hello\n")
    assert "1 of 2 messages came within 50ms" in ran.err


def test_waiting_without_a_count_is_no_failure(run: Run, serve: Serve) -> None:
    [node] = serve()
    assert run("subscribe", "orders.>", "--wait", "1ms").code == 0
    assert node.bodies(Subscribe)[0].pattern == "orders.>"


def test_json_that_is_nested_without_end_is_refused(run: Run, serve: Serve) -> None:
    serve()
    ran = run("request", "echo.echo", f"text:={'[' * 100_000}")
    assert ran.code == 2 and ran.err.startswith("error: text:= needs JSON") and "Traceback" not in ran.err


def test_a_payload_cannot_command_the_terminal(run: Run, serve: Serve) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Subscribe):
            peer.reply(frame, Subscribed(1))
            peer.push(Message(1, "a\x1b[2J", b"two\nlines\xff", "m1", "n1", dropped=3))

    serve(script)
    ran = run("subscribe", ">", "--count", "1")
    assert ran.out == "a\\x1b[2J  two\\nlines\\xff\n"
    assert "3 messages dropped" in ran.err and "announced to 1 node" in ran.err


def test_a_subscription_that_moved_says_to_which_node(run: Run, serve: Serve) -> None:
    """The node of a message is the one that it was published at."""
    asked: list[Peer] = []

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Subscribe):
            asked.append(peer)
            peer.reply(frame, Subscribed(1))
            if len(asked) == 1:
                peer.hang_up()
            else:
                peer.push(Message(frame.body.subscription, "a", b"x", "m1", "n9"))

    serve(script, script)
    ran = run("subscribe", ">", "--count", "1")
    assert ran.code == 0 and re.search(r"the subscription moved to n[12];", ran.err)


def test_a_job_is_told_when_it_listens_and_can_be_stopped(serve: Serve) -> None:
    """What a recipe does with a subscription in the background."""
    serve()
    ready: list[bool] = []
    out = Terminal()
    code = invoke(
        ["subscribe", ">"], out=out, err=Terminal(), on_ready=lambda: ready.append(True), is_stopped=lambda: bool(ready)
    )
    assert (code, ready) == (0, [True])


def test_request_sends_its_arguments(run: Run, serve: Serve) -> None:
    [node] = serve()
    ran = run("request", "pricing.quote", "sku=x", "count:=3")
    assert (ran.code, ran.out) == (0, '{"sku":"x","count":3}\n')
    [call] = node.bodies(Call)
    assert (call.service, call.operation) == ("pricing", "quote")
    found = run("request", "pricing.quote", "sku=x", "--json", "--only", "n1").json
    assert found["reply"] == {"sku": "x"}
    assert set(found) >= {"service", "operation", "node", "attempts", "hedged", "ms", "trace"}
    assert msgspec.json.decode(node.bodies(Call)[1].payload) == {"sku": "x"} and node.bodies(Call)[1].only == "n1"


def test_the_arguments_of_a_request() -> None:
    words = ["a=1", "b:=1", "c:=[true,null]", "d=x=y", "e=", "f=:=", "g=a:=b"]
    assert parse_arguments(words) == {
        "a": "1", "b": 1, "c": [True, None], "d": "x=y", "e": "", "f": ":=", "g": "a:=b",
    }  # fmt: skip


@pytest.mark.parametrize("words", [["a"], ["=1"], ["a:=x"], ["a:="], ["a=1", "a=2"], ["a b=1"]])
def test_what_is_no_argument(run: Run, serve: Serve, words: list[str]) -> None:
    [node] = serve()
    assert run("request", "pricing.quote", *words).code == 2
    assert not node.bodies(Call)


def test_an_operation_has_two_parts(run: Run, serve: Serve) -> None:
    serve()
    assert run("request", "pricing").code == 2
