"""Several nodes' requests joined back to back, with a clock moved by hand and a tiny loop for handlers."""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from random import Random
from typing import Any, cast

import msgspec

from cluster.env import Env
from cluster.errors import ClusterError, Maybe, from_code
from cluster.requests.declared import service_error
from cluster.requests.hosting import ServiceHosting
from cluster.requests.pool import Avoided, PoolEndpoint
from cluster.rpc.reach import BEAT_S, Reach
from cluster.wire.frames import Body, FrameReader, Reply, Request, encode_frame
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.membership import StreamPing, StreamPong
from cluster.wire.parts import Window
from cluster.wire.requests import Call, CallDone
from tests.observe.hand_clock import HandClock

Answer = Callable[[Body | ClusterError], None]


class Cancelled(BaseException):
    """What this loop throws into a coroutine that is cancelled."""


class Wait:
    """Yields to the loop for some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> Generator[float, None, None]:
        yield self.seconds


def sleep(seconds: float) -> Awaitable[None]:
    return Wait(seconds)


class HandFuture:
    """What a coroutine of this loop waits for."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.result: list[Any] = []

    def __await__(self) -> Generator["HandFuture", None, Any]:
        while not self.result:
            yield self
        return self.result[0]

    def done(self) -> bool:
        return bool(self.result)

    def set_result(self, result: Any, /) -> None:
        self.result.append(result)
        if self.task is not None:
            self.task.timer = self.task.clock.call_soon(self.task.step)


