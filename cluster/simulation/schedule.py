"""Virtual time: a heap of calls, run one at a time in the order of (time, insertion).

Time stands still while a call runs and jumps to the next one after. A call belongs to a process: calls of a dead
process are dropped, calls of one that is stopped wait in its backlog. When it goes on it finds them as a real loop does
(docs/simulation.md): a pass polls the sockets, each of which hands over all that it has; then come the timers that are
due, then what was to be called soon. Where in the pass the process had stopped decides whether it meets timers or
sockets first. Nothing here knows of networks, disks or coroutines.
"""

from asyncio import AbstractEventLoop
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

import msgspec

from cluster.simulation.trace import Trace

CALLS_PER_INSTANT_MAX = 1_000_000  # more than any cluster does at one moment: calls that call each other for ever
SOON = -1.0  # `Call.due` of what is no timer


class Killed(BaseException):
    """The process has died inside of this call: nothing after this point happens. Not an Exception, so that no node's
    code takes it for an error of its own."""


class Socket(Protocol):
    """What hands bytes to a process: a stream, or a datagram socket."""

    def take(self, item: Any) -> None:
        """Give the process one item."""

    def read(self, items: list[Any]) -> int:
        """Give the process what one pass reads of these items, oldest first; returns how many that were."""


class SimulatedProcess:
    """One incarnation of one node's operating-system process."""

    __slots__ = (
        "backlog",
        "calls_left",
        "dead",
        "incarnation",
        "incoming",
        "loop",
        "name",
        "paused",
        "running",
        "sockets_first",
        "starved",
        "trap",
    )

    def __init__(self, name: str, incarnation: int) -> None:
        self.name = name
        self.incarnation = incarnation
        self.loop: AbstractEventLoop | None = None
        self.paused = False  # by a signal
        self.starved = False  # of processor time
        self.dead = False
        self.running = True  # none of these: the one question of the hot path
        self.calls_left = 0  # of a process that is to stop inside of a pass: how many more it makes
        self.sockets_first = False  # where in its pass it stopped, and so what it meets first
        self.trap: Callable[[str], None] | None = None  # told what the process has just done; may kill it there
        self.backlog: list[ScheduledCall] = []
        self.incoming: dict[Socket, list[Any]] = {}  # what waits in its sockets, in the order of their readiness

    def __repr__(self) -> str:
        return f"{self.name}#{self.incarnation}"

    def check_alive(self) -> None:
        """Raise when the process is dead: whoever holds its Env is not the process."""
        if self.dead:
            raise RuntimeError(f"{self} is dead")


