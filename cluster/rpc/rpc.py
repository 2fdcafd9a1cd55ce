"""Calls to nodes by name: one place for numbers, deadlines, batches, lost connections, and how sure an error is.

Everything is by callback and costs no task. A call ends in exactly one of: the peer's reply, its failure, or an error
made here whose `definite` says whether the peer surely did not act. It did not when nothing was written: no connection
was to be had, its queue was full, or the connection that the call waits on was never made. Everything else is `maybe`:
a connection that broke after the call was written, a deadline. A connection whose end a partition hides tells nothing,
so its calls wait for their deadlines, and a later connection of the same lane says nothing about them.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from cluster import ports
from cluster.env import Clock
from cluster.env.passes import READ_FIRST_S, SWEEP_LATE_S
from cluster.errors import BadMessage, ClusterError, Forbidden, Maybe, Overloaded, StaleLayout, Unreachable, from_code
from cluster.ports import Done
from cluster.rpc.batches import BatchedCalls
from cluster.rpc.inbound import HOLD, PROCEED, STALE, Handler, InboundMessage, InboundSession
from cluster.rpc.pending import Pending, PendingCall
from cluster.transport import Connection, Transport
from cluster.wire.frames import Cancel, Credit, OneWay, Request, encode_frame
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.parts import Window
from cluster.wire.replication import BatchRefused, ReplicationBody
from cluster.wire.rights import MAY_SEND, NODES_ONLY, PLACED, ROLE_NODE, ROLES

HELD_MAX = 1024
"""Messages, and calls, that wait for a layout entry; more are refused as stale."""


class Rpc:
    """One node's calls; a `ports.Messenger`."""

    def __init__(self, clock: Clock, transport: Transport) -> None:
        self.layout = 0
        """The number of the layout that this node routes by; placed messages carry it."""
        self.expired = 0
        """Messages that were dropped because their deadline had passed."""
        self.on_layout: Callable[[int, ports.Inbound], str] = lambda number, inbound: PROCEED
        """Asked when a placed message carries another layout number than ours: `proceed`, `hold` (this node is behind:
        until `layout_changed`, or the deadline), or `stale` (the sender is)."""
        self.on_stale: Callable[[str], bool] = lambda peer: True
        """(peer): it holds a newer layout than this node, and so refused a call. Whether that is waited for: then the
        call goes on at `layout_changed`, or ends at its deadline."""
        self.on_answer: Callable[[str], None] = lambda peer: None
        """(peer): bytes came on a connection that was dialled from here: answers come there."""
        self.on_sweep: Callable[[float], None] = lambda now: None
        """Called with the time whenever what is in flight is looked through."""
        self.pending = Pending(transport.settings.sweep_interval_s)
        self.answered = self.pending.answered
        """Whom to give an answer to; None when it is late, repeated or uninvited."""
        self._clock = clock
        self._transport = transport
        self._sweep_interval_s = transport.settings.sweep_interval_s
        self._handlers: dict[str, dict[type, Handler]] = {role: {} for role in ROLES}
        self._batched: list[BatchedCalls[Any]] = []
        self._held: list[tuple[InboundMessage, Handler]] = []
        self._parked: list[Callable[[], None]] = []  # calls that go out again under the next layout
        self._ids = count(1)
        self.next_id = self._ids.__next__
        """A number that no other call of this node has."""
        self.sweeping = False
        """Whether deadlines are looked at already; who begins to wait calls `sweep_soon` when they are not."""
        transport.receive(lambda connection: InboundSession(self, self._clock, connection).take)
        transport.on_end.append(self._ended)
        self.handle(BatchRefused, self.on_refused)

    # -- who receives

    def handle(self, body_type: type, handler: Handler) -> None:
        """Give all requests and one-way messages of a type to `handler`, from those who may send them."""
        roles = MAY_SEND[body_type]
        for role in roles:
            assert body_type not in self._handlers[role], body_type
            guarded = body_type in NODES_ONLY and role != ROLE_NODE
            self._handlers[role][body_type] = _guarded(handler, *NODES_ONLY[body_type]) if guarded else handler

    def handlers_of(self, role: str) -> dict[type, Handler]:
        """By type of message, for senders of this role."""
        return self._handlers[role]

    def handler(self, body_type: type) -> Handler:
        """Who takes messages of a type, whoever may send them."""
        return next(of[body_type] for of in self._handlers.values() if body_type in of)

    def call_back(self, inbound: ports.Inbound, answers: ports.AnswerTaker) -> Connection:
        """Whoever sent this, and is no node, is called on the connection that it came on. Its answers there go to
        `answers`, and no other's: the numbers of these requests are its own."""
        assert isinstance(inbound, InboundMessage)
        inbound.answers_to(answers)
        return inbound.link

    # -- calls

    def request(
        self,
        peers: Sequence[str],
        body: Any,
        deadline: float,
        done: Done,
        lane: int = LANE_FOREGROUND,
        trace: str = "",
        on_part: Callable[[bytes], None] | None = None,
    ) -> int:
        """Call each of `peers`; `done(peer, outcome)` comes once for each, never before this returns.

        Returns an id for `finish`. `deadline` is on the local monotonic clock. `trace` goes with the call. `on_part`
        takes the parts of an answer that has any; for them there is one peer, and `credit`.
        """
        id = self.next_id()
        placed = type(body) in PLACED
        data = encode_frame(Request(id, deadline, self.layout if placed else 0, body, trace))
        left: dict[str, Connection | None] = {}
        for peer in peers:
            connection = self._transport.connection(peer, lane)
            left[peer] = connection
            if connection is None:
                self._clock.call_soon(self._unsent, id, peer, Unreachable(f"{peer} cannot be reached"))
            elif not connection.send_encoded(data):
                left[peer] = None
                self._clock.call_soon(self._unsent, id, peer, Overloaded(f"the queue to {peer} is full"))
        self.pending.add(id, PendingCall(left, deadline, done, (body, lane) if placed else None, on_part))
        if not self.sweeping:
            self.sweep_soon()
        return id

    def finish(self, id: int, cancel: bool = False) -> None:
        """Make no more callbacks for a call; with `cancel`, send the peers that nobody waits."""
        waiting = self.pending.waiting.pop(id, None)
        if waiting is not None and cancel:
            for connection in waiting.left.values():
                if connection is not None:
                    connection.send(Cancel(id))

    def credit(self, id: int, count: int) -> None:
        """So many bytes of the parts of an answer were taken: as many more may come."""
        waiting = self.pending.waiting.get(id)
        if waiting is None or waiting.window is None:
            return  # it has ended meanwhile
        waiting.window.give(count)
        for peer, connection in waiting.left.items():
            if connection is not None and not connection.send(Credit(id, count)):
                # Without it no more parts come, and nobody would say so before the deadline.
                self._clock.call_soon(self._unsent, id, peer, Maybe(f"the queue to {peer} is full"))

    def on_part(self, id: int, peer: str, data: bytes) -> None:
        """A part of an answer came. What is more than was allowed ends the call; what is late is passed over."""
        waiting = self.pending.waiting.get(id)
        if waiting is None or peer not in waiting.left:
            return
        try:
            if waiting.on_part is None:
                raise BadMessage("a part of a reply that has none")
            if waiting.window is None:
                waiting.window = Window()
            waiting.window.take(len(data))
        except BadMessage as error:
            self.finish(id, cancel=True)
            waiting.done(peer, Maybe(f"{peer} sent an invalid answer: {error}"))
            return
        waiting.on_part(data)

    def send(self, peer: str, body: Any, lane: int = LANE_FOREGROUND) -> bool:
        """One way. False when it was dropped here: no connection is to be had, or the queue is full."""
        return self.send_encoded(peer, encode_frame(OneWay(body)), lane)

    def send_encoded(self, peer: str, data: bytes, lane: int = LANE_FOREGROUND) -> bool:
        """As `send`, of a frame encoded once for many peers."""
        connection = self._transport.connection(peer, lane)
        return connection is not None and connection.send_encoded(data)

    def gather(self, peer: str, body: Any, deadline: float) -> bool:
        """As `send`, of a small body that shares a frame with its neighbours."""
        connection = self._transport.connection(peer, LANE_FOREGROUND)
        return connection is not None and connection.gather(body, deadline)

    def send_on(self, peer: str, data: bytes) -> Connection | None:
        """As `send_encoded` on the foreground lane. Returns the connection that it was written on."""
        connection = self._transport.connection(peer, LANE_FOREGROUND)
        return connection if connection is not None and connection.send_encoded(data) else None

    def batched(self, batch: Callable[[list[Any], int], ReplicationBody]) -> "BatchedCalls[Any]":
        """The operations of one kind. `batch(entries, layout)` makes the message of some entries of one pass."""
        made: BatchedCalls[Any] = BatchedCalls(self, lambda entries: batch(entries, self.layout))
        self._batched.append(made)
        return made

    def at_flush(self, function: Callable[[], None]) -> None:
        """Call once at the end of this pass, after the log and before the sockets: it may still send."""
        self._transport.outbox.at_flush(function)

    def timed_out(self, peer: str) -> None:
        """The peer did not answer in time."""
        self._transport.faults.note_failure(peer, "timeout")

    def in_flight(self) -> int:
        """How many calls wait for an answer."""
        return len(self.pending)

    def waited_for(self, names: dict[str, None], now: float) -> None:
        """Add the peers whose answer has been due for longer than a sweep."""
        for waiting in self.pending.waiting.values():
            names.update(dict.fromkeys(waiting.left))
        for batched in self._batched:
            batched.waited_for(names, now - self._sweep_interval_s)

    # -- layouts

    def route_by(self, number: int) -> None:
        """What is sent from now on was routed by layout `number`. Before anybody sends anything for that layout: who
        holds it would refuse what carries the number before, and who does not would answer at once."""
        self.layout = number

    def layout_changed(self) -> None:
        """What waited for the layout of now goes on, here and at others."""
        parked, self._parked = self._parked, []
        for again in parked:
            again()
        held, self._held = self._held, []
        now = self._clock.now()
        for inbound, handler in held:
            if inbound.deadline <= now:
                self.expired += 1
                continue
            try:
                handler(inbound)
            except ClusterError as error:  # as those that did not wait
                if inbound.id:
                    inbound.fail(error)
                else:
                    self.on_fault(inbound.sender, type(inbound.body).__name__, error)

    def check_layout(self, inbound: InboundMessage, number: int, handler: Handler) -> str:
        """What is to be done with a placed message that carries another layout number; what is held is kept here."""
        verdict = self.on_layout(number, inbound)
        if verdict != HOLD:
            return verdict
        if len(self._held) >= HELD_MAX:
            now = self._clock.now()
            self._held = [(held, its) for held, its in self._held if held.deadline > now]
            if len(self._held) >= HELD_MAX:
                return STALE
        self._held.append((inbound, handler))
        return HOLD

    def refused_as_stale(self, id: int, peer: str, holds: int) -> bool:
        """A peer refused a call, and holds the newer layout `holds`; 0: an older one. Whether the call goes on."""
        waiting = self.pending.waiting.get(id)
        if waiting is None or peer not in waiting.left or waiting.again is None:
            return False
        body, lane = waiting.again

        def again() -> None:
            if self.pending.waiting.get(id) is not waiting or peer not in waiting.left:
                return
            connection = waiting.left[peer] = self._transport.connection(peer, lane)
            data = encode_frame(Request(id, waiting.deadline, self.layout, body))
            if connection is None or not connection.send_encoded(data):
                self._unsent(id, peer, Unreachable(f"{peer} cannot be reached"))

        return self._park(peer, holds, again)

    def _park(self, peer: str, holds: int, again: Callable[[], None]) -> bool:
        if not holds:  # it is behind, and would have waited, had it had room: it would refuse the same again
            return False
        if holds <= self.layout:  # this node has it by now: the call left before
            again()
            return True
        if len(self._parked) >= HELD_MAX or not self.on_stale(peer):
            return False
        self._parked.append(again)
        return True

    def placed_batch(self, handler: Handler, ids: Callable[[Any], list[int]]) -> Handler:
        """`handler` of a batch whose body has `layout`; `ids` are the numbers in it, for its refusal."""

        def checked(inbound: ports.Inbound) -> None:
            number = inbound.body.layout
            if not number or number == self.layout:
                handler(inbound)
                return
            assert isinstance(inbound, InboundMessage)
            verdict = self.check_layout(inbound, number, handler)
            if verdict == PROCEED:
                handler(inbound)
            elif verdict == STALE:
                message = f"the sender routed by layout {number}, this node holds {self.layout}"
                holds = self.layout if number < self.layout else 0
                inbound.push(BatchRefused(ids(inbound.body), StaleLayout.code, message, holds))

        return checked

    # -- what connections say

    def on_fault(self, peer: str, what: str, error: ClusterError) -> None:
        """A one-way message could not be carried out, and its sender cannot be told."""
        self._transport.record("wire.invalid", f"{what}: {error.message}", peer=peer)

    def _ended(self, connection: Connection, reason: str, hidden: bool) -> None:
        if hidden:
            return
        peer = connection.target
        error: ClusterError = Unreachable(f"{peer} cannot be reached: {reason}")
        if connection.peer is not None:
            error = Maybe(f"the connection to {peer} ended: {reason}")
        for done in self.pending.lost(peer, connection):
            done(peer, error)
        for batched in self._batched:
            batched.lost(peer, connection, error)

    def on_refused(self, inbound: ports.Inbound) -> None:
        """A peer did nothing for a batch: under another layout its operations go out again, else they end."""
        body: BatchRefused = inbound.body
        peer, error = inbound.sender, from_code(body.code, body.message)

        def again() -> None:
            for batched in self._batched:
                batched.again(peer, body.ids)

        if isinstance(error, StaleLayout) and self._park(peer, body.layout, again):
            return
        for batched in self._batched:
            batched.refused(peer, body.ids, error)

    def _unsent(self, id: int, peer: str, error: ClusterError) -> None:
        done = self.pending.answered(id, peer)
        if done is not None:
            done(peer, error)

    # -- time

    def sweep_soon(self) -> None:
        """Something waits: look at deadlines from now on."""
        if not self.sweeping:
            self.sweeping = True
            self._sweep_in(self._sweep_interval_s)

    def _sweep_in(self, delay_s: float) -> None:
        self._clock.call_later(delay_s, self._sweep, self._clock.now() + delay_s)

    def _sweep(self, due: float) -> None:
        now = self._clock.now()
        if now - due > SWEEP_LATE_S:
            # This process did not run. Timers come before sockets: what arrived meanwhile is read before a deadline is
            # held against anybody. Once only: a process that always runs late has deadlines as well.
            self._clock.call_later(READ_FIRST_S, self._sweep, float("inf"))
            return
        self.on_sweep(now)
        for done, peers in self.pending.expired(now):
            for peer in peers:
                self.timed_out(peer)
                done(peer, Maybe(f"no answer from {peer} before the deadline"))
        for batched in self._batched:
            batched.sweep(now, now - self._sweep_interval_s)
        self.sweeping = len(self.pending) > 0 or any(batched.in_flight for batched in self._batched)
        if self.sweeping:
            self._sweep_in(self._sweep_interval_s)


def _guarded(handler: Handler, says: Callable[[Any], Any], refusal: str) -> Handler:
    """`handler` of whoever is no node, and may not set a field of the message."""

    def guarded(inbound: ports.Inbound) -> None:
        if says(inbound.body):
            inbound.fail(Forbidden(refusal))
        else:
            handler(inbound)

    return guarded
