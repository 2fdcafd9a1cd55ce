"""Calls through several nodes, back to back."""

from collections import Counter
from timeit import timeit
from typing import Any

import msgspec
import pytest

from cluster.errors import ClusterError, Maybe, NoResponders, NotFound, Overloaded, ServiceError, Unreachable
from cluster.requests.demo import Echo
from cluster.requests.gate import CONCURRENCY, WAITING_MAX
from cluster.requests.hosting import LEARN_S
from cluster.requests.registry import KIND, KIND_DRAIN
from cluster.requests.routed import ATTEMPTS_MAX
from cluster.wire.admin import Draining
from cluster.wire.requests import Call
from tests.requests.pricing import Pricing
from tests.requests.world import FakeInbound, World


def pricing_on(*nodes: str) -> World:
    """Three nodes, of which only some host the service."""
    world = World(3, lambda: [])
    for node in nodes:
        world.nodes[node].host(Pricing())
    return world


def test_a_call_goes_to_the_node_that_offers_the_service() -> None:
    world = pricing_on("n3")
    assert world.call("n1", "pricing.quote", sku="pen") == ({"cents": 10}, "n3", 1)
    assert world.messengers["n1"].sent == ["n3"]
    assert world.at_rest()


def test_calls_are_spread() -> None:
    world = World(3, delay_s=0.0001)
    nodes = Counter(world.call("n1", "echo.whoami")[0]["node"] for _ in range(300))
    assert all(70 < nodes[node] < 130 for node in world.nodes)
    assert world.at_rest()


def test_the_remaining_time_travels() -> None:
    world = pricing_on()
    world.nodes["n2"].host(Echo())
    reply, node, _ = world.call("n1", "echo.whoami", deadline_s=1.0)
    assert node == "n2" and 900 < reply["remaining_ms"] <= 1000


def test_a_routed_call_runs_where_it_arrives() -> None:
    world = World(3)
    for node in world.nodes:
        assert world.call(node, "echo.whoami", routed=True)[0]["node"] == node


# -- nobody


def test_an_unknown_service_is_an_instant_error() -> None:
    world = World(2)
    inbound = world.send("n1", "nosuch.thing")
    assert [type(answer) for answer in inbound.answers] == [NotFound]


def test_no_responders_is_an_instant_error() -> None:
    world = pricing_on("n2", "n3")
    for node in ("n2", "n3"):
        world.facts["n1"].set_state(node, "dead")
    (answer,) = world.send("n1", "pricing.quote", sku="pen").answers
    assert isinstance(answer, NoResponders)
    assert "n2 is unreachable (dead), n3 is unreachable (dead)" in answer.message
    world.facts["n1"].set_state("n3", "alive")
    assert world.call("n1", "pricing.quote", sku="pen")[1] == "n3"


def test_a_suspected_node_is_asked_when_there_is_no_other() -> None:
    world = pricing_on("n2", "n3")
    world.facts["n1"].set_state("n2", "suspect")
    assert [world.call("n1", "pricing.quote", sku="pen")[1] for _ in range(5)] == ["n3"] * 5
    world.facts["n1"].set_state("n3", "dead")
    assert world.call("n1", "pricing.quote", sku="pen")[1] == "n2"


# -- attempts


@pytest.mark.parametrize("error", [Unreachable, Overloaded, NoResponders])
def test_a_definite_failure_is_tried_elsewhere(error: type[ClusterError]) -> None:
    world = pricing_on("n2", "n3")
    world.messengers["n1"].faults["n2"] = error
    answers = [world.call("n1", "pricing.reset") for _ in range(20)]
    assert {(node, attempts) for _, node, attempts in answers} <= {("n3", 1), ("n3", 2)}
    assert answers.count((None, "n3", 2)) == world.total("n1", "retries") >= 1
    assert world.at_rest()


def test_an_unknown_outcome_is_tried_again_only_when_readonly() -> None:
    world = pricing_on("n2", "n3")
    world.messengers["n1"].faults |= {"n2": Maybe, "n3": Maybe}
    world.prefer("n1", "pricing")
    assert isinstance(world.call("n1", "pricing.reset"), Maybe)
    assert world.messengers["n1"].sent == ["n2"]
    del world.messengers["n1"].faults["n3"]
    assert world.call("n1", "pricing.quote", sku="pen") == ({"cents": 10}, "n3", 2)