class ScheduledCall(msgspec.Struct, eq=False):
    """A call that is still to come; also what asyncio expects of a handle. Structs are quick to make."""

    process: SimulatedProcess
    function: Callable[..., object] | None
    args: tuple[Any, ...]
    due: float = SOON

    def cancel(self) -> None:
        """Do not make the call; harmless when it has been made."""
        self.function = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether `cancel` came."""
        return self.function is None


class EventSchedule:
    """The one queue of everything that happens in a world."""

    def __init__(self, trace: Trace, label: str) -> None:
        self.now = 0.0
        self.trace = trace
        self.kernel = SimulatedProcess("kernel", 0)  # what happens below the processes: packets, disks
        self._current = self.kernel  # whose loop is the running one
        self.calls_made = 0
        self._label = label
        self._heap: list[tuple[float, int, ScheduledCall]] = []  # later than now
        self._ready: deque[ScheduledCall] = deque()  # due now
        self._sequence = 0
        self._running = False

    def at(
        self, when: float, process: SimulatedProcess, function: Callable[..., object], args: tuple[Any, ...] = ()
    ) -> ScheduledCall:
        """Call at the time `when`, or after what is ready if that has passed."""
        if when <= self.now:
            call = ScheduledCall(process, function, args)
            self._ready.append(call)
        else:
            call = ScheduledCall(process, function, args, when)
            self._sequence += 1
            heappush(self._heap, (when, self._sequence, call))
        return call

    def soon(
        self, process: SimulatedProcess, function: Callable[..., object], args: tuple[Any, ...] = ()
    ) -> ScheduledCall:
        """Call now, after what is ready."""
        call = ScheduledCall(process, function, args)
        self._ready.append(call)
        return call

    def deliver(self, process: SimulatedProcess, function: Callable[..., object], *args: Any) -> None:
        """From a kernel's call: run the function in the process at once, or when it goes on, or never if it is dead."""
        if process.running:
            self._call(process, function, args)
        elif not process.dead:
            if process.calls_left:
                process.calls_left, process.sockets_first = process.calls_left - 1, False
                self._call(process, function, args)
            else:
                process.backlog.append(ScheduledCall(process, function, args))

    def receive(self, process: SimulatedProcess, socket: Socket, item: Any) -> None:
        """From a kernel's call: something has arrived in a socket of the process, which reads it at once, or when it
        goes on."""
        if process.running:
            self._call(process, socket.take, (item,))
        elif not process.dead:
            if process.calls_left and socket not in process.incoming:
                process.calls_left, process.sockets_first = process.calls_left - 1, False
                self._call(process, socket.take, (item,))
            else:
                process.incoming.setdefault(socket, []).append(item)

    def pause(self, process: SimulatedProcess, *, after_calls: int = 0) -> None:
        """SIGSTOP: hold back the process's calls. It sleeps in its poll, which the signal ends without an event; with
        `after_calls` it makes so many more calls and stops inside of a pass."""
        process.paused, process.running = True, False
        process.calls_left, process.sockets_first = after_calls, False

    def starve(self, process: SimulatedProcess, *, after_calls: int = 0) -> None:
        """The process gets no processor: a poll that returns late returns with what has come meanwhile."""
        process.starved, process.running = True, False
        process.calls_left, process.sockets_first = after_calls, True

    def resume(self, process: SimulatedProcess) -> None:
        """SIGCONT. What has waited is met after what is ready now."""
        process.paused = False
        self._go_on(process)

    def feed(self, process: SimulatedProcess) -> None:
        """The process gets its processor again."""
        process.starved = False
        self._go_on(process)

    def _go_on(self, process: SimulatedProcess) -> None:
        if not (process.paused or process.starved):
            process.calls_left = 0
            self._ready.append(ScheduledCall(self.kernel, self._catch_up, (process,)))

    def _catch_up(self, process: SimulatedProcess) -> None:
        """The passes that a process makes at once when it goes on: all at one time, before anything new arrives."""
        if process.paused or process.starved or process.dead or process.running:
            return
        process.running = True
        backlog, process.backlog = process.backlog, []
        timers = deque(call for call in backlog if call.due != SOON)
        soon = deque(call for call in backlog if call.due == SOON)
        if process.sockets_first:
            self._make_all(process, soon)
            self._poll(process)
        while process.running:
            self._make_all(process, timers)
            # What the process's calls have made ready; what those make ready in turn comes a pass later.
            ready = list(self._ready)
            self._ready.clear()
            for call in ready:
                (soon if call.process is process else self._ready).append(call)
            self._make_all(process, soon)
            if not process.incoming:
                break
            self._poll(process)
        if not process.dead:
            process.backlog[:0] = [*timers, *soon]  # stopped again meanwhile

    def _make_all(self, process: SimulatedProcess, calls: deque[ScheduledCall]) -> None:
        while calls and process.running:
            call = calls.popleft()
            if call.function is not None:
                self.trace.record(process.name)
                self._call(process, call.function, call.args)

    def _poll(self, process: SimulatedProcess) -> None:
        """Each socket that has something hands over what one pass reads of it."""
        for socket in list(process.incoming):
            if not process.running:
                return
            items = process.incoming.pop(socket)
            self._call(process, self._read, (process, socket, items))

    def _read(self, process: SimulatedProcess, socket: Socket, items: list[Any]) -> None:
        taken = socket.read(items)
        if taken < len(items) and not process.dead:
            process.incoming[socket] = items[taken:]

    def _call(self, process: SimulatedProcess, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Run a function in the process, inside of the present call."""
        if process is not self._current:
            self._enter(process)
        try:
            function(*args)
        except Killed:
            assert process.dead
        except Exception as error:
            error.add_note(f"on {process}")
            raise

    def kill(self, process: SimulatedProcess) -> None:
        """Drop the process's calls, now and for ever."""
        process.dead, process.running = True, False
        process.backlog.clear()
        process.incoming.clear()

    def run_until(self, until: float) -> None:
        """Make every call that is due by `until`, and let it be that time."""
        assert not self._running, "time is moved from outside of the calls"
        outside = _get_running_loop()
        self._running = True
        try:
            self._run(until)
        except Exception as error:
            error.add_note(f"at {self.now:.6f} s of virtual time, {self._label}")
            raise
        finally:
            self._running = False
            self._current = self.kernel
            _set_running_loop(outside)
        if until > self.now:
            self.now = until

    def run_for(self, seconds: float) -> None:
        """Make every call of the next `seconds`."""
        self.run_until(self.now + seconds)

    def run_until_true(self, predicate: Callable[[], bool], timeout: float, step: float = 0.01) -> float:
        """Run until the predicate holds, asking every `step` seconds (0: after each instant). Returns the seconds it
        took; raises TimeoutError after `timeout` seconds."""
        start, deadline = self.now, self.now + timeout
        while not predicate():
            if self.now >= deadline:
                raise TimeoutError(f"not within {timeout} s of virtual time, {self._label}")
            following = self._heap[0][0] if self._heap else deadline
            instant = self.now if self._ready else following
            self.run_until(min(deadline, self.now + step if step else instant))
        return self.now - start

    def _run(self, until: float) -> None:
        """The hot loop. What became ready at one time is made in order before time moves on."""
        ready, heap, kernel, trace = self._ready, self._heap, self.kernel, self.trace
        calls_max = self.calls_made + CALLS_PER_INSTANT_MAX
        while True:
            if ready:
                call = ready.popleft()
            elif heap and heap[0][0] <= until:
                now, _, call = heappop(heap)
                while heap and heap[0][0] == now:
                    ready.append(heappop(heap)[2])
                self.now = now
                calls_max = self.calls_made + CALLS_PER_INSTANT_MAX
                trace.record(now)
                trace.fold_if_due()
            else:
                return
            function = call.function
            if function is None:
                continue
            process = call.process
            if not process.running:
                if process.dead:
                    continue
                if not process.calls_left:
                    process.backlog.append(call)
                    continue
                process.calls_left, process.sockets_first = process.calls_left - 1, True
            if process is not self._current and process is not kernel:
                self._enter(process)
            trace.record(process.name)
            self.calls_made += 1
            try:
                function(*call.args)
            except Killed:
                assert process.dead
            except Exception as error:
                if process is not kernel:
                    error.add_note(f"on {process}")
                raise
            if self.calls_made >= calls_max:
                raise RuntimeError(f"time stands still: {CALLS_PER_INSTANT_MAX} calls at one time, the last {function}")

    def _enter(self, process: SimulatedProcess) -> None:
        """Make the process's loop the running one; it stays so during the kernel's calls, which cannot tell."""
        self._current = process
        _set_running_loop(process.loop)
