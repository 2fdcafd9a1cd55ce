"""Calls that handlers make: what they inherit, and that nobody works for who has gone, also two hops away."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Struct, json

from cluster.errors import (
    ClusterError,
    DeadlinePassed,
    DependencyFailed,
    Maybe,
    NoResponders,
    Overloaded,
    ServiceError,
    TooLarge,
    Usage,
)
from cluster.limits import PARTS_WINDOW_BYTES
from cluster.requests import CallContext, operation, service
from cluster.requests.service import CallContext as Context
from cluster.wire.requests import Call
from tests.requests.pricing import Pricing
from tests.requests.world import FakeInbound, World


class Hop(Struct):
    """For how long to work, and what to call first."""

    seconds: float = 1.0
    through: list[str] = []
    deadline: float | None = None


class Seen(Struct):
    """What the last handler saw of its call."""

    node: str
    remaining: float
    priority: int
    attempt: int
    key: str = ""


def chain(name: str, seen: list[Seen]) -> object:
    @service(name=name)
    class Link:
        @operation()
        async def work(self, request: Hop, call: CallContext) -> Seen:
            seen.append(Seen(call.node, round(call.remaining(), 3), call.priority, call.attempt, call.key))
            if request.through:
                first, *rest = request.through
                hop = Hop(request.seconds, rest)
                return Seen(**await call.call(f"{first}.work", hop, deadline=request.deadline, key=first))
            await call.sleep(request.seconds)
            return seen[-1]

        @operation()
        async def spoil(self, call: CallContext) -> None:
            await call.call(f"{name}.nothing")

        @operation()
        async def confuse(self, request: Hop, call: CallContext) -> None:
            await call.call(request.through[0], {"sku": "x" * int(request.seconds) or "none"})

    return Link()


def three_hops() -> tuple[World, dict[str, list[Seen]]]:
    """a on n1, b on n2, c on n3."""
    world = World(3, lambda: [])
    seen: dict[str, list[Seen]] = {name: [] for name in "abc"}
    for name, node in zip("abc", ("n1", "n2", "n3"), strict=True):
        world.nodes[node].host(chain(name, seen[name]))
    return world, seen


def running(world: World) -> list[int]:
    return [node.server.running for node in world.nodes.values()]


def test_a_reply_comes_back_through_both_hops() -> None:
    world, seen = three_hops()
    reply, node, attempts = world.call("n1", "a.work", through=["b", "c"])
    assert (reply["node"], node, attempts) == ("n3", "n1", 1)
    assert [len(of) for of in seen.values()] == [1, 1, 1] and world.at_rest()


def test_deadline_priority_and_attempt_are_inherited_and_the_key_is_not() -> None:
    world, seen = three_hops()
    body = Call("a", "work", json.encode(Hop(0.1, ["b", "c"])), priority=1)
    inbound = FakeInbound(body, world.clock.now() + 2.0, world.clock.now())
    world.messengers["n1"].handlers[Call](inbound)
    world.clock.advance(2.0)
    assert len(inbound.answers) == 1
    (a,), (b,), (c,) = seen.values()
    assert 2.0 >= a.remaining > b.remaining > c.remaining > 1.9
    assert a.priority == b.priority == c.priority == 1
    assert (a.key, b.key, c.key) == ("", "b", "c")
    assert b.attempt >= 1 and c.attempt >= 1, "whoever routes them sees that a layer above tries again"


def test_a_nested_deadline_is_never_later_than_its_own() -> None:
    world, seen = three_hops()
    world.call("n1", "a.work", deadline_s=1.0, seconds=0.1, through=["b"], deadline=60.0)
    assert seen["b"][0].remaining <= 1.0
    answer = world.call("n1", "a.work", deadline_s=3.0, seconds=1.0, through=["b"], deadline=0.5)
    assert isinstance(answer, ServiceError) and "Maybe" in answer.message
    assert seen["b"][1].remaining <= 0.5 and world.at_rest()


@pytest.mark.parametrize("how", ["the client goes away", "the deadline passes", "the task is cancelled"])
def test_what_was_called_is_cancelled_two_hops_away(how: str) -> None:
    world, seen = three_hops()
    inbound = world.send("n1", "a.work", deadline_s=2.0, seconds=60.0, through=["b", "c"])
    world.clock.advance(1.0)
    assert running(world) == [1, 1, 1]
    if how == "the client goes away":
        inbound.cancel()
    elif how == "the deadline passes":
        world.clock.advance(1.0)
    else:
        world.loop.tasks[0].cancel()
    world.clock.advance(0.1)
    assert running(world) == [0, 0, 0]
    world.clock.advance(2.0)
    assert world.at_rest() and [len(of) for of in seen.values()] == [1, 1, 1]


def test_what_the_other_handler_raises_is_raised_here() -> None:
    world, _ = three_hops()
    world.nodes["n2"].host(Pricing())
    declared = world.call("n1", "a.confuse", seconds=0, through=["pricing.quote"])
    assert isinstance(declared, ServiceError) and "pricing.quote raised UnknownItem" in declared.message
    answer = world.call("n1", "a.spoil")
    assert isinstance(answer, ServiceError) and "NotFound" in answer.message


@pytest.mark.parametrize("error", [Overloaded, NoResponders, Maybe, None])
def test_a_failure_of_what_was_called_is_not_the_caller_s_own(error: type[ClusterError] | None) -> None:
    """None: its deadline passes."""
    world, _ = three_hops()
    if error is not None:
        world.messengers["n2"].faults["n3"] = error
    answers = [world.call("n1", "b.work", deadline_s=2.0, through=["c"], deadline=0.2) for _ in range(6)]
    assert {type(answer) for answer in answers} == {DependencyFailed}
    told = {one["service"]: one["endpoints"][0] for one in world.nodes["n1"].services()}
    assert told["b"]["evidence"]["failures_in_row"] == told["b"]["evidence"]["ejections"] == 0
    (mine,) = [one for one in world.nodes["n2"].services() if one["service"] == "c"]
    assert bool(mine["endpoints"][0]["evidence"]["ejections"]) == (error is not Overloaded), "it counts where it failed"


@pytest.mark.parametrize(
    ("target", "size", "error"), [("nothing", 1, Usage), ("a.b.", 1, Usage), ("b.work", 2 << 20, TooLarge)]
)
def test_what_cannot_be_called(target: str, size: int, error: type[Exception]) -> None:
    world, _ = three_hops()
    answer = world.call("n1", "a.confuse", seconds=size, through=[target])
    assert type(answer) is ServiceError and error.__name__ in answer.message, "it called what it should not have"


def test_nothing_is_called_after_the_deadline() -> None:
    world, seen = three_hops()
    answers: list[Any] = []
    body = Call("a", "work", b"{}")
    context = Context("n1", body, world.clock.now(), world.clock, None, world.nodes["n1"].server._nested)  # type: ignore[arg-type]

    async def late() -> None:
        try:
            await context.call("b.work")
        except DeadlinePassed as error:
            answers.append(error)

    world.loop.spawn(late())
    world.clock.advance(1.0)
    assert len(answers) == 1 and seen["b"] == []


# -- streams of others


class Take(Struct):
    """How to read: what, and what to do after so many rows."""

    source: str = "rows.count"
    rows: int = 0
    size: int = 0
    ends: str = ""
    then: str = ""
    after: int = 0


class Line(Struct):
    number: int
    filling: str = ""


class Spilt(Exception):
    """The rows end here."""


class Source:
    """A service of rows, which remembers how far it came, and how it ended."""

    def __init__(self) -> None:
        self.made = 0
        self.calls: list[Call] = []
        self.closed = 0
        source = self

        @service(name="rows")
        class Rows:
            @operation(readonly=True, errors=[Spilt])
            async def count(self, request: Take, call: CallContext) -> AsyncIterator[Line]:
                source.seen = Seen(call.node, round(call.remaining(), 3), call.priority, call.attempt)
                try:
                    for number in range(request.rows):
                        source.made += 1
                        yield Line(number, "x" * request.size)
                    if request.ends == "declared":
                        raise Spilt("here")
                    if request.ends == "bug":
                        raise ZeroDivisionError("bug")
                    if request.ends == "hang":
                        await call.sleep(60.0)
                finally:
                    source.closed += 1

            @operation(readonly=True)
            def once(self, request: Take) -> Line:
                return Line(1, "x" * request.size)

        self.service = Rows()
        self.seen = Seen("", 0.0, 0, 0)


class Sums:
    """A service that reads those rows, and what it saw of them."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.read: list[int] = []
        self.errors: list[Exception] = []
        sums = self

        @service(name="sums")
        class Reader:
            @operation()
            async def read(self, request: Take, call: CallContext) -> Line:
                replies = call.stream(
                    request.source, {"rows": request.rows, "size": request.size, "ends": request.ends}
                )
                if request.then == "keep":
                    sums.kept.append(replies)
                try:
                    async for row in replies:
                        sums.read.append(row["number"])
                        if len(sums.read) == request.after:
                            if request.then == "break":
                                del replies
                                break
                            if request.then == "wait":
                                await call.sleep(30.0)
                            if request.then == "return":
                                return Line(len(sums.read))
                    if request.then == "break":
                        await call.sleep(30.0)
                except ClusterError as error:
                    sums.errors.append(error)
                    raise
                return Line(len(sums.read))

            @operation()
            async def whole(self, request: Take, call: CallContext) -> Line:
                return Line(len((await call.call("rows.once", request))["filling"]))

            @operation()
            async def begin(self, request: Take, call: CallContext) -> None:
                sums.kept += [call.stream("rows.count", request) for _ in range(3)]
                await call.sleep(0.1)

            @operation()
            def begin_at_once(self, request: Take, call: CallContext) -> None:
                sums.kept += [call.stream("rows.count", request) for _ in range(3)]

            @operation()
            async def pass_on(self, request: Take, call: CallContext) -> AsyncIterator[Line]:
                async for row in call.stream("rows.count", request, deadline=2.0):
                    yield Line(row["number"], row["filling"])

        self.service = Reader()


