"""What an entry node adds to the load: retries, hedges, and what may not be added."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from cluster.errors import ClusterError, Maybe, NoResponders, NotFound, Overloaded, Unreachable
from cluster.requests import CallContext, operation, service
from cluster.requests.demo import Text
from cluster.requests.ejection import FAILURES_IN_ROW
from cluster.requests.routed import ATTEMPTS_MAX, HEDGE_S, JITTER_S
from cluster.wire.requests import Call
from tests.requests.pricing import Pricing
from tests.requests.world import FakeInbound, World

QUOTE = msgspec.json.encode({"sku": "pen"})


def pricing(size: int = 3) -> World:
    """Nodes that all host the service but n1, through which all calls go."""
    world = World(size, lambda: [])
    for name in world.names[1:]:
        world.nodes[name].host(Pricing())
    return world


def failing(error: type[ClusterError], size: int = 5) -> World:
    """All of them fail so."""
    world = pricing(size)
    world.messengers["n1"].faults |= dict.fromkeys(world.names[1:], error)
    return world


def quote(**options: Any) -> Call:
    return Call("pricing", "quote", QUOTE, **options)


def took(world: World, call: Call) -> tuple[Any, float]:
    inbound, began = world.ask("n1", call), world.clock.now()
    while not inbound.answers:
        world.clock.advance(0.001)
    return inbound.answers[0], world.clock.now() - began


def at_rest(world: World) -> bool:
    world.clock.advance(10.0)
    return world.at_rest()


def answered(world: World, inbound: FakeInbound) -> Any:
    world.clock.advance(6.0)
    (answer,) = inbound.answers
    return answer


# -- retries


def test_retries_have_a_budget() -> None:
    world = failing(Overloaded)
    inbounds = []
    for _ in range(1000):
        inbounds.append(world.ask("n1", quote()))
        world.clock.advance(0.001)
    world.clock.advance(1.0)
    assert {type(inbound.answers[0]) for inbound in inbounds} == {Overloaded}
    assert 290 <= len(world.messengers["n1"].sent) - 1000 <= 300, "a fifth of the calls, and a hundred"
    assert world.total("n1", "retries") == len(world.messengers["n1"].sent) - 1000
    assert at_rest(world)


def test_each_service_has_its_own_budget() -> None:
    world = World(3)
    world.nodes["n2"].host(Pricing())
    world.nodes["n3"].host(Pricing())
    world.messengers["n1"].faults |= dict.fromkeys(("n2", "n3"), Overloaded)
    for _ in range(500):
        world.ask("n1", quote())
    world.clock.advance(1.0)
    pools = world.nodes["n1"].pools
    assert [pool.budget.retries > 0 for pool in pools.all(0.0)] == [False, False, True]


def test_what_was_never_sent_goes_on_without_a_budget() -> None:
    world = failing(Unreachable, 3)
    for _ in range(300):
        world.ask("n1", quote())
        world.clock.advance(0.001)
    assert len(world.messengers["n1"].sent) == 600, "each went to both"


@pytest.mark.parametrize("error", [Overloaded, NoResponders, Maybe])
def test_what_a_handler_calls_is_not_tried_again_here(error: type[ClusterError]) -> None:
    world = failing(error)
    for _ in range(10):
        answered(world, world.ask("n1", quote(attempt=1)))
    assert len(world.messengers["n1"].sent) == 10
    assert isinstance(answered(world, world.ask("n1", quote())), error)
    assert len(world.messengers["n1"].sent) == 10 + ATTEMPTS_MAX


def test_but_it_goes_on_from_a_node_that_it_never_reached() -> None:
    world = pricing()
    world.prefer("n1", "pricing")
    world.messengers["n1"].faults["n2"] = Unreachable
    assert answered(world, world.ask("n1", quote(attempt=1))).node == "n3"


def test_the_attempt_travels_to_the_handler_s_own_calls() -> None:
    world = pricing()
    world.prefer("n1", "pricing")
    world.messengers["n1"].faults["n2"] = Overloaded
    seen: list[tuple[int, str, int]] = []
    run = world.nodes["n3"].server.run

    def noted(call: Call, *rest: Any) -> Any:
        seen.append((call.attempt, call.endpoint, call.version))
        return run(call, *rest)

    world.nodes["n3"].server.run = noted  # type: ignore[assignment,method-assign]
    answered(world, world.ask("n1", quote()))
    answered(world, world.ask("n1", quote(attempt=7, only="n3")))
    assert seen == [(2, "", 3), (7, "", 3)]


@pytest.mark.parametrize(
    ("name", "arguments", "attempts"),
    [("quote", {"sku": "bug"}, 2), ("quote", {"sku": "none"}, 1), ("wrong", {}, 1), ("quote", {"sku": 1}, 1)],
    ids=["readonly", "declared", "changes something", "the caller's mistake"],
)
def test_an_error_that_nobody_declared_is_tried_elsewhere_where_that_is_harmless(
    name: str, arguments: dict[str, Any], attempts: int
) -> None:
    world = pricing()
    answered(world, world.ask("n1", Call("pricing", name, msgspec.json.encode(arguments))))
    assert len(world.messengers["n1"].sent) == attempts and at_rest(world)


def test_what_was_shed_waits_a_little_and_goes_elsewhere() -> None:
    world = pricing(4)
    world.messengers["n1"].faults |= dict.fromkeys(("n2", "n3"), Overloaded)
    world.prefer("n1", "pricing")
    waits = []
    for _ in range(20):
        del world.messengers["n1"].sent[:]
        inbound, began = world.ask("n1", quote()), world.clock.now()
        while not inbound.answers:
            world.clock.advance(0.0005)
        assert world.messengers["n1"].sent == ["n2", "n3", "n4"]
        waits.append(world.clock.now() - began - 2 * world.delay_s)
    assert max(waits) <= 3 * JITTER_S + 0.001 and max(waits) - min(waits) > JITTER_S
    assert answered(world, world.ask("n1", quote(only="n2"))).code == "overloaded", "there is no elsewhere"


def test_a_client_that_leaves_during_the_wait_is_forgotten() -> None:
    world = failing(Overloaded)
    inbound = world.ask("n1", quote())
    while world.total("n1", "retries") == 0:
        world.clock.advance(0.0001)
    inbound.cancel()
    world.clock.advance(1.0)
    assert inbound.answers == [] and len(world.messengers["n1"].sent) == 1 and at_rest(world)


def test_endpoints_that_fail_are_ejected_and_the_event_says_why() -> None:
    world = failing(Maybe, 5)
    for name in ("n3", "n4", "n5"):
        del world.messengers["n1"].faults[name]
    world.prefer("n1", "pricing", "n2")
    for _ in range(FAILURES_IN_ROW):
        assert isinstance(took(world, Call("pricing", "reset", b"{}"))[0], Maybe)
    ((kind, cause, fields),) = world.events
    assert (kind, fields) == ("endpoint.ejected", {"service": "pricing", "endpoint": "n2"})
    assert cause.startswith("n2 failed too often in a row, for 30 s; the last: maybe: the connection ended")
    ((one),) = world.nodes["n1"].not_ready()
    assert (one["service"], one["endpoint"], one["state"]) == ("pricing", "n2", "ejected")
    assert world.nodes["n1"].panics() == []
    for name in ("n3", "n4"):
        world.messengers["n1"].faults[name] = Maybe
        world.prefer("n1", "pricing", name)
        for _ in range(FAILURES_IN_ROW):
            took(world, Call("pricing", "reset", b"{}"))
    assert world.nodes["n1"].panics() == ["panic: n2, n3, n4 of service pricing fail, and are called all the same"]


def test_what_was_counted_stays_counted_when_a_service_goes() -> None:
    world = pricing(2)
    answered(world, world.ask("n1", quote()))
    router = world.nodes["n1"].router
    before = router.totals()[0].sparse()
    world.nodes["n1"].registry.update("n2", {}, "alive")
    assert isinstance(answered(world, world.ask("n1", quote())), NotFound)
    assert router.pools.of("pricing", world.clock.now()) is None
    after, failed = router.totals()
    assert sum(count for _, count in after.sparse()) == sum(count for _, count in before) + 1 == 2 and failed == 1
    world.nodes["n1"].registry.update("n2", {"pricing": [world.nodes["n2"]._offers[0][0][1]]}, "alive")
    assert answered(world, world.ask("n1", quote())).node == "n2"


# -- hedges


def slow_and_quick() -> tuple[World, Counter[str]]:
    """n2 takes two seconds, n3 none; all calls try n2 first."""
    ran: Counter[str] = Counter()

    @service(name="s")
    class Service:
        @operation(readonly=True)
        async def look(self, request: Text, call: CallContext) -> Text:
            ran[call.node] += 1
            await call.sleep(2.0 if call.node == "n2" else 0.0)
            return request

        @operation(idempotent=True)
        async def set(self, request: Text, call: CallContext) -> Text:
            return await self.look(request, call)

    world = World(3, lambda: [])
    for name in ("n2", "n3"):
        world.nodes[name].host(Service())
    world.prefer("n1", "s", "n2")
    return world, ran


def test_a_hedge_that_is_asked_for_comes_after_the_p95() -> None:
    world, ran = slow_and_quick()
    answer, seconds = took(world, Call("s", "look", b"{}", hedge=True))
    assert (answer.node, answer.attempts, answer.hedged) == ("n3", 2, True)
    assert HEDGE_S <= seconds < HEDGE_S + 0.02, "as long as nobody knows the p95"
    world.prefer("n1", "s", "n3")
    for _ in range(100):
        took(world, Call("s", "look", b"{}"))
    world.prefer("n1", "s", "n2")
    world.clock.advance(1.0)
    answer, seconds = took(world, Call("s", "look", b"{}", hedge=True))
    assert answer.hedged and seconds < HEDGE_S, "a hundred calls took less than that"
    world.clock.advance(0.1)
    assert [world.nodes[name].server.running for name in ("n2", "n3")] == [0, 0], "the loser is cancelled"
    assert ran["n2"] == 2 and world.total("n1", "hedges") == 2 and at_rest(world)


def test_nobody_asked_or_it_is_not_readonly_or_a_handler_made_it() -> None:
    world, ran = slow_and_quick()
    for call in (
        Call("s", "look", b"{}"),
        Call("s", "set", b"{}", hedge=True),
        Call("s", "look", b"{}", hedge=True, attempt=1),
        Call("s", "look", b"{}", hedge=True, only="n2"),
    ):
        answer, seconds = took(world, call)
        assert (answer.node, answer.attempts, answer.hedged) == ("n2", 1, False) and seconds >= 2.0
    assert ran == {"n2": 4} and at_rest(world)


def test_a_call_that_ends_in_time_is_not_hedged() -> None:
    world, ran = slow_and_quick()
    world.prefer("n1", "s", "n3")
    took(world, Call("s", "look", b"{}", hedge=True))
    world.clock.advance(1.0)
    assert ran == {"n3": 1} and at_rest(world)
    here = World(1)
    here.ask("n1", Call("echo", "echo", b"{}", hedge=True))
    here.clock.advance(0.001)
    assert here.clock.pending() == 0, "nothing is left of a hedge that nobody needs"


def test_the_first_attempt_keeps_its_own_call() -> None:
    """Its endpoint may not have begun it yet."""
    world = World(2)
    held: list[Call] = []
    world.nodes["n1"].server.run = lambda call, *rest: held.append(call)  # type: ignore[method-assign]
    world.prefer("n1", "echo", "n1")
    answer = answered(world, world.ask("n1", Call("echo", "whoami", b"{}", hedge=True)))
    assert answer.hedged and [call.attempt for call in held] == [1]


def test_hedges_are_a_twentieth_of_the_calls_and_a_few() -> None:
    world, ran = slow_and_quick()
    for _ in range(100):
        world.ask("n1", Call("s", "look", b"{}", hedge=True))
    world.clock.advance(3.0)
    assert ran == {"n2": 100, "n3": 15} and at_rest(world)


# -- versions


def test_the_version_that_a_call_asks_for() -> None:
    world = pricing()
    assert answered(world, world.ask("n1", quote(version=3))).version == 3
    error = answered(world, world.ask("n1", quote(version=2)))
    assert isinstance(error, NotFound)
    assert error.message == "no node has announced version 2 of service pricing: there is 3"


def test_the_answer_names_its_endpoint() -> None:
    world = pricing()
    answer = answered(world, world.ask("n1", quote(only="n3")))
    assert (answer.node, answer.endpoint, answer.version) == ("n3", "n3", 3)


def test_a_worker_is_announced_called_set_aside_and_withdrawn() -> None:
    world = pricing(2)
    node = world.nodes["n2"]
    ((made,),) = [[one for _, one in node._offers[0]]]
    node.offer_worker(1, {"pricing": made})
    seen: Counter[str] = Counter()
    run = node.server.run

    def counted(call: Call, *rest: Any) -> Any:
        seen[call.endpoint] += 1
        call.endpoint = ""  # the node does it in the worker's place
        return run(call, *rest)

    node.server.run = counted  # type: ignore[assignment,method-assign]
    for _ in range(50):
        answered(world, world.ask("n1", quote()))
    assert seen.keys() == {"", "n2/1"}
    node.set_worker_away(1, "silent for 1 s")
    states = {one["endpoint"]: (one["state"], one["reason"]) for one in world.nodes["n1"].services()[0]["endpoints"]}
    assert states == {"n2": ("ready", ""), "n2/1": ("ejected", "silent for 1 s")}
    node.offer_worker(1, {"pricing": made})
    assert world.nodes["n1"].not_ready() == [], "it has come back"
    node.set_worker_away(1, "silent for 1 s")
    node.set_worker_away(1, "")
    assert answered(world, world.ask("n1", quote(only="n2/1"))).endpoint == "n2/1"
    node.offer_worker(1, {})
    error = answered(world, world.ask("n1", quote(only="n2/1")))
    assert isinstance(error, NoResponders) and "n2/1" not in world.nodes["n1"].services()[0]["endpoints"]