def test_an_unknown_outcome_is_not_made_definite_by_a_refusal() -> None:
    world = pricing_on("n2", "n3")
    world.messengers["n1"].faults |= {"n2": Maybe, "n3": Unreachable}
    world.prefer("n1", "pricing")
    assert isinstance(world.call("n1", "pricing.quote", sku="pen"), Maybe)
    assert world.messengers["n1"].sent == ["n2", "n3"]


def test_what_a_handler_answered_is_final() -> None:
    world = pricing_on("n2", "n3")
    assert isinstance(world.call("n1", "pricing.quote", sku="none"), ServiceError)
    assert isinstance(world.call("n1", "pricing.missing"), NotFound)
    assert len(world.messengers["n1"].sent) == 2


def test_when_nobody_can_be_reached_there_is_no_responder() -> None:
    world = pricing_on("n2", "n3")
    world.messengers["n1"].faults |= {"n2": Unreachable, "n3": Unreachable}
    answer = world.call("n1", "pricing.quote", sku="pen")
    assert isinstance(answer, NoResponders) and "n2" in answer.message and "n3" in answer.message


def test_attempts_are_bounded() -> None:
    world = World(6)
    world.messengers["n1"].faults |= {f"n{n}": Overloaded for n in range(2, 7)}
    world.nodes["n1"].registry.forget("n1")
    assert isinstance(world.call("n1", "echo.whoami"), Overloaded)
    assert len(world.messengers["n1"].sent) == len(set(world.messengers["n1"].sent)) == ATTEMPTS_MAX
    assert world.at_rest()


def test_a_full_node_here_sends_the_call_on() -> None:
    world = pricing_on("n1", "n2")
    world.prefer("n1", "pricing")
    for _ in range(CONCURRENCY + WAITING_MAX):
        world.send("n1", "pricing.look", routed=True, sku="pen")
    inbound = world.send("n1", "pricing.look", sku="pen")
    world.clock.advance(0.1)
    assert world.messengers["n1"].sent == ["n2"] and len(inbound.cancels) == 1
    world.clock.advance(5.0)
    (answer,) = inbound.answers
    assert (answer.node, answer.attempts) == ("n2", 2)  # type: ignore[union-attr]
    assert world.at_rest()


def test_a_silent_node_costs_the_deadline_and_is_then_avoided() -> None:
    world = pricing_on("n2", "n3")
    world.messengers["n2"].arrive = lambda origin, id, frame: None  # type: ignore[method-assign]
    answers = [world.call("n1", "pricing.reset", deadline_s=0.2) for _ in range(10)]
    assert [type(answer) for answer in answers].count(Maybe) == 1
    world.messengers["n1"].reach.state_changed("n2", False)  # until it is declared dead it is probed
    world.clock.advance(1.0)
    assert world.at_rest()


# -- the client leaves


def test_a_client_that_leaves_cancels_the_handler_elsewhere() -> None:
    world = pricing_on("n2")
    inbound = world.send("n1", "pricing.look", sku="pen", count=3)
    world.clock.advance(1.0)
    assert world.nodes["n2"].server.running == 1
    inbound.cancel()
    inbound.cancel()
    world.clock.advance(10.0)
    assert world.messengers["n1"].cancelled == [1]
    assert inbound.answers == [] and world.at_rest()


def test_a_client_that_leaves_cancels_the_handler_here() -> None:
    world = pricing_on("n1")
    inbound = world.send("n1", "pricing.look", sku="pen", count=3)
    world.clock.advance(1.0)
    inbound.cancel()
    world.clock.advance()
    assert inbound.answers == [] and world.at_rest()


# -- facts, demo services


