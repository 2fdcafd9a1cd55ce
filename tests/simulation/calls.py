"""Calls of a service whose operation is neither readonly nor idempotent, and what may become of each.

It runs at most once, and not after its deadline; what was answered ran, and what was refused for good did not. Each has
ended soon after its deadline. Every third goes through a service that calls the first. So few run together on a node
that others wait at its gate, also while the node is stopped.
"""

from dataclasses import dataclass

from msgspec import Struct, json

from cluster.node import Node
from cluster.requests import CallContext, operation, service
from cluster.simulation.client import ClientOperation, SimulatedClient
from cluster.simulation.fleet import Fleet
from cluster.wire.requests import Call, CallDone

TIMEOUT_S = 1.0
LATE_S = 0.01
"""As in the ledger: deadlines are compared over a connection."""
ENDED_S = 0.5
"""By so long after its deadline a call has ended, whatever became of the nodes: the client sees to that."""
WORK_S = 0.02
CONCURRENCY = 2
BURST = 3
"""Calls that are begun together."""


class Charge(Struct):
    """What to charge, by number."""

    number: int


class Charged(Struct):
    """Which node did."""

    number: int
    node: str


@dataclass
class Charging:
    """One call, and where and when its handler began."""

    asked_at: float
    result: ClientOperation
    ran: list[tuple[str, float]]


class Calls:
    """All calls of a run. Make it before the nodes boot: it hosts the services on each of them; without `in_nodes` the
    one that charges is hosted elsewhere."""

    def __init__(self, fleet: Fleet, in_nodes: bool = True) -> None:
        self.fleet = fleet
        self.all: list[Charging] = []
        self._in_nodes = in_nodes
        fleet.on_boot.append(self._host)

    def service(self) -> object:
        """One that notes here what it runs."""
        calls = self

        @service(name="pay", version=1, concurrency=CONCURRENCY)
        class Pay:
            """Charges, and must not do so twice."""

            @operation()
            async def charge(self, request: Charge, call: CallContext) -> Charged:
                """Charge once."""
                calls.all[request.number].ran.append((call.node, calls.fleet.world.now))
                await call.sleep(WORK_S)
                return Charged(request.number, call.node)

        return Pay()

    def _host(self, name: str, node: Node) -> None:
        if self._in_nodes:
            node.requests.host(self.service())

        @service(name="shop", version=1)
        class Shop:
            """Has others charge."""

            @operation()
            async def order(self, request: Charge, call: CallContext) -> Charged:
                """Charge once, wherever that is done."""
                return Charged(**await call.call("pay.charge", request))

        node.requests.host(Shop())

    def begin(self, client: SimulatedClient, via: str | None) -> None:
        """Some calls, through a node or those that the client chooses; some have a key, some ask for a hedge, which an
        operation that changes something must not get."""
        for _ in range(BURST):
            number = len(self.all)
            key = f"key-{number % 5}" if number % 4 == 0 else ""
            target = ("shop", "order") if number % 3 == 0 else ("pay", "charge")
            body = Call(*target, json.encode(Charge(number)), key, hedge=number % 2 == 0)
            result = client.ask(body, node=via, timeout=TIMEOUT_S)
            self.all.append(Charging(self.fleet.world.now, result, []))

    def check(self) -> None:
        """Whether each did what it may."""
        for number, one in enumerate(self.all):
            outcome = one.result.answer or one.result.error
            what = f"call {number}, which ended as {outcome!r}, ran {one.ran}"
            assert len(one.ran) <= 1, f"{what}: twice"
            assert one.result.took_s is not None, f"{what}: it never ended"
            assert one.result.took_s <= TIMEOUT_S + ENDED_S, f"{what}: after {one.result.took_s:.3f} s"
            assert all(at <= one.asked_at + TIMEOUT_S + LATE_S for _, at in one.ran), f"{what}: after its deadline"
            if isinstance(one.result.answer, CallDone):
                assert one.ran, f"{what}: it never ran"
            elif one.result.error is not None and one.result.error.definite:
                assert not one.ran, f"{what}: it was refused for good"
