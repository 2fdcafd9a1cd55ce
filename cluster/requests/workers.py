"""The workers of one node: processes beside it that host services, each over the one connection that it has dialled.

A worker registers one version of a service with its credits, the calls that it takes at a time; a gate lets others wait
or sheds them (gate.py). Each call goes out on that connection and ends in what the worker answers, or here: at its
deadline, or with the connection. What was sent then may have run: it is `maybe`, and the node that routed it tries
again what may be repeated.

A worker that runs answers pings, whatever its async handlers do. One that has answered none for `SILENT_S`, because it
was stopped or a plain handler keeps its loop, is left out until it answers. Of the calls that it has, those that may be
repeated end at once, so that another endpoint gets them; the others wait until their deadlines, since it may go on.

A worker cannot harm its node: it may send nothing but this (cluster/wire/rights.py), and what it answers is taken as
its own alone, by the numbers of the calls that it was sent.
"""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import msgspec

from cluster.env import Clock
from cluster.env.passes import SWEEP_LATE_S
from cluster.errors import (
    AlreadyExists,
    BadMessage,
    ClusterError,
    DeadlinePassed,
    LimitReached,
    Maybe,
    NoResponders,
    Overloaded,
    Usage,
)
from cluster.limits import SERVICE_BYTES_MAX, WORKER_CALLS_MAX, WORKERS_MAX
from cluster.ports import CalledLink, Inbound, InboundLink, Messenger, Outcome, Recorder
from cluster.requests.admission import Admission
from cluster.requests.gate import LOW, Gate
from cluster.requests.registry import AWAY_DRAINING, Offer
from cluster.requests.replying import PartSink
from cluster.requests.server import Done
from cluster.requests.service import OPERATIONS_MAX, check_name
from cluster.wire.frames import Cancel, Credit, Request
from cluster.wire.membership import StreamPing
from cluster.wire.parts import Window
from cluster.wire.requests import Call, CallDone, Register, Registered, Unregister, Unregistered

BEAT_S = 0.025
"""Deadlines of calls in flight are exact to this."""
PING_S = 0.25
SILENT_S = 1.0
"""Four pings. Plain handlers run on the loop that answers them, so that less would leave out whoever computes."""


class WorkerCall:
    """One call that a worker has, or that waits for a place there."""

    __slots__ = ("_worker", "call", "deadline", "done", "id", "priority", "sent", "sink", "window")

    def __init__(self, worker: "NodeWorker", id: int, call: Call, deadline: float, done: Done, sink: PartSink) -> None:
        self._worker = worker
        self.id = id
        self.call = call
        self.deadline = deadline
        self.done = done
        self.sink = sink
        self.window: Window | None = None
        """Of a reply that comes in parts."""
        self.priority = call.priority
        self.sent = False

    def start(self) -> None:
        """It has a place: send it."""
        worker = self._worker
        self.sent = worker.link.send(Request(self.id, self.deadline, 0, self.call))
        if not self.sent:
            worker.admission.leave()
            self.refuse(Overloaded(f"the queue to {worker.endpoint} is full, or it has just ended"))

    def refuse(self, error: ClusterError) -> None:
        """It gets no place."""
        self._worker.calls.pop(self.id, None)
        self.done(error)

    def cancel(self) -> None:
        """The caller no longer waits."""
        worker = self._worker
        if worker.calls.pop(self.id, None) is not None:
            worker.withdraw(self)
            worker.look_idle()


