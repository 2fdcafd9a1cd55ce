"""What every request goes through: the password, the route, the parameters, errors, and what a client may do wrong."""

from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import (
    REGISTRY,
    ClusterError,
    DeadlinePassed,
    Maybe,
    NoResponders,
    NotFound,
    Overloaded,
    ServiceError,
    Usage,
)
from cluster.gateways.http.problems import STATUSES, of_cluster
from cluster.requests.registry import Offer
from cluster.wire.queues import QueueReceived
from cluster.wire.requests import Call, CallDone
from tests.gateways.fakenode import PASSWORD
from tests.gateways.http.fake import BASIC, BEARER, FakeClient, FakeNode, encoded

ECHO = "/services/echo/echo"
JSON = {"content_type": "application/json"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def client(node: FakeNode) -> FakeClient:
    return FakeClient(node)


def test_a_call_has_what_the_request_says(node: FakeNode, client: FakeClient) -> None:
    client.send(
        "POST", ECHO, b'{"text":"hi"}', **JSON, request_timeout="0.5", dsectl_key="k", dsectl_priority="low",
        dsectl_version="2", dsectl_hedge="true", traceparent=TRACE,
    )  # fmt: skip
    [asked] = node.asked
    assert asked.body == Call("echo", "echo", b'{"text":"hi"}', "k", version=2, priority=1, hedge=True, stream=True)
    assert (asked.deadline, asked.trace) == (5.5, TRACE)
    asked.reply(CallDone(b'{"text":"hi"}', "n2", 2, endpoint="n2/1", version=2))
    answer = client.take()
    assert (answer.status, answer.data) == (HTTPStatus.OK, b'{"text":"hi"}')
    named = {name: answer.headers[f"dsectl-{name}"] for name in ("node", "endpoint", "version", "attempts")}
    assert named == {"node": "n2", "endpoint": "n2/1", "version": "2", "attempts": "2"}


def test_an_endpoint_that_there_is_not_is_not_called(node: FakeNode, client: FakeClient) -> None:
    node.registry.update("n2", {"echo": [Offer(1, "d", [], workers=[0, 1])]}, "alive")
    for only, status in (("n2", 0), ("n2/1", 0), ("n3", 404), ("n2/2", 404)):
        client.send("POST", ECHO, b"{}", **JSON, dsectl_only=only)
        if status:
            assert client.take().status == status and not node.asked
        else:
            asked = node.asked.pop()
            assert asked.body.only == only
            asked.reply(CallDone(b"{}", "n2"))
            client.take()


@pytest.mark.parametrize("trace", ["nonsense", TRACE[:-2] + "00", ""])
def test_a_trace_that_is_none_or_not_sampled_is_left_out(node: FakeNode, client: FakeClient, trace: str) -> None:
    client.send("GET", "/kv/k", traceparent=trace)
    assert node.asked[0].trace == ""


@pytest.mark.parametrize(
    ("outcome", "status", "code", "definite"),
    [
        (NotFound("x"), 404, "not-found", True),
        (NoResponders("x"), 503, "no-responders", True),
        (Overloaded("x"), 503, "overloaded", True),
        (DeadlinePassed("x"), 504, "deadline", True),
        (Maybe("x"), 504, "maybe", False),
        (ServiceError("x"), 500, "service-error", False),
        (CallDone(b'{"message":"none left","item":7}', "n1", error="SoldOut"), 422, "service-error", False),
    ],
)
def test_a_call_that_fails(
    node: FakeNode, client: FakeClient, outcome: Any, status: int, code: str, definite: bool
) -> None:
    node.answers[Call] = lambda body: outcome
    answer = client.ask("POST", ECHO, b"{}", **JSON)
    problem = answer.json
    assert (answer.status, problem["status"], problem["code"], problem["definite"]) == (status, status, code, definite)
    assert answer.headers["content-type"] == "application/problem+json" and problem["detail"] and problem["title"]
    assert ("retry-after" in answer.headers) == (status == 503)
    if status == 422:
        assert (problem["error"], problem["fields"]) == ("SoldOut", {"message": "none left", "item": 7})
        assert problem["detail"] == "none left" and answer.headers["dsectl-node"] == "n1"


def test_a_wrong_argument_is_named_by_its_path(node: FakeNode, client: FakeClient) -> None:
    node.answers[Call] = lambda body: Usage("pricing.quote: request.items[2].sku is missing")
    answer = client.ask("POST", ECHO, b"{}", **JSON)
    assert (answer.status, answer.json["path"]) == (HTTPStatus.BAD_REQUEST, "$.items[2].sku")


def test_every_error_has_a_status() -> None:
    assert not set(STATUSES) - set(REGISTRY)
    for code, error in REGISTRY.items():
        problem = of_cluster(error("x"))
        if error.definite and error.retryable and error.exit_code != 5:
            assert problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS), code
        if not error.definite:
            assert problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR, code
    assert of_cluster(ClusterError("x")).status == HTTPStatus.INTERNAL_SERVER_ERROR