def summed(source_at: str = "n2") -> tuple[World, Source, Sums]:
    """sums on n1, rows on another node or on the same."""
    world, source, sums = World(3, lambda: []), Source(), Sums()
    world.nodes["n1"].host(sums.service)
    world.nodes[source_at].host(source.service)
    return world, source, sums


@pytest.mark.parametrize("source_at", ["n1", "n2"])
@pytest.mark.parametrize(("rows", "size"), [(0, 0), (3, 0), (3000, 100), (5, 200_000)])
def test_a_handler_reads_the_stream_of_another(source_at: str, rows: int, size: int) -> None:
    world, source, sums = summed(source_at)
    reply, _, _ = world.call("n1", "sums.read", rows=rows, size=size)
    assert reply["number"] == rows == source.made and sums.read == list(range(rows))
    assert source.closed == 1 and world.at_rest()


@pytest.mark.parametrize("source_at", ["n1", "n2"])
@pytest.mark.parametrize("size", [3, 300_000])
def test_of_what_does_not_stream_it_reads_the_one_reply(source_at: str, size: int) -> None:
    world, _, sums = summed(source_at)
    reply, _, _ = world.call("n1", "sums.read", source="rows.once", size=size)
    assert reply["number"] == 1 and sums.read == [1] and world.at_rest()