class NodeWorker:
    """One registration, for as long as its connection lives."""

    def __init__(self, node: str, number: int, register: Register, clock: Clock) -> None:
        self.node = node
        self.number = number
        self.endpoint = f"{node}/{number}"
        self.service = register.service
        self.version = register.version
        self.description = register.description
        gate = Gate[WorkerCall](self.endpoint, register.concurrency, sheds=register.shedding)
        self.admission = Admission[WorkerCall](gate, clock)
        self.calls: dict[int, WorkerCall] = {}
        """Those that it has, and those that wait for a place."""
        self.link: CalledLink
        self.silent = False
        self.draining = False
        """It takes no more; what still arrives for it, from nodes that have not heard, it does."""
        self.quiet_s = 0.0
        """How long nothing has come from it."""
        self.on_heard: Callable[[], None] = lambda: None
        """Called when a silent one answers."""
        self.on_failure: Callable[[str], object] = lambda what: None
        """Called for each ping that it did not answer in time, and for each call that it did not end, with why."""
        self.on_idle: Callable[[], None] | None = None
        """Called whenever nothing is in flight any more."""
        self._repeatable = frozenset((*register.readonly, *register.idempotent))
        self._low = frozenset(register.low)
        self._now = clock.now
        self._next_id = count(1).__next__

    def run(self, call: Call, deadline: float, done: Done, sink: PartSink) -> WorkerCall | None:
        """Have it run a call, as `Server.run` does; what this returns can be cancelled."""
        if self.silent:
            done(NoResponders(f"{self.endpoint} is silent"))
        elif self._now() >= deadline:
            done(DeadlinePassed(f"{call.service}.{call.operation} was not started: its deadline has passed"))
        else:
            if call.operation in self._low:
                call.priority = LOW
            id = self._next_id()
            under_way = self.calls[id] = WorkerCall(self, id, call, deadline, done, sink)
            self.admission.submit(under_way)
            if id in self.calls:
                return under_way
        return None

    def answered(self, id: int, outcome: Outcome) -> None:
        """It answered a call, or a ping, or something that nobody waits for any more."""
        self.quiet_s = 0.0
        if self.silent:
            self.on_heard()
        under_way = self.calls.get(id)
        if under_way is None or not under_way.sent:
            return
        del self.calls[id]
        self.admission.leave()
        if type(outcome) is CallDone:
            outcome.node, outcome.endpoint, outcome.version = self.node, self.endpoint, self.version
            outcome.repeatable = under_way.call.operation in self._repeatable
        elif not isinstance(outcome, ClusterError):
            outcome = BadMessage(f"{self.endpoint} answered a call with {type(outcome).__name__}")
        under_way.done(outcome)
        self.look_idle()

    def part(self, id: int, data: bytes) -> None:
        """A part of an answer: it goes on to the caller, and so does the caller's credit to the worker."""
        self.quiet_s = 0.0
        under_way = self.calls.get(id)
        if under_way is None or not under_way.sent:
            return
        if under_way.window is None:
            under_way.window = Window()
            under_way.sink.on_credit(partial(self._credit, under_way))
        try:
            under_way.window.take(len(data))
        except BadMessage as error:
            self.link.refuse(error)
            return
        if not under_way.sink.part(data):
            self.end([under_way], "could not pass on its reply")

    def _credit(self, call: WorkerCall, count: int) -> None:
        if call.id in self.calls:
            assert call.window is not None
            call.window.give(count)
            self.link.send(Credit(call.id, count))

    def withdraw(self, call: WorkerCall) -> None:
        """Nobody waits for this call any more."""
        if call.sent:
            self.link.send(Cancel(call.id))
            self.admission.leave()
        else:
            self.admission.gate.discard(call)

    def look_idle(self) -> None:
        """See whether anything is in flight."""
        if self.on_idle is not None and not self.calls:
            self.on_idle()

    def end(self, calls: list[WorkerCall], why: str) -> None:
        """End these calls. What was sent may have run."""
        for call in sorted(calls, key=lambda one: one.sent):  # those that wait first: no place that gets free is theirs
            if self.calls.pop(call.id, None) is not None:  # else ended by what the end of another brought
                self.withdraw(call)
                self.on_failure(why)
                name = f"{self.service}.{call.call.operation}"
                unsent = NoResponders(f"{self.endpoint} {why} before it was sent {name}")
                call.done(Maybe(f"{self.endpoint} {why} while it had {name}: it may have run") if call.sent else unsent)
        self.look_idle()

    def beat(self, elapsed_s: float, now: float) -> bool:
        """So much time has passed, in which this node ran: end what is overdue, ping it when it is quiet. Whether it
        has just fallen silent."""
        overdue = [call for call in self.calls.values() if call.deadline <= now and call.sent]
        if overdue:
            self.end(overdue, "did not answer by the deadline")
        before_s = self.quiet_s
        self.quiet_s = quiet_s = before_s + elapsed_s
        if int(quiet_s / PING_S) > int(before_s / PING_S):
            if before_s >= PING_S:
                self.on_failure("did not answer a ping")
            self.link.send(Request(self._next_id(), now + SILENT_S, 0, StreamPing(self.endpoint)))
        return before_s < SILENT_S <= quiet_s

    def fall_silent(self) -> None:
        """Leave it out. What may be repeated goes elsewhere; the rest may still be answered."""
        self.silent = True
        elsewhere = [one for one in self.calls.values() if not one.sent or one.call.operation in self._repeatable]
        self.end(elsewhere, f"has answered nothing for {self.quiet_s:.1f} s")


