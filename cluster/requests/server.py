"""Runs the handlers of this node's services.

A plain method is called at once: no task, no timer. An async one is spawned on the node's loop, its deadline cancels
it, and at most `CONCURRENCY_MAX` run together; more are refused at once, while refusing is cheap. Whatever a handler
raises is its caller's `ServiceError`, never the node's end; what it did not declare is also an event.

A cancelled handler keeps its place until it has really ended, so that one which ignores cancellation cannot pile up.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from cluster.env import Clock, Timer
from cluster.errors import (
    ClusterError,
    DeadlinePassed,
    Maybe,
    NoResponders,
    NotFound,
    Overloaded,
    ServiceError,
    TooLarge,
    Usage,
)
from cluster.limits import VALUE_BYTES_MAX
from cluster.ports import Recorder
from cluster.requests.service import CallContext, Definition, Operation, Sleep, definition_of
from cluster.wire.requests import Call, CallDone

CONCURRENCY_MAX = 1024
"""Async handlers that run together on a node."""

Done = Callable[[CallDone | ClusterError], None]
_encode = msgspec.json.Encoder().encode


class Hosted:
    """An operation bound to the instance that runs it here."""

    __slots__ = ("decode", "function", "name", "operation")

    def __init__(self, name: str, operation: Operation, instance: Any) -> None:
        self.name = name
        self.operation = operation
        self.function = getattr(instance, operation.name)
        self.decode = msgspec.json.Decoder(operation.request).decode


class Run:
    """One async handler under way; `done` is called at most once."""

    __slots__ = ("_counted", "_deadline", "_done", "_handle", "_hosted", "_server", "_started", "_timer")

    def __init__(self, server: "Server", hosted: Hosted, done: Done) -> None:
        self._server = server
        self._hosted = hosted
        self._done: Done | None = done
        self._handle: Timer | None = None
        self._timer: Timer | None = None
        self._deadline = 0.0
        self._started = False
        self._counted = True

    @property
    def answered(self) -> bool:
        """Whether nobody waits any more."""
        return self._done is None

    def begin(self, arguments: dict[str, Any], deadline: float) -> None:
        """Spawn the handler, bounded by the deadline."""
        self._server.running += 1
        self._deadline = deadline
        self._handle = self._server.spawn(self._drive(arguments))

        def expire() -> None:
            done = self._close()
            if done is not None:
                self._stop()
                changed = self._started and not self._hosted.operation.traits.readonly
                error = Maybe if changed else DeadlinePassed
                done(error(f"{self._hosted.name} was cancelled on {self._server.node}: its deadline passed"))

        if not self.answered:
            self._timer = self._server.clock.call_at(deadline, expire)

    def cancel(self) -> None:
        """The caller no longer waits."""
        if self._close() is not None:
            self._stop()

    async def _drive(self, arguments: dict[str, Any]) -> None:
        try:
            if self._server.clock.now() >= self._deadline:  # it was in time when it was spawned, and nothing ran since
                self._answer(DeadlinePassed(f"{self._hosted.name} was not started: its deadline has passed"))
            elif not self.answered:
                self._started = True
                reply = await self._hosted.function(**arguments)
                self._answer(self._server.encode(self._hosted, reply))
        except GeneratorExit:
            raise  # the loop is gone, and so is whoever waited
        except (Exception, SystemExit) as error:
            self._answer(self._server.failure(self._hosted, error))
        except BaseException:
            self._answer(ServiceError(f"{self._hosted.name} was cancelled"))
            raise
        finally:
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
        if self._handle is not None:
            self._handle.cancel()
        if not self._started:
            self._release()  # a coroutine that is cancelled before its first step never reaches its `finally`

    def _release(self) -> None:
        if self._counted:
            self._counted = False
            self._server.running -= 1


class Server:
    """The services of one node."""

    def __init__(
        self,
        node: str,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, Any]], Timer],
        sleep: Sleep,
        record: Recorder,
    ) -> None:
        self.node = node
        self.clock = clock
        self.spawn = spawn
        self.running = 0
        self.served = 0
        self.failed = 0
        self.definitions: dict[str, Definition] = {}
        self._sleep = sleep
        self._record = record
        self._hosted: dict[tuple[str, str], Hosted] = {}

    def host(self, instance: Any) -> Definition:
        """Offer a service. Raises Usage when it is none, or its name is taken."""
        definition = definition_of(instance)
        if isinstance(instance, type):
            raise Usage(f"{instance.__name__} is a class: host an instance of it")
        if definition.name in self.definitions:
            raise Usage(f"this node hosts a service {definition.name} already")
        self.definitions[definition.name] = definition
        for name, operation in definition.operations.items():
            full = f"{definition.name}.{name}"
            self._hosted[definition.name, name] = Hosted(full, operation, instance)
        return definition

    def run(self, call: Call, deadline: float, done: Done) -> Run | None:
        """Run a call here; `done` gets the reply or the error, once, perhaps before this returns. The Run, if one is
        under way, can be cancelled."""
        hosted = self._hosted.get((call.service, call.operation))
        if hosted is None:
            done(self._missing(call))
            return None
        now = self.clock.now()
        if now >= deadline:
            done(DeadlinePassed(f"{hosted.name} was not started: its deadline has passed"))
            return None
        try:
            request = hosted.decode(call.payload or b"{}")
        except msgspec.DecodeError as error:
            done(Usage(f"{hosted.name}: {error}", help=f"`dsectl describe {call.service}` shows what it takes."))
            return None
        operation = hosted.operation
        if operation.traits.timeout_s is not None:
            deadline = min(deadline, now + operation.traits.timeout_s)
        arguments: dict[str, Any] = {operation.request_as: request} if operation.request_as else {}
        if operation.context_as:
            arguments[operation.context_as] = CallContext(self.node, call.key, deadline, self.clock, self._sleep)
        if operation.is_async:
            if self.running >= CONCURRENCY_MAX:
                done(Overloaded(f"{self.node} runs {self.running} calls already"))
                return None
            run = Run(self, hosted, done)
            run.begin(arguments, deadline)
            return None if run.answered else run
        try:
            outcome = self.encode(hosted, hosted.function(**arguments))
        except (Exception, SystemExit) as error:
            outcome = self.failure(hosted, error)
        done(outcome)
        return None

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

    def failure(self, hosted: Hosted, error: BaseException) -> ServiceError:
        """The answer that carries what a handler raised."""
        self.failed += 1
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if not isinstance(error, hosted.operation.traits.errors):
            self._record("service.error", text, operation=hosted.name)
        return ServiceError(text)

    def _missing(self, call: Call) -> ClusterError:
        definition = self.definitions.get(call.service)
        if definition is None:
            return NoResponders(f"{self.node} does not host a service {call.service!r}")
        known = ", ".join(definition.operations)
        return NotFound(f"service {call.service} has no operation {call.operation!r}: it has {known}")
