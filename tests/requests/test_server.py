"""Handlers: answers, errors, deadlines, bounds. The calls are routed already."""

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import Struct

from cluster.errors import (
    ClusterError,
    DeadlinePassed,
    Maybe,
    NoResponders,
    NotFound,
    Overloaded,
    ServiceError,
    Usage,
)
from cluster.limits import VALUE_BYTES_MAX
from cluster.requests import operation, service
from cluster.requests.gate import CONCURRENCY, INTERVAL_S, TARGET_S, WAITING_MAX
from cluster.requests.nested import NestedCalls
from cluster.requests.server import PASS_S, Server
from cluster.wire.requests import Call, CallDone
from tests.observe.hand_clock import HandClock
from tests.requests.pricing import Item, Pricing
from tests.requests.world import FakeInbound, HandFuture, Loop, World, sleep


def world() -> World:
    return World(1, lambda: [Pricing()])


def nobody() -> NestedCalls:
    """Of a server whose handlers call nobody."""
    return NestedCalls(HandClock(), lambda inbound: None, HandFuture)


def items(*names: str, count: int = 1) -> list[dict[str, Any]]:
    return [{"sku": name, "count": count} for name in names]


def test_a_plain_operation_answers_without_a_task() -> None:
    made = world()
    inbound = made.send("n1", "pricing.quote", routed=True, sku="pen", count=3)
    assert inbound.answers == [CallDone(b'{"cents":30}', "n1", repeatable=True)]
    assert made.loop.tasks == [] and inbound.cancels == []


def test_an_async_operation_takes_its_time() -> None:
    made = world()
    inbound = made.send("n1", "pricing.order", routed=True, items=items("pen"))
    made.clock.advance(0.9)
    assert inbound.answers == []
    made.clock.advance(0.2)
    assert inbound.answers == [CallDone(b'{"cents":1}', "n1", repeatable=True)]
    assert made.at_rest()


def test_no_request_and_no_reply() -> None:
    made = world()
    assert made.call("n1", "pricing.reset", routed=True) == (None, "n1", 1)
    inbound = Call("pricing", "reset", b"", "", True)
    answers: list[CallDone | ClusterError] = []
    made.nodes["n1"].server.run(inbound, 1e9, answers.append, FakeInbound(inbound, 1e9, 0.0))
    assert answers == [CallDone(b"null", "n1")]


@pytest.mark.parametrize(
    ("name", "fields", "error", "text"),
    [
        ("pricing.quote", {"sku": 1}, Usage, "pricing.quote: request.sku is invalid: expected `str`, got `int`"),
        ("pricing.quote", {}, Usage, "pricing.quote: request.sku is missing"),
        ("pricing.order", {"items": items("a", "b", count=0)}, Usage, "request.items[0].count is invalid: expected"),
        ("pricing.order", {"items": [*items("a", "b"), {}]}, Usage, "request.items[2].sku is missing"),
        (
            "pricing.missing",
            {},
            NotFound,
            "version 3 of service pricing has no operation 'missing': it has quote, order",
        ),
        ("nobody.home", {}, NoResponders, "does not host"),
        ("pricing.quote", {"sku": "none"}, ServiceError, "raised UnknownItem: none"),
        ("pricing.quote", {"sku": "bug"}, ServiceError, "ZeroDivisionError: bug"),
        ("pricing.quote", {"sku": "exit"}, ServiceError, "SystemExit: 3"),
        ("pricing.quote", {"sku": "close"}, ServiceError, "GeneratorExit: close"),
        ("pricing.order", {"items": items("none")}, ServiceError, "raised UnknownItem: none"),
        ("pricing.order", {"items": items("bug")}, ServiceError, "ZeroDivisionError: bug"),
        ("pricing.order", {"items": items("exit")}, ServiceError, "SystemExit: 3"),
        ("pricing.order", {"items": items("close")}, ServiceError, "GeneratorExit: close"),
        ("pricing.wrong", {}, ServiceError, "returned a str, not Price"),
    ],
)
def test_failures(name: str, fields: dict[str, Any], error: type[ClusterError], text: str) -> None:
    made = world()
    answer = made.call("n1", name, routed=True, **fields)
    assert type(answer) is error
    assert text in answer.message
    assert made.at_rest()
    undeclared = error is ServiceError and "UnknownItem" not in text
    assert [kind for kind, _, _ in made.events] == ["service.error"] * undeclared


def test_ctrl_c_in_a_plain_handler_ends_the_program_that_hosts_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        world().call("n1", "pricing.quote", routed=True, sku="interrupt")


def test_a_handler_that_goes_with_its_loop_answers_nobody() -> None:
    made = world()
    inbound = made.send("n1", "pricing.order", routed=True, deadline_s=9.0, items=items("pen", count=5))
    made.clock.advance(1.0)
    made.loop.tasks[0].coroutine.close()
    assert inbound.answers == [] and made.events == []


