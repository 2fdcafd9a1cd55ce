"""A few nodes' memberships back to back, over a tiny deterministic network and a clock that only the test moves.

Processes can be killed (streams to them are refused, their timers are gone), started again with the next boot epoch,
and paused and resumed as by SIGSTOP and SIGCONT: late timers come first, then what arrived meanwhile is read, as libuv
does it. Datagrams pass `loses(source, target)`; a pair in `cut` hears no datagrams and gets no answers over streams.
"""

import heapq
import itertools
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, cast

from cluster.config import MembershipSettings, local_membership
from cluster.env import Address, Env, Network, StallWatch, Timer
from cluster.errors import Maybe, Unreachable
from cluster.membership import Membership, OwnIdentity, SeedMember
from cluster.ports import Outcome
from cluster.wire.datagram import seal_bytes
from cluster.wire.frames import Body
from cluster.wire.handshake import ROLE_NODE
from tests.storage.memory_disk import MemoryDisk

LATENCY_S = 0.0005
STALL_INTERVAL_S, STALL_LIMIT_S = 0.1, 0.25


class Call:
    """A call to come."""

    def __init__(self, when: float, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.when = when
        self.function = function
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Process:
    """One boot of a node, with its clock and its messenger."""

    def __init__(self, world: "World", name: str, epoch: int, id: str, disk: MemoryDisk) -> None:
        self.world = world
        self.name = name
        self.up = True
        self.paused = False
        self.held: list[Call] = []
        self.unread: list[Call] = []
        self.events: list[tuple[float, str, str, dict[str, Any]]] = []
        self.addresses: dict[str, Address] = {}
        self.on_contact: list[Callable[[str], None]] = []
        self.on_datagram: Callable[[str, bytes, float], None] = lambda sender, body, arrived: None
        self.handlers: dict[type, Callable[[Any], None]] = {}
        self.watched: dict[str, None] = {}
        self.sent = 0
        self.sent_bytes = 0
        self.stall = StallWatch(world.now, STALL_INTERVAL_S, STALL_LIMIT_S)
        env = Env(self, world.random, cast(Any, disk), cast(Network, None), self.spawn)
        me = OwnIdentity(name, id, epoch, f"z{int(name[1:]) % 3}", world.address(name))
        seeds = [SeedMember(other, "z", world.address(other)) for other in world.names if other != name]
        us = cast(Any, self)
        self.membership = Membership(env, me, seeds, us, us, us, world.settings, self.stall, self.record)

    def start(self) -> None:
        self.beat()
        self.membership.start()

    def beat(self) -> None:
        self.stall.beat(self.now())
        self.call_later(STALL_INTERVAL_S, self.beat)

    def record(self, kind: str, cause: str, **fields: Any) -> None:
        self.events.append((self.now(), kind, cause, fields))

    def kinds(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        return [(cause, fields) for _, found, cause, fields in self.events if found == kind]

    # -- Clock

    def now(self) -> float:
        return self.world.now

    def wall(self) -> float:
        return self.world.now

    def call_at(self, when: float, function: Callable[..., object], *args: Any) -> Timer:
        return self.world.call_at(max(when, self.world.now), self.run, Call(when, function, args))

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> Timer:
        return self.call_at(self.world.now + delay, function, *args)

    def call_soon(self, function: Callable[..., object], *args: Any) -> Timer:
        return self.call_at(self.world.now, function, *args)

    def run(self, call: Call) -> None:
        if self.up and self.paused:
            self.held.append(call)
        elif self.up and not call.cancelled:
            call.function(*call.args)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Timer:
        raise NotImplementedError

    # -- Messenger

    def handle(self, body_type: type, handler: Callable[[Any], None]) -> None:
        self.handlers[body_type] = handler

    def datagram(self, peer: str, body: bytes) -> None:
        self.sent += 1
        self.sent_bytes += len(body)
        assert len(body) + seal_bytes(self.name) <= self.world.settings.packet_bytes_max
        target = self.world.processes.get(peer)
        if target is not None and peer in self.addresses and not self.world.is_lost(self.name, peer):
            self.world.call_at(self.now() + LATENCY_S, target.arrive, self.name, body)

    def redial(self, peer: str) -> None:
        """Here nothing waits before it dials."""

    def read(self, function: Callable[..., object], *args: Any) -> None:
        """Something came through a socket."""
        if self.paused:
            self.unread.append(Call(0, function, args))
        elif self.up:
            function(*args)

    def arrive(self, sender: str, body: bytes) -> None:
        self.read(lambda: self.on_datagram(sender, body, self.now()))

    def request(
        self, peers: Sequence[str], body: Body, deadline: float, done: Callable[[str, Outcome], None], lane: int = 0
    ) -> int:
        for peer in peers:
            Exchange(self, peer, body, deadline, done)
        return 0

    def watch(self, peer: str) -> None:
        self.watched[peer] = None
        target = self.world.processes.get(peer)
        if target is not None and not target.up and not self.world.is_cut(self.name, peer):
            self.world.call_at(self.now() + LATENCY_S, self.read, self.membership.note_evidence, peer, "refused")

    def unwatch(self, peer: str) -> None:
        self.watched.pop(peer, None)


class Exchange:
    """A request under way; it ends once."""

    def __init__(
        self, source: Process, peer: str, body: Body, deadline: float, done: Callable[[str, Outcome], None]
    ) -> None:
        self.source = source
        self.peer = peer
        self.body = body
        self.done: Callable[[str, Outcome], None] | None = done
        world = source.world
        world.call_at(deadline, self.finish, Maybe(f"no answer from {peer}"))
        if not world.is_cut(source.name, peer):
            world.call_at(world.now + LATENCY_S, self.arrive)

    def arrive(self) -> None:
        target = self.source.world.processes.get(self.peer)
        if target is None or not target.up:
            self.finish(Unreachable(f"{self.peer} cannot be reached: refused"))
            self.source.read(self.source.membership.note_evidence, self.peer, "refused")
        else:
            inbound = Inbound(self)
            target.read(target.handlers[type(self.body)], inbound)

    def finish(self, outcome: Outcome) -> None:
        done, self.done = self.done, None
        if done is not None:
            self.source.read(done, self.peer, outcome)


class Inbound:
    """The request, as the other side sees it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.body = exchange.body
        self.sender, self.role = exchange.source.name, ROLE_NODE

    def reply(self, body: Body) -> None:
        world = self.exchange.source.world
        if not world.is_cut(self.exchange.source.name, self.exchange.peer):
            world.call_at(world.now + LATENCY_S, self.exchange.finish, body)

    def fail(self, error: Outcome) -> None:
        self.reply(cast(Body, error))


class World:
    """The nodes, the network and the time."""

    def __init__(self, count: int, seed: int = 1, settings: MembershipSettings | None = None) -> None:
        self.now = 1000.0
        self.random = Random(seed)
        self.settings = settings or local_membership()
        self.names = [f"n{number}" for number in range(1, count + 1)]
        self.processes: dict[str, Process] = {}
        self.disks = {name: MemoryDisk() for name in self.names}
        self.cut: list[tuple[set[str], set[str]]] = []
        self.loses: Callable[[str, str], bool] = lambda source, target: False
        self._calls: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._epochs = dict.fromkeys(self.names, 0)

    def address(self, name: str) -> Address:
        return "127.0.0.1", 7000 + int(name[1:])

    def __getitem__(self, name: str) -> Membership:
        return self.processes[name].membership

    # -- time

    def call_at(self, when: float, function: Callable[..., object], *args: Any) -> Call:
        call = Call(when, function, args)
        heapq.heappush(self._calls, (when, next(self._order), call))
        # What a process may cancel is its own call, which travels as the argument.
        return args[0] if args and isinstance(args[0], Call) else call

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            when, _, call = heapq.heappop(self._calls)
            self.now = max(self.now, when)
            call.function(*call.args)
        self.now = end

    def run_until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Run until the condition holds; how long that took. Fails when it takes longer than `seconds`."""
        start = self.now
        while not condition():
            assert self.now - start <= seconds, f"not within {seconds} s"
            self.run(0.01)
        return self.now - start

    # -- processes

    def start(self, *names: str, id: str = "") -> None:
        for name in names or self.names:
            self.make(name, id).start()

    def make(self, name: str, id: str = "") -> Process:
        """The node's next process, not yet started."""
        self._epochs[name] += 1
        process = Process(self, name, self._epochs[name], id or f"{name}-aaaa", self.disks[name])
        self.processes[name] = process
        return process

    def empty(self, name: str) -> None:
        """Lose the directory of a node that is down: its epochs begin anew."""
        self._epochs[name] = 0
        self.disks[name] = MemoryDisk()

    def kill(self, name: str) -> None:
        self.processes[name].up = False
        for process in self.processes.values():
            if name in process.watched and process.up and not self.is_cut(process.name, name):
                del process.watched[name]
                self.call_at(self.now + LATENCY_S, process.read, process.membership.note_evidence, name, "closed")

    def pause(self, name: str) -> None:
        self.processes[name].paused = True

    def resume(self, name: str) -> None:
        process = self.processes[name]
        process.paused = False
        held, process.held = process.held, []
        unread, process.unread = process.unread, []
        for call in held:
            process.run(call)
        for call in unread:
            process.read(call.function, *call.args)

    # -- network

    def partition(self, left: Sequence[str]) -> None:
        self.cut.append((set(left), set(self.names) - set(left)))

    def heal(self) -> None:
        self.cut.clear()

    def is_cut(self, source: str, target: str) -> bool:
        return any((source in left) != (target in left) for left, _ in self.cut)

    def is_lost(self, source: str, target: str) -> bool:
        return self.is_cut(source, target) or self.loses(source, target)

    # -- what all believe

    def up(self) -> list[Process]:
        return [process for process in self.processes.values() if process.up and not process.paused]

    def converged(self) -> bool:
        """Every process holds exactly those alive that are."""
        alive = sorted(process.name for process in self.up())
        return all(process.membership.alive() == alive for process in self.up())

    def all_heard(self) -> bool:
        return all(process.membership.heard_in_this_boot() == len(self.names) for process in self.up())

    def all_say(self, name: str, *states: str) -> bool:
        return all(process.membership.state(name) in states for process in self.up() if process.name != name)
