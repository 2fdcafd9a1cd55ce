"""Every argument of every call is checked before anything is sent, by both clients: a wrong one refuses itself."""

from collections.abc import Callable
from typing import Any

import pytest

import cluster
from cluster.client.aio import Client
from cluster.client.blocking import BlockingCluster
from cluster.client.router import PROBE
from cluster.errors import ClusterError, Maybe, TooLarge, Usage
from cluster.requests.demo import Echo, Text
from cluster.versions.context import encode_clock, make_token
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Frame, Request
from cluster.wire.kv import Get, Put
from tests.client.conftest import StartNode
from tests.client.fake_node import FakeNode, Peer, location
from tests.client.scripts import CLOCK, healthy

HALF = "\ud800"
"""Half of a character: text that UTF-8 cannot write."""
TOKEN = make_token("k", CLOCK)
DEEP: list[Any] = []
DEEP.append(DEEP)
RETRIES = [
    Maybe("x", key="k", coordinator="n1"),
    Maybe("x", key="k", coordinator=5, operation="o"),
    Maybe("x", key="k", coordinator="n1", operation=5),
    Maybe("x", key="other", coordinator="n1", operation="o"),
]
EACH: list[Any] = [5, ["n1"], {"n1": 5}, {1: {}}]
NESTED: list[Any] = []
for _ in range(40):
    NESTED = [NESTED]

Wrong = Callable[[Any], Any]
WRONG: list[tuple[str, Wrong]] = [
    *((f"key {key!r:.20}", lambda c, key=key: c.kv.put(key, b"v")) for key in (b"k", 1, None, "", HALF, "k" * 1025)),
    *((f"key {key!r:.20}", lambda c, key=key: c.kv.get(key)) for key in (b"k", 1, None, "", HALF, "ü" * 513)),
    *((f"key {key!r:.20}", lambda c, key=key: c.kv.delete(key)) for key in (b"k", ["k"], "", HALF, "k" * (1 << 20))),
    *((f"value {v!r:.20}", lambda c, v=v: c.kv.put("k", v)) for v in ("text", 1, None, [b"v"], bytes((1 << 20) + 1))),
    *((f"context {t!r:.20}", lambda c, t=t: c.kv.put("k", b"v", context=t)) for t in (b"t", 1, "", "ü", TOKEN[:-2])),
    ("context of another key", lambda c: c.kv.put("other", b"v", context=TOKEN)),
    ("context of another key", lambda c: c.kv.delete("other", context=TOKEN)),
    *((f"w {w!r}", lambda c, w=w: c.kv.put("k", b"v", w=w)) for w in ("2", 1.5, True, -1, 8, 1 << 70)),
    *((f"r {r!r}", lambda c, r=r: c.kv.get("k", r=r)) for r in ("2", 1.5, None, -1, 1 << 70)),
    *((f"strict {s!r}", lambda c, s=s: c.kv.put("k", b"v", strict=s)) for s in ("yes", 1, None)),
    *((f"strict {s!r}", lambda c, s=s: c.kv.get("k", strict=s)) for s in ("yes", 1, None)),
    ("blind", lambda c: c.kv.put("k", b"v", blind="yes")),
    *((f"retry {r!r}", lambda c, r=r: c.kv.put("k", b"v", retry=r)) for r in (5, Maybe("x"), *RETRIES)),
    *((f"only {o!r}", lambda c, o=o: c.kv.get("k", only=o)) for o in (1, b"n1", HALF, "n9")),
    *(
        (f"timeout {t!r}", lambda c, t=t: c.kv.put("k", b"v", timeout=t))
        for t in ("1", 0, -1, True, float("nan"), float("inf"))
    ),
    *((f"items {i!r}", lambda c, i=i: c.kv.sadd("k", i)) for i in (None, 5, "abc", b"abc", [], ["a"], [b"i" * 1025])),
    ("timeout", lambda c: c.kv.get("k", timeout="1")),
    ("timeout", lambda c: c.kv.keys(timeout="1")),
    ("timeout", lambda c: c.topics.publish("a", b"", timeout=b"1")),
    *((f"limit {n!r}", lambda c, n=n: c.kv.keys(limit=n)) for n in ("3", 0, 1.0, True, 1 << 70)),
    *((f"prefix {p!r:.20}", lambda c, p=p: c.kv.keys(p)) for p in (b"k", None, HALF, "k" * 1025)),
    *((f"after {p!r:.20}", lambda c, p=p: c.kv.keys(after=p)) for p in (b"k", None, HALF, "k" * 1025)),
    *((f"subject {s!r:.20}", lambda c, s=s: c.topics.publish(s, b"")) for s in (b"a", None, HALF, "s" * 257)),
    *((f"payload {p!r:.20}", lambda c, p=p: c.topics.publish("a", p)) for p in ("t", None, bytes((1 << 20) + 1))),
    *(
        (f"headers {h!r:.20}", lambda c, h=h: c.topics.publish("a", b"", headers=h))
        for h in ([("a", "b")], {"a": 1}, {1: "a"}, {"a": HALF}, dict.fromkeys(map(str, range(65)), "v"))
    ),
    *((f"operation {o!r:.20}", lambda c, o=o: c.requests.call(o)) for o in (b"a.b", None, "a", "a.", f"a.{HALF}")),
    ("a long operation", lambda c: c.requests.call("a." + "b" * 65)),
    *(
        (f"arguments {a!r:.20}", lambda c, a=a: c.requests.call("a.b", a))
        for a in ({"a": object()}, {1.5: {2: object()}}, DEEP, {"a": HALF}, {"a": "x" * (1 << 20)})
    ),
    *((f"deadline {d!r}", lambda c, d=d: c.requests.call("a.b", deadline=d)) for d in ("1", 0, -2.0, False)),
    ("only", lambda c: c.requests.call("a.b", only=3)),
    *((f"question {q!r}", lambda c, q=q: c.ask(None, q)) for q in (b"members", None, HALF)),
    *((f"node {n!r}", lambda c, n=n: c.ask(n, "members")) for n in (1, b"n1", "n9")),
    *(
        (f"arguments {a!r:.20}", lambda c, a=a: c.ask(None, "events", a))
        for a in ([1], {1: 2}, {"a": object()}, {"a": 1 << 70}, {"a": NESTED}, {"a": DEEP})
    ),
    *((f"nodes {n!r}", lambda c, n=n: c.ask_all(n, "members")) for n in (["n1", "n9"], "n1", 5, [["n1"]], [None])),
    *((f"each {e!r}", lambda c, e=e: c.ask_all(None, "members", each=e)) for e in EACH),
    ("the field of a request", lambda c: c.requests.client(Echo).echo(Text(5))),  # type: ignore[arg-type]
    ("another request", lambda c: c.requests.client(Echo).echo("text")),
    ("a key to explain", lambda c: c.admin.explain(b"k")),
    ("a service to describe", lambda c: c.admin.describe(1)),
]
SUBSCRIPTIONS: list[tuple[str, Wrong]] = [
    *((f"pattern {p!r:.20}", lambda c, p=p: c.topics.subscribe(p)) for p in (b"a", None, HALF, "s" * 257)),
    *((f"group {g!r:.20}", lambda c, g=g: c.topics.subscribe("a", group=g)) for g in (b"g", None, HALF, "g" * 65)),
    *((f"buffer {b!r}", lambda c, b=b: c.topics.subscribe("a", buffer=b)) for b in ("9", 0, True)),
    ("timeout", lambda c: c.topics.subscribe("a", timeout="1")),
]