class Workers:
    """All workers of one node. `announce(worker, offers)` announces what one offers from now on, and raises what speaks
    against it; `announce_away(worker, why)` why one is not to be called meanwhile, or with an empty reason that it is;
    `tell_all(done)` calls `done` when all live members have what was announced."""

    def __init__(
        self,
        node: str,
        clock: Clock,
        messenger: Messenger,
        record: Recorder,
        announce: Callable[[int, dict[str, Offer]], None],
        announce_away: Callable[[int, str], None],
        tell_all: Callable[[Callable[[int], None]], None],
    ) -> None:
        self.by_number: dict[int, NodeWorker] = {}
        self._by_endpoint: dict[str, NodeWorker] = {}
        self._by_link: dict[InboundLink, NodeWorker] = {}
        self._node = node
        self._clock = clock
        self._messenger = messenger
        self._record = record
        self._announce = announce
        self._announce_away = announce_away
        self._tell_all = tell_all
        self._beating = False
        self.note_failure: Callable[[str, str], object] = lambda endpoint, what: None
        """Called with whatever an endpoint here failed at: it may have been paused or killed."""
        messenger.handle(Register, self.register)
        messenger.handle(Unregister, self.unregister)

    def run(self, call: Call, deadline: float, done: Done, sink: PartSink) -> WorkerCall | None:
        """Have the call's endpoint run it."""
        worker = self._by_endpoint.get(call.endpoint)
        if worker is None:
            done(NoResponders(f"{call.endpoint} is not there"))
            return None
        if (worker.service, call.version or worker.version) != (call.service, worker.version):
            done(NoResponders(f"{call.endpoint} hosts version {worker.version} of {worker.service}"))
            return None
        return worker.run(call, deadline, done, sink)

    def in_flight(self) -> int:
        """How many calls the workers have."""
        return sum(len(worker.calls) for worker in self.by_number.values())

    def describe(self, service: str, version: int) -> Any:
        """The description of a service that a worker hosts, of this version or, for 0, of the latest; None when there
        is none."""
        found = [one for one in self.by_number.values() if one.service == service and version in (0, one.version)]
        latest = max(found, key=lambda one: one.version, default=None)
        return None if latest is None else msgspec.json.decode(latest.description)

    # -- registration

    def register(self, inbound: Inbound) -> None:
        """A worker is there. Raises what speaks against it."""
        register: Register = inbound.body
        check_registration(register)
        if inbound.link in self._by_link:
            raise Usage("this worker is registered already: a connection is one endpoint")
        free = next((number for number in range(1, WORKERS_MAX + 1) if number not in self.by_number), 0)
        number = register.number or free
        if not number:
            raise LimitReached(f"{self._node} has {WORKERS_MAX} workers already")
        if number in self.by_number:
            raise AlreadyExists(f"{self._node}/{number} runs already, and hosts {self.by_number[number].service}")
        offer = Offer(register.version, register.digest, register.readonly, register.idempotent)
        self._announce(number, {register.service: offer})
        worker = NodeWorker(self._node, number, register, self._clock)
        worker.link = link = self._messenger.call_back(inbound, worker)
        link.on_close.append(partial(self._lost, worker))
        worker.on_heard = partial(self._heard, worker)
        worker.on_failure = lambda what: self.note_failure(worker.endpoint, what)
        self.by_number[number] = self._by_endpoint[worker.endpoint] = self._by_link[link] = worker
        self._record("worker.registered", f"{worker.endpoint} hosts version {worker.version} of {worker.service}")
        inbound.reply(Registered(worker.endpoint))
        if not self._beating:
            self._beating = True
            self._beat_in(BEAT_S)

    def unregister(self, inbound: Inbound) -> None:
        """A worker wants to go: answered when it may."""
        worker = self._by_link.get(inbound.link)
        if worker is None:
            inbound.reply(Unregistered())
            return
        if not worker.draining:
            worker.draining = True
            self._record("worker.draining", f"{worker.endpoint} takes no new requests")
            self._announce_away(worker.number, AWAY_DRAINING)

        def known(nodes: int) -> None:
            worker.on_idle = idle
            if not worker.calls:
                idle()

        def idle() -> None:
            worker.on_idle = None
            if self.by_number.get(worker.number) is worker:
                self._forget(worker, "it was told to end")
            inbound.reply(Unregistered())

        self._tell_all(known)

    def _lost(self, worker: NodeWorker) -> None:
        """Its connection ended."""
        if self.by_number.get(worker.number) is worker:
            self._forget(worker, "its connection ended")
            worker.on_failure("its connection ended")
            worker.end(list(worker.calls.values()), "ended")

    def _forget(self, worker: NodeWorker, why: str) -> None:
        del self.by_number[worker.number], self._by_endpoint[worker.endpoint], self._by_link[worker.link]
        self._record("worker.ended", f"{worker.endpoint} hosts {worker.service} no more: {why}")
        self._announce(worker.number, {})

    # -- silence

    def _heard(self, worker: NodeWorker) -> None:
        worker.silent = False
        self._record("worker.answers", f"{worker.endpoint} answers again")
        self._announce_away(worker.number, AWAY_DRAINING if worker.draining else "")

    def _beat_in(self, delay_s: float) -> None:
        self._clock.call_later(delay_s, self._beat, self._clock.now(), delay_s)

    def _beat(self, began: float, delay_s: float) -> None:
        now = self._clock.now()
        # What came while this process did not run has not been read: that is no silence of theirs.
        elapsed_s = now - began if now - began <= delay_s + SWEEP_LATE_S else 0.0
        for worker in list(self.by_number.values()):
            if worker.beat(elapsed_s, now):
                worker.fall_silent()
                cause = f"{worker.endpoint} has not answered a ping for {worker.quiet_s:.1f} s"
                self._record("worker.silent", cause)
                self._announce_away(worker.number, f"silent: no ping was answered for {worker.quiet_s:.1f} s")
        self._beating = bool(self.by_number)
        if self._beating:
            self._beat_in(BEAT_S)


def check_registration(register: Register) -> None:
    """Whether it can be what a worker means. Raises Usage or LimitReached."""
    check_name(register.service, "service")
    if register.version < 1 or not 0 <= register.number <= WORKERS_MAX:
        raise Usage(f"a version is 1 or more, the number of a worker 1 to {WORKERS_MAX}")
    if not 1 <= register.concurrency <= WORKER_CALLS_MAX:
        raise Usage(f"a worker takes 1 to {WORKER_CALLS_MAX} calls at a time, not {register.concurrency}")
    if len(register.readonly) + len(register.idempotent) > OPERATIONS_MAX or len(register.low) > OPERATIONS_MAX:
        raise Usage(f"a service has at most {OPERATIONS_MAX} operations")
    if len(register.description) > SERVICE_BYTES_MAX:
        raise LimitReached(
            f"the description of {register.service} has {len(register.description)} bytes; "
            f"{SERVICE_BYTES_MAX} are allowed"
        )
    try:
        msgspec.json.decode(register.description, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Usage(f"the description of {register.service} is not JSON: {error}") from None