def test_help_is_for_clients_of_http_unless_the_error_has_its_own() -> None:
    assert b"Request-Timeout" in of_cluster(DeadlinePassed("x")).body()
    assert b"ask n2" in of_cluster(DeadlinePassed("x", help="ask n2")).body()


@pytest.mark.parametrize("given_", [None, "Bearer wrong", "Basic !", "Basic bWU6d3Jvbmc=", PASSWORD, "Digest x"])
@pytest.mark.parametrize("target", ["/kv/k", ECHO, "/nothing", "/openapi.json"])
def test_without_the_password_nothing_is_said(
    node: FakeNode, client: FakeClient, given_: str | None, target: str
) -> None:
    data = encoded("GET", target) if given_ is None else encoded("GET", target, authorization=given_)
    if given_ is None:
        data = data.replace(f"authorization: {BEARER}\r\n".encode(), b"")
    client.raw(data)
    answer = client.take()
    assert answer.status == HTTPStatus.UNAUTHORIZED and not node.asked
    assert answer.headers["www-authenticate"].startswith("Bearer") and not client.session.proven


@pytest.mark.parametrize("target", ["*", "/kv/k", "/nowhere"])
def test_without_the_password_nobody_learns_what_is_allowed(client: FakeClient, target: str) -> None:
    answer = client.ask("OPTIONS", target, authorization="")
    assert answer.status == HTTPStatus.UNAUTHORIZED and "allow" not in answer.headers


def test_each_request_is_checked_and_the_health_is_open(node: FakeNode, client: FakeClient) -> None:
    assert client.ask("GET", "/health", authorization="").json == {"node": "n1", "cluster": "c"}
    assert not client.session.proven
    for authorization, status in ((BASIC, 200), ("Bearer x", 401), (BEARER, 200)):
        assert client.ask("GET", "/services", authorization=authorization).status == status
    assert client.session.proven