def cases(of: list[tuple[str, Wrong]]) -> list[Any]:
    return [pytest.param(call, id=f"{number} {what}") for number, (what, call) in enumerate(of)]


def asked(node: FakeNode) -> int:
    """How many frames came, without probes: a slow machine makes the node quiet."""
    return sum(not (isinstance(frame, Request) and frame.body == PROBE) for frame in node.frames)


@pytest.mark.parametrize("wrong", cases([*WRONG, *SUBSCRIPTIONS]))
def test_the_blocking_client(start_node: StartNode, wrong: Wrong) -> None:
    node = start_node("n1", healthy())
    with BlockingCluster(location(node)) as c:
        c.kv.get("before")
        with pytest.raises(ClusterError) as caught:
            wrong(c)
        assert caught.value.definite and caught.value.exit_code in (2, 6)
        c.kv.get("after")
    assert asked(node) == 2 and node.accepted == 1


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", cases(WRONG))
async def test_the_asyncio_client(start_node: StartNode, wrong: Wrong, anyio_backend: Any) -> None:
    node = start_node("n1", healthy())
    async with Client(location(node), seed=1) as c:
        await c.kv.get("before")
        with pytest.raises(ClusterError) as caught:
            await wrong(c)
        assert caught.value.definite and caught.value.exit_code in (2, 6)
        await c.kv.get("after")
    assert asked(node) == 2 and node.accepted == 1


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", cases(SUBSCRIPTIONS))
async def test_subscriptions_of_the_asyncio_client(start_node: StartNode, wrong: Wrong) -> None:
    node = start_node("n1", healthy())
    async with Client(location(node), seed=1) as c:
        with pytest.raises(Usage):
            wrong(c)
    assert node.frames == []