@pytest.mark.parametrize("source_at", ["n1", "n2"])
def test_a_large_reply_comes_whole(source_at: str) -> None:
    world, _, _ = summed(source_at)
    reply, _, _ = world.call("n1", "sums.whole", size=900_000)
    assert reply["number"] == 900_000 and world.at_rest()


def test_a_stream_has_the_deadline_and_the_priority_of_the_call_above() -> None:
    world, source, _ = summed()
    body = Call("sums", "pass_on", json.encode(Take(rows=2, ends="hang")), priority=1, stream=True)
    inbound = FakeInbound(body, world.clock.now() + 5.0, world.clock.now())
    world.messengers["n1"].handlers[Call](inbound)
    world.clock.advance(2.1)
    assert 1.9 < source.seen.remaining <= 2.0 and (source.seen.priority, source.seen.attempt) == (1, 1)
    assert len(b"".join(inbound.parts).splitlines()) == 2 and source.closed == 1
    (answer,) = inbound.answers
    assert isinstance(answer, DependencyFailed) and "deadline" in answer.message
    world.clock.advance(5.0)
    assert world.at_rest()


def test_nothing_is_streamed_after_the_deadline() -> None:
    world, source, _ = summed()
    nested = world.nodes["n1"].server._nested
    context = Context("n1", Call("a", "b", b"{}"), world.clock.now(), world.clock, None, nested)  # type: ignore[arg-type]
    with pytest.raises(DeadlinePassed):
        context.stream("rows.count")
    world.clock.advance(1.0)
    assert source.closed == 0 and world.at_rest()


