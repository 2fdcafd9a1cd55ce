"""Virtual time: a heap of calls, run one at a time in the order of (time, insertion).

Time stands still while a call runs and jumps to the next one after. A call belongs to a process: calls of a dead
process are dropped, calls of a paused one wait in its backlog and run in order when it resumes. Nothing here knows of
networks, disks or coroutines.
"""

from asyncio import AbstractEventLoop
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import msgspec

from cluster.simulation.trace import Trace

CALLS_PER_INSTANT_MAX = 1_000_000  # more than any cluster does at one moment: calls that call each other for ever


class Process:
    """One incarnation of one node's operating-system process."""

    __slots__ = ("backlog", "dead", "incarnation", "loop", "name", "paused", "running")

    def __init__(self, name: str, incarnation: int) -> None:
        self.name = name
        self.incarnation = incarnation
        self.loop: AbstractEventLoop | None = None
        self.paused = False
        self.dead = False
        self.running = True  # neither paused nor dead: the one question of the hot path
        self.backlog: list[Call] = []

    def __repr__(self) -> str:
        return f"{self.name}#{self.incarnation}"

    def check_alive(self) -> None:
        """Raise when the process is dead: whoever holds its Env is not the process."""
        if self.dead:
            raise RuntimeError(f"{self} is dead")


class Call(msgspec.Struct, eq=False):
    """A call that is still to come; also what asyncio expects of a handle. Structs are quick to make."""

    process: Process
    function: Callable[..., object] | None
    args: tuple[Any, ...]

    def cancel(self) -> None:
        """Do not make the call; harmless when it has been made."""
        self.function = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether `cancel` came."""
        return self.function is None


class Schedule:
    """The one queue of everything that happens in a world."""

    def __init__(self, trace: Trace, label: str) -> None:
        self.now = 0.0
        self.trace = trace
        self.kernel = Process("kernel", 0)  # what happens below the processes: packets, disks
        self._current = self.kernel  # whose loop is the running one
        self.calls_made = 0
        self._label = label
        self._heap: list[tuple[float, int, Call]] = []  # later than now
        self._ready: deque[Call] = deque()  # due now
        self._sequence = 0
        self._running = False

    def at(self, when: float, process: Process, function: Callable[..., object], args: tuple[Any, ...] = ()) -> Call:
        """Call at the time `when`, or after what is ready if that has passed."""
        call = Call(process, function, args)
        if when <= self.now:
            self._ready.append(call)
        else:
            self._sequence += 1
            heappush(self._heap, (when, self._sequence, call))
        return call

    def soon(self, process: Process, function: Callable[..., object], args: tuple[Any, ...] = ()) -> Call:
        """Call now, after what is ready."""
        call = Call(process, function, args)
        self._ready.append(call)
        return call

    def deliver(self, process: Process, function: Callable[..., object], *args: Any) -> None:
        """From a kernel's call: run the function in the process at once, or when it resumes, or never if it is dead."""
        if process.running:
            if process is not self._current:
                self._enter(process)
            try:
                function(*args)
            except Exception as error:
                error.add_note(f"on {process}")
                raise
        elif not process.dead:
            process.backlog.append(Call(process, function, args))

    def pause(self, process: Process) -> None:
        """Hold back the process's calls."""
        process.paused, process.running = True, False

    def resume(self, process: Process) -> None:
        """Make the calls that were held back, in order, after what is ready."""
        process.paused, process.running = False, not process.dead
        self._ready.extend(process.backlog)
        process.backlog.clear()

    def kill(self, process: Process) -> None:
        """Drop the process's calls, now and for ever."""
        process.dead, process.running = True, False
        process.backlog.clear()

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
            self.run_until(min(deadline, self.now + step if step else self._next_time(deadline)))
        return self.now - start

    def _next_time(self, otherwise: float) -> float:
        if self._ready:
            return self.now
        return self._heap[0][0] if self._heap else otherwise

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
                if not process.dead:
                    process.backlog.append(call)
                continue
            if process is not self._current and process is not kernel:
                self._enter(process)
            trace.record(process.name)
            self.calls_made += 1
            try:
                function(*call.args)
            except Exception as error:
                if process is not kernel:
                    error.add_note(f"on {process}")
                raise
            if self.calls_made >= calls_max:
                raise RuntimeError(f"time stands still: {CALLS_PER_INSTANT_MAX} calls at one time, the last {function}")

    def _enter(self, process: Process) -> None:
        """Make the process's loop the running one; it stays so during the kernel's calls, which cannot tell."""
        self._current = process
        _set_running_loop(process.loop)