def answer_to(call: Call) -> CallDone | ClusterError:
    answers: list[CallDone | ClusterError] = []
    world().nodes["n1"].server.run(call, 1e9, answers.append, FakeInbound(call, 1e9, 0.0))
    (answer,) = answers
    return answer


def test_a_declared_error_is_an_answer() -> None:
    answer = answer_to(Call("pricing", "quote", b'{"sku":"none"}', routed=True))
    assert answer == CallDone(b'{"message":"none"}', "n1", repeatable=True, error="UnknownItem")


def test_a_declared_error_that_cannot_be_sent() -> None:
    @dataclass
    class Awkward(Exception):
        what: Any

    @service(name="odd")
    class Odd:
        @operation(errors=[Awkward])
        def fail(self, request: Item) -> None:
            raise Awkward("x" * VALUE_BYTES_MAX if request.sku == "large" else object())

    for sku, text in (("large", "over 1048576"), ("odd", "cannot be JSON")):
        made = World(1, lambda: [Odd()])
        answer = made.call("n1", "odd.fail", routed=True, sku=sku)
        assert isinstance(answer, ServiceError) and text in answer.message
        assert [kind for kind, _, _ in made.events] == ["service.error"]


def test_unknown_arguments_are_ignored_unless_the_call_is_strict() -> None:
    payload = b'{"sku":"pen","cuont":3,"colour":"red"}'
    assert answer_to(Call("pricing", "quote", payload, routed=True)) == CallDone(b'{"cents":10}', "n1", repeatable=True)
    strict = answer_to(Call("pricing", "quote", payload, routed=True, strict=True))
    assert isinstance(strict, Usage)
    assert strict.message == "pricing.quote: request.cuont is unknown: did you mean count?"
    assert isinstance(answer_to(Call("pricing", "reset", b'{"x":1}', routed=True)), CallDone)
    unlike = answer_to(Call("pricing", "reset", b'{"x":1}', routed=True, strict=True))
    assert isinstance(unlike, Usage) and unlike.message == "pricing.reset: request.x is unknown"


def test_a_payload_that_is_no_json() -> None:
    answers: list[CallDone | ClusterError] = []
    call = Call("pricing", "quote", b"{", "", True)
    world().nodes["n1"].server.run(call, 1e9, answers.append, FakeInbound(call, 1e9, 0.0))
    assert isinstance(answers[0], Usage)


# -- deadlines


def test_an_expired_call_is_not_started() -> None:
    made = world()
    answer = made.call("n1", "pricing.order", routed=True, deadline_s=0.0, items=items("pen"))
    assert isinstance(answer, DeadlinePassed)
    assert made.loop.tasks == []


def test_a_handler_whose_first_step_comes_after_the_deadline_is_not_started() -> None:
    """A loop runs what is ready before it looks at its timers, so after SIGCONT the step comes before the timer."""
    made = world()
    inbound = made.send("n1", "pricing.order", routed=True, deadline_s=0.5, items=items("pen"))
    made.clock.now = lambda: made.clock.time + 1.0  # type: ignore[method-assign]
    made.clock.advance()
    (answer,) = inbound.answers
    assert isinstance(answer, DeadlinePassed) and answer.definite
    made.clock.advance(5.0)
    assert made.nodes["n1"].server.served == 0 and made.at_rest()


@pytest.mark.parametrize(
    ("name", "fields", "deadline_s", "after_s", "error"),
    [
        ("pricing.order", {"items": items("pen", count=9)}, 1.0, 1.0, Maybe),
        ("pricing.order", {"items": items("pen", count=9)}, 5.0, 2.0, Maybe),  # the operation's own timeout
        ("pricing.look", {"sku": "pen", "count": 9}, 1.0, 1.0, DeadlinePassed),  # readonly: nothing has happened
    ],
)
def test_the_deadline_cancels(
    name: str, fields: dict[str, Any], deadline_s: float, after_s: float, error: type[ClusterError]
) -> None:
    made = world()
    inbound = made.send("n1", name, routed=True, deadline_s=deadline_s, **fields)
    made.clock.advance(after_s - 0.01)
    assert inbound.answers == []
    made.clock.advance(0.02)
    assert [type(answer) for answer in inbound.answers] == [error]
    assert made.at_rest()


def test_a_handler_that_ignores_cancellation_keeps_its_place_only() -> None:
    made = world()
    inbound = made.send("n1", "pricing.stubborn", routed=True, deadline_s=1.0, sku="pen", count=3)
    made.clock.advance(1.5)
    assert [type(answer) for answer in inbound.answers] == [Maybe]
    assert made.nodes["n1"].server.running == 1
    made.clock.advance(3.0)
    assert made.at_rest()


