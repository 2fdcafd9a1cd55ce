"""The asyncio client against nodes that misbehave, under asyncio's loop and under uvloop."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cluster.client.aio import Calls, Client
from cluster.client.keyed import first_attempt
from cluster.errors import (
    BadMessage,
    ClusterError,
    DeadlinePassed,
    HandshakeRefused,
    Maybe,
    NotFound,
    QuorumMissing,
    ServiceError,
    Unreachable,
    Usage,
)
from cluster.layout import partition_of, placement
from cluster.requests.demo import Echo, Flaky, Text, Unlucky, Work
from cluster.versions.context import encode_clock, make_token
from cluster.wire.caller import TOGETHER
from cluster.wire.frames import Cancel, Frame, Request
from cluster.wire.kv import Get, Put
from cluster.wire.requests import Call, CallDone
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

pytestmark = pytest.mark.anyio

BREAKS: list[Script] = [dies_in_mid_reply, hangs_up, talks_garbage, announces_too_much]


def open_client(*nodes: FakeNode | tuple[str, tuple[str, int]], via: str | None = None, timeout: float = 5.0) -> Client:
    return Client(location(*nodes), via, timeout, seed=1)


async def test_put_get_delete_and_keys(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    async with open_client(node) as c:
        done = await c.kv.put("cart", b"book")
        found = await c.kv.get("cart")
        gone = await c.kv.delete("cart")
        page = await c.kv.keys("k")
    assert (done.outcome, done.acks, done.coordinator, done.durability) == ("ok", 2, "n1", "interval")
    assert (found.value, found.context, found.degraded) == (b"book", make_token("cart", CLOCK), False)
    assert gone.outcome == "ok" and page.keys == ["k1", "kn1"] and not page.more


async def test_a_session_writes_with_the_context_it_knows(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    async with open_client(node) as c:
        await c.kv.put("cart", b"1")
        await c.kv.put("cart", b"2")
        await c.kv.put("cart", b"3", blind=True)
        await c.kv.put("cart", b"4", context=make_token("cart", encode_clock({"b2": 9})))
    puts = node.bodies(Put)
    assert [put.context for put in puts] == [CLOCK, CLOCK, None, encode_clock({"b2": 9})]
    assert len({put.operation for put in puts}) == 4
    assert len(node.bodies(Get)) == 1, "the session had never seen the key"


async def test_keys_go_to_their_owners(start_node: StartNode) -> None:
    nodes = [start_node(f"n{number}", healthy(f"n{number}")) for number in range(1, 6)]
    where = location(*nodes)
    assert where.entry is not None
    async with Client(where, seed=1) as c:
        await all_up(c)
        coordinators: dict[str, set[str]] = {}
        for turn in range(60):
            key = f"k{turn % 4}"
            coordinators.setdefault(key, set()).add((await c.kv.get(key)).coordinator)
    for key, seen in coordinators.items():
        assert seen == set(placement(where.entry).owners(partition_of(key)))


async def test_the_puts_of_a_key_go_to_one_owner_and_those_of_many_to_all(start_node: StartNode) -> None:
    """An object's clock has an entry for each node that ever coordinated a write of it."""
    nodes = [start_node(f"n{number}", healthy(f"n{number}")) for number in range(1, 4)]
    where = location(*nodes)
    coordinators: dict[str, set[str]] = {}
    for seed in (1, 2):
        async with Client(where, seed=seed) as c:
            await all_up(c)
            for turn in range(48):
                key = f"k{turn % 16}"
                coordinators.setdefault(key, set()).add((await c.kv.put(key, b"")).coordinator)
    assert all(len(seen) == 1 for seen in coordinators.values()), "of whichever client"
    assert set.union(*coordinators.values()) == {"n1", "n2", "n3"}


async def test_while_the_owner_that_a_key_is_put_to_is_not_well_one_other_takes_its_puts(start_node: StartNode) -> None:
    nodes = [start_node("n1", refuses("unreachable")), *(start_node(name, healthy(name)) for name in ("n2", "n3"))]
    taken: dict[str, set[str]] = {}
    async with Client(location(*nodes), seed=1) as c:
        await all_up_or_gone(c)
        for turn in range(64):
            key = f"k{turn % 16}"
            taken.setdefault(key, set()).add((await c.kv.put(key, b"")).coordinator)
    assert all(len(coordinators) == 1 for coordinators in taken.values())
    assert set.union(*taken.values()) == {"n2", "n3"}


async def all_up(c: Client) -> None:
    """Every node has answered once."""
    answers = await c.ask_all(None, "members")
    assert not any(isinstance(answer, ClusterError) for answer in answers.values())


