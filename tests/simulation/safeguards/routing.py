"""Routing: what fails is left out but never everything, retries stay few, versions and zones get what is theirs."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from cluster.errors import Overloaded
from cluster.node import Node
from cluster.ports import Inbound
from cluster.requests import CallContext, operation, pool, service
from cluster.requests.budget import RetryBudget
from cluster.requests.ejection import FAILURES_IN_ROW
from cluster.requests.pool import Pools
from cluster.requests.registry import Registry
from cluster.requests.router import RequestRouter
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.admin import AdminAnswer
from cluster.wire.requests import Call, CallDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import boot


class Job(Struct):
    """Some work, by number."""

    number: int = 0


class Service:
    """What each node hosts, and how long it takes."""

    def __init__(self, fleet: Fleet, versions: Mapping[str, int]) -> None:
        self.seconds = 0.0
        self.ran: Counter[tuple[str, int]] = Counter()
        """By node and version."""
        self.jobs: Counter[int] = Counter()
        self.versions = versions
        for name in versions:
            self.host(name, fleet.nodes[name])
        fleet.on_boot.append(self.host)
        fleet.world.run_for(1.5)

    def host(self, name: str, node: Node) -> None:
        if name not in self.versions:
            return
        outer, number = self, self.versions[name]

        @service(name="work", version=number)
        class Work:
            @operation()
            async def do(self, request: Job, call: CallContext) -> Job:
                return await self.look(request, call)

            @operation(readonly=True)
            async def look(self, request: Job, call: CallContext) -> Job:
                outer.ran[name, number] += 1
                outer.jobs[request.number] += 1
                await call.sleep(outer.seconds)
                return request

        node.requests.host(Work())


def ask(fleet: Fleet, via: str, call: Call, timeout: float = 5.0) -> SimulatedRequest:
    result = SimulatedRequest(call, fleet.nodes[via].env.clock.now() + timeout)
    fleet.nodes[via].env.clock.call_soon(fleet.nodes[via].rpc.handler(Call), result)
    return result


def work(operation: str = "do", number: int = 0, **options: Any) -> Call:
    return Call("work", operation, msgspec.json.encode(Job(number)), **options)


def everyone(fleet: Fleet, version: int = 1) -> dict[str, int]:
    return dict.fromkeys(fleet.up, version)


def an_outage_of_all_endpoints_ends(seed: int) -> None:
    """What all of them need is slow for a second, and every call misses its deadline; then it is well again."""
    with Fleet.running(seed, 4) as fleet:
        here = Service(fleet, everyone(fleet))
        here.seconds = 1.0
        late = []
        for _ in range(100):
            late.append(ask(fleet, "n1", work(), timeout=0.1))
            fleet.world.run_for(0.01)
        here.seconds = 0.0
        fleet.world.run_for(1.5)
        assert all(result.error is not None for result in late)
        for _ in range(20):
            result = fleet.wait(ask(fleet, "n1", work()))
            assert isinstance(result.answer, CallDone), result.error


def leave_out_whoever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pool, "in_use", lambda endpoints, now: ([one for one in endpoints if one.failures.ejected_until <= now], False)
    )


def one_endpoint_answers_nothing(seed: int) -> None:
    """Some keys belong to it, whatever else it may be."""
    with Fleet.running(seed, 4) as fleet:
        Service(fleet, everyone(fleet))
        fleet.nodes["n2"].requests.server.run = lambda *arguments: None  # type: ignore[method-assign]
        results = []
        for number in range(200):
            results.append(ask(fleet, "n1", work(key=f"key-{number % 20}"), timeout=0.05))
            fleet.world.run_for(0.06)
        failed = sum(result.error is not None for result in results)
        assert 0 < failed <= FAILURES_IN_ROW, f"{failed} calls were lost at an endpoint that answers none"


def never_eject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "in_use", lambda endpoints, now: (endpoints, False))


def busy(fleet: Fleet) -> Counter[str]:
    """All nodes but n1 shed whatever comes; how often each was called."""
    called: Counter[str] = Counter()

    def shed_at(name: str) -> Callable[..., None]:
        def run(call: Call, deadline: float, done: Callable[[Any], None], *rest: Any) -> None:
            called[name] += 1
            done(Overloaded(f"{name} is busy"))

        return run

    for name in fleet.up[1:]:
        fleet.nodes[name].requests.server.run = shed_at(name)  # type: ignore[method-assign]
    return called


def a_storm_of_retries(seed: int) -> None:
    """Every endpoint sheds every call for three seconds."""
    with Fleet.running(seed, 5) as fleet:
        Service(fleet, dict.fromkeys(fleet.up[1:], 1))
        called = busy(fleet)
        calls = 1500
        for _ in range(calls):
            ask(fleet, "n1", work(), timeout=0.5)
            fleet.world.run_for(0.002)
        fleet.world.run_for(0.5)
        assert called.total() <= 1.2 * calls + 100, f"{calls} calls became {called.total()}"


def spend_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryBudget, "take_retry", lambda self, now: True)


def handlers_call_what_sheds(seed: int) -> None:
    """The calls of handlers, whose own calls are tried again at the node where clients brought them."""
    with Fleet.running(seed, 5) as fleet:
        Service(fleet, dict.fromkeys(fleet.up[1:], 1))
        called = busy(fleet)
        for _ in range(50):
            result = fleet.wait(ask(fleet, "n1", work(attempt=1), timeout=0.5))
            assert isinstance(result.error, Overloaded)
        assert called.total() == 50, f"50 calls of handlers became {called.total()}"


def forget_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    on_call = RequestRouter.on_call

    def anew(self: RequestRouter, inbound: Inbound) -> None:
        if not inbound.body.routed:
            inbound.body.attempt = 0
        on_call(self, inbound)

    monkeypatch.setattr(RequestRouter, "on_call", anew)


def hedges_are_asked_for(seed: int) -> None:
    """Of an operation that changes something, by clients that do not know better."""
    with Fleet.running(seed, 4) as fleet:
        here = Service(fleet, everyone(fleet))
        here.seconds = 0.2
        for number in range(20):
            result = fleet.wait(ask(fleet, "n1", work(number=number, hedge=True)))
            assert isinstance(result.answer, CallDone) and here.jobs[number] == 1, f"{number} ran {here.jobs[number]} x"
        answer = fleet.wait(ask(fleet, "n1", work("look", number=99, hedge=True))).answer
        assert isinstance(answer, CallDone) and answer.hedged


def hedge_whatever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "is_readonly", lambda self, service, operation: True)


def a_new_version_gets_a_tenth(seed: int) -> None:
    """Also of the calls through a node that has been away since, and from the first call after its restart on."""
    with Fleet.running(seed, 4) as fleet:
        here = Service(fleet, {"n2": 1, "n3": 1, "n4": 2})
        said = fleet.wait(fleet.ask("n2", "weigh-service", {"service": "work", "weights": {"2": 10.0}, "id": "w"}, 5.0))
        assert isinstance(said.answer, AdminAnswer) and said.answer.value["late"] == [], said.error
        fleet.crash("n1")
        boot(fleet, "n1")
        fleet.world.run_for(2.0)
        for _ in range(300):
            fleet.wait(ask(fleet, "n1", work()))
        assert here.ran.total() == 300 and 10 <= here.ran["n4", 2] <= 55, here.ran


def weigh_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pools, "weigh", lambda self, weights: None)


def two_zones(seed: int) -> None:
    with Fleet.running(seed, 4, zones=2) as fleet:
        here = Service(fleet, {"n1": 1, "n2": 1, "n3": 1, "n4": 1})
        for _ in range(100):
            fleet.wait(ask(fleet, "n1", work()))
        assert here.ran["n2", 1] + here.ran["n4", 1] <= 10, here.ran
        fleet.crash("n3")
        fleet.nodes["n1"].requests.drain(True, lambda nodes: None)
        fleet.world.run_for(3.0)
        for _ in range(20):
            assert isinstance(fleet.wait(ask(fleet, "n1", work())).answer, CallDone), "the other zone takes over"


def know_no_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "_my_zone", lambda self: list(self.view.members))


SAFEGUARDS = [
    Safeguard(
        "at most half of the endpoints are ejected",
        "When more than half fail, all are called, so that a service is back as soon as what it needs is.",
        leave_out_whoever_fails,
        an_outage_of_all_endpoints_ends,
    ),
    Safeguard(
        "endpoints that keep failing are ejected",
        "Five failures in a row take an endpoint out, so that no key is lost with it.",
        never_eject,
        one_endpoint_answers_nothing,
    ),
    Safeguard(
        "retries have a budget",
        "Over ten seconds retries are at most a fifth of a service's calls and a hundred.",
        spend_without_end,
        a_storm_of_retries,
    ),
    Safeguard(
        "one layer retries",
        "What a handler calls is not tried again where the handler's own call will be.",
        forget_the_attempt,
        handlers_call_what_sheds,
    ),
    Safeguard(
        "hedges that are asked for need a readonly operation",
        "An operation that changes something never runs twice because its client asked for a hedge.",
        hedge_whatever_asks,
        hedges_are_asked_for,
    ),
    Safeguard(
        "versions get the share of their weight",
        "A version with a weight of 10% gets a tenth of the calls, at every node and after restarts.",
        weigh_nothing,
        a_new_version_gets_a_tenth,
    ),
    Safeguard(
        "calls stay in the zone",
        "Another zone gets calls only when the own one costs half as much again, or has nobody left.",
        know_no_zones,
        two_zones,
    ),
]
