"""Workers under seeds: what they run is the real code of both sides, over the simulated network.

Every call ends by its deadline as reply, definite error or unknown; what may not be repeated runs at most once; and
nothing starts after its deadline, although workers crash, stand still, drain and lose their nodes meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator

from msgspec import Struct, json

from cluster.client.locate import addresses
from cluster.client.serving import DIAL_S, REGISTER_S, Serving
from cluster.errors import ClusterError, HandshakeRefused
from cluster.limits import PARTS_WINDOW_BYTES
from cluster.requests import CallContext, operation, service
from cluster.requests.workers import SILENT_S
from cluster.simulation.fleet import Fleet
from cluster.wire.requests import CallDone
from tests.simulation.calls import TIMEOUT_S, Calls
from tests.simulation.clients import client_of

ROUNDS = 12
PAUSE_S = 2.5
AFTER_S = 0.5
"""How long an outcome may come after its deadline: a client waits a little longer than it tells the node."""


class Workers:
    """Those of a run: two beside each node."""

    def __init__(self, fleet: Fleet, calls: Calls) -> None:
        self.fleet = fleet
        self.calls = calls
        self.serving: dict[str, Serving] = {}
        for node in fleet.names:
            for copy in (1, 2):
                self.start(f"{node}-w{copy}")

    def start(self, name: str) -> None:
        self.serving[name] = self.fleet.worker(name, name.partition("-")[0], self.calls.service())

    def registered(self) -> bool:
        return all(one.registered for one in self.serving.values())

    def known(self, node: str) -> int:
        """How many of them a node would call."""
        endpoints = self.fleet.nodes[node].requests.registry.endpoints("pay")
        return sum(one.state == "ready" for one in endpoints)


def test_calls_of_workers_keep_their_account_under_crashes_stops_and_drains(seed: int) -> None:
    with Fleet(seed, 3) as fleet:
        calls = Calls(fleet, in_nodes=False)
        fleet.start()
        fleet.until(fleet.converged)
        workers = Workers(fleet, calls)
        fleet.until(workers.registered)
        fleet.until(lambda: all(workers.known(node) == 6 for node in fleet.names))
        client, random = client_of(fleet), fleet.world.random("faults of workers")
        world, names = fleet.world, sorted(workers.serving)
        for _ in range(ROUNDS):
            victim, fault = random.choice(names), random.choice(["crash", "pause", "drain", "node", "none"])
            for _ in range(random.randrange(3, 9)):
                calls.begin(client, None)
                world.run_for(random.uniform(0.0, 0.02))
            if fault == "crash":
                world.crash(victim)
                workers.start(victim)
            elif fault == "pause":
                world.pause(victim)
                world.call_later(random.uniform(0.1, PAUSE_S), world.resume, victim)
            elif fault == "drain":
                world.env(victim).clock.call_soon(workers.serving[victim].drain, lambda: None)
                world.run_for(random.uniform(0.0, 1.0))
                world.crash(victim)
                workers.start(victim)
            elif fault == "node":
                node = victim.partition("-")[0]
                fleet.crash(node)
                world.run_for(random.uniform(0.0, 0.5))
                fleet.start(node)
            world.run_for(random.uniform(0.0, 0.6))
        fleet.until(lambda: all(one.result.ended for one in calls.all), TIMEOUT_S + AFTER_S)
        assert all((one.result.took_s or 0.0) <= TIMEOUT_S + AFTER_S for one in calls.all)
        world.run_for(PAUSE_S)
        fleet.until(lambda: workers.registered() and all(workers.known(node) == 6 for node in fleet.names))
        before = len(calls.all)
        for _ in range(10):
            calls.begin(client, None)
        fleet.until(lambda: all(one.result.ended for one in calls.all))
        world.run_for(3.0)
        calls.check()
        late = [one.result.error for one in calls.all[before:] if not isinstance(one.result.answer, CallDone)]
        assert not late, f"all is well again, and yet: {late}"


class Word(Struct):
    text: str = ""


@service(name="talk", version=1)
class Talk:
    """Can be told to be slow; and calls others."""

    @operation(readonly=True)
    async def say(self, request: Word, call: CallContext) -> Word:
        """Wait, then answer."""
        await call.sleep(float(request.text))
        return request


def test_a_worker_that_stands_still_is_left_out_by_all_nodes_and_what_may_be_repeated_goes_elsewhere(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        one, two = fleet.worker("w1", "n1", Talk()), fleet.worker("w2", "n2", Talk())
        fleet.until(lambda: one.registered and two.registered)
        registries = [node.requests.registry for node in fleet.nodes.values()]

        def states() -> list[dict[str, str]]:
            return [{end.name: end.state for end in registry.endpoints("talk")} for registry in registries]

        fleet.until(lambda: states() == [{"n1/1": "ready", "n2/1": "ready"}] * 3)
        called = [fleet.call("n3", "talk.say", json.encode(Word("0.1")), only="") for _ in range(8)]
        fleet.world.run_for(0.02)
        fleet.world.pause("w1")
        began = fleet.world.now
        for call in called:
            fleet.wait(call)
            assert isinstance(call.answer, CallDone)
        assert fleet.world.now - began <= SILENT_S + 1.0
        fleet.until(lambda: states() == [{"n1/1": "ejected", "n2/1": "ready"}] * 3)
        fleet.world.resume("w1")
        fleet.until(lambda: states() == [{"n1/1": "ready", "n2/1": "ready"}] * 3)


def test_a_drain_fails_no_call(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        one, two = fleet.worker("w1", "n1", Talk()), fleet.worker("w2", "n2", Talk())
        fleet.until(lambda: one.registered and two.registered)
        world = fleet.world
        fleet.until(lambda: all(len(node.requests.registry.endpoints("talk")) == 2 for node in fleet.nodes.values()))
        drained: list[bool] = []
        calls = []
        for number in range(60):
            calls.append(fleet.call(fleet.names[number % 3], "talk.say", json.encode(Word("0.05"))))
            if number == 20:
                world.env("w1").clock.call_soon(one.drain, lambda: drained.append(True))
            if drained and one.registered:
                world.env("w1").clock.call_soon(one.stop)
            world.run_for(0.01)
        for call in calls:
            fleet.wait(call)
            assert isinstance(call.answer, CallDone), call.answer
        assert drained


def test_workers_of_one_node_that_drain_together_all_end_at_once(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        workers = {name: fleet.worker(name, "n1", Talk()) for name in ("w1", "w2", "w3")}
        fleet.until(lambda: all(one.registered for one in workers.values()))
        drained: list[str] = []
        for name, worker in workers.items():
            fleet.world.env(name).clock.call_soon(worker.drain, lambda name=name: drained.append(name))
            fleet.world.run_for(fleet.world.random("drains").uniform(0.0, 0.02))
        fleet.until(lambda: sorted(drained) == sorted(workers), 1.0)


def test_a_worker_keeps_its_name_unless_another_has_taken_it_meanwhile(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        names = ["w1", "w2", "w3", "w4"]
        workers = {name: fleet.worker(name, "n1", Talk()) for name in names}
        fleet.until(lambda: all(one.registered for one in workers.values()))
        before = {name: one.endpoint for name, one in workers.items()}
        assert sorted(before.values()) == ["n1/1", "n1/2", "n1/3", "n1/4"]
        fleet.crash("n1")
        fleet.until(lambda: not any(one.registered for one in workers.values()))
        fleet.start("n1")
        fleet.until(lambda: all(one.registered for one in workers.values()))
        assert {name: one.endpoint for name, one in workers.items()} == before

        [first] = [name for name, endpoint in before.items() if endpoint == "n1/1"]
        fleet.world.pause(first)
        fleet.crash("n1")
        fleet.world.run_for(0.1)
        fleet.start("n1")
        other = fleet.worker("w5", "n1", Talk())
        fleet.until(lambda: other.registered)
        fleet.world.resume(first)
        fleet.until(lambda: len({one.endpoint for one in (other, *workers.values())}) == 5)
        fleet.until(lambda: all(one.registered for one in workers.values()))
        assert other.endpoint == "n1/1" and workers[first].refused is None


def test_a_worker_waits_for_a_node_that_stands_still_while_it_is_dialled(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        for calls in range(8):  # until it stands still: before the handshake, before the registration, or after it
            worker = fleet.worker(f"w{calls}", "n1", Talk())
            fleet.world.pause("n1", after_calls=calls)
            fleet.world.run_for(2 * DIAL_S)
            assert worker.registered or calls or "no answer to the handshake" in worker.error.message
            fleet.world.run_for(REGISTER_S)
            fleet.world.resume("n1")
            fleet.until(lambda now=worker: now.registered)  # type: ignore[misc]
            assert worker.refused is None


def test_a_worker_that_is_not_let_in_gives_up_and_has_nothing_to_drain(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        stranger = Serving(
            fleet.world.env("w1"), asyncio.sleep, lambda: asyncio.get_running_loop().create_future(),
            fleet.entry.cluster, "n1", addresses(fleet.entry)["n1"], bytes(32), Talk(), lambda *_, **__: None,
        )  # fmt: skip
        drained: list[bool] = []
        clock = fleet.world.env("w1").clock
        clock.call_soon(stranger.start)
        fleet.until(lambda: stranger.refused is not None)
        assert isinstance(stranger.refused, HandshakeRefused)
        clock.call_soon(stranger.drain, lambda: drained.append(True))
        fleet.until(lambda: bool(drained))


def test_a_handler_ends_with_the_connection_and_its_own_calls_end_in_time(seed: int) -> None:
    ended: list[str] = []

    @service(name="desk", version=1)
    class Desk:
        """Asks others."""

        @operation()
        async def ask(self, call: CallContext) -> None:
            """Ask for what takes longer than there is time."""
            try:
                await call.call("talk.say", {"text": "60"}, deadline=0.3)
            except ClusterError:
                ended.append("asked")

        @operation()
        async def work(self, call: CallContext) -> None:
            """Take a while."""
            try:
                await call.sleep(60.0)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

    with Fleet.running(seed, 3) as fleet:
        desk, talk = fleet.worker("w1", "n1", Desk()), fleet.worker("w2", "n2", Talk())
        fleet.until(lambda: desk.registered and talk.registered)
        fleet.until(lambda: len(fleet.nodes["n1"].requests.registry.endpoints("talk")) == 1)
        fleet.call("n1", "desk.ask", b"{}")
        fleet.world.run_for(0.1)
        fleet.world.pause("n1")
        fleet.world.run_for(0.5)
        assert ended == ["asked"], "its node ends nothing now"
        fleet.world.resume("n1")
        fleet.call("n1", "desk.work", b"{}")
        fleet.world.run_for(0.1)
        fleet.crash("n1")
        fleet.until(lambda: ended == ["asked", "cancelled"], 1.0)


class Lines(Struct):
    """How many, and how long each is."""

    count: int
    size: int = 0


def test_a_worker_reads_the_stream_of_another_no_faster_than_it_wants_and_no_longer(seed: int) -> None:
    made, read, closed = [0], [0], [0]

    @service(name="book", version=1)
    class Book:
        """Has lines."""

        @operation(readonly=True)
        async def lines(self, request: Lines) -> AsyncIterator[Word]:
            """All of them."""
            try:
                for _ in range(request.count):
                    made[0] += 1
                    yield Word("x" * request.size)
            finally:
                closed[0] += 1

    @service(name="reader", version=1)
    class Reader:
        """Reads them."""

        @operation(readonly=True)
        async def count(self, request: Lines, call: CallContext) -> Word:
            """How many there are."""
            async for _ in call.stream("book.lines", request):
                read[0] += 1
            return Word(str(read[0]))

        @operation(readonly=True)
        async def linger(self, request: Lines, call: CallContext) -> None:
            """Read one, and take a while over it."""
            async for _ in call.stream("book.lines", request):
                await call.sleep(60.0)

    with Fleet.running(seed, 3) as fleet:
        book, reader = fleet.worker("w1", "n1", Book()), fleet.worker("w2", "n2", Reader())
        fleet.until(lambda: book.registered and reader.registered)
        registries = [fleet.nodes[node].requests.registry for node in ("n2", "n3")]
        fleet.until(lambda: all(one.endpoints("book") and one.endpoints("reader") for one in registries))
        whole = fleet.call("n3", "reader.count", json.encode(Lines(500, 1000)))
        fleet.wait(whole)
        assert isinstance(whole.answer, CallDone) and json.decode(whole.answer.payload) == {"text": "500"}
        assert (made, closed) == ([500], [1])
        made[0] = 0
        fleet.call("n3", "reader.linger", json.encode(Lines(5000, 1000)))
        fleet.world.run_for(0.5)
        assert 0 < made[0] * 1000 < 3 * PARTS_WINDOW_BYTES and closed == [1]
        fleet.world.crash("w2")
        fleet.until(lambda: closed == [2], 1.0)
