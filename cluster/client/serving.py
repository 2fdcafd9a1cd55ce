"""A worker: one service hosted in this process, beside a node that hands it calls over the connection made from here.

    await c.requests.serve(Pricing(), on="n2")

The service runs as it would in the node, by the same `Server`: an async method is a task, a plain one runs at once on
the loop and must not wait. Plain methods get some milliseconds of a pass, after which answers leave, and pings are
read; one that takes longer than a second makes the node leave this worker out until it is done. Work that blocks
belongs into an async method, behind `await asyncio.to_thread(...)`.

When the connection ends, what runs is cancelled, since nobody waits for it any more, and the node is dialled again with
backoff and jitter, until `stop`, or until it refuses for a reason that stays. `Serving` runs in a simulated world, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop

from cluster.client.dialled import DialledStream
from cluster.client.link import NodeLink
from cluster.env.real import real_env, sleep
from cluster.errors import AlreadyExists, BadMessage, ClusterError, HandshakeRefused, NotFound, Unreachable, Usage
from cluster.limits import WORKER_CALLS_MAX
from cluster.requests.description import describe
from cluster.requests.gate import CONCURRENCY
from cluster.requests.nested import HandlerFuture, NestedCalls
from cluster.requests.registry import offer
from cluster.requests.server import Server
from cluster.requests.service import definition_of
from cluster.wire.caller import Caller, Outcome
from cluster.wire.frames import Cancel, Credit, Failure, Frame, Invalid, Part, Reply, Request, Stamp
from cluster.wire.handshake import NONCE_BYTES, Party
from cluster.wire.membership import StreamPing, StreamPong
from cluster.wire.requests import Call, CallDone, Register, Registered, Unregister
from cluster.wire.rights import ROLE_WORKER, role_key

if TYPE_CHECKING:
    from cluster.client.locate import Address, Location
    from cluster.env import Env, Timer
    from cluster.ports import Inbound, Recorder
    from cluster.requests.server import Handle
    from cluster.requests.service import Definition, Sleep

DIAL_S = 1.0
REGISTER_S = 5.0
DRAIN_S = 10.0
"""How long what is in flight has when a worker ends."""
TAKEN_MAX = 4
"""Dials after which a worker that got its name from its node takes another one, since its own is taken."""
BEAT_S = 0.05
"""Deadlines of calls that handlers make are exact to this; the node ends them first, while it answers."""
PONG = StreamPong()
log = logging.getLogger(__name__)


class Serving:
    """One service at one node. `on_change` is called when it is registered, or is not any more."""

    def __init__(
        self,
        env: Env,
        sleep: Sleep,
        future: Callable[[], HandlerFuture],
        cluster: str,
        node: str,
        address: Address,
        key: bytes,
        service: object,
        record: Recorder,
        *,
        number: int = 0,
        concurrency: int | None = None,
    ) -> None:
        """`key` proves the role of a worker. `number`: to be the node's worker of this number. Raises Usage for what is
        no service."""
        self.endpoint = ""
        """Its name, once it was registered."""
        self.registered = False
        self.refused: ClusterError | None = None
        """Why the node does not want it, for good."""
        self.on_change: Callable[[], object] = lambda: None
        nested = NestedCalls(env.clock, self._route, future)
        self.server = Server(node, env.clock, env.spawn, sleep, record, nested)
        self.definition = definition = self.server.host(service)
        self.register = registration(definition, concurrency or definition.concurrency or CONCURRENCY, number)
        self._env = env
        self._me = Party(cluster, ROLE_WORKER, "worker", env.random.randbytes(8).hex(), 0, env.boot_id)
        self._key = key
        self._link = NodeLink(node, address)
        self._number = number
        self._stopped = False
        self._runs: dict[int, _CallAnswer] = {}
        self._beating: Timer | None = None

    # -- life

    def start(self) -> None:
        """Dial the node."""
        link, env = self._link, self._env
        if self._stopped:
            return
        link.caller = caller = Caller(link.name, self._key, self._me, env.random.randbytes(NONCE_BYTES))
        caller.on_requests = self._take
        caller.on_ready = partial(self._ready, caller)
        caller.on_end = partial(self._ended, caller)
        link.stream = DialledStream(env, link.address, caller, DIAL_S)
        link.timer = env.clock.call_later(DIAL_S, self._too_slow, caller)

    def drain(self, done: Callable[[], object]) -> None:
        """Take nothing new, and call `done` when all nodes know, and what was in flight has been answered."""
        caller = self._link.caller
        if caller is None or not self.registered:
            self._env.clock.call_soon(done)
            return
        now = self._env.clock.now()
        caller.call(Unregister(), now + DRAIN_S, lambda outcome: done(), now)
        self._keep_beating()

    def stop(self) -> None:
        """End it, after what was answered."""
        self._stopped = True
        self._link.stop_timer()
        stream, caller = self._link.stream, self._link.caller
        if stream is not None:
            stream.close()
        if caller is not None:
            caller.end(Usage("this worker was stopped"))

    def _ready(self, caller: Caller) -> None:
        self._link.stop_timer()
        now = self._env.clock.now()
        caller.call(self.register, now + REGISTER_S, partial(self._on_register, caller), now)
        self._keep_beating()

    def _on_register(self, caller: Caller, outcome: Outcome) -> None:
        if isinstance(outcome, Registered):
            self._link.failures = 0
            self.endpoint, self.registered = outcome.endpoint, True
            self.register.number = int(outcome.endpoint.rpartition("/")[2])  # a new connection asks for the same
            self.on_change()
        elif caller.error is None:  # else it ends as a connection does
            error = (
                outcome if isinstance(outcome, ClusterError) else BadMessage("the node did not register this worker")
            )
            if self.endpoint and isinstance(error, AlreadyExists):
                # By its own connection of before, as long as the node has not seen the end of that, or by another.
                if self._link.failures >= TAKEN_MAX:
                    self.register.number = self._number
            elif error.definite and not error.retryable:
                self._give_up(error)
            caller.end(error)

    def _give_up(self, error: ClusterError) -> None:
        self.refused = error
        self._stopped = True

    def _too_slow(self, caller: Caller) -> None:
        caller.end(BadMessage(f"{caller.name}: no answer to the handshake"))

    def _ended(self, caller: Caller) -> None:
        """The connection is over, or could not be made."""
        link, error = self._link, caller.error
        assert error is not None
        if isinstance(error, HandshakeRefused) and not caller.again and not self.endpoint:
            self._give_up(error)
        link.ended(error)
        self.registered = False
        runs, self._runs = self._runs, {}
        for run in runs.values():
            run.cancel()
        if not self._stopped:
            link.timer = self._env.clock.call_later(link.backoff_s(self._env.random.random()), self.start)
        self.on_change()

    @property
    def error(self) -> ClusterError:
        """Why there is no connection."""
        return self._link.error

    def abandon(self) -> None:
        """This process is a fork of the worker's, and no worker."""
        self._stopped = True
        self._runs.clear()
        if self._link.caller is not None:
            self._link.caller.error = Usage("this is a fork of the worker")

    # -- calls

    def _take(self, frames: list[Frame | Invalid], now: float) -> list[Frame | Invalid]:
        """What the node sent in one read: its calls and what cancels them. Gives back the rest."""
        caller = self._link.caller
        assert caller is not None
        rest: list[Frame | Invalid] = []
        clock, run, runs = caller.clock, self.server.run, self._runs
        # After a stop of this process a call and its end are read together: it is not begun then.
        withdrawn = {frame.id for frame in frames if type(frame) is Cancel}
        for frame in frames:
            kind = type(frame)
            if kind is Request:
                id, body = frame.id, frame.body  # type: ignore[union-attr]
                if type(body) is Call:
                    if id in withdrawn:
                        continue
                    body.endpoint = ""
                    deadline = frame.deadline + clock.offset  # type: ignore[union-attr]
                    answer = _CallAnswer(caller, id, runs)
                    under_way = run(body, deadline, answer, answer)
                    if under_way is not None:
                        answer.handle = under_way
                        runs[id] = answer
                elif type(body) is StreamPing:
                    caller.answer(Reply(id, PONG))
                else:
                    _fail(caller, id, BadMessage(f"a worker does not answer {type(body).__name__}"))
            elif kind is Stamp:
                if not clock.same:
                    clock.stamped(frame.at, now)  # type: ignore[union-attr]
            elif kind is Cancel:
                stopped = runs.pop(frame.id, None)  # type: ignore[union-attr]
                if stopped is not None:
                    stopped.cancel()
            elif kind is Credit:
                reading = runs.get(frame.id)  # type: ignore[union-attr]
                if reading is not None:
                    reading.credit(frame.count)  # type: ignore[union-attr]
            elif kind is Invalid and frame.kind == 1:  # type: ignore[union-attr]
                _fail(caller, frame.id, Usage(f"invalid message: {frame.message}"))  # type: ignore[union-attr]
            else:
                rest.append(frame)
        return rest

    def _route(self, inbound: Inbound) -> None:
        """A handler calls another service: through the node."""
        caller, now = self._link.caller, self._env.clock.now()

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, ClusterError):
                inbound.fail(outcome)
            else:
                inbound.reply(outcome)

        if caller is None or not self.registered:
            inbound.fail(Unreachable(f"{self._link.name} is gone"))
            return
        on_part = inbound.part if inbound.body.stream else None
        try:
            id = caller.call(inbound.body, inbound.deadline, done, now, on_part=on_part)
        except ClusterError as error:
            inbound.fail(error)
        else:
            inbound.on_credit(partial(caller.credit, id))
            inbound.on_cancel(partial(caller.cancel, id))
            self._keep_beating()

    # -- time

    def _keep_beating(self) -> None:
        if self._beating is None:
            self._beating = self._env.clock.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        """End the calls from here that are overdue."""
        self._beating = None
        caller = self._link.caller
        if caller is not None and caller.pending:
            caller.sweep(self._env.clock.now())
            if caller.pending:
                self._keep_beating()


