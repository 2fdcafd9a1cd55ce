"""Gates: what an endpoint with too much to do answers, and that nobody works for who has gone."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.requests import CallContext, operation, service
from cluster.requests.gate import LOW, NORMAL, Gate, WaitingCall
from cluster.requests.nested import NestedCall
from cluster.simulation.client import ClientOperation
from cluster.simulation.fleet import Fleet
from cluster.wire.requests import Call, CallDone
from tests.simulation.safeguards.registry import Safeguard

WORK_S = 0.02
CONCURRENCY = 4
CAPACITY = CONCURRENCY / WORK_S
OVERLOAD_S = 3.0
LONG_S = 60.0
NOTICED_S = 0.3
"""From the end of a client to the end of what two nodes behind its own did for it."""


@service(name="work", concurrency=CONCURRENCY)
class Work:
    """Takes a while."""

    @operation()
    async def do(self, call: CallContext) -> None:
        await call.sleep(WORK_S)


class Overload:
    """Twice as many calls as one node can run, all of it there."""

    def __init__(self, seed: int, priority: Callable[[int], int]) -> None:
        self.results: list[tuple[int, ClientOperation]] = []
        with Fleet.running(seed, 1) as fleet:
            fleet.nodes["n1"].requests.host(Work())
            client = fleet.client("client")
            fleet.world.run_for(0.5)
            for number in range(int(2 * CAPACITY * OVERLOAD_S)):
                one = priority(number)
                self.results.append((one, client.ask(Call("work", "do", b"{}", priority=one), timeout=2.0)))
                fleet.world.run_for(1 / (2 * CAPACITY))
            fleet.world.run_for(3.0)

    def took_s(self, priority: int = NORMAL) -> list[float]:
        """How long those took that were answered, sorted."""
        found = [one.took_s for of, one in self.results if of == priority and type(one.answer) is CallDone]
        return sorted(seconds for seconds in found if seconds is not None)


def a_node_has_twice_the_calls_that_it_can_run(seed: int) -> None:
    took_s = Overload(seed, lambda number: NORMAL).took_s()
    goodput = len(took_s) / (CAPACITY * OVERLOAD_S)
    assert goodput >= 0.85, f"{goodput:.0%} of the capacity"
    p50_s, p99_s = took_s[len(took_s) // 2], took_s[int(len(took_s) * 0.95)]
    assert p99_s <= 0.06, f"19 of 20 within {p99_s * 1000:.0f} ms"
    assert p50_s <= 0.03, f"half of them took {p50_s * 1000:.0f} ms or more"


def half_of_the_calls_are_of_low_priority(seed: int) -> None:
    overload = Overload(seed, lambda number: number % 2)
    normal, of = len(overload.took_s(NORMAL)), len(overload.results) / 2
    assert normal >= 0.98 * of, f"{normal} of {of:.0f} calls of normal priority were answered"
    assert len(overload.took_s(LOW)) < 0.2 * of


def a_client_dies_three_hops_away(seed: int) -> None:
    """Of a chain of services each has its handler on another node."""
    with Fleet.running(seed, 3) as fleet:
        for name, service_name, then in (("n1", "a", "b.do"), ("n2", "b", "c.do"), ("n3", "c", "")):
            fleet.nodes[name].requests.host(link(service_name, then))
        client = fleet.client("client", via="n1")
        fleet.world.run_for(2.0)
        client.ask(Call("a", "do", b"{}"), timeout=LONG_S)
        fleet.until(lambda: all(node.requests.server.running == 1 for node in fleet.nodes.values()), 2.0)
        fleet.world.run_for(0.1)
        fleet.world.crash("client")
        fleet.world.run_for(NOTICED_S)
        running = {name: node.requests.server.running for name, node in fleet.nodes.items()}
        assert not any(running.values()), f"they go on working for nobody: {running}"


def link(name: str, then: str) -> object:
    """A service that waits for another one, or works for long."""

    @service(name=name)
    class Link:
        @operation()
        async def do(self, call: CallContext) -> None:
            if then:
                await call.call(then)
            else:
                await call.sleep(LONG_S)

    return Link()


def let_all_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    init = Gate.__init__

    def patient(self: "Gate[WaitingCall]", *args: Any, **options: Any) -> None:
        init(self, *args, **{**options, "sheds": False})

    monkeypatch.setattr(Gate, "__init__", patient)


def take_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A standing queue is shed, but served in the order in which it came."""
    next_of = Gate.next

    def oldest(self: "Gate[WaitingCall]", now: float) -> WaitingCall | None:
        self._observe(now)
        over, self.over, self._sheds = self.over, False, False
        try:
            return next_of(self, now)
        finally:
            self.over, self._sheds = over, True

    monkeypatch.setattr(Gate, "next", oldest)


def know_one_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = Gate.wait

    def equally(self: "Gate[WaitingCall]", call: WaitingCall, now: float) -> object:
        call.priority = NORMAL  # type: ignore[misc]
        return wait(self, call, now)

    monkeypatch.setattr(Gate, "wait", equally)


def let_what_was_called_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NestedCall, "cancel", lambda self: None)


SAFEGUARDS = [
    Safeguard(
        "calls that wait too long are shed",
        "Under overload an endpoint does what it can, and answers in time.",
        let_all_wait,
        a_node_has_twice_the_calls_that_it_can_run,
    ),
    Safeguard(
        "the newest call is taken first while a queue stands",
        "What is answered under overload is answered at once, and not just before it would be shed.",
        take_the_oldest_first,
        a_node_has_twice_the_calls_that_it_can_run,
    ),
    Safeguard(
        "calls of low priority are shed first",
        "Calls of normal priority are served as long as there is capacity for them.",
        know_one_priority,
        half_of_the_calls_are_of_low_priority,
    ),
    Safeguard(
        "a handler that is cancelled cancels what it has called",
        "A deadline, or a client that goes away, ends the work at every service behind.",
        let_what_was_called_go_on,
        a_client_dies_three_hops_away,
    ),
]