async def test_wrong_secrets_and_names(start_node: StartNode) -> None:
    for node, words in (
        (start_node("n1", secret=b"x" * 32), "another secret"),
        (start_node("n1", cluster="other"), "another cluster"),
    ):
        with pytest.raises(HandshakeRefused, match=words):
            async with open_client(node):
                pass
    with pytest.raises(HandshakeRefused, match="expected node n1"):
        async with open_client(("n1", start_node("n2").address)):
            pass


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x01\xc1"])
async def test_garbage_instead_of_a_handshake(start_node: StartNode, greeting: bytes) -> None:
    with pytest.raises(ClusterError) as caught:
        async with open_client(start_node("n1", greeting=greeting)):
            pass
    assert caught.value.definite


async def test_no_node_at_all() -> None:
    with pytest.raises(Unreachable, match="n1: connection refused; n2: connection refused"):
        async with open_client(("n1", closed_address()), ("n2", closed_address())):
            pass


@pytest.mark.parametrize("script", BREAKS)
async def test_a_dispatched_write_is_maybe_and_never_repeated(start_node: StartNode, script: Script) -> None:
    nodes = [start_node(f"n{number}", script) for number in range(1, 4)]
    async with open_client(*nodes) as c:
        with pytest.raises(Maybe) as caught:
            await c.kv.put("cart", b"book", blind=True)
    told = caught.value.detail
    assert (told["key"], told["outcome"], told["node"]) == ("cart", "maybe", told["coordinator"])
    assert first_attempt(caught.value, "cart") == (told["operation"], told["coordinator"]), (
        "so it can be tried again there"
    )
    assert sum(len(node.bodies(Put)) for node in nodes) == 1


@pytest.mark.parametrize("script", BREAKS)
async def test_a_read_goes_to_another_node(start_node: StartNode, script: Script) -> None:
    bad, good = start_node("n1", script), start_node("n2", healthy("n2"))
    async with open_client(bad, good) as c:
        await all_up_or_gone(c)
        for turn in range(4):
            assert (await c.kv.get(f"k{turn}")).coordinator == "n2"


async def all_up_or_gone(c: Client) -> None:
    """Both nodes have been connected to."""
    await c.ask_all(None, "members")


async def test_the_next_node_is_used_when_one_refuses(start_node: StartNode) -> None:
    node = start_node("n2", healthy("n2"))
    async with open_client(("n1", closed_address()), node, ("n3", closed_address())) as c:
        for turn in range(10):
            assert (await c.kv.put(f"k{turn}", b"")).coordinator == "n2"


async def test_a_node_that_cannot_serve_sends_the_write_to_the_next(start_node: StartNode) -> None:
    first, second = start_node("n1", refuses("unreachable")), start_node("n2", healthy("n2"))
    async with open_client(first, second) as c:
        await all_up_or_gone(c)
        for turn in range(4):
            assert (await c.kv.put(f"k{turn}", b"")).coordinator == "n2"
    assert len(first.bodies(Put)) > 0


async def test_failures_keep_their_code_and_are_not_tried_elsewhere(start_node: StartNode) -> None:
    nodes = [start_node(f"n{number}", refuses("no-quorum")) for number in (1, 2)]
    async with open_client(*nodes) as c:
        with pytest.raises(QuorumMissing) as caught:
            await c.kv.put("cart", b"book")
    assert caught.value.detail["outcome"] == "no"
    assert sum(len(node.bodies(Put)) for node in nodes) == 1


@pytest.mark.parametrize(
    ("operate", "error"),
    [
        (lambda c: c.kv.put("cart", b"book"), Maybe),
        (lambda c: c.topics.publish("a.b", b""), Maybe),
        (lambda c: c.requests.call("echo.echo", {}), Maybe),
        (lambda c: c.kv.get("cart"), DeadlinePassed),
        (lambda c: c.admin.members(), DeadlinePassed),
        (lambda c: c.admin.members(node="n1"), DeadlinePassed),
    ],
)
async def test_silence(
    start_node: StartNode, operate: Callable[[Client], Awaitable[object]], error: type[ClusterError]
) -> None:
    node = start_node("n1", silence)
    async with open_client(node, timeout=0.05) as c:
        with pytest.raises(error):
            await operate(c)
        await asyncio.to_thread(node.wait, lambda: any(isinstance(frame, Cancel) for frame in node.frames))