class Task:
    """A coroutine on the hand-driven clock; it starts in a later pass, as real ones do."""

    def __init__(self, clock: HandClock, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.clock = clock
        self.coroutine = coroutine
        self.ended = False
        self.error: BaseException | None = None
        self.timer = clock.call_soon(self.step)

    def cancel(self) -> None:
        if not self.ended:
            self.timer.cancel()
            self.timer = self.clock.call_soon(self.step, Cancelled())

    def step(self, error: BaseException | None = None) -> None:
        try:
            waits = self.coroutine.throw(error) if error else self.coroutine.send(None)
        except StopIteration:
            self.ended = True
        except BaseException as raised:
            self.ended, self.error = True, raised
        else:
            if isinstance(waits, HandFuture):
                waits.task = self
            else:
                self.timer = self.clock.call_later(waits, self.step)


class Loop:
    """Spawns tasks and remembers them."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.tasks: list[Task] = []

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Task:
        self.tasks.append(Task(self.clock, coroutine))
        return self.tasks[-1]


class FakeInbound:
    """One message that arrived, and what was answered."""

    def __init__(
        self,
        body: Any,
        deadline: float,
        arrived: float,
        answer: Answer | None = None,
        pass_on: Callable[[bytes], None] | None = None,
    ) -> None:
        self.body = body
        self.deadline = deadline
        self.arrived = arrived
        self.answers: list[Body | ClusterError] = []
        self.cancels: list[Callable[[], None]] = []
        self.parts: list[bytes] = []
        self.loses = False
        """What comes is lost: as when the queue to the client is full."""
        self.window = Window()
        self._answer = answer
        self._pass_on = pass_on
        self._credit: Callable[[int], None] | None = None

    def reply(self, body: Body) -> None:
        self._take(body)

    def fail(self, error: ClusterError) -> None:
        self._take(error)

    def on_credit(self, function: Callable[[int], None]) -> None:
        self._credit = function

    def part(self, data: bytes) -> bool:
        assert self._credit is not None and not self.answers
        self.window.take(len(data))
        self.parts.append(data)
        if self._pass_on is not None:
            self._pass_on(data)
        return not self.loses

    def give(self, count: int) -> None:
        assert self._credit is not None
        if not self.answers:
            self.window.give(count)
            self._credit(count)

    def on_cancel(self, function: Callable[[], None]) -> None:
        self.cancels.append(function)

    def cancel(self) -> None:
        for function in self.cancels:
            function()

    def _take(self, outcome: Body | ClusterError) -> None:
        assert not self.answers, "answered twice"
        self.answers.append(outcome)
        if self._answer is not None:
            self._answer(outcome)


class FakeMessenger:
    """Requests go through their bytes, and take `delay_s` each way. `faults` say how calls to a peer fail."""

    def __init__(self, world: "World", node: str) -> None:
        self.world = world
        self.node = node
        self.handlers: dict[type, Callable[[Any], None]] = {StreamPing: lambda inbound: inbound.reply(StreamPong())}
        self.stopped = False
        self.unread: list[tuple[FakeMessenger, int, Request]] = []
        self.faults: dict[str, type[ClusterError]] = {}
        others = [name for name in world.names if name != node]
        self.reach = Reach(world.clock, cast(Any, self), lambda: others, world.record)
        self.reach.waited_for.append(
            lambda names, now: names.update({peer: None for peer, *_ in self.waiting.values()})
        )
        self.requests = 0
        self.sent: list[str] = []
        self.oneways: list[tuple[str, Any]] = []
        self.cancelled: list[int] = []
        self.takers: dict[int, Callable[[bytes], None] | None] = {}
        """Who takes the parts of an answer."""
        self.waiting: dict[int, tuple[str, FakeInbound | None, Callable[[str, Body | ClusterError], None]]] = {}

    def handle(self, body_type: type, handler: Callable[[Any], None]) -> None:
        self.handlers[body_type] = handler

    def request(
        self,
        peers: Sequence[str],
        body: Body,
        deadline: float,
        done: Callable[[str, Body | ClusterError], None],
        lane: int = LANE_FOREGROUND,
        *,
        on_part: Callable[[bytes], None] | None = None,
    ) -> int:
        (peer,) = peers
        clock = self.world.clock
        if isinstance(body, Call):
            self.sent.append(peer)
        self.requests += 1
        id = self.requests
        self.takers[id] = on_part
        (frame,) = FrameReader().feed(encode_frame(Request(id, deadline, 0, body)))
        assert isinstance(frame, Request)
        if not self.waiting:
            clock.call_later(BEAT_S, self.sweep)
        self.waiting[id] = (peer, None, done)
        clock.call_at(deadline, self.finished, id, Maybe("no answer before the deadline"))
        error = self.faults.get(peer)
        if error is None:
            clock.call_later(self.world.delay_s, self.world.messengers[peer].arrive, self, id, frame)
        elif error is not Maybe:
            clock.call_soon(self.finished, id, error(f"{peer} fails"))
        else:
            clock.call_later(self.world.delay_s, self.finished, id, Maybe("the connection ended: reset"))
        return id

    def send(self, peer: str, body: Any) -> bool:
        self.oneways.append((peer, body))
        return True

    def arrive(self, origin: "FakeMessenger", id: int, frame: Request) -> None:
        if self.stopped:
            self.unread.append((origin, id, frame))
            return
        clock, delay_s = self.world.clock, self.world.delay_s

        def answer(outcome: Body | ClusterError) -> None:
            sent: Body | ClusterError
            if isinstance(outcome, ClusterError):
                sent = from_code(outcome.code, outcome.message)
            else:
                (reply,) = FrameReader().feed(encode_frame(Reply(id, outcome)))
                assert isinstance(reply, Reply)
                sent = reply.body
            clock.call_later(delay_s, origin.reach.heard, self.node)
            clock.call_later(delay_s, origin.finished, id, sent)

        def part(data: bytes) -> None:
            def take() -> None:
                on_part = origin.takers[id]
                if id in origin.waiting and on_part is not None:
                    on_part(data)

            clock.call_later(delay_s, take)

        inbound = FakeInbound(frame.body, frame.deadline, clock.now(), answer, part)
        if id in origin.waiting:
            origin.waiting[id] = (origin.waiting[id][0], inbound, origin.waiting[id][2])
        self.handlers[type(frame.body)](inbound)

    def waited_for(self, names: dict[str, None], now: float) -> None:
        names.update(dict.fromkeys(peer for peer, *_ in self.waiting.values()))

    def sweep(self) -> None:
        self.reach.beat(self.world.clock.now())
        if self.waiting:
            self.world.clock.call_later(BEAT_S, self.sweep)

    def go_on(self) -> None:
        """As SIGCONT: what waited in the socket is read. Deadlines are the sender's."""
        self.stopped = False
        unread = self.unread
        self.unread = []
        for origin, id, frame in unread:
            self.arrive(origin, id, frame)

    def finished(self, id: int, outcome: Body | ClusterError) -> None:
        if id in self.waiting:
            peer, _, done = self.waiting.pop(id)
            done(peer, outcome)

    def credit(self, id: int, count: int) -> None:
        if id in self.waiting and (inbound := self.waiting[id][1]) is not None:
            self.world.clock.call_later(self.world.delay_s, inbound.give, count)

    def finish(self, id: int, cancel: bool = False) -> None:
        _, inbound, _ = self.waiting.pop(id)
        if cancel:
            self.cancelled.append(id)
            if inbound is not None:
                inbound.cancel()


class FakeFacts:
    """Facts that all learn at once."""

    def __init__(self, world: "World", node: str) -> None:
        self.world = world
        self.node = node
        self.on_fact: list[Callable[[str, str, bytes], None]] = []
        self.on_change: list[Callable[[str, str, str], None]] = []
        self.states: dict[str, str] = {}
        self.unheard: list[str] = []

    def state(self, name: str) -> str:
        return self.states.get(name, "alive")

    def set_state(self, name: str, new: str) -> None:
        old, self.states[name] = self.state(name), new
        for function in self.on_change:
            function(name, old, new)

    def announce(self, kind: str, body: bytes) -> None:
        self.world.bodies[self.node, kind] = body
        for facts in self.world.facts.values():
            for function in facts.on_fact:
                function(self.node, kind, body)

    def unknown(self, kind: str) -> list[str]:
        return list(self.unheard)

    def facts(self, kind: str) -> dict[str, bytes]:
        return {name: body for (name, its), body in self.world.bodies.items() if its == kind}


class World:
    """Nodes n1 and so on; `services` makes the services of each."""

    def __init__(self, size: int, services: Callable[[], list[object]] | None = None, delay_s: float = 0.005) -> None:
        self.clock = HandClock()
        self.loop = Loop(self.clock)
        self.delay_s = delay_s
        self.bodies: dict[tuple[str, str], bytes] = {}
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.names = names = [f"n{number + 1}" for number in range(size)]
        self.messengers = {name: FakeMessenger(self, name) for name in names}
        self.facts = {name: FakeFacts(self, name) for name in names}
        self.nodes = {name: self._make(name, services) for name in names}
        for node in self.nodes.values():
            node.start()

    def _make(self, name: str, services: Callable[[], list[object]] | None) -> ServiceHosting:
        nothing = cast(Any, None)
        messenger, facts = cast(Any, self.messengers[name]), cast(Any, self.facts[name])
        env = Env(self.clock, Random(name), nothing, nothing, self.loop.spawn)
        hosted = None if services is None else services()
        reach = self.messengers[name].reach
        return ServiceHosting(
            name, env, messenger, facts, reach, self.record, sleep, HandFuture, lambda: self.names, hosted
        )

    def record(self, kind: str, cause: str, **fields: Any) -> None:
        self.events.append((kind, cause, fields))

    def send(self, node: str, name: str, routed: bool = False, deadline_s: float = 5.0, **fields: Any) -> FakeInbound:
        """A client's call to `node`, without letting time pass."""
        service, _, operation = name.partition(".")
        return self.ask(node, Call(service, operation, msgspec.json.encode(fields), "", routed), deadline_s)

    def ask(self, node: str, call: Call, deadline_s: float = 5.0) -> FakeInbound:
        """The same, of a call that is made already."""
        inbound = FakeInbound(call, self.clock.now() + deadline_s, self.clock.now())
        self.messengers[node].handlers[Call](inbound)
        return inbound

    def call(self, node: str, name: str, routed: bool = False, deadline_s: float = 5.0, **fields: Any) -> Any:
        """A client's call and its answer: (the reply as JSON values, the node, the attempts), or the error."""
        inbound = self.send(node, name, routed, deadline_s, **fields)
        self.clock.advance(deadline_s + 0.1)
        (answer,) = inbound.answers
        if isinstance(answer, CallDone):
            if answer.error:
                return service_error(name, answer)
            return msgspec.json.decode(answer.payload), answer.node, answer.attempts
        assert isinstance(answer, ClusterError)
        return answer

    def prefer(self, via: str, service: str, *names: str) -> None:
        """Calls through `via` go to the first of these endpoints that is left, and to the first of all otherwise."""
        pool = self.nodes[via].pools.of(service, self.clock.now())
        assert pool is not None

        def choose(
            call: Call, version: int, tried: list[PoolEndpoint], avoided: Avoided | None, now: float
        ) -> PoolEndpoint | None:
            left = [one for one in pool._routable if one not in tried and call.only in ("", one.announced.name)]
            if avoided is not None:
                left = [one for one in left if not avoided(one.announced.node)] or left
            wanted = [one for name in names for one in left if one.announced.name == name]
            return next(iter([*wanted, *left]), None)

        pool.choose = choose  # type: ignore[method-assign]

    def total(self, via: str, what: str) -> int:
        """A figure of the whole calls that clients brought to `via`."""
        return sum(row[what] for row in self.nodes[via].router.figures() if not row["endpoint"])

    def at_rest(self) -> bool:
        """Whether nothing is under way and nothing is counted as if it were."""
        return (
            self.clock.pending() == 0
            and all(node.router.answers.under_way == 0 for node in self.nodes.values())
            and all(task.ended for task in self.loop.tasks)
            and all(
                node.server.running == len(node.router.calls_here) == node.router.answers.under_way == 0
                for node in self.nodes.values()
            )
            and all(row["in_flight"] == 0 for node in self.nodes.values() for row in node.router.figures())
        )
