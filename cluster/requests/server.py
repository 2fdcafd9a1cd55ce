"""Runs the handlers of this node's services.

A plain method is called at once: no task, no timer. For `PASS_S` of a pass, that is: what comes then waits for the next
one, undecoded, so that handlers which take long do not keep the node from its peers. An async one is spawned on the
node's loop, and its deadline cancels it; as many run together as the service allows, and for the others the gate
decides (gate.py). What a handler raises is never the node's end: a declared error is carried to its caller, anything
else is a `ServiceError` there, and an event here; a `DependencyFailed` when it is how something that it called failed.

A cancelled handler keeps its place until it has really ended, so that one which ignores cancellation cannot pile up.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from cluster.env import Clock, Timer
from cluster.errors import (
    ClusterError,
    DeadlinePassed,
    DependencyFailed,
    Maybe,
    NoResponders,
    NotFound,
    ServiceError,
    TooLarge,
    Usage,
)
from cluster.limits import VALUE_BYTES_MAX
from cluster.ports import Recorder
from cluster.requests.admission import Admission
from cluster.requests.declared import encode_error
from cluster.requests.ejection import is_failure
from cluster.requests.fields import field_problem, unknown_argument
from cluster.requests.gate import CONCURRENCY, Gate
from cluster.requests.nested import NestedCalls
from cluster.requests.replying import PartSink, RowStream
from cluster.requests.service import CallContext, Definition, Operation, Sleep, definition_of
from cluster.wire.requests import Call, CallDone

PASS_S = 0.005
"""For so long plain handlers run in one pass; a peer waits 50 ms for a ping before it looks for another way."""

STREAMS_HELP = "call it with `dsectl request` or `c.requests.stream(...)`, and from a handler with `call.stream(...)`"

Done = Callable[[CallDone | ClusterError], None]
_encode = msgspec.json.Encoder().encode


class Handle(Protocol):
    """A call under way."""

    def cancel(self) -> None:
        """The caller no longer waits."""


class Hosted:
    """An operation bound to the instance that runs it here. `admission`: of the async operations of its service."""

    __slots__ = ("admission", "context_first", "decode", "function", "is_plain", "name", "operation")

    def __init__(self, name: str, operation: Operation, instance: Any, admission: "Admission[Run]") -> None:
        self.name = name
        self.operation = operation
        self.function = getattr(instance, operation.name)
        self.decode = msgspec.json.Decoder(operation.request).decode
        self.is_plain = not operation.is_async
        self.context_first = next(iter(inspect.signature(self.function).parameters), "") == operation.context_as
        self.admission = admission

    def ended(self, arguments: tuple[Any, ...]) -> None:
        """A handler that was called with these has ended."""
        if self.operation.context_as:
            arguments[0 if self.context_first else -1].end()


class Run:
    """One call that waits for its place, or whose handler is under way; `done` is called at most once."""

    __slots__ = (
        "_admission", "_done", "_handle", "_has_place", "_hosted", "_server", "_sink", "_started", "_timer", "call",
        "deadline", "priority",
    )  # fmt: skip

    def __init__(
        self,
        server: "Server",
        hosted: Hosted,
        call: Call,
        deadline: float,
        done: Done,
        sink: PartSink,
        admission: "Admission[Run]",
    ) -> None:
        self.call = call
        self.deadline = deadline
        self.priority = call.priority = max(call.priority, hosted.operation.traits.priority)
        self._server = server
        self._hosted = hosted
        self._done: Done | None = done
        self._sink = sink
        self._admission = admission
        self._handle: Timer | None = None
        self._timer: Timer | None = None
        self._has_place = False
        self._started = False

    @property
    def answered(self) -> bool:
        """Whether nobody waits any more."""
        return self._done is None

    # -- what its admission says

    def start(self) -> None:
        """It has a place: decode it, and call the handler."""
        self._has_place = True
        server, hosted = self._server, self._hosted
        now = server.clock.now()
        if not hosted.operation.is_async:
            self._answer(server.outcome(hosted, self.call, self.deadline, now))
            self._release()
            return
        server.running += 1
        timeout_s = hosted.operation.traits.timeout_s
        if timeout_s is not None:
            self.deadline = min(self.deadline, now + timeout_s)
        try:
            arguments = server.arguments(hosted, self.call, self.deadline)
        except Usage as error:
            self._answer(error)
            self._release()
            return
        self._handle = server.spawn(self._drive(arguments))
        if not self.answered:
            self._timer = server.clock.call_at(self.deadline, self._expire)

    def refuse(self, error: ClusterError) -> None:
        """It gets no place."""
        self._answer(error)

    # -- how it ends

    def cancel(self) -> None:
        """The caller no longer waits."""
        if self._close() is not None:
            self._stop()

    def _expire(self) -> None:
        done = self._close()
        if done is not None:
            self._stop()
            changed = self._started and not self._hosted.operation.traits.readonly
            error = Maybe if changed else DeadlinePassed
            done(error(f"{self._hosted.name} was cancelled on {self._server.node}: its deadline passed"))

    async def _drive(self, arguments: tuple[Any, ...]) -> None:
        try:
            if self._server.clock.now() >= self.deadline:  # it was in time when it was spawned, and nothing ran since
                self._answer(DeadlinePassed(f"{self._hosted.name} was not started: its deadline has passed"))
            elif not self.answered:
                self._started = True
                server, hosted = self._server, self._hosted
                if hosted.operation.streams:
                    self._answer(await server.stream(hosted, arguments, self._sink))
                else:
                    self._answer(server.encode(hosted, await hosted.function(*arguments)))
        except GeneratorExit as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is None:
                raise  # not from the handler: the loop is gone, and so is whoever waited
            self._answer(self._server.failure(self._hosted, error))
        except (Exception, SystemExit) as error:
            self._answer(self._server.failure(self._hosted, error))
        except BaseException:
            self._answer(ServiceError(f"{self._hosted.name} was cancelled"))
            raise
        finally:
            self._hosted.ended(arguments)
            self._release()

    def _answer(self, outcome: CallDone | ClusterError) -> None:
        done = self._close()
        if done is not None:
            done(outcome)

    def _close(self) -> Done | None:
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
        return done

    def _stop(self) -> None:
        if not self._has_place:
            self._admission.gate.discard(self)
            return
        if self._handle is not None:
            self._handle.cancel()
        if not self._started:
            self._release()  # a coroutine that is cancelled before its first step never reaches its `finally`

    def _release(self) -> None:
        if self._has_place:
            self._has_place = False
            self._server.running -= self._hosted.operation.is_async
            self._admission.leave()


class Server:
    """The services of one node. `nested` carries the calls that handlers make."""

    def __init__(
        self,
        node: str,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, Any]], Timer],
        sleep: Sleep,
        record: Recorder,
        nested: NestedCalls,
    ) -> None:
        self.node = node
        self.clock = clock
        self.spawn = spawn
        self.running = 0
        """Async handlers under way."""
        self.served = 0
        self.failed = 0
        self.definitions: dict[str, Definition] = {}
        self.admissions: dict[str, Admission[Run]] = {}
        """Of the async operations of each service."""
        self._plain = Admission[Run](Gate(node, 0), clock)
        """Plain ones that did not fit into their pass; it has a place while `_next_pass` runs."""
        self._in_pass = False
        self._pass_ends = 0.0
        """Until then plain handlers run at once."""
        self._nested = nested
        self.run_worker: Callable[[Call, float, Done, PartSink], Handle | None] = self._no_worker
        """Gives a call to the worker that is its endpoint."""
        self._sleep = sleep
        self._record = record
        self._hosted: dict[tuple[str, str], Hosted] = {}

    def host(self, instance: Any) -> Definition:
        """Offer a service. Raises Usage when it is none, or its name is taken."""
        definition = definition_of(instance)
        if isinstance(instance, type):
            raise Usage(f"{instance.__name__} is a class: host an instance of it")
        if definition.name in self.definitions:
            help = "Another version of it runs beside it in a worker: `dsectl serve MODULE:CLASS`."
            raise Usage(f"this node hosts a service {definition.name} already", help=help)
        self.definitions[definition.name] = definition
        concurrency = definition.concurrency or CONCURRENCY
        gate = Gate[Run](f"{definition.name} on {self.node}", concurrency, sheds=definition.shedding)
        self.admissions[definition.name] = admission = Admission(gate, self.clock)
        for name, operation in definition.operations.items():
            full = f"{definition.name}.{name}"
            self._hosted[definition.name, name] = Hosted(full, operation, instance, admission)
        return definition

    @property
    def in_flight(self) -> int:
        """How many calls run, or wait for their place."""
        waiting = sum(admission.gate.waiting for admission in self.admissions.values())
        return self.running + waiting + self._plain.gate.waiting

    @property
    def shed(self) -> int:
        """How many calls were refused because they would have waited for too long."""
        return sum(admission.gate.shed for admission in self.admissions.values()) + self._plain.gate.shed

    def run(self, call: Call, deadline: float, done: Done, sink: PartSink) -> Handle | None:
        """Run a call here, or in the worker beside this node that is its endpoint; `done` gets the reply or the error,
        once, perhaps before this returns, and `sink` the rows of a stream before that. What is under way, if it is, can
        be cancelled."""
        if call.endpoint:
            return self.run_worker(call, deadline, done, sink)
        hosted = self._hosted.get((call.service, call.operation))
        if hosted is None:
            done(self._missing(call))
            return None
        now = self.clock.now()
        if now >= deadline:
            done(DeadlinePassed(f"{hosted.name} was not started: its deadline has passed"))
            return None
        admission = hosted.admission
        if hosted.is_plain:
            if now < self._pass_ends or self._begin_pass(now):
                done(self.outcome(hosted, call, deadline, now))
                return None
            admission, self._pass_ends = self._plain, 0.0  # nobody overtakes who waits
        elif hosted.operation.streams and not call.stream:
            done(Usage(f"{hosted.name} replies with a stream: {STREAMS_HELP}"))
            return None
        run = Run(self, hosted, call, deadline, done, sink, admission)
        admission.submit(run)
        return None if run.answered else run

    # -- plain handlers, pass by pass

    def _begin_pass(self, now: float) -> bool:
        """Whether this is the first plain call of a pass, before which nobody waits."""
        if self._in_pass or self._plain.gate.waiting:
            return False
        self._in_pass, self._pass_ends = True, now + PASS_S
        self.clock.call_soon(self._next_pass)
        return True

    def _next_pass(self) -> None:
        gate = self._plain.gate
        self._in_pass, self._pass_ends = False, 0.0
        if gate.waiting:
            self._in_pass = True
            self.clock.call_soon(self._next_pass)
            ends = self.clock.now() + PASS_S
            gate.concurrency = 1
            self._plain.look(ends)
            gate.concurrency = 0
            if not gate.waiting:
                self._pass_ends = ends

    # -- one call

    def outcome(self, hosted: Hosted, call: Call, deadline: float, now: float) -> CallDone | ClusterError:
        """Run a plain handler."""
        timeout_s = hosted.operation.traits.timeout_s
        if timeout_s is not None:
            deadline = min(deadline, now + timeout_s)
        try:
            arguments = self.arguments(hosted, call, deadline)
        except Usage as error:
            return error
        try:
            return self.encode(hosted, hosted.function(*arguments))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return self.failure(hosted, error)
        finally:
            hosted.ended(arguments)

    def arguments(self, hosted: Hosted, call: Call, deadline: float) -> tuple[Any, ...]:
        """What a handler is given. Raises Usage for a payload that is not what it takes."""
        operation, payload = hosted.operation, call.payload or b"{}"
        problem = None
        try:
            request = hosted.decode(payload)
            if call.strict:
                problem = unknown_argument(payload, operation.request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problem = field_problem(error)
        if problem is not None:
            raise Usage(f"{hosted.name}: {problem}", help=f"`dsectl describe {call.service}` shows what it takes.")
        if not operation.context_as:
            return (request,) if operation.request_as else ()
        context = CallContext(self.node, call, deadline, self.clock, self._sleep, self._nested)
        if not operation.request_as:
            return (context,)
        return (context, request) if hosted.context_first else (request, context)

    def _no_worker(self, call: Call, deadline: float, done: Done, sink: PartSink) -> None:
        done(NoResponders(f"{call.endpoint} is not there"))

    def encode(self, hosted: Hosted, reply: Any) -> CallDone | ClusterError:
        """The answer that carries what a handler returned."""
        wanted = hosted.operation.reply
        if not (reply is None if wanted is None else isinstance(reply, wanted)):
            name = "None" if wanted is None else wanted.__name__
            return self.failure(hosted, TypeError(f"it returned a {type(reply).__name__}, not {name}"))
        payload = _encode(reply)
        if len(payload) > VALUE_BYTES_MAX:
            return self.failure(hosted, TooLarge(f"a reply of {len(payload)} bytes, over {VALUE_BYTES_MAX}"))
        self.served += 1
        return CallDone(payload, self.node, repeatable=hosted.operation.traits.idempotent)

    async def stream(self, hosted: Hosted, arguments: tuple[Any, ...], sink: PartSink) -> CallDone | ClusterError:
        """Send what the handler yields; the answer that ends it."""
        operation = hosted.operation
        rows = RowStream(sink, self.clock, self._nested.future)

        def encode(row: Any) -> bytes:
            wanted = operation.reply
            if wanted is None or not isinstance(row, wanted):
                raise TypeError(f"it yielded a {type(row).__name__}, not {wanted and wanted.__name__}")
            data = _encode(row)
            if len(data) > VALUE_BYTES_MAX:
                raise TooLarge(f"a reply of {len(data)} bytes, over {VALUE_BYTES_MAX}")
            return data

        try:
            await rows.run(hosted.function(*arguments), encode)
        except (Exception, SystemExit) as error:
            outcome = self.failure(hosted, error)
            if isinstance(outcome, CallDone):
                outcome.replies = rows.replies
            return outcome
        if rows.lost:
            return Maybe(f"{hosted.name} was ended: a part of its reply was lost, since a queue is full")
        self.served += 1
        return CallDone(b"", self.node, repeatable=operation.traits.idempotent, replies=rows.replies)

    def failure(self, hosted: Hosted, error: BaseException) -> CallDone | ServiceError:
        """The answer that carries what a handler raised: a declared error as such, any other as an event as well."""
        traits = hosted.operation.traits
        kind = next((one for one in traits.errors if isinstance(error, one)), None)
        if kind is not None:
            try:
                payload = encode_error(error)
            except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as why:
                error = TypeError(f"the fields of {kind.__name__} cannot be JSON: {why}")
            else:
                if len(payload) <= VALUE_BYTES_MAX:
                    self.served += 1
                    return CallDone(payload, self.node, repeatable=traits.idempotent, error=kind.__name__)
                error = TooLarge(f"the fields of {kind.__name__} have {len(payload)} bytes, over {VALUE_BYTES_MAX}")
        self.failed += 1
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self._record("service.error", text, operation=hosted.name)
        return DependencyFailed(text) if isinstance(error, ClusterError) and is_failure(error) else ServiceError(text)

    def _missing(self, call: Call) -> ClusterError:
        definition = self.definitions.get(call.service)
        if definition is None:
            return NoResponders(f"{self.node} does not host a service {call.service!r}")
        known = ", ".join(definition.operations)
        named = f"version {definition.version} of service {call.service}"  # another version may have it
        return NotFound(f"{named} has no operation {call.operation!r}: it has {known}")
