"""Chooses the node for each operation, and another one while that is harmless. The callback core of the asyncio client.

A key's operation goes to one of its owners, in turn, which saves a forward. Whatever was sent and may have happened is
never sent again (`certainty`). One timer sweeps all deadlines. An operation is one small object: no task, no future.
"""

import asyncio
from collections.abc import Container, Sequence
from random import Random
from typing import Protocol

from cluster.client.certainty import READ_ATTEMPT_S, may_go_elsewhere, nobody
from cluster.client.channel import Channel, Done, Outcome
from cluster.client.link import client_party
from cluster.client.locate import Address, Location
from cluster.client.places import Place
from cluster.errors import ClusterError, NotFound, Overloaded, Unreachable
from cluster.layout.entry import LayoutEntry
from cluster.layout.partition import PARTITIONS, partition_of
from cluster.layout.placement import placement
from cluster.wire.frames import Body
from cluster.wire.kv import Get
from cluster.wire.topics import Message

SWEEP_S = 0.02
"""Deadlines are exact to this."""
CLOSE_S = 1.0
"""How long closing waits for what is still to be written."""


class Receiver(Protocol):
    """Takes the messages of one subscription."""

    def receive(self, message: Message) -> None:
        """A message came."""

    def end(self) -> None:
        """The client was closed."""


class Operation:
    """One call on its way: the callback of its channel, and the handle to cancel it."""

    __slots__ = ("body", "channel", "deadline", "done", "id", "key", "node", "router", "tried")

    def __init__(
        self, router: "Router", body: Body, deadline: float, done: Done, key: str | None, node: str | None
    ) -> None:
        self.router = router
        self.body = body
        self.deadline = deadline
        self.done = done
        self.key = key
        self.node = node
        self.channel: Channel | None = None
        """Where it was sent last."""
        self.id = 0
        self.tried: dict[str, ClusterError] | None = None

    def __call__(self, outcome: Outcome) -> None:
        """What the channel says: the outcome, unless another node may be asked."""
        if isinstance(outcome, ClusterError) and may_go_elsewhere(self.body, outcome):
            assert self.channel is not None
            self.failed_at(self.channel.name, outcome)
            self.router.send(self)
        else:
            self.done(outcome)

    def failed_at(self, name: str, error: ClusterError) -> None:
        """Remember why node `name` could not do it."""
        if self.tried is None:
            self.tried = {}
        self.tried[name] = error

    def finish(self, outcome: Outcome) -> None:
        """Tell the outcome to who waits now."""
        self.done(outcome)

    def cancel(self) -> None:
        """No outcome is wanted any more, and the node is told. What was sent may still happen."""
        self.done = ignore
        if self.channel is not None:
            self.channel.cancel(self.id)


def ignore(outcome: Outcome) -> None:
    """Nobody waits."""


