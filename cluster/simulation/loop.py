"""An asyncio event loop in virtual time, for the coroutines at the edges of one process (service handlers, clients).

It is the running loop while calls of its process run, so `asyncio.sleep`, futures, timeouts, locks and task groups
work. Tasks and futures hash to their ordinal: asyncio keeps them in sets, and a set of objects that hash by address has
another order in every run. Threads, sockets and subprocesses do not exist here; what needs them raises.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, NoReturn, TypeVar, TypeVarTuple, cast

from cluster.simulation.clock import SimulatedClock
from cluster.simulation.schedule import EventSchedule, SimulatedProcess

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CLOSE_ATTEMPTS = 100  # awaits in a coroutine's `finally` blocks before it is left as it is


class OrderedFuture(asyncio.Future[T]):
    """A future whose place in a set is the same in every run."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._ordinal = loop.next_ordinal()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._ordinal


class OrderedTask(asyncio.Task[T]):
    """A task whose place in a set, and whose name, is the same in every run."""

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        loop: "SimulatedLoop",
        name: str | None,
        context: Context | None,
    ) -> None:
        self._ordinal = loop.next_ordinal()  # before asyncio puts the task into its own set
        super().__init__(coroutine, loop=loop, name=name or f"{loop.process}-{self._ordinal}", context=context)
        self._log_destroy_pending = False  # a crash leaves tasks where they stood, and that is no mistake

    def __hash__(self) -> int:
        return self._ordinal


class SimulatedLoop(asyncio.AbstractEventLoop):
    """The loop of one process. Its calls are the process's calls: they wait and die with it."""

    def __init__(self, schedule: EventSchedule, process: SimulatedProcess, clock: SimulatedClock) -> None:
        self.process = process
        self._schedule = schedule
        self._clock = clock
        self._ordinal = 0
        self._tasks: list[OrderedTask[Any]] = []
        self._tasks_after_prune = 0

    def next_ordinal(self) -> int:
        """A number for each future and task, in the order of their making."""
        self._ordinal += 1
        return self._ordinal

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> "SimulatedTask":
        """`Env.spawn`; what the coroutine raises stops the run."""
        task = self.create_task(coroutine)
        task.add_done_callback(raise_error)
        return SimulatedTask(task)

    def time(self) -> float:
        """The process's clock."""
        return self._clock.now()

    # The handles of asyncio.Handle's type are asyncio's own; here they only need `cancel` and `cancelled`.

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call after what is ready."""
        run = (context or copy_context()).run
        return cast(asyncio.Handle, self._schedule.soon(self.process, run, (callback, *args)))

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call after `delay` seconds of the process's clock."""
        run = (context or copy_context()).run
        return cast(asyncio.TimerHandle, self._clock.call_later(delay, run, callback, *args))

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call at a time of the process's clock."""
        run = (context or copy_context()).run
        return cast(asyncio.TimerHandle, self._clock.call_at(when, run, callback, *args))

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> NoReturn:
        """Threads have no place in a run that is to repeat."""
        raise RuntimeError("no threads in virtual time")

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], Any], *args: *Ts) -> NoReturn:
        """Threads have no place in a run that is to repeat."""
        raise RuntimeError("no threads in virtual time")

    def create_future(self) -> asyncio.Future[Any]:
        """A future that hashes to its ordinal."""
        return OrderedFuture(self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_: Any,
    ) -> asyncio.Task[T]:
        """A task that hashes to its ordinal; its first step is made after what is ready."""
        task = OrderedTask(cast(Coroutine[Any, Any, T], coro), self, name, context)
        if len(self._tasks) > 2 * self._tasks_after_prune + 64:
            self._tasks = [task for task in self._tasks if not task.done()]
            self._tasks_after_prune = len(self._tasks)
        self._tasks.append(task)
        return task

    def get_task_factory(self) -> None:
        """There is none; asyncio asks."""

    def get_debug(self) -> bool:
        """Never: asyncio's debug mode measures real time."""
        return False

    def is_running(self) -> bool:
        """A coroutine that can ask is being run."""
        return not self.process.dead

    def is_closed(self) -> bool:
        """Closed when the process is dead."""
        return self.process.dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Whatever asyncio would only log stops the run."""
        raise context.get("exception") or RuntimeError(context.get("message"))

    def dispose(self) -> None:
        """Close the coroutines that a crash or the end of the run left unfinished. The process must be dead: its
        `finally` blocks run here, and nothing that they do reaches the world."""
        assert self.process.dead
        while self._tasks:  # what a `finally` block spawns is closed as well
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                if not task.done():
                    close_coroutine(cast(Coroutine[Any, Any, Any], task.get_coro()))


class SimulatedTask:
    """A spawned coroutine, as its spawner sees it."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task

    def cancel(self) -> None:
        """Cancel the coroutine; harmless when it has ended."""
        self._task.cancel()


def raise_error(task: asyncio.Task[Any]) -> None:
    """Let the error of a spawned coroutine stop the run."""
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


def close_coroutine(coroutine: Coroutine[Any, Any, Any]) -> None:
    """End a coroutine that will never be resumed, whatever its `finally` blocks await or raise."""
    for _ in range(CLOSE_ATTEMPTS):
        try:
            coroutine.close()
        except RuntimeError as error:
            if "ignored GeneratorExit" in str(error):
                continue
        except BaseException:  # the coroutine's own, raised on its way out of a world that has ended
            pass
        return
