"""The blocking client against nodes that misbehave: what is raised, tried elsewhere, never repeated."""

import time
from collections.abc import Callable
from time import monotonic

import pytest

from cluster.client.blocking import BlockingCluster
from cluster.client.keyed import first_attempt
from cluster.errors import (
    BadContext,
    ClusterError,
    DeadlinePassed,
    HandshakeRefused,
    Maybe,
    NotFound,
    QuorumMissing,
    TooLarge,
    Unreachable,
    Usage,
)
from cluster.versions.context import encode_clock, make_token
from cluster.wire.frames import Cancel, Frame, Request
from cluster.wire.kv import Get, Got, Keys, Put, PutDone
from cluster.wire.requests import Call
from cluster.wire.topics import Publish
from tests.client.conftest import StartNode
from tests.client.fake_node import FakeNode, Peer, Script, closed_address, location, silence
from tests.client.scripts import (
    CLOCK,
    announces_too_much,
    dies_in_mid_reply,
    hangs_up,
    healthy,
    refuses,
    talks_garbage,
)

BREAKS: list[Script] = [dies_in_mid_reply, hangs_up, talks_garbage, announces_too_much]


def open_cluster(*nodes: FakeNode | tuple[str, tuple[str, int]], timeout: float = 5.0) -> BlockingCluster:
    return BlockingCluster(location(*nodes), timeout=timeout)


