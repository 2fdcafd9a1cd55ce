"""Keys over HTTP: what a read shows, what a write replaces, and how it ended."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import NoResponders, QuorumMissing, TooManySiblings, WrongType
from cluster.versions.context import Context, encode_clock, encode_context, make_token
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone, Remove, Update, Updated
from tests.gateways.http.fake import FakeClient, FakeNode, encoded

CLOCK = encode_clock({"a": 3})
NEXT = encode_clock({"a": 4})
TOKEN = make_token("k", CLOCK)
NOTHING = encode_context(Context({}))


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def client(node: FakeNode) -> FakeClient:
    return FakeClient(node)


def got(*values: bytes, context: bytes = CLOCK, kind: str = "", degraded: bool = False, expires_ms: int = 0) -> Any:
    return lambda body: Got(list(values), context, 2, 0, degraded, "n2", kind, expires_ms)


def done(outcome: str = "ok", acks: int = 2) -> Any:
    return lambda body: PutDone(outcome, acks, 0, NEXT, "n2", 1, "interval")


@given(st.text(min_size=1, max_size=40))
def test_any_text_is_a_key(key: str) -> None:
    node = FakeNode()
    client = FakeClient(node)
    client.send("GET", "/kv/" + quote(key, safe=""))
    if "\n" in key or "\r" in key:  # quoted, too
        assert node.asked
    assert node.asked[0].body == Get(key, cell=True)


def test_a_slash_may_stand_as_it_is(node: FakeNode, client: FakeClient) -> None:
    client.send("GET", "/kv/users/a%2fb/?r=2&strict=true")
    assert node.asked[0].body == Get("users/a/b/", 2, True, cell=True)


def test_a_value_is_shown_as_it_is_with_its_context(node: FakeNode, client: FakeClient) -> None:
    node.answers[Get] = got(b"\x00\xff", degraded=True, expires_ms=7)
    answer = client.ask("GET", "/kv/k")
    assert (answer.status, answer.data, answer.headers["etag"]) == (HTTPStatus.OK, b"\x00\xff", f'"{TOKEN}"')
    assert (answer.headers["dsectl-degraded"], answer.headers["dsectl-expires-ms"]) == ("true", "7")
    for given_ in (f'"{TOKEN}"', f'"x", W/"{TOKEN}"'):
        same = client.ask("GET", "/kv/k", if_none_match=given_)
        assert (same.status, same.data) == (HTTPStatus.NOT_MODIFIED, b"") and same.headers["etag"] == f'"{TOKEN}"'
    assert client.ask("GET", "/kv/k", if_none_match='"x"').status == HTTPStatus.OK
    client.raw(encoded("HEAD", "/kv/k"))
    node.flush()
    head = client.written
    assert head.startswith(b"HTTP/1.1 200 ") and b"Content-Length: 2\r\n" in head and head.endswith(b"\r\n\r\n")


def test_siblings_are_all_shown(node: FakeNode, client: FakeClient) -> None:
    node.answers[Get] = got(b"one", b"\xff")
    answer = client.ask("GET", "/kv/k")
    assert (answer.status, answer.headers["etag"]) == (HTTPStatus.MULTIPLE_CHOICES, f'"{TOKEN}"')
    assert answer.json == {"siblings": ["one", {"base64": "/w=="}], "context": TOKEN}


def test_counters_and_sets_are_json(node: FakeNode, client: FakeClient) -> None:
    node.answers[Get] = got(b"42", kind="counter")
    assert client.ask("GET", "/kv/k").json == {"counter": 42}
    node.answers[Get] = got(b"a", b"\xff", kind="set")
    assert client.ask("GET", "/kv/k").json == {"items": ["a", {"base64": "/w=="}]}


def test_what_is_not_there_or_cannot_be_read(node: FakeNode, client: FakeClient) -> None:
    node.answers[Get] = got(context=NOTHING)
    assert client.ask("GET", "/kv/k").status == HTTPStatus.NOT_FOUND
    node.answers[Get] = lambda body: QuorumMissing("too few")
    answer = client.ask("GET", "/kv/k")
    assert (answer.status, answer.json["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "no-quorum")


@pytest.mark.parametrize(
    ("target", "headers", "reads", "context"),
    [
        ("/kv/k?w=2&strict=true", {}, got(b"old"), CLOCK),
        ("/kv/k", {}, got(context=NOTHING), None),
        ("/kv/k", {}, lambda body: NoResponders("x"), None),
        ("/kv/k", {"if_match": f'"{TOKEN}"'}, None, CLOCK),
        ("/kv/k", {"if_match": TOKEN}, None, CLOCK),
        ("/kv/k?blind=true", {}, None, None),
    ],
)
def test_a_write_replaces_what_was_seen(
    node: FakeNode, client: FakeClient, target: str, headers: dict[str, str], reads: Any, context: bytes | None
) -> None:
    seen: list[Put] = []

    def take(body: Put) -> PutDone:
        seen.append(body)
        return done()(body)  # type: ignore[no-any-return]

    node.answers[Put] = take
    if reads is not None:
        node.answers[Get] = reads
    answer = client.ask("PUT", target, b"new", **headers)
    assert answer.status == HTTPStatus.OK and answer.headers["etag"] == f'"{make_token("k", NEXT)}"'
    assert answer.json["outcome"] == "ok" and not node.asked
    [put] = seen
    assert (put.key, put.value, put.context, put.w, put.strict) == (
        "k", b"new", context, 2 if "w=2" in target else 0, "strict" in target,
    )  # fmt: skip
    assert put.operation


def test_the_read_before_a_write_has_half_of_its_time_and_a_client_that_left_writes_nothing(
    node: FakeNode, client: FakeClient
) -> None:
    client.send("PUT", "/kv/k", b"new", request_timeout="2")
    [read] = node.asked
    assert read.deadline == 6.0
    client.session.lost("reset")
    read.reply(got(b"old")(None))
    assert len(node.asked) == 1
    FakeClient(node).send("PUT", "/kv/k", b"new", request_timeout="2")
    node.time = 5.5
    node.asked[1].reply(got(b"old")(None))
    assert node.asked[2].deadline == 7.0  # the write has what the read has left


@pytest.mark.parametrize(
    ("outcome", "status", "code", "definite"),
    [
        (done("ok-sloppy"), 202, "", True),
        (done("maybe", 1), 504, "maybe", False),
        (lambda body: TooManySiblings("x"), 409, "siblings", True),
        (lambda body: WrongType("x"), 409, "wrong-type", True),
        (lambda body: QuorumMissing("x"), 503, "no-quorum", True),
    ],
)
def test_how_a_write_ended(
    node: FakeNode, client: FakeClient, outcome: Any, status: int, code: str, definite: bool
) -> None:
    node.answers[Put] = outcome
    answer = client.ask("PUT", "/kv/k?blind=true", b"new")
    assert answer.status == status
    if code:
        assert (answer.json["code"], answer.json["definite"]) == (code, definite)
    else:
        assert answer.json["outcome"] == "ok-sloppy"


@pytest.mark.parametrize("token", [TOKEN[:-1], "x", make_token("other", CLOCK)])
def test_a_context_of_another_key_is_a_failed_precondition(node: FakeNode, client: FakeClient, token: str) -> None:
    answer = client.ask("PUT", "/kv/k", b"new", if_match=f'"{token}"')
    assert (answer.status, answer.json["code"]) == (HTTPStatus.PRECONDITION_FAILED, "bad-context") and not node.asked


@pytest.mark.parametrize("known", [True, False])
def test_a_delete_takes_counters_and_sets_too(node: FakeNode, client: FakeClient, known: bool) -> None:
    """Whether the read before shows one, or the write meets it."""
    removed: list[Update] = []

    def remove(body: Update) -> Updated:
        removed.append(body)
        return Updated("ok", 2, 0, NEXT, "n2", "interval")

    node.answers |= {Get: got(b"a", kind="set" if known else ""), Update: remove, Put: lambda body: WrongType("a set")}
    assert client.ask("DELETE", "/kv/k").status == HTTPStatus.OK
    assert [(one.change, one.context) for one in removed] == [(Remove(), CLOCK)]


def test_a_delete_of_a_value_is_a_put_of_nothing(node: FakeNode, client: FakeClient) -> None:
    client.send("DELETE", "/kv/k", if_match=f'"{TOKEN}"')
    body = node.asked[0].body
    assert (type(body), body.deleted, body.value, body.context) == (Put, True, b"", CLOCK)


def test_a_page_of_keys_is_of_all_nodes(node: FakeNode, client: FakeClient) -> None:
    node.others = ["n2", "n3"]
    node.answers[Keys] = lambda body: KeysFound(["a", "c"], "")
    client.send("GET", "/kv?&prefix=x/&after=x/a+b&limit=2&")
    [(names, body)] = node.sent
    assert (names, body) == (["n2", "n3"], Keys("x/", "x/a b", 2))
    node.heard[0]("n2", KeysFound(["b", "c"], ""))
    node.heard[0]("n3", NoResponders("x"))  # one of three: each key has three copies
    assert client.take().json == {"keys": ["a", "b"], "after": "b"}


def test_no_page_is_said_when_as_many_are_silent_as_a_key_has_copies(node: FakeNode, client: FakeClient) -> None:
    node.answers[Keys] = lambda body: NoResponders("x")
    assert client.ask("GET", "/kv").status == HTTPStatus.SERVICE_UNAVAILABLE