@pytest.mark.parametrize("timeout", ["1", -1, True, float("nan"), [1.0]])
def test_how_long_to_wait_for_a_message(start_node: StartNode, timeout: Any) -> None:
    with BlockingCluster(location(start_node("n1", healthy()))) as c:
        subscription = c.topics.subscribe("a")
        with pytest.raises(Usage):
            subscription.next(timeout)
        assert subscription.next(timeout=0) is None or subscription.next(timeout=0) is None


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", ["1", -1, True, float("nan"), [1.0]])
async def test_how_long_to_wait_for_a_message_with_asyncio(start_node: StartNode, seconds: Any) -> None:
    async with Client(location(start_node("n1", healthy())), seed=1) as c:
        with pytest.raises(Usage):
            await c.topics.subscribe("a").next(seconds)


def test_text_of_another_class_is_the_text(start_node: StartNode) -> None:
    """A subclass of str may compare and hash as it likes; what is sent and remembered is the text."""

    class Name(str):
        def __hash__(self) -> int:
            return id(self)

        def __eq__(self, other: object) -> bool:
            return self is other

    node = start_node("n1", healthy())
    with BlockingCluster(location(node)) as c:
        c.kv.put(Name("cart"), b"1")
        c.kv.put(Name("cart"), b"2")
    assert [put.context for put in node.bodies(Put)] == [CLOCK, CLOCK] and len(node.bodies(Get)) == 1


def test_other_kinds_of_bytes_are_bytes(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with BlockingCluster(location(node)) as c:
        values: list[Any] = [bytearray(b"v"), memoryview(b"v")]
        for value in values:
            assert c.kv.put("k", value).outcome == "ok"


@pytest.mark.parametrize("timeout", ["1", 0, True, float("nan")])
def test_the_timeout_of_a_client(start_node: StartNode, timeout: Any) -> None:
    with pytest.raises(Usage):
        BlockingCluster(location(start_node("n1")), timeout=timeout)
    with pytest.raises(Usage):
        Client(location(start_node("n1")), timeout=timeout)
    c = BlockingCluster(location(start_node("n1")), timeout=2.0)
    with pytest.raises(Usage):
        c.timeout = timeout
    assert c.timeout == 2.0


@pytest.mark.parametrize(
    "given",
    [
        {"target": 5},
        {"target": None},
        {"target": b"default"},
        {"target": ["127.0.0.1:1"], "secret": "s" * 32},
        {"target": ["127.0.0.1:1"], "secret": bytes(32), "cluster": 3},
        {"target": [("127.0.0.1", "1")], "secret": bytes(32)},
        {"target": [("127.0.0.1",)], "secret": bytes(32)},
        {"target": [5], "secret": bytes(32)},
        {"target": ["127.0.0.1:1"], "secret": bytes(32), "timeout": "1"},
    ],
    ids=repr,
)
def test_what_a_client_is_made_with(given: dict[str, Any]) -> None:
    for connect in (cluster.connect, cluster.connect_blocking):
        with pytest.raises(Usage):
            connect(**given)


def test_via_and_seed(start_node: StartNode) -> None:
    with pytest.raises(Usage):
        BlockingCluster(location(start_node("n1")), via=5)  # type: ignore[arg-type]
    with pytest.raises(Usage):
        Client(location(start_node("n1")), via=5)  # type: ignore[arg-type]
    with pytest.raises(Usage):
        Client(location(start_node("n1")), seed="5")  # type: ignore[arg-type]


def test_a_token_that_was_forged_is_refused(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with BlockingCluster(location(node)) as c:
        with pytest.raises(Usage):
            c.kv.put("k", b"v", context=make_token("k", encode_clock({"a1": 3}))[:-1] + "A")
        with pytest.raises(TooLarge):
            c.kv.put("k", bytes(2 << 20))
    assert node.frames == []


MONTH_S = 30 * 86400.0


@pytest.mark.parametrize(
    ("option", "define"),
    [
        ("ttl_s", lambda c: c.admin.create_bucket("b", resolver="lww", ttl=MONTH_S)),
        ("retention_s", lambda c: c.admin.create_queue("q", retention=MONTH_S)),
        ("visibility_s", lambda c: c.admin.create_queue("q", visibility=MONTH_S)),
        ("delay_s", lambda c: c.admin.create_queue("q", delay=MONTH_S)),
        ("retention_s", lambda c: c.admin.alter_queue("q", retention=MONTH_S)),
        ("visibility_s", lambda c: c.admin.alter_queue("q", visibility=MONTH_S)),
        ("delay_s", lambda c: c.admin.alter_queue("q", delay=MONTH_S)),
    ],
)  # fmt: skip
def test_how_long_something_is_kept_is_not_shortened_as_a_wait_is(
    start_node: StartNode, option: str, define: Callable[[Any], Any]
) -> None:
    """No client waits for longer than a day, and says nothing of it; data that is kept for a day instead is lost."""

    def answers(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.reply(frame, AdminAnswer({}))

    node = start_node("n1", answers)
    with BlockingCluster(location(node)) as c:
        define(c)
    assert node.bodies(AdminQuery)[-1].arguments[option] == MONTH_S
