"""Where calls begin while endpoints come and go, and when they end while nodes are stopped. Seeds choose the rest."""

from collections.abc import Callable

from cluster.requests import CallContext, operation, service
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.admin import AdminAnswer
from cluster.wire.requests import CallDone

CALL_EVERY_S = 0.004
WORK_S = 0.02
LOSS = 0.1
GOSSIP_S = 1.0
"""By so long after a node has left, or has been drained, everybody has received it."""


class Traffic:
    """Calls through all nodes that run, and when each began where. Every third is called by another handler."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.began: list[tuple[float, str]] = []
        self.results: list[SimulatedRequest] = []
        self.stopped = False
        fleet.on_boot.append(lambda name, node: self._host(name))
        for name in fleet.up:
            self._host(name)

    def _host(self, name: str) -> None:
        traffic = self

        @service(name="work", concurrency=8)
        class Work:
            @operation()
            async def do(self, call: CallContext) -> None:
                traffic.began.append((traffic.fleet.world.now, call.node))
                await call.sleep(WORK_S)

            @operation()
            async def have_done(self, call: CallContext) -> None:
                await call.call("work.do")

        self.fleet.nodes[name].requests.host(Work())

    def begin(self, via: Callable[[], list[str]]) -> None:
        """One call each few milliseconds, through one of the nodes that `via` gives, in turn."""

        def call() -> None:
            if self.stopped:
                return
            nodes, number = via(), len(self.results)
            target = "work.have_done" if number % 3 == 0 else "work.do"
            self.results.append(self.fleet.call(nodes[number % len(nodes)], target))
            self.fleet.world.call_later(CALL_EVERY_S, call)

        call()

    def began_at(self, node: str, since: float) -> list[float]:
        """When calls began on a node, from a time on."""
        return [at for at, where in self.began if where == node and at >= since]


def lossy(seed: int, count: int) -> Fleet:
    """A fleet whose links lose datagrams."""
    fleet = Fleet.running(seed, count)
    for source in fleet.names:
        for target in fleet.names:
            if source != target:
                fleet.world.slow(source, target, loss=LOSS)
    return fleet


def test_no_call_begins_on_a_node_that_is_drained(seed: int) -> None:
    """Also none that comes through the drained node, and none before it has taken calls again."""
    with lossy(seed, 4) as fleet:
        traffic = Traffic(fleet)
        fleet.world.run_for(2.0)
        traffic.begin(lambda: fleet.up)
        fleet.world.run_for(0.3)
        drained = fleet.wait(fleet.ask("n2", "drain", {"keep": True}, timeout=20.0), 21.0)
        if drained.error is not None:  # calls through it never end, so it is never quiet; routers have passed it over
            assert drained.error.code == "deadline"
        since = fleet.world.now
        fleet.world.run_for(1.0)
        assert traffic.began_at("n2", since) == []
        assert isinstance(fleet.wait(fleet.ask("n2", "undrain")).answer, AdminAnswer)
        fleet.until(lambda: bool(traffic.began_at("n2", since)), 5.0)


def test_no_call_begins_on_a_node_that_has_left_and_none_fails(seed: int) -> None:
    with Fleet.running(seed, 4) as fleet:
        traffic = Traffic(fleet)
        fleet.world.run_for(2.0)
        traffic.begin(lambda: [name for name in fleet.up if name != "n4"])
        fleet.world.run_for(0.3)
        assert isinstance(fleet.wait(fleet.ask("n1", "change", {"leave": ["n4"]})).answer, AdminAnswer)
        fleet.names.remove("n4")
        left = lambda: all("n4" not in fleet.nodes[name].view.members for name in fleet.names)  # noqa: E731
        fleet.until(left, 60.0)
        since = fleet.world.now + GOSSIP_S
        fleet.world.run_for(GOSSIP_S + 2.0)
        assert traffic.began_at("n4", since) == []
        traffic.stopped = True
        fleet.world.run_for(6.0)
        lost = [one.error for one in traffic.results if not isinstance(one.answer, CallDone)]
        assert not lost, f"{len(lost)} of {len(traffic.results)}: {lost[0]}"