def test_a_method_that_a_path_has_not(node: FakeNode, client: FakeClient) -> None:
    answer = client.ask("PATCH", "/queues/jobs")
    assert (answer.status, answer.headers["allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "POST, GET")
    client.raw(encoded("HEAD", "/queues/jobs"))  # it would lease messages that nobody gets to see
    node.flush()
    assert client.written.startswith(b"HTTP/1.1 405 ") and client.written.endswith(b"\r\n\r\n") and not node.asked
    client.written = b""
    answer = client.ask("OPTIONS", "/kv/k")
    assert (answer.status, answer.headers["allow"]) == (HTTPStatus.NO_CONTENT, "GET, PUT, DELETE, HEAD")
    assert "content-length" not in answer.headers
    assert client.ask("OPTIONS", "*").status == HTTPStatus.NO_CONTENT
    assert client.ask("GET", "/kvs/k").status == client.ask("GET", "/kv/").status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("type_", ["application/x-www-form-urlencoded", "application/json; charset=latin-1", "text/x"])
def test_a_body_that_is_not_json(node: FakeNode, client: FakeClient, type_: str) -> None:
    assert client.ask("POST", ECHO, b"{}", content_type=type_).status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert not node.asked
    client.send("POST", ECHO, b"{}", content_type='application/json; charset="UTF-8"')
    assert len(node.asked) == 1


@pytest.mark.parametrize(
    ("target", "headers", "path"),
    [
        ("/kv?limit=0", {}, "query.limit"),
        ("/kv?limit=1001", {}, "query.limit"),
        ("/kv?limit=1.0", {}, "query.limit"),
        ("/kv?limit=1&limit=2", {}, "query.limit"),
        ("/kv?limits=1", {}, "query.limits"),
        ("/kv?prefix=%ff", {}, "query.prefix"),
        ("/kv?prefix=%f", {}, "query.prefix"),
        ("/kv?prefix=" + "x" * 1025, {}, "query.prefix"),
        ("/kv/" + "x" * 1025, {}, "path.key"),
        ("/kv/k?strict=yes", {}, "query.strict"),
        ("/queues/Jobs", {}, "path.queue"),
        ("/queues/jobs?wait=21", {}, "query.wait"),
        ("/queues/jobs?wait=nan", {}, "query.wait"),
        ("/queues/jobs?visibility=0", {}, "query.visibility"),
        ("/kv/k", {"request_timeout": "0"}, "header.Request-Timeout"),
        ("/kv/k", {"request_timeout": "soon"}, "header.Request-Timeout"),
        ("/kv/k", {"request_timeout": "inf"}, "header.Request-Timeout"),
    ],
)
def test_a_wrong_parameter_is_named(
    node: FakeNode, client: FakeClient, target: str, headers: dict[str, Any], path: str
) -> None:
    answer = client.ask("GET", target, **headers)
    assert (answer.status, answer.json["path"]) == (HTTPStatus.BAD_REQUEST, path) and not node.asked


@pytest.mark.parametrize(
    ("method", "target", "header"),
    [
        ("POST", ECHO, "idempotency_key"),
        ("PUT", "/kv/k", "idempotency_key"),
        ("PUT", "/kv/k", "if_none_match"),
        ("DELETE", "/kv/k", "if_none_match"),
    ],
)
def test_what_cannot_be_promised_is_refused(
    node: FakeNode, client: FakeClient, method: str, target: str, header: str
) -> None:
    headers: Any = {header: "*"}
    answer = client.ask(method, target, b"{}", **headers)
    assert (answer.status, answer.json["definite"]) == (HTTPStatus.NOT_IMPLEMENTED, True) and not node.asked


def test_web_pages_and_large_bodies_are_refused_as_problems(node: FakeNode) -> None:
    page = FakeClient(node)
    answer = page.ask("GET", "/kv/k", origin="https://evil.example")
    assert (answer.status, answer.json["code"]) == (HTTPStatus.FORBIDDEN, "forbidden") and page.closed
    assert FakeClient(node).ask("GET", "/health", host="evil.example").status == HTTPStatus.FORBIDDEN
    large = FakeClient(node)
    large.raw(b"PUT /kv/k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1048577\r\n\r\n")
    answer = large.take()
    assert (answer.status, answer.json["code"]) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large")
    assert large.closed and not node.asked


def test_a_node_that_drains_ends_a_wait_but_no_call(node: FakeNode) -> None:
    waiting, calling = FakeClient(node), FakeClient(node)
    ended: list[str] = []
    waiting.send("GET", "/queues/jobs?wait=20")
    node.asked[-1].on_cancel(lambda: ended.append("wait"))
    calling.send("POST", ECHO, b"{}", **JSON)
    node.asked[-1].on_cancel(lambda: ended.append("call"))
    node.gateway.drain(True)
    assert waiting.take().json == {"messages": [], "shards_unreachable": []} and waiting.closed
    assert ended == ["wait"] and not calling.closed
    node.asked[-1].reply(CallDone(b"{}", "n1"))
    answer = calling.take()
    assert (answer.status, answer.headers["connection"], calling.closed) == (HTTPStatus.OK, "close", True)


def test_a_client_that_goes_away_cancels_its_call(node: FakeNode, client: FakeClient) -> None:
    ended: list[str] = []
    client.send("POST", ECHO, b"{}", **JSON)
    node.asked[0].on_cancel(lambda: ended.append("call"))
    client.session.lost("reset")
    assert ended == ["call"]
    node.asked[0].reply(CallDone(b"{}", "n1"))
    assert client.written == b""


def test_requests_in_one_piece_are_answered_in_their_order(node: FakeNode, client: FakeClient) -> None:
    node.answers[Call] = lambda body: CallDone(body.payload, "n1")
    node.answers[QueueReceived] = lambda body: body
    pieces = [encoded("POST", ECHO, str(number).encode(), content_type="application/json") for number in range(20)]
    client.raw(b"".join(pieces))
    node.flush()
    assert [part.rsplit(b"\r\n", 1)[1] for part in client.written.split(b"HTTP/1.1 200 OK")[1:]] == [
        str(number).encode() for number in range(20)
    ]


ROWS = JSON | {"accept": "application/jsonl"}


def test_rows_come_as_they_are_made_and_a_slow_client_gives_no_credit(node: FakeNode, client: FakeClient) -> None:
    credits: list[int] = []
    client.send("POST", ECHO, b"{}", **ROWS)
    [asked] = node.asked
    assert asked.body.stream
    asked.on_credit(credits.append)
    asked.part(b"1\n")
    node.flush()
    assert b"Transfer-Encoding: chunked\r\n" in client.written and client.written.endswith(b"\r\n\r\n2\r\n1\n\r\n")
    assert credits == [2]
    client.session.pause()
    asked.part(b"22\n")
    node.flush()
    assert credits == [2] and not client.written.endswith(b"22\n\r\n")
    client.session.resume()
    assert credits == [2, 3]
    asked.reply(CallDone(b"3\n", "n1", replies=3))
    answer = client.take()
    assert (answer.data, answer.headers["content-type"]) == (b"1\n22\n3\n", "application/jsonl")
    assert client.ask("GET", "/health").status == HTTPStatus.OK  # the connection goes on
    client.send("POST", ECHO, b"{}", **ROWS)
    node.asked[1].on_credit(credits.append)
    node.asked[1].part(b"1\n")
    node.gateway.drain(True)
    node.asked[1].reply(CallDone(b"", "n1", replies=1))
    assert client.take().data == b"1\n" and client.closed  # but not on a node that drains


def test_rows_that_fail_have_no_end(node: FakeNode, client: FakeClient) -> None:
    client.send("POST", ECHO, b"{}", **ROWS)
    node.asked[0].on_credit(lambda count: None)
    node.asked[0].part(b"1\n")
    node.asked[0].fail(Maybe("the node died"))
    node.flush()
    assert client.closed and client.written.endswith(b"\r\n2\r\n1\n\r\n")
    old = FakeClient(node)  # to it the end of the connection is that of the body, so it is broken
    old.raw(encoded("POST", ECHO, b"{}", **ROWS).replace(b"HTTP/1.1", b"HTTP/1.0"))
    asked = node.asked.pop()
    asked.on_credit(lambda count: None)
    asked.part(b"1\n")
    asked.fail(Maybe("the node died"))
    node.flush()
    assert old.aborted and not client.aborted
    other = FakeClient(node)  # before the first row there is a problem to tell
    other.send("POST", ECHO, b"{}", **ROWS)
    node.asked[1].fail(Maybe("the node died"))
    assert other.take().status == HTTPStatus.GATEWAY_TIMEOUT


def test_all_rows_at_once_and_for_an_old_client(node: FakeNode, client: FakeClient) -> None:
    client.send("POST", ECHO, b"{}", **ROWS)
    node.asked[0].reply(CallDone(b"1\n2\n", "n1", replies=2))
    answer = client.take()
    assert (answer.data, answer.headers["content-length"]) == (b"1\n2\n", "4")
    assert answer.headers["content-type"] == "application/jsonl"
    client.raw(encoded("POST", ECHO, b"{}", **ROWS).replace(b"HTTP/1.1", b"HTTP/1.0"))
    node.asked[1].on_credit(lambda count: None)
    node.asked[1].part(b"1\n")
    node.asked[1].reply(CallDone(b"2\n", "n1", replies=2))
    node.flush()
    assert client.written.endswith(b"\r\n\r\n1\n2\n") and b"chunked" not in client.written and client.closed


def test_rows_that_nobody_asked_for_come_together_as_far_as_they_are_kept(node: FakeNode, client: FakeClient) -> None:
    client.send("POST", ECHO, b"{}", **JSON)
    node.asked[0].on_credit(lambda count: None)
    assert node.asked[0].part(b"1\n")
    node.asked[0].reply(CallDone(b"2\n", "n1", replies=2))
    answer = client.take()
    assert (answer.data, answer.headers["content-type"]) == (b"1\n2\n", "application/jsonl")
    client.send("POST", ECHO, b"{}", **JSON)
    node.asked[1].on_credit(lambda count: None)
    assert all(node.asked[1].part(b"x" * 65536) for _ in range(16)) and not node.asked[1].part(b"x")
    node.asked[1].fail(Maybe("a part was lost"))
    assert client.take().status == HTTPStatus.NOT_ACCEPTABLE


def test_the_next_request_is_read_while_one_is_under_way_and_no_more(node: FakeNode, client: FakeClient) -> None:
    """So the end of a client that has gone is seen."""
    client.send("POST", ECHO, b"{}", **JSON)
    assert not client.paused
    client.send("GET", "/health")
    assert client.paused
    node.asked[0].reply(CallDone(b"{}", "n1"))
    node.flush()
    assert not client.paused and client.written.count(b"HTTP/1.1 200 OK") == 2
    client.written = b""
    client.send("POST", ECHO, b"{}", **JSON)
    large = encoded("PUT", "/kv/k?blind=true", b"x" * 100_000)
    client.raw(large[:-1])
    assert client.paused
    node.asked[1].reply(CallDone(b"{}", "n1"))
    node.flush()
    assert not client.paused  # now it is the rest of this one that is waited for
    client.raw(large[-1:])
    assert len(node.asked[2].body.value) == 100_000


PIECES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([
        b"GET /kv/%00%ff HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n", b"\r\n", b"Authorization: " + BEARER.encode() + b"\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"?limit=%",
        b"Expect: 100-continue\r\n", encoded("PUT", "/kv/a", b"x"), encoded("POST", ECHO, b"\xff"),
        encoded("GET", "/kv?after=%F0%9F"), encoded("HEAD", "/kv/a"),
    ]),
)  # fmt: skip


@given(st.lists(PIECES, max_size=12))
def test_whatever_comes_is_answered_or_refused(pieces: list[bytes]) -> None:
    node = FakeNode()
    node.answers = dict.fromkeys(node.gateway.host.handlers, lambda body: NoResponders("x"))
    client = FakeClient(node)
    for piece in pieces:
        client.raw(piece)
        node.flush()
    for line in client.written.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 "):
            assert 100 <= int(line.split(b" ")[1]) < 505
