"""Calls that handlers make: what they inherit, and that nobody works for who has gone, also two hops away."""

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


def chain(name: str, seen: list[Seen]) -> object:
    @service(name=name)
    class Link:
        @operation()
        async def work(self, request: Hop, call: CallContext) -> Seen:
            seen.append(Seen(call.node, round(call.remaining(), 3), call.priority, call.attempt))
            if request.through:
                first, *rest = request.through
                hop = Hop(request.seconds, rest)
                return Seen(**await call.call(f"{first}.work", hop, deadline=request.deadline))
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


def test_deadline_priority_and_attempt_are_inherited() -> None:
    world, seen = three_hops()
    body = Call("a", "work", json.encode(Hop(0.1, ["b", "c"])), priority=1)
    inbound = FakeInbound(body, world.clock.now() + 2.0, world.clock.now())
    world.messengers["n1"].handlers[Call](inbound)
    world.clock.advance(2.0)
    assert len(inbound.answers) == 1
    (a,), (b,), (c,) = seen.values()
    assert 2.0 >= a.remaining > b.remaining > c.remaining > 1.9
    assert a.priority == b.priority == c.priority == 1
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