def test_services_and_their_endpoints() -> None:
    world = pricing_on("n2", "n3")
    world.facts["n1"].set_state("n3", "dead")
    (told,) = world.nodes["n1"].services()
    assert (told["service"], told["panic"], told["weights"]) == ("pricing", False, {})
    assert [
        (one["endpoint"], one["node"], one["version"], one["state"], one["reason"]) for one in told["endpoints"]
    ] == [
        ("n2", "n2", 3, "ready", ""),
        ("n3", "n3", 3, "unreachable", "dead"),
    ]


def test_a_node_that_drains_is_told_that_it_was_noted_and_is_not_called() -> None:
    world = pricing_on("n2", "n3")
    world.facts["n3"].announce(KIND_DRAIN, b"1")
    assert [messenger.oneways for messenger in world.messengers.values()] == [[("n3", Draining(True))]] * 2 + [[]]
    assert [world.call("n1", "pricing.reset")[1] for _ in range(5)] == ["n2"] * 5
    world.facts["n3"].announce(KIND_DRAIN, b"")
    assert {world.call("n1", "pricing.reset")[1] for _ in range(20)} == {"n2", "n3"}
    assert sum(len(messenger.oneways) for messenger in world.messengers.values()) == 2


def test_a_node_that_has_left_is_forgotten_and_with_it_that_it_drained() -> None:
    world = pricing_on("n2", "n3")
    world.facts["n3"].announce(KIND_DRAIN, b"1")
    world.facts["n1"].set_state("n3", "left")
    (told,) = world.nodes["n1"].services()
    assert [one["endpoint"] for one in told["endpoints"]] == ["n2"]
    assert [world.call("n1", "pricing.reset")[1] for _ in range(5)] == ["n2"] * 5
    world.facts["n1"].set_state("n3", "alive")  # another node of that name
    world.facts["n3"].announce(KIND, world.bodies["n3", KIND])
    assert {world.call("n1", "pricing.reset")[1] for _ in range(20)} == {"n2", "n3"}


def test_void_and_bad_facts_end_the_endpoints() -> None:
    world = pricing_on("n2", "n3")
    listener = world.facts["n1"].on_fact[0]
    listener("n2", "services", b"")
    listener("n3", "services", b"nonsense")
    assert world.nodes["n1"].services() == []
    assert [kind for kind, _, _ in world.events] == ["services.ignore"]


def test_another_boot_starts_with_a_clean_load() -> None:
    world = pricing_on("n2", "n3")

    def latency_ms() -> float:
        (told,) = world.nodes["n1"].services()
        return float(told["endpoints"][0]["evidence"]["latency_ms"])

    world.prefer("n1", "pricing", "n2")
    world.call("n1", "pricing.order", items=[{"sku": "pen", "count": 1}])
    assert latency_ms() > 1000
    world.facts["n1"].set_state("n2", "suspect")
    world.facts["n1"].set_state("n2", "alive")
    assert latency_ms() > 1000
    world.facts["n1"].set_state("n2", "alive")
    assert latency_ms() == 0.0


def test_flaky_does_as_it_is_told_on_one_node() -> None:
    world = World(2)
    assert world.call("n2", "flaky.set", routed=True, latency_ms=200, failure_rate=0.5) == (
        {"node": "n2", "latency_ms": 200, "failure_rate": 0.5},
        "n2",
        1,
    )
    assert world.call("n2", "flaky.set", routed=True, latency_ms=100)[0]["failure_rate"] == 0.5
    answers: list[Any] = [world.call("n2", "flaky.work", routed=True) for _ in range(100)]
    failed = [answer for answer in answers if isinstance(answer, ServiceError)]
    assert 30 < len(failed) < 70 and failed[0].message.endswith("raised Unlucky: n2 fails 50% of its calls")
    assert all(answer[0]["latency_ms"] == 100 for answer in answers if answer not in failed)
    assert world.call("n1", "flaky.work", routed=True)[0] == {"node": "n1", "latency_ms": 0, "count": 1}
    assert world.events == []


@pytest.mark.parametrize("fields", [{"latency_ms": -1}, {"failure_rate": 1.1}, {"latency_ms": 1e9}])
def test_flaky_is_not_told_nonsense(fields: dict[str, float]) -> None:
    assert World(1).call("n1", "flaky.set", routed=True, **fields).code == "usage"