class Router:
    """Channels to all nodes of one cluster. Belongs to the loop that it was made on."""

    def __init__(self, location: Location, via: str | None = None, seed: int | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.cluster = location.name
        self.layout = 0
        self.receivers: dict[int, Receiver] = {}
        """By the number of the subscription."""
        self.closed = False
        self._changed = asyncio.Event()  # a node came or went
        self._random = Random(seed)
        self._secret, self._me = location.secret, client_party(location.name)
        self._places: dict[str, Place] = {}
        self._all: Sequence[Place] = ()
        self._owners: Sequence[Sequence[Place]] = ()
        self._turn = self._random.randrange(1 << 16)
        self._sweeping: asyncio.TimerHandle | None = None
        self.use(location.nodes if via is None else {via: _address(location, via)}, location.entry, route=via is None)

    def use(self, nodes: dict[str, Address], entry: LayoutEntry | None, *, route: bool = True) -> None:
        """Talk to these nodes from now on, routed by `entry` when it is known."""
        gone = [place for name, place in self._places.items() if nodes.get(name) != place.address]
        for place in gone:
            del self._places[place.name]
        for name, address in nodes.items():
            if name not in self._places:
                self._places[name] = Place(
                    self.loop, self._random, name, address, self._secret, self._me, self._changed.set, self._push
                )
        self._all = [self._places[name] for name in nodes]
        self.layout = 0 if entry is None else entry.number
        self._owners = ()
        if entry is not None and route:
            owners = placement(entry).owners
            self._owners = [[self._places[name] for name in owners(number)] for number in range(PARTITIONS)]
        for place in gone:  # last, so that what was under way there finds the others
            place.close()

    @property
    def nodes(self) -> list[str]:
        """The names of all nodes."""
        return [place.name for place in self._all]

    async def start(self) -> None:
        """Dial all nodes, and wait for the first. Raises Unreachable or HandshakeRefused when none can be had."""
        for place in self._all:
            place.dial()
        while not any(place.channel is not None and place.channel.up for place in self._all):
            if all(place.channel is None for place in self._all):
                raise nobody(self.cluster, {place.name: place.error for place in self._all})
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """End everything: calls end as lost, subscriptions as finished."""
        self.closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for receiver in list(self.receivers.values()):
            receiver.end()
        channels = [channel for place in self._places.values() if (channel := place.close()) is not None]
        if channels:
            _, late = await asyncio.wait([channel.closed for channel in channels], timeout=CLOSE_S)
            for channel in channels if late else ():
                channel.abort()

    # -- operations

    def call(
        self, body: Body, deadline: float, done: Done, key: str | None = None, node: str | None = None
    ) -> Operation:
        """Send `body` to an owner of `key`, to any node, or to `node` only.

        `done` is called once, with the reply or the error, never before this returns. `deadline` is a time of the loop.
        Raises NotFound for an unknown `node`.
        """
        operation = Operation(self, body, deadline, done, key, node)
        if node is None:
            places = self._owners[partition_of(key)] if key is not None and self._owners else self._all
            self._turn = turn = self._turn + 1
            channel = places[turn % len(places)].channel
            if channel is not None and channel.up and not channel.doubtful and self._start(operation, channel):
                return operation
        elif node not in self._places:
            raise NotFound(f"cluster {self.cluster!r} has no node called {node!r}")
        self.send(operation)
        return operation

    def oneway(self, body: Body, key: str | None = None) -> bool:
        """Send a body that wants no answer to a node that is up. False when there is none, or its queue is full."""
        for place in self._candidates(key, None, ()):
            if place.channel is not None and place.channel.up:
                return place.channel.oneway(body)
        return False

    def send(self, operation: Operation) -> None:
        """Send an operation to the best node that it has not tried, or end it."""
        if self.loop.time() < operation.deadline and not self.closed:
            for place in self._candidates(operation.key, operation.node, operation.tried or ()):
                channel = place.dial()
                if channel is None:
                    operation.failed_at(place.name, place.error)
                elif self._start(operation, channel):
                    return
        self.loop.call_soon(operation.finish, nobody(self.cluster, operation.tried or {}))

    def _start(self, operation: Operation, channel: Channel) -> bool:
        """Send it over this channel. False when the channel refuses."""
        deadline = operation.deadline
        if type(operation.body) is Get and operation.node is None and len(operation.tried or ()) + 1 < len(self._all):
            deadline = min(deadline, self.loop.time() + READ_ATTEMPT_S)
        try:
            operation.id = channel.call(operation.body, deadline, operation, self.layout)
        except (Unreachable, Overloaded) as error:
            operation.failed_at(channel.name, error)
            return False
        operation.channel = channel
        if self._sweeping is None:
            self._sweeping = self.loop.call_later(SWEEP_S, self._sweep)
        return True

    def _candidates(self, key: str | None, node: str | None, tried: Container[str]) -> list[Place]:
        """The nodes to try, best first."""
        if node is not None:
            return [self._places[node]] if node in self._places and node not in tried else []
        now = self.loop.time()
        owners = self._owners[partition_of(key)] if key is not None and self._owners else self._all
        self._turn += 1
        turned = [self._all[(self._turn + step) % len(self._all)] for step in range(len(self._all))]
        left = [place for place in turned if place.name not in tried]
        return sorted(left, key=lambda place: place.rank(now, place in owners))

    def best_node(self, tried: Container[str] = ()) -> str | None:
        """The node to prefer for something that stays there, such as a subscription."""
        candidates = self._candidates(None, None, tried)
        return candidates[0].name if candidates else None

    def _sweep(self) -> None:
        self._sweeping = None
        now = self.loop.time()
        waiting = False
        for place in list(self._places.values()):
            channel = place.channel
            if channel is not None and channel.pending:
                channel.sweep(now)
                waiting = True
        if waiting and not self.closed and self._sweeping is None:
            self._sweeping = self.loop.call_later(SWEEP_S, self._sweep)

    def _push(self, body: Body) -> None:
        if isinstance(body, Message):
            receiver = self.receivers.get(body.subscription)
            if receiver is not None:
                receiver.receive(body)


def _address(location: Location, node: str) -> Address:
    if node not in location.nodes:
        raise NotFound(f"cluster {location.name!r} has no node called {node!r}")
    return location.nodes[node]