async def test_cancellation_tells_the_node(start_node: StartNode) -> None:
    node = start_node("n1", silence)
    async with open_client(node) as c:
        waiting = asyncio.ensure_future(c.kv.put("cart", b"book"))
        await asyncio.to_thread(node.wait, lambda: len(node.frames) == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.to_thread(node.wait, lambda: len(node.frames) == 2)
    request, cancel = node.frames
    assert isinstance(request, Request) and isinstance(cancel, Cancel) and cancel.id == request.id


async def test_what_was_cancelled_before_it_left_never_leaves(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    async with open_client(node) as c:
        outcomes: list[object] = []
        operation = c.router.call(Put("a", b"", "1"), c.router.now() + 5, outcomes.append)
        operation.cancel()
        await c.kv.get("b")
    assert outcomes == [] and len(node.frames) == 1


async def test_thousands_in_flight(start_node: StartNode) -> None:
    """All are answered, out of order, and each gets its own."""
    held: list[Request] = []

    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        held.append(frame)
        if len(held) == 3000:
            for request in reversed(held):
                healthy()(peer, request)

    node = start_node("n1", script)
    async with open_client(node, timeout=60.0) as c:
        calls = [c.requests.call("echo.echo", {"number": number}) for number in range(3000)]
        replies = await asyncio.gather(*calls)
    assert [reply.reply for reply in replies] == [{"number": number} for number in range(3000)]
    assert node.accepted == 1


async def test_the_first_of_many_leave_while_the_others_are_made(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    async with open_client(node) as c:
        await c.kv.put("cart", b"book", blind=True)  # the handshake, which needs passes, is over
        before = len(node.frames)
        for number in range(4 * TOGETHER):
            c.router.call(Put(f"k{number}", bytes(1000), str(number)), c.router.now() + 5, lambda outcome: None)
        node.wait(lambda: len(node.frames) >= before + TOGETHER)  # on the loop itself, whose pass goes on


async def test_a_lost_node_ends_its_calls_and_is_found_again(start_node: StartNode) -> None:
    first = start_node("n1", silence)
    async with open_client(first) as c:
        waiting = asyncio.ensure_future(c.kv.put("cart", b"book", blind=True))
        await asyncio.to_thread(first.wait, lambda: len(first.frames) == 1)
        first.stop()
        with pytest.raises(Maybe):
            await waiting
        second = start_node("n1", healthy(), port=c.location.nodes["n1"][1])
        await asyncio.to_thread(second.wait, lambda: second.accepted == 1)
        assert (await c.kv.put("cart", b"book", blind=True)).outcome == "ok"


async def test_a_mute_node_is_avoided_after_its_first_timeout(start_node: StartNode) -> None:
    mute, good = start_node("n1", silence), start_node("n2", healthy("n2"))
    async with open_client(mute, good, timeout=0.1) as c:
        with pytest.raises(DeadlinePassed):
            await c.admin.members(node="n1")
        for turn in range(6):
            assert (await c.kv.put(f"k{turn}", b"", timeout=5.0)).coordinator == "n2"
    assert mute.bodies(Put) == []


async def test_a_read_leaves_a_mute_node(start_node: StartNode) -> None:
    def mute_on_reads(peer: Peer, frame: Frame) -> None:
        if not (isinstance(frame, Request) and isinstance(frame.body, Get)):
            healthy()(peer, frame)

    bad, good = start_node("n1", mute_on_reads), start_node("n2", healthy("n2"))
    async with open_client(bad, good) as c:
        await all_up(c)
        for turn in range(4):
            assert (await c.kv.get(f"k{turn}")).coordinator == "n2"
    assert bad.bodies(Get)


async def test_ask_all_with_one_silent_node(start_node: StartNode) -> None:
    good, mute = start_node("n1", healthy("n1")), start_node("n2", silence)
    async with open_client(good, mute, ("n3", closed_address())) as c:
        answers = await c.ask_all(None, "members", timeout=0.05)
        matrix = await c.admin.matrix(timeout=0.05)
    assert answers["n1"]["what"] == "members"
    assert isinstance(answers["n2"], DeadlinePassed) and isinstance(answers["n3"], Unreachable)
    assert list(matrix) == ["n1"]


async def test_the_questions(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    async with open_client(node) as c:
        assert (await c.admin.explain("cart"))["arguments"] == {"key": "cart"}
        assert (await c.admin.events(limit=3))[0]["arguments"] == {"limit": 3}
        assert (await c.admin.describe("echo"))["arguments"] == {"service": "echo"}
        for question in ("members", "status", "health", "hints", "metrics"):
            assert (await getattr(c.admin, question)(node="n1"))["what"] == question


async def test_via_and_unknown_nodes(start_node: StartNode) -> None:
    first, second = start_node("n1", healthy("n1")), start_node("n2", healthy("n2"))
    async with open_client(first, second, via="n2") as c:
        for turn in range(5):
            assert (await c.kv.put(f"k{turn}", b"")).coordinator == "n2"
        with pytest.raises(NotFound):
            await c.kv.get("a", only="n9")
    with pytest.raises(NotFound, match="n9"):
        async with open_client(first, via="n9"):
            pass
    assert first.frames == []


async def test_requests_by_name_and_by_class(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    async with open_client(node) as c:
        called = await c.requests.call("echo.echo", {"text": "hi"}, deadline=0.5, only="n1")
        assert (called.service, called.operation, called.reply, called.node) == ("echo", "echo", {"text": "hi"}, "n1")
        echo = c.requests.client(Echo)
        assert await echo.echo(Text("typed"), deadline=0.5) == Text("typed")
        assert dir(echo) == ["count", "echo", "repeat", "whoami"]
        with pytest.raises(Usage, match="takes Text"):
            await echo.echo("no struct")  # type: ignore[arg-type]
        with pytest.raises(ClusterError, match="something else"):
            await echo.whoami()
        with pytest.raises(AttributeError):
            echo.shout  # type: ignore[attr-defined]  # noqa: B018
        with pytest.raises(Usage):
            c.requests.client(str)


async def test_a_declared_error_of_a_service(start_node: StartNode) -> None:
    async with open_client(start_node("n1", refuses("service-error"))) as c:
        with pytest.raises(ServiceError, match="because"):
            await c.requests.call("flaky.work")


def raising(error: str, payload: bytes) -> Script:
    """A node whose services raise this error."""

    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        peer.reply(frame, CallDone(payload, "n1", error=error, endpoint="n1/1"))

    return script


async def test_a_declared_error_is_raised_as_the_class_that_it_is(start_node: StartNode) -> None:
    node = start_node("n1", raising("Unlucky", b'{"message":"not today"}'))
    async with open_client(node) as c:
        with pytest.raises(Unlucky, match="not today"):
            await c.requests.client(Flaky).work(Work())
        with pytest.raises(ServiceError, match=r"echo\.whoami raised Unlucky: not today"):
            await c.requests.client(Echo).whoami()  # does not declare it
        with pytest.raises(ServiceError) as caught:
            await c.requests.call("flaky.work")
        assert caught.value.detail == {
            "declared": "Unlucky", "data": {"message": "not today"}, "endpoint": "n1/1",
        }  # fmt: skip
        calls = node.bodies(Call)
        assert [call.version for call in calls] == [1, 1, 0]
        with pytest.raises(Unlucky):
            await c.requests.client(Flaky, version=0).work(Work(), key="k", hedge=True, only="n1/1")
        call = node.bodies(Call)[-1]
        assert (call.version, call.key, call.hedge, call.only) == (0, "k", True, "n1/1")


async def test_a_declared_error_with_other_fields_is_a_bad_message(start_node: StartNode) -> None:
    async with open_client(start_node("n1", raising("Unlucky", b"[]"))) as c:
        with pytest.raises(BadMessage):
            await c.requests.client(Flaky).work(Work())
        with pytest.raises(BadMessage):
            await c.requests.call("flaky.work")


async def test_operations_outside_the_session(start_node: StartNode) -> None:
    c = open_client(start_node("n1", healthy()))
    with pytest.raises(Unreachable, match="not connected"):
        await c.kv.get("a")
    async with c:
        await c.kv.get("a")
    with pytest.raises(Unreachable, match="not connected"):
        await c.kv.get("a")


async def test_closing_ends_what_waits(start_node: StartNode) -> None:
    node = start_node("n1", silence)
    async with open_client(node) as c:
        waiting = asyncio.ensure_future(c.kv.put("a", b"", blind=True))
        await asyncio.to_thread(node.wait, lambda: len(node.frames) == 1)
    with pytest.raises(Maybe):
        await waiting


async def test_a_callback_that_fails_takes_nothing_with_it(start_node: StartNode) -> None:
    async with open_client(start_node("n1", healthy())) as c:
        seen: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context["message"]))

        def fail(outcome: object) -> None:
            raise RuntimeError

        c.router.call(Get("a"), c.router.now() + 5, fail)
        assert (await c.kv.get("b")).found
    assert seen == ["a callback of a call failed"]


async def test_a_receive_by_callback_may_take_its_wait_longer_than_the_timeout(start_node: StartNode) -> None:
    async with open_client(start_node("n1", silence)) as c:
        waiting = Calls(c, 5.0).receive("jobs", 1, 20.0, 0.0, "me", lambda outcome: None)
        assert 24.0 < waiting.deadline - c.router.now() <= 25.0


async def test_a_new_layout_is_used(start_node: StartNode) -> None:
    first, second = start_node("n1", healthy("n1")), start_node("n2", healthy("n2"))
    async with open_client(first) as c:
        entry = location(second).entry
        assert entry is not None
        c.use_layout(entry)
        assert (await c.kv.put("a", b"")).coordinator == "n2"
        assert c.router.nodes == ["n2"]