@pytest.mark.parametrize(
    "how", ["break", "return", "the client goes away", "the deadline passes", "the task is cancelled", "kept"]
)
@pytest.mark.parametrize("source_at", ["n1", "n2"])
def test_a_stream_that_nobody_reads_on_is_cancelled(source_at: str, how: str) -> None:
    world, source, sums = summed(source_at)
    then = {"break": "break", "return": "return", "kept": "keep"}.get(how, "wait")
    rows = 10 if how == "kept" else 50_000
    inbound = world.send("n1", "sums.read", deadline_s=2.0, rows=rows, size=100, then=then, after=3, ends="hang")
    world.clock.advance(0.5)
    if how == "kept":  # a handler that ends as cancelled, and whose iterator somebody still has
        inbound.cancel()
        world.clock.advance(0.5)
        assert len(sums.kept) == 1
    elif how == "the client goes away":
        inbound.cancel()
    elif how == "the deadline passes":
        world.clock.advance(2.0)
    elif how == "the task is cancelled":
        world.loop.tasks[0].cancel()
    world.clock.advance(0.5)
    assert source.closed == 1, "its handler goes on for nobody"
    assert source.made < 10_000
    world.clock.advance(60.0)
    assert world.at_rest()


@pytest.mark.parametrize("operation", ["begin", "begin_at_once"])
def test_all_streams_of_a_handler_end_with_it(operation: str) -> None:
    world, _, sums = summed("n1")
    inbound = world.send("n1", f"sums.{operation}", deadline_s=30.0, rows=3, ends="hang")
    world.clock.advance(0.5)
    assert len(inbound.answers) == 1
    assert len(sums.kept) == 3 and running(world) == [0, 0, 0]
    world.clock.advance(60.0)
    assert world.at_rest()


def test_a_handler_that_does_not_read_holds_the_stream_up() -> None:
    world, source, sums = summed()
    world.send("n1", "sums.read", deadline_s=5.0, rows=50_000, size=100, then="wait", after=3)
    world.clock.advance(1.0)
    assert len(sums.read) == 3
    assert source.made * 100 < 3 * PARTS_WINDOW_BYTES, "more than a window is under way"
    world.clock.advance(60.0)
    assert world.at_rest()


@pytest.mark.parametrize(("ends", "said"), [("declared", "rows.count raised Spilt"), ("bug", "ZeroDivisionError: bug")])
def test_what_ends_a_stream_is_raised_behind_its_rows(ends: str, said: str) -> None:
    world, _, sums = summed()
    answer = world.call("n1", "sums.read", rows=2000, size=100, ends=ends)
    assert len(sums.read) == 2000
    assert isinstance(answer, ClusterError) and said in answer.message
    (error,) = sums.errors
    assert isinstance(error, ServiceError) and world.at_rest()


def test_a_stream_that_is_read_after_the_end_of_its_handler_says_so() -> None:
    world, source, _ = summed()
    nested = world.nodes["n1"].server._nested
    context = Context("n1", Call("a", "b", b"{}"), world.clock.now() + 9.0, world.clock, None, nested)  # type: ignore[arg-type]
    raised: list[ClusterError] = []

    async def read() -> None:
        try:
            async for _ in context.stream("rows.count", {"rows": 1, "ends": "hang"}):
                pass
        except Usage as error:
            raised.append(error)

    world.loop.spawn(read())
    world.clock.advance(1.0)
    context.end()
    world.clock.advance(1.0)
    assert len(raised) == 1 and "handler" in raised[0].message and source.closed == 1