async def serve(
    location: Location, on: str | None, service: object, concurrency: int | None = None, drain_s: float = DRAIN_S
) -> None:
    """Host a service beside a node (None: the first that runs) until this is cancelled, upon which it drains. Raises
    Usage for what is no service, NotFound for an unknown node, and what the node refuses it for."""
    definition_of(service)
    node = await first_running(location) if on is None else on
    if node not in location.nodes:
        known = "`dsectl members` lists the nodes."
        raise NotFound(f"cluster {location.name!r} has no node called {node!r}", help=known)
    ended = asyncio.Event()
    drained = asyncio.Event()
    serving = Serving(
        real_env(os.getcwd()), sleep, asyncio.get_running_loop().create_future, location.name, node,
        location.nodes[node], role_key(location.secret, ROLE_WORKER), service, log_error, concurrency=concurrency,
    )  # fmt: skip

    def changed() -> None:
        if serving.refused is not None:
            ended.set()

    serving.on_change = changed
    serving.start()
    try:
        await ended.wait()
    except asyncio.CancelledError:
        serving.drain(drained.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(drained.wait(), drain_s)
        raise
    finally:
        serving.stop()
    assert serving.refused is not None
    raise serving.refused


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Host a service on a loop of its own, until Ctrl-C."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serving)


async def first_running(location: Location) -> str:
    """A node that listens. Raises Unreachable."""
    for name, (host, port) in location.nodes.items():
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return name
    raise Unreachable(f"no node of cluster {location.name!r} can be reached")


def log_error(kind: str, cause: str, **fields: Any) -> None:
    """What the service raised and did not declare."""
    named = " ".join(f"{name}={value}" for name, value in fields.items())
    log.error("%s: %s %s", kind, named, cause, exc_info=sys.exc_info()[0] is not None)


def registration(definition: Definition, concurrency: int, number: int = 0) -> Register:
    """What a worker sends first."""
    offered = offer(definition)
    low = [name for name, one in definition.operations.items() if one.traits.priority]
    description: Any = msgspec.json.encode(describe(definition))
    return Register(
        definition.name, definition.version, offered.digest, description, min(concurrency, WORKER_CALLS_MAX),
        offered.readonly,
        offered.idempotent, low, number, definition.shedding,
    )  # fmt: skip


class _CallAnswer:
    """What one call is answered with: its outcome, and before it the parts of a large reply or of a stream."""

    __slots__ = ("_caller", "_id", "_on_credit", "_runs", "handle")

    def __init__(self, caller: Caller, id: int, runs: dict[int, _CallAnswer]) -> None:
        self._caller = caller
        self._id = id
        self._runs = runs
        self._on_credit: Callable[[int], None] | None = None
        self.handle: Handle | None = None

    def __call__(self, outcome: CallDone | ClusterError) -> None:
        """The outcome."""
        if self._runs:
            self._runs.pop(self._id, None)
        if isinstance(outcome, ClusterError):
            _fail(self._caller, self._id, outcome)
        else:
            self._caller.answer(Reply(self._id, outcome))

    def part(self, data: bytes) -> bool:
        """A part of the reply."""
        self._caller.answer(Part(self._id, data))
        return self._caller.error is None

    def on_credit(self, function: Callable[[int], None]) -> None:
        """Whom to give the caller's credit to."""
        self._on_credit = function

    def credit(self, count: int) -> None:
        """The caller has taken so many bytes."""
        if self._on_credit is not None:
            self._on_credit(count)

    def cancel(self) -> None:
        """Nobody waits any more."""
        if self.handle is not None:
            self.handle.cancel()


def _fail(caller: Caller, id: int, error: ClusterError) -> None:
    caller.answer(Failure(id, error.code, error.message, help=error.own_help))