def test_a_client_that_leaves_cancels() -> None:
    made = world()
    inbound = made.send("n1", "pricing.order", routed=True, items=items("pen"))
    made.clock.advance(0.5)
    inbound.cancel()
    made.clock.advance()
    assert inbound.answers == [] and made.at_rest()
    inbound.cancel()


def test_cancelled_before_the_first_step() -> None:
    made = world()
    inbound = made.send("n1", "pricing.order", routed=True, items=items("pen"))
    inbound.cancel()
    made.clock.advance()
    assert inbound.answers == [] and made.at_rest()


def test_a_task_that_the_loop_cancels_is_answered() -> None:
    made = world()
    inbound = made.send("n1", "pricing.order", routed=True, items=items("pen"))
    made.clock.advance(0.5)
    made.loop.tasks[0].cancel()
    made.clock.advance()
    assert [type(answer) for answer in inbound.answers] == [ServiceError]
    assert made.at_rest()


# -- bounds


def test_more_than_the_bound_waits_and_plain_operations_go_on() -> None:
    made = world()
    order: dict[str, Any] = {"items": items("pen")}
    inbounds = [made.send("n1", "pricing.order", routed=True, **order) for _ in range(CONCURRENCY + WAITING_MAX + 5)]
    assert [type(inbound.answers[0]) for inbound in inbounds if inbound.answers] == [Overloaded] * 5
    assert made.send("n1", "pricing.quote", routed=True, sku="pen").answers
    assert made.nodes["n1"].server.in_flight == CONCURRENCY + WAITING_MAX
    made.clock.advance(TARGET_S + INTERVAL_S)
    refused = [one.answers[0] for one in inbounds if one.answers]
    assert len(refused) == WAITING_MAX + 5 and {type(one) for one in refused} == {Overloaded}
    made.clock.advance(2.0)
    assert made.at_rest()
    assert isinstance(made.call("n1", "pricing.order", routed=True, **order), tuple)


def test_a_call_that_waits_and_is_cancelled_never_runs() -> None:
    made = world()
    made.nodes["n1"].server.admissions["pricing"].gate.concurrency = 1
    first = made.send("n1", "pricing.look", routed=True, sku="pen")
    second = made.send("n1", "pricing.look", routed=True, sku="pen")
    second.cancel()
    made.clock.advance(5.0)
    assert [type(one) for one in first.answers] == [CallDone] and second.answers == []
    assert len(made.loop.tasks) == 1 and made.at_rest()


def test_a_payload_is_not_decoded_before_the_call_has_a_place() -> None:
    made = world()
    made.nodes["n1"].server.admissions["pricing"].gate.concurrency = 0
    inbound = made.send("n1", "pricing.order", routed=True, items=1)
    assert inbound.answers == []
    made.clock.advance(1.0)
    assert [type(one) for one in inbound.answers] == [Overloaded]


class Slow(Struct):
    """How long to keep the loop."""

    seconds: float


def test_plain_handlers_keep_a_pass_no_longer_than_its_share() -> None:
    ran: list[float] = []
    seen: list[int] = []

    @service(name="slow")
    class Plain:
        @operation()
        def work(self, request: Slow) -> None:
            ran.append(request.seconds)

    made = World(1, lambda: [Plain()])
    made.clock.now = lambda: made.clock.time + sum(ran)  # type: ignore[method-assign]
    inbounds = [made.send("n1", "slow.work", routed=True, seconds=PASS_S / 2) for _ in range(7)]
    assert len(ran) == 2, "the others wait for the next pass"
    made.clock.call_soon(lambda: seen.append(len(ran)))
    made.clock.advance()
    assert seen == [4], "what came in between is not kept waiting"
    assert [len(one.answers) for one in inbounds] == [1] * 7 and len(ran) == 7
    assert made.at_rest()
    late = [made.send("n1", "slow.work", routed=True, seconds=PASS_S / 2) for _ in range(3)]
    made.nodes["n1"].server._next_pass()
    late.append(made.send("n1", "slow.work", routed=True, seconds=0.0))
    assert [len(one.answers) for one in late] == [1] * 4, "what is left of a pass is for whoever comes"
    made.clock.advance()
    assert made.at_rest()


def test_what_can_be_hosted() -> None:
    clock = HandClock()
    server = Server("n1", clock, Loop(clock).spawn, sleep, lambda kind, cause, **fields: None, nobody())
    server.host(Pricing())
    with pytest.raises(Usage, match="already") as twice:
        server.host(Pricing())
    assert "in a worker: `dsectl serve" in twice.value.help
    with pytest.raises(Usage, match="instance"):
        server.host(Pricing)
    with pytest.raises(Usage, match="not a service"):
        server.host(object())