def test_calls_avoid_a_slow_node() -> None:
    world = World(2, delay_s=0.001)
    world.call("n2", "flaky.set", routed=True, latency_ms=500)
    inbounds = []
    for _ in range(200):
        inbounds.append(world.send("n1", "flaky.work"))
        world.clock.advance(0.005)
    world.clock.advance(5.0)
    nodes = Counter(inbound.answers[0].node for inbound in inbounds)  # type: ignore[union-attr]
    assert 0 < nodes["n2"] < 20
    assert world.at_rest()


def test_calls_that_wait_for_a_busy_loop_make_this_node_look_busy() -> None:
    world = World(2, delay_s=0.001)
    handler = world.messengers["n1"].handlers[Call]
    inbounds = [FakeInbound(Call("echo", "echo", b"{}"), 9.0, 0.0) for _ in range(64)]
    for inbound in inbounds:
        world.clock.time += 0.001  # each plain handler before it held the loop for so long
        handler(inbound)
    world.clock.advance(1.0)
    nodes = Counter(inbound.answers[0].node for inbound in inbounds)  # type: ignore[union-attr]
    assert nodes["n1"] > 5 and nodes["n2"] > 5


@pytest.mark.bench
def test_the_cost_of_a_call() -> None:
    world = World(2)
    for name in world.nodes:
        world.messengers[name].request = lambda *_, **__: 1  # type: ignore[method-assign]
    handle, rounds = world.messengers["n1"].handlers[Call], 50_000
    payload = msgspec.json.encode({"text": "x" * 100})

    def run(routed: bool) -> float:
        return (
            timeit(lambda: handle(FakeInbound(Call("echo", "echo", payload, "", routed), 5.0, 0.0)), number=rounds)
            / rounds
        )

    here = run(routed=True)
    world.nodes["n1"].registry.forget("n2")
    local = run(routed=False)
    print(f"a handler {here * 1e9:.0f} ns, chosen and run here {local * 1e9:.0f} ns")  # noqa: T201
    assert local < 1e-3


# -- nodes that fall silent


def stopped(*silent: str, on: int = 5) -> World:
    """Five nodes with the pricing service on all; calls through n1 go to the stopped one first."""
    world = World(on, lambda: [Pricing()])
    for node in silent:
        world.messengers[node].stopped = True
    world.prefer("n1", "pricing", *silent)
    return world


def ended_after(world: World, name: str, **fields: Any) -> tuple[Any, float]:
    """A call through n1, and how long it took."""
    inbound, began = world.send("n1", name, **fields), world.clock.now()
    while not inbound.answers:
        world.clock.advance(0.005)
    return inbound.answers[0], world.clock.now() - began


def test_a_readonly_call_at_a_stopped_node_costs_no_more_than_its_hedge() -> None:
    world = stopped("n3")
    answer, seconds = ended_after(world, "pricing.quote", sku="pen")
    assert (answer.node, answer.attempts, answer.hedged) == ("n1", 2, True)
    assert seconds < 0.15
    assert world.total("n1", "hedges") == 1


def test_an_idempotent_call_goes_elsewhere_when_the_node_is_silent() -> None:
    world = stopped("n3")
    answer, seconds = ended_after(world, "pricing.order", items=[{"sku": "pen", "count": 1}])
    assert (answer.node, answer.attempts) == ("n1", 2)
    assert seconds - 1.0 < 0.3, "the handler's second, and the silence"


def test_a_call_that_may_not_be_repeated_is_maybe_when_the_node_is_silent() -> None:
    world = stopped("n3")
    answer, seconds = ended_after(world, "pricing.reset")
    assert isinstance(answer, Maybe) and "n3" in answer.message
    assert 0.15 < seconds < 0.3
    assert world.messengers["n1"].sent == ["n3"], "never sent again"


def test_a_silent_node_gets_no_calls_until_it_is_heard() -> None:
    world = stopped("n3")
    ended_after(world, "pricing.reset")
    assert [ended_after(world, "pricing.reset")[0].node for _ in range(5)] == ["n1"] * 5
    world.messengers["n3"].go_on()
    world.clock.advance(1.0)
    assert ended_after(world, "pricing.reset")[0].node == "n3"
    world.clock.advance(10.0)
    assert world.at_rest()


