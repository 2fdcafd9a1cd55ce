"""Workers: what they had when they ended is told, who stands still is left out, and who drains finishes what it has."""

from typing import Any

import pytest
from msgspec import Struct, json

from cluster.client.serving import Serving
from cluster.errors import Maybe, NoResponders
from cluster.ports import Inbound
from cluster.requests import CallContext, operation, service
from cluster.requests import workers as module
from cluster.requests.workers import SILENT_S, NodeWorker, Workers
from cluster.simulation.client import ClientOperation
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.frames import Cancel
from cluster.wire.requests import Call, CallDone, Unregistered
from tests.simulation.safeguards.registry import Safeguard

WORK_S = 0.3
PROMPT_S = 1.0
"""What a call takes at most that must not wait for its deadline, which is 5 s."""


class Number(Struct):
    number: int = 0


class Desk:
    """One service at two workers, and a note of each call that began."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.began: list[int] = []
        self.one, self.two = fleet.worker("w1", "n1", self.service()), fleet.worker("w2", "n2", self.service())
        fleet.until(lambda: self.one.registered and self.two.registered)
        fleet.until(lambda: all(self.ready(node) == 2 for node in fleet.names))

    def service(self) -> object:
        desk = self

        @service(name="desk", version=1)
        class Work:
            """Takes a while."""

            @operation()
            async def once(self, request: Number, call: CallContext) -> None:
                """Not to be repeated."""
                desk.began.append(request.number)
                await call.sleep(WORK_S)

            @operation()
            def at_once(self, request: Number) -> None:
                """The same, by a plain method."""
                desk.began.append(request.number)

            @operation(readonly=True)
            async def look(self, request: Number, call: CallContext) -> None:
                """May be repeated."""
                await call.sleep(WORK_S)

        return Work()

    def ready(self, node: str) -> int:
        endpoints = self.fleet.nodes[node].requests.registry.endpoints("desk")
        return sum(one.state == "ready" for one in endpoints)

    def call(self, operation: str, number: int = 0, only: str = "") -> SimulatedRequest:
        return self.fleet.call("n3", f"desk.{operation}", json.encode(Number(number)), only=only)


def a_worker_dies_with_calls_that_may_be_repeated(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        desk = Desk(fleet)
        calls = [desk.call("look") for _ in range(6)]
        fleet.world.run_for(WORK_S / 2)
        fleet.world.crash("w1")
        for call in calls:
            fleet.wait(call, PROMPT_S)
            assert isinstance(call.answer, CallDone), call.error


def a_worker_dies_with_calls_that_may_not_be_repeated(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        desk = Desk(fleet)
        calls = [desk.call("once", number) for number in range(6)]
        fleet.world.run_for(WORK_S / 2)
        fleet.world.crash("w1")
        for call in calls:
            fleet.wait(call)
            assert call.answer is not None or isinstance(call.error, Maybe), call.error
        fleet.world.run_for(1.0)
        assert sorted(desk.began) == sorted(set(desk.began)), f"twice: {desk.began}"


def a_worker_stands_still(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        desk = Desk(fleet)
        fleet.world.pause("w1")
        fleet.world.run_for(2 * SILENT_S)
        for _ in range(6):
            call = fleet.wait(desk.call("look"), PROMPT_S)
            assert isinstance(call.answer, CallDone), call.error


def a_call_is_cancelled_while_its_worker_stands_still(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        desk, client = Desk(fleet), fleet.client("c1")
        fleet.world.run_for(0.5)
        fleet.world.pause("w1")
        dispatches: list[Any] = []
        body = Call("desk", "at_once", json.encode(Number(7)), only="n1/1")

        def ask() -> None:
            dispatches.append(client.router.call(body, client.now() + 20.0, lambda outcome: None))

        client.env.clock.call_soon(ask)
        fleet.world.run_for(0.1)
        client.env.clock.call_soon(dispatches[0].cancel)
        fleet.world.run_for(0.5)
        fleet.world.resume("w1")
        fleet.world.run_for(0.5)
        assert desk.began == [], "nobody waited for it when it began"


def a_worker_drains_and_stops(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        desk = Desk(fleet)
        calls: list[SimulatedRequest | ClientOperation] = [desk.call("once", number) for number in range(6)]
        fleet.world.run_for(WORK_S / 4)
        clock = fleet.world.env("w1").clock
        clock.call_soon(desk.one.drain, desk.one.stop)
        for call in calls:
            fleet.wait(call)
            assert isinstance(call.answer, CallDone), call.error


def forget_without_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "_lost", lambda self, worker: self._forget(worker, "its connection ended"))


def say_that_it_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Maybe", NoResponders)


def never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    beat = NodeWorker.beat

    def ever_well(self: NodeWorker, elapsed_s: float, now: float) -> bool:
        beat(self, elapsed_s, now)
        return False

    monkeypatch.setattr(NodeWorker, "beat", ever_well)


def begin_what_was_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Serving._take

    def without_cancels(self: Serving, frames: list[Any], now: float) -> list[Any]:
        return take(self, [frame for frame in frames if type(frame) is not Cancel], now)

    monkeypatch.setattr(Serving, "_take", without_cancels)


def leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "unregister", _answer_at_once)


def _answer_at_once(self: Workers, inbound: Inbound) -> None:
    inbound.reply(Unregistered())


SAFEGUARDS = [
    Safeguard(
        "the calls of a worker end with its connection",
        "What a worker had when it ended goes elsewhere at once, when it may be repeated.",
        forget_without_ending,
        a_worker_dies_with_calls_that_may_be_repeated,
    ),
    Safeguard(
        "what a worker had may have run",
        "What is not idempotent runs at most once, whatever becomes of the worker that has it.",
        say_that_it_did_not_run,
        a_worker_dies_with_calls_that_may_not_be_repeated,
    ),
    Safeguard(
        "silence of a worker",
        "A worker that answers no ping for a second is left out by all nodes.",
        never_silent,
        a_worker_stands_still,
    ),
    Safeguard(
        "cancelled calls of a worker",
        "A call that nobody waits for is not begun, also not by a worker that stood still meanwhile.",
        begin_what_was_cancelled,
        a_call_is_cancelled_while_its_worker_stands_still,
    ),
    Safeguard(
        "a worker that drains is waited for",
        "A worker that is told to end finishes what it has.",
        leave_at_once,
        a_worker_drains_and_stops,
    ),
]