def test_put_and_get_give_the_fields_of_the_json(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with open_cluster(node) as c:
        done = c.kv.put("cart", b"book")
        found = c.kv.get("cart")
    assert (done.key, done.outcome, done.coordinator, done.acks, done.hints) == ("cart", "ok", "n1", 2, 0)
    assert done.durability == "interval" and done.context == make_token("cart", CLOCK) and done.ms > 0
    assert found.value == b"book" and found.siblings == [b"book"] and found.context == done.context
    assert (found.answered, found.repaired, found.degraded) == (2, 0, False)


def test_operations_behind_the_with_block_are_refused_until_it_is_entered_again(start_node: StartNode) -> None:
    """As those of the asyncio client: what they dialled, nobody would close."""
    node = start_node("n1", healthy())
    with open_cluster(node) as c:
        c.kv.get("cart")
    asked = len(node.frames)
    for operation in (
        lambda: c.kv.get("cart"),
        lambda: c.kv.put("cart", b"x"),
        lambda: c.topics.subscribe("orders"),
        lambda: c.requests.call("shop.who"),
        lambda: c.admin.ask("n1", "stats"),
    ):
        with pytest.raises(Unreachable, match="not connected"):
            operation()
    c.close()
    assert len(node.frames) == asked
    with c:
        assert c.kv.get("cart").found


def test_requests_carry_the_layout_and_the_deadline(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    began = time.monotonic()
    with open_cluster(node, timeout=2.0) as c:
        c.kv.get("cart")
    request = node.frames[0]
    assert isinstance(request, Request)
    assert request.layout == 7 and began + 0.5 < request.deadline <= time.monotonic() + 1.0  # what a read has


def test_a_session_writes_with_the_context_it_knows(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with open_cluster(node) as c:
        c.kv.put("cart", b"1")
        c.kv.put("cart", b"2")
        c.kv.put("cart", b"3", blind=True)
        c.kv.put("cart", b"4", context=make_token("cart", encode_clock({"b2": 9})))
        c.kv.delete("cart")
    puts = node.bodies(Put)
    assert [put.context for put in puts] == [CLOCK, CLOCK, None, encode_clock({"b2": 9}), CLOCK]
    assert [put.deleted for put in puts] == [False, False, False, False, True]
    assert len({put.operation for put in puts}) == 5


def test_a_session_that_never_saw_the_key_reads_it_first(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with open_cluster(node) as c:
        c.kv.put("cart", b"1")
        c.kv.put("cart", b"2")
        c.kv.delete("list")
        c.kv.put("other", b"1", blind=True)
        c.kv.put("third", b"1", context=make_token("third", CLOCK))
    assert [get.key for get in node.bodies(Get)] == ["cart", "list"]
    assert [put.context for put in node.bodies(Put)] == [CLOCK, CLOCK, CLOCK, None, CLOCK]


def test_what_was_written_since_the_session_saw_no_value_is_not_replaced(start_node: StartNode) -> None:
    """It has seen the key: another look before the write would make it replace a value that nobody here has seen."""

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Get) and len(node.bodies(Get)) == 1:
            peer.reply(frame, Got([], encode_clock({}), 2, 0, False, "n1"))
        else:
            healthy()(peer, frame)

    node = start_node("n1", script)
    with open_cluster(node) as c:
        assert not c.kv.get("cart").found
        c.kv.put("cart", b"1")
    assert len(node.bodies(Get)) == 1 and node.bodies(Put)[0].context is None


def test_a_context_that_cannot_be_read_makes_a_blind_write(start_node: StartNode) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Get):
            peer.fail(frame, "no-quorum")
        else:
            healthy()(peer, frame)

    node = start_node("n1", script)
    with open_cluster(node) as c:
        assert c.kv.put("cart", b"1").outcome == "ok"
    assert node.bodies(Put)[0].context is None


def test_a_node_that_knows_another_secret_is_refused_by_the_client(start_node: StartNode) -> None:
    node = start_node("n1", healthy(), secret=b"x" * 32)
    with open_cluster(node) as c, pytest.raises(HandshakeRefused, match="another secret"):
        c.kv.put("cart", b"book")
    assert node.frames == []


def test_a_client_of_another_cluster_is_refused_by_the_node(start_node: StartNode) -> None:
    node = start_node("n1", healthy(), cluster="other")
    with open_cluster(node) as c, pytest.raises(HandshakeRefused, match="another cluster"):
        c.kv.put("cart", b"book")


def test_another_node_at_the_address_is_refused(start_node: StartNode) -> None:
    node = start_node("n2", healthy())
    with open_cluster(("n1", node.address)) as c, pytest.raises(HandshakeRefused, match="expected node n1"):
        c.kv.put("cart", b"book")
    assert node.frames == []


def test_garbage_instead_of_a_handshake_is_definite(start_node: StartNode) -> None:
    node = start_node("n1", greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with open_cluster(node) as c, pytest.raises(ClusterError) as caught:
        c.kv.put("cart", b"book")
    assert caught.value.definite


@pytest.mark.parametrize("script", BREAKS)
def test_a_dispatched_write_is_maybe_and_never_repeated(start_node: StartNode, script: Script) -> None:
    first, second = start_node("n1", script), start_node("n2", healthy("n2"))
    with open_cluster(first, second) as c, pytest.raises(Maybe) as caught:
        c.kv.put("cart", b"book", blind=True)
    told = caught.value.detail
    assert (told["key"], told["outcome"], told["node"]) == ("cart", "maybe", told["coordinator"])
    assert first_attempt(caught.value, "cart") == (told["operation"], told["coordinator"]), (
        "so it can be tried again there"
    )
    assert len(first.bodies(Put)) == 1 and second.frames == []


@pytest.mark.parametrize("script", BREAKS)
def test_a_read_goes_to_another_node(start_node: StartNode, script: Script) -> None:
    first, second = start_node("n1", script), start_node("n2", healthy("n2"))
    with open_cluster(first, second) as c:
        assert c.kv.get("cart").coordinator == "n2"
    assert len(first.bodies(Get)) == 1


@pytest.mark.parametrize(
    ("operate", "error"),
    [
        (lambda c: c.kv.put("cart", b"book"), Maybe),
        (lambda c: c.kv.delete("cart"), Maybe),
        (lambda c: c.topics.publish("a.b", b""), Maybe),
        (lambda c: c.requests.call("echo.echo", {}), Maybe),
        (lambda c: c.kv.get("cart"), DeadlinePassed),
        (lambda c: c.ask(None, "members"), DeadlinePassed),
    ],
)
def test_silence_after_the_request(
    start_node: StartNode, operate: Callable[[BlockingCluster], object], error: type[ClusterError]
) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and frame.body == Get("before"):
            healthy()(peer, frame)

    node = start_node("n1", script)
    with open_cluster(node, timeout=0.2) as c:
        c.kv.get("before", timeout=30.0)  # the handshake is over, or what follows might not be sent in time
        began = monotonic()
        with pytest.raises(error):
            operate(c)
        assert monotonic() - began < 5
    node.wait(lambda: any(isinstance(frame, Cancel) for frame in node.frames))


def test_silence_before_the_handshake_is_definite(start_node: StartNode) -> None:
    node = start_node("n1", greeting=b"")
    with open_cluster(node, timeout=0.05) as c, pytest.raises(Unreachable, match="silent"):
        c.kv.put("cart", b"book")


def test_the_next_node_is_used_when_the_first_refuses(start_node: StartNode) -> None:
    node = start_node("n2", healthy("n2"))
    with open_cluster(("n1", closed_address()), node) as c:
        assert c.kv.put("cart", b"book").coordinator == "n2"


def test_the_next_node_is_used_beside_a_silent_one(start_node: StartNode) -> None:
    silent, node = start_node("n1", greeting=b""), start_node("n2", healthy("n2"))
    with open_cluster(silent, node) as c:
        assert c.kv.put("cart", b"book").coordinator == "n2"
    assert silent.accepted == 1


def test_no_node_at_all_names_each() -> None:
    with open_cluster(("n1", closed_address()), ("n2", closed_address())) as c, pytest.raises(Unreachable) as caught:
        c.kv.put("cart", b"book")
    assert "n1: connection refused" in caught.value.message and "n2: connection refused" in caught.value.message
    assert caught.value.detail["outcome"] == "no"


def test_a_connection_that_ended_meanwhile_carries_no_write(start_node: StartNode) -> None:
    first = start_node("n1", healthy())
    second = start_node("n2", healthy("n2"))
    with open_cluster(first, second) as c:
        c.kv.put("cart", b"1")
        first.stop()
        assert c.kv.put("cart", b"2").coordinator == "n2"


def test_one_connection_serves_many_operations(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with open_cluster(node) as c:
        for _ in range(20):
            c.kv.get("cart")
    assert node.accepted == 1


def test_failures_keep_their_code_and_are_not_tried_elsewhere(start_node: StartNode) -> None:
    first, second = start_node("n1", refuses("no-quorum")), start_node("n2", healthy("n2"))
    with open_cluster(first, second) as c, pytest.raises(QuorumMissing) as caught:
        c.kv.put("cart", b"book")
    assert caught.value.detail == {"key": "cart", "outcome": "no"} and second.frames == []


def test_a_node_that_cannot_serve_sends_the_write_to_the_next(start_node: StartNode) -> None:
    first, second = start_node("n1", refuses("unreachable")), start_node("n2", healthy("n2"))
    with open_cluster(first, second) as c:
        assert c.kv.put("cart", b"book").coordinator == "n2"


def test_maybe_from_the_coordinator_has_what_it_knows(start_node: StartNode) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.reply(frame, PutDone("maybe", 1, 0, CLOCK, "n1", 1, "interval"))

    node = start_node("n1", script)
    with open_cluster(node) as c:
        with pytest.raises(Maybe) as caught:
            c.kv.put("cart", b"book")
        detail = caught.value.detail
        assert (detail["acks"], detail["coordinator"], detail["outcome"]) == (1, "n1", "maybe")
        with pytest.raises(Maybe):
            c.kv.put("cart", b"book", context=detail["context"])
    assert node.bodies(Put)[1].context == CLOCK


def test_a_retry_is_the_same_operation_at_the_same_coordinator(start_node: StartNode) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.reply(frame, PutDone("maybe", 1, 0, CLOCK, "n1", 1, "interval"))

    node = start_node("n1", script)
    with open_cluster(node) as c:
        with pytest.raises(Maybe) as caught:
            c.kv.put("cart", b"book")
        with pytest.raises(Maybe):
            c.kv.put("cart", b"book", retry=caught.value)
        for retry in (Maybe("of nobody"), Usage("no maybe"), Maybe("", key="other", coordinator="n1", operation="o")):
            with pytest.raises(Usage, match="names its coordinator"):
                c.kv.put("cart", b"book", retry=retry)
    first, second = node.bodies(Put)
    assert (first.coordinator, second.coordinator, second.operation) == ("", "n1", first.operation)


@pytest.mark.parametrize(
    ("operate", "error"),
    [
        (lambda c: c.kv.put("", b"x"), Usage),
        (lambda c: c.kv.put("k" * 1025, b"x"), TooLarge),
        (lambda c: c.kv.put("ü" * 513, b"x"), TooLarge),
        (lambda c: c.kv.put("k", bytes(1024 * 1024 + 1)), TooLarge),
        (lambda c: c.kv.put("k", b"", context=make_token("other", CLOCK)), BadContext),
        (lambda c: c.topics.publish("s" * 257, b""), TooLarge),
        (lambda c: c.requests.call("echo", {}), Usage),
        (lambda c: c.kv.get("k", only="n9"), NotFound),
    ],
)
def test_what_cannot_be_accepted_is_not_sent(
    operate: Callable[[BlockingCluster], object], error: type[ClusterError]
) -> None:
    with open_cluster(("n1", closed_address())) as c, pytest.raises(error):
        operate(c)


def test_only_and_via_talk_to_one_node(start_node: StartNode) -> None:
    first, second = start_node("n1", healthy("n1")), start_node("n2", healthy("n2"))
    with open_cluster(first, second) as c:
        assert c.kv.get("cart", only="n2").coordinator == "n2"
    with BlockingCluster(location(first, second), via="n2") as c:
        assert c.kv.put("cart", b"").coordinator == "n2"
    assert first.frames == [] and second.bodies(Get)[0].local


def test_a_trace_goes_with_its_operation_and_no_other(start_node: StartNode) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    node = start_node("n1", healthy("n1"))
    with open_cluster(node) as c:
        c.kv.get("cart")
        c.kv.put("cart", b"book", trace=trace)
        c.kv.get("cart", trace=trace)
        c.kv.get("cart")
        assert [frame.trace for frame in node.frames if isinstance(frame, Request)] == ["", trace, trace, ""]
        with pytest.raises(Usage, match="traceparent"):
            c.kv.get("cart", trace="x")


def test_keys_are_merged_from_all_nodes(start_node: StartNode) -> None:
    first, second = start_node("n1", healthy("n1")), start_node("n2", healthy("n2"))
    with open_cluster(first, second, ("n3", closed_address())) as c:
        page = c.kv.keys("k", limit=2)
    assert (page.keys, page.more, page.silent) == (["k1", "kn1"], True, ["n3"])


def test_keys_do_not_wait_for_a_silent_node(start_node: StartNode) -> None:
    nodes = [start_node("n1", healthy("n1")), start_node("n2", silence), start_node("n3", healthy("n3"))]
    with open_cluster(*nodes) as c:
        began = monotonic()
        page = c.kv.keys("k")
        assert (page.keys, page.silent) == (["k1", "kn1", "kn3"], ["n2"])
        assert monotonic() - began < 4.0, "less than the timeout"
    assert len(nodes[0].bodies(Keys)) == 1, "what one node holds is not asked of another"


def test_a_large_value_goes_both_ways(start_node: StartNode) -> None:
    value = bytes(range(256)) * 4096

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Call):
            healthy()(peer, frame)
        elif isinstance(frame, Request) and isinstance(frame.body, Put):
            assert frame.body.value == value
            healthy()(peer, frame)

    node = start_node("n1", script)
    with open_cluster(node) as c:
        assert c.kv.put("big", value).outcome == "ok"
        assert c.requests.call("echo.echo", {"text": "x" * 900_000}).reply == {"text": "x" * 900_000}


def test_publish_and_request(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with open_cluster(node) as c:
        published = c.topics.publish("orders.new", b"hello", headers={"a": "b"})
        called = c.requests.call("shop.pricing.quote", {"sku": "x"}, deadline=0.5, only="n1")
    assert (published.subject, published.id, published.subscribers, published.queues) == ("orders.new", "m1", 1, [])
    assert (called.service, called.operation, called.reply) == ("shop.pricing", "quote", {"sku": "x"})
    assert (called.node, called.attempts, called.hedged) == ("n1", 1, False)
    assert node.bodies(Publish)[0].headers == {"a": "b"} and node.bodies(Call)[0].only == "n1"