def test_the_last_endpoint_is_called_although_it_is_silent() -> None:
    world = stopped("n3", on=4)
    for node in ("n1", "n2", "n4"):
        world.nodes["n1"].registry.forget(node)
    assert isinstance(ended_after(world, "pricing.reset")[0], Maybe)
    assert ended_after(world, "pricing.reset", deadline_s=0.1)[0].code == "maybe"


def test_a_slow_handler_is_not_silence() -> None:
    world = stopped(on=5)
    world.prefer("n1", "pricing", "n3")
    answer, seconds = ended_after(world, "pricing.order", items=[{"sku": "pen", "count": 1}])
    assert (answer.node, answer.attempts, answer.hedged) == ("n3", 1, False)
    assert seconds >= 1.0


def test_what_was_read_too_late_is_not_started() -> None:
    world = stopped("n3")
    ended_after(world, "pricing.reset", deadline_s=0.5)
    world.clock.advance(1.0)
    (waited,) = [frame for _, _, frame in world.messengers["n3"].unread if isinstance(frame.body, Call)]
    assert waited.deadline < world.clock.now(), "the node drops it unread"


def test_what_leaves_a_quiet_node_has_a_budget() -> None:
    world = stopped("n3")
    calls = [world.send("n1", "pricing.quote", sku="pen") for _ in range(200)]
    world.clock.advance(0.14)
    assert world.total("n1", "hedges") == 140, "a fifth of the calls, and a hundred"
    world.clock.advance(0.3)
    answers = [call.answers[0] for call in calls]
    assert sum(isinstance(answer, Maybe) for answer in answers) == 60


def test_many_calls_that_may_be_repeated_leave_a_silent_node() -> None:
    world = stopped("n3")
    calls = [world.send("n1", "pricing.order", items=[]) for _ in range(90)]
    world.clock.advance(0.5)
    assert [call.answers[0].node for call in calls] == ["n1"] * 90  # type: ignore[union-attr]
    assert world.total("n1", "retries") == 90


# -- a node that has just started


def test_a_node_that_has_not_heard_the_others_keeps_a_call_that_they_may_answer() -> None:
    world = World(2, lambda: [])
    facts, node = world.facts["n1"], world.nodes["n1"]
    facts.unheard = ["n2"]
    node.start()
    inbound = world.send("n1", "pricing.reset")
    world.clock.advance(0.5)
    assert inbound.answers == []
    world.nodes["n2"].host(Pricing())
    world.clock.advance(0.1)
    assert [answer.node for answer in inbound.answers] == ["n2"]  # type: ignore[union-attr]
    facts.unheard = []
    assert isinstance(world.call("n1", "nosuch.thing"), NotFound)


def test_it_does_not_keep_it_for_ever() -> None:
    world = World(2, lambda: [])
    world.facts["n1"].unheard = ["n2"]
    world.nodes["n1"].start()
    inbound = world.send("n1", "pricing.reset", deadline_s=10.0)
    world.clock.advance(LEARN_S + 0.1)
    assert [type(answer) for answer in inbound.answers] == [NotFound]
    inbound = world.send("n1", "pricing.reset")
    assert [type(answer) for answer in inbound.answers] == [NotFound]


def test_a_call_that_is_kept_can_be_cancelled() -> None:
    world = World(2, lambda: [])
    world.facts["n1"].unheard = ["n2"]
    world.nodes["n1"].start()
    inbound = world.send("n1", "pricing.reset")
    inbound.cancel()
    world.clock.advance(10.0)
    assert inbound.answers == [] and world.at_rest()


def test_a_suspected_endpoint_can_be_named() -> None:
    world = pricing_on("n2", "n3")
    world.facts["n1"].set_state("n2", "suspect")
    inbound = FakeInbound(Call("pricing", "quote", b'{"sku":"pen"}', only="n2"), 5.0, 0.0)
    world.messengers["n1"].handlers[Call](inbound)
    world.clock.advance(1.0)
    assert [answer.node for answer in inbound.answers] == ["n2"]  # type: ignore[union-attr]
