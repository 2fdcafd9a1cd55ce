"""A node that owns no copy of a key, or whose disk is full, passes the request on to an owner, and coordinates only
when no other owner can be reached.

A read is hedged: an owner that has not answered soon gets company, and the first answer is the answer. A put goes to
the next owner only after a definite refusal that says nothing about the put itself: once it may have been carried out,
it is never given to another coordinator. When the owner that it was sent to falls silent, it ends as `maybe` at once:
every writer in a loop soon waits for a node that stopped, and nothing else would let them go on.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from cluster.errors import (
    ClusterError,
    DeadlinePassed,
    Maybe,
    Overloaded,
    QuorumMissing,
    StaleLayout,
    Unreachable,
    WrongClock,
)
from cluster.ports import Inbound, Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.quorum import MAYBE, UNANSWERED
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.kv import Get, Got, Put, PutDone, Update, Updated

HOPS_MAX = 2
"""Layouts may differ for a moment while they change; a request that still wanders after this is answered where it
is."""

Write = TypeVar("Write", Put, Update)
Coordinate = Callable[[Write, int, Inbound], None]
Read = Callable[[Get, int, Inbound], None]


class Forwarder:
    """Passes requests on."""

    def __init__(self, context: ReplicationContext, durability: str) -> None:
        self.context = context
        self.durability = durability
        self.is_draining: Callable[[str], bool] = lambda name: False
        """Whether a member takes nothing new while there are others."""
        self.in_flight: dict[int, Forwarded] = {}
        """By the number of the request that carries them on."""
        self._sweeping = False

        def on_silent(peer: str) -> None:
            for forwarded in list(dict.fromkeys(self.in_flight.values())):
                forwarded.silent(peer)

        context.reach.on_silent.append(on_silent)

    def put(self, body: Write, partition: int, inbound: Inbound, coordinate: Coordinate[Write]) -> None:
        """Give a put, or an update, to the first owner that takes it."""
        ForwardedPut(self, body, partition, inbound, coordinate).next()

    def get(self, body: Get, partition: int, inbound: Inbound, read: Read) -> None:
        """Give a get to owners until one answers."""
        ForwardedGet(self, body, partition, inbound, read).next()
        if not self._sweeping and self.in_flight:
            self._sweeping = True
            self.context.env.clock.call_later(self.context.settings.read_hedge_s, self._sweep)

    def give_back(self, body: Put | Update, inbound: Inbound) -> None:
        """Pass the retry of a put on to the node that coordinated it, which alone can tell what became of it."""
        name, context = body.coordinator, self.context
        if name not in context.view.members or body.hops >= HOPS_MAX:
            inbound.fail(Maybe(f"{name}, which coordinated operation {body.operation}, is not a member: read the key"))
            return

        def answered(_: str, outcome: Outcome) -> None:
            if isinstance(outcome, PutDone | Updated):
                inbound.reply(outcome)
            elif isinstance(outcome, ClusterError) and not isinstance(outcome, Unreachable | Overloaded | Maybe):
                inbound.fail(outcome)
            else:
                why = outcome.message if isinstance(outcome, ClusterError) else f"{name} answered out of turn"
                inbound.fail(Maybe(f"only {name} can repeat operation {body.operation}: {why}"))

        onward = msgspec.structs.replace(body, hops=body.hops + 1)
        context.messenger.request([name], onward, inbound.deadline, answered, LANE_FOREGROUND, inbound.trace)

    def owners(self, partition: int, hops: int) -> list[str]:
        """Whom to ask, in order; an owner that drains, so that it comes to an end, after the others."""
        if hops >= HOPS_MAX:
            return []
        context = self.context
        owners = [name for name in context.view.owners(partition) if name != context.me and not context.avoided(name)]
        return sorted(owners, key=self.is_draining)

    def refused(self, inbound: Inbound) -> bool:
        """Of a node that has left, and to which nobody answers any more: its clients may go elsewhere, so that no
        request fails with the change."""
        if self.context.me in self.context.view.members:
            return False
        inbound.fail(Unreachable(f"{self.context.me} has left the cluster"))
        return True

    def send(self, forwarded: "Forwarded", owner: str, body: Put | Update | Get, inbound: Inbound) -> int:
        """Ask an owner, until the deadline of the request. Returns the number of the request."""

        def answered(owner: str, outcome: Outcome) -> None:
            del self.in_flight[number]
            forwarded.answered(owner, outcome)

        trace = inbound.trace
        if trace:
            self.context.steps.add(trace, "forward", to=owner, key=body.key)
        number = self.context.messenger.request([owner], body, inbound.deadline, answered, LANE_FOREGROUND, trace)
        self.in_flight[number] = forwarded
        return number

    def finish(self, id: int) -> None:
        """Nobody waits for this request any more."""
        if self.in_flight.pop(id, None) is not None:
            self.context.messenger.finish(id)

    def _sweep(self) -> None:
        now = self.context.env.clock.now()
        gets = [one for one in dict.fromkeys(self.in_flight.values()) if isinstance(one, ForwardedGet)]
        for forwarded in gets:
            forwarded.linger(now)
        self._sweeping = bool(gets)
        if gets:
            self.context.env.clock.call_later(self.context.settings.read_hedge_s / 2, self._sweep)


class ForwardedPut(Generic[Write]):
    """A put, or an update, at one owner after the other."""

    __slots__ = ("body", "coordinate", "forwarder", "id", "inbound", "left", "onward", "owner", "partition")

    def __init__(
        self, forwarder: Forwarder, body: Write, partition: int, inbound: Inbound, coordinate: Coordinate[Write]
    ) -> None:
        self.forwarder = forwarder
        self.body: Write = body
        self.onward: Write = msgspec.structs.replace(body, hops=body.hops + 1)
        self.partition = partition
        self.inbound = inbound
        self.coordinate: Coordinate[Write] = coordinate
        self.left = forwarder.owners(partition, body.hops)
        self.owner = ""
        self.id = 0

    def next(self) -> None:
        """Try the next owner; without one coordinate it here, as a fallback, with hints for the owners. Whoever was
        stopped meanwhile may come here long after the deadline."""
        if self.forwarder.context.env.clock.now() >= self.inbound.deadline:
            self.inbound.fail(DeadlinePassed("no owner took the put before its deadline"))
            return
        if not self.left:
            view = self.forwarder.context.view
            if self.forwarder.refused(self.inbound):
                return
            if view.holds(self.partition) or view.me in view.fallbacks(self.partition):
                self.coordinate(self.body, self.partition, self.inbound)
            else:  # it may be no member soon, with the hints that it would keep
                self.inbound.fail(Unreachable(f"{view.me} joins or leaves, and reaches no owner of the key"))
            return
        self.owner = self.left.pop(0)
        self.id = self.forwarder.send(self, self.owner, self.onward, self.inbound)

    def answered(self, owner: str, outcome: Outcome) -> None:
        """What became of it there. An error that is definite and about the put itself is the answer."""
        if isinstance(outcome, UNANSWERED):
            self.forwarder.context.reach.unanswered(owner, outcome)
        if isinstance(outcome, PutDone | Updated):
            self.inbound.reply(outcome)
        elif isinstance(outcome, Unreachable | Overloaded | StaleLayout | WrongClock):
            self.next()
        elif isinstance(outcome, ClusterError) and outcome.definite:
            self.inbound.fail(outcome)
        else:
            self._unknown()

    def silent(self, peer: str) -> None:
        """A peer fell silent: if it has the put, nobody may get it now."""
        if peer == self.owner:
            self.forwarder.finish(self.id)
            self._unknown()

    def _unknown(self) -> None:
        """The owner may have coordinated it: it alone can tell, and so its name goes with the `maybe`."""
        owner, durability = self.owner, self.forwarder.durability
        if isinstance(self.body, Update):
            self.inbound.reply(Updated(MAYBE, 0, 0, b"", owner, durability))
        else:
            self.inbound.reply(PutDone(MAYBE, 0, 0, b"", owner, 0, durability))


class ForwardedGet:
    """A get at one or more owners."""

    __slots__ = ("body", "ended", "forwarder", "hedge_at", "inbound", "left", "onward", "partition", "read", "waiting")

    def __init__(self, forwarder: Forwarder, body: Get, partition: int, inbound: Inbound, read: Read) -> None:
        self.forwarder = forwarder
        self.body = body
        self.onward = msgspec.structs.replace(body, hops=body.hops + 1)
        self.partition = partition
        self.inbound = inbound
        self.read = read
        self.left = forwarder.owners(partition, body.hops)
        self.waiting: dict[str, int] = {}
        self.hedge_at = 0.0
        self.ended = False

    def next(self) -> None:
        """Ask one more owner; read here when nobody else is left."""
        context = self.forwarder.context
        if self.left:
            owner = self.left.pop(0)
            self.hedge_at = context.env.clock.now() + context.settings.read_hedge_s
            self.waiting[owner] = self.forwarder.send(self, owner, self.onward, self.inbound)
        elif not self.waiting:
            self.ended = True
            if not self.forwarder.refused(self.inbound):
                self.read(self.body, self.partition, self.inbound)

    def linger(self, now: float) -> None:
        """No answer yet: another owner may be quicker."""
        if self.left and now >= self.hedge_at:
            self.next()

    def answered(self, owner: str, outcome: Outcome) -> None:
        """An owner's answer, or why there is none."""
        self.waiting.pop(owner, None)
        if isinstance(outcome, UNANSWERED):
            self.forwarder.context.reach.unanswered(owner, outcome)
        if isinstance(outcome, (*UNANSWERED, StaleLayout)):
            if not self.ended:
                self.next()
        elif self.ended or (isinstance(outcome, QuorumMissing) and self.waiting):
            pass  # the other one may see more
        elif type(outcome) is Got:
            self._end()
            self.inbound.reply(outcome)
        else:
            self._end()
            self.inbound.fail(outcome if isinstance(outcome, ClusterError) else Maybe(f"{owner} answered out of turn"))

    def silent(self, peer: str) -> None:
        """A peer fell silent: go on without it."""
        id = self.waiting.pop(peer, None)
        if id is not None and not self.ended:
            self.forwarder.finish(id)
            self.next()

    def _end(self) -> None:
        self.ended = True
        for id in self.waiting.values():
            self.forwarder.finish(id)
        self.waiting.clear()


Forwarded = ForwardedPut[Put] | ForwardedPut[Update] | ForwardedGet
