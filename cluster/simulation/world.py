"""A world of simulated nodes: their Envs, the faults that a test or a nemesis brings upon them, and the trace.

One seed is one run: all randomness comes from it by name, all collections keep their insertion order, and calls are
made in the order of (time, insertion). A node is a name; each `env` after a crash is a new process of it, on the same
disk. Faults act at once, between calls. Not here: what to check, and when to bring which fault.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Any, TypeVar

from cluster.env import DiskFaults, Env
from cluster.simulation.clock import SimulatedClock
from cluster.simulation.disk import ProcessDisk, SimulatedDisk
from cluster.simulation.loop import SimulatedLoop
from cluster.simulation.network import ProcessNetwork, SimulatedNetwork
from cluster.simulation.route import Quality
from cluster.simulation.schedule import EventSchedule, Killed, ScheduledCall, SimulatedProcess
from cluster.simulation.sorted import SimulatedSortedRows
from cluster.simulation.stream import Sign
from cluster.simulation.trace import Trace

T = TypeVar("T")

LOOPBACK = Quality()
CUT_PROBABILITY = 0.1  # of a chunk of a stream: framing must not depend on how bytes are cut
CLOCK_ORIGIN_MAX_S = 1000


class World:
    """Nodes in virtual time. Use it as a context manager, or call `close` at the end.

    `cut_probability` is that of a chunk of a stream to arrive in two pieces. `closed_on_crash` is that of a stream of a
    crashed process to end with `closed` instead of `reset` at its peer, as a kernel does when no byte is left unread.
    """

    def __init__(
        self,
        seed: int,
        *,
        quality: Quality = LOOPBACK,
        cut_probability: float = CUT_PROBABILITY,
        closed_on_crash: float = 0.0,
        keep_trace: bool = False,
    ) -> None:
        self.seed = seed
        self.trace = Trace(keep=keep_trace)
        self.schedule = EventSchedule(self.trace, f"seed {seed}")
        self.network = SimulatedNetwork(
            self.schedule, self.random("network"), quality, cut_probability, closed_on_crash
        )
        self._nodes: dict[str, SimulatedMachine] = {}

    def __enter__(self) -> "World":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def random(self, name: str) -> Random:
        """A generator of its own for each name; the same for the same seed."""
        return Random(f"{self.seed}/{name}")  # a string is seeded by its SHA-512, not by its hash()

    # Nodes and their processes.

    def env(self, name: str) -> Env:
        """The Env of the node's process; a new process if there is none, as after a crash."""
        node = self._node(name)
        return node.env or node.start(self)

    def disk(self, name: str) -> SimulatedDisk:
        """The node's disk: `flip_byte`, `fail_next_sync`, `full_after`."""
        return self._node(name).disk

    def is_up(self, name: str) -> bool:
        """Whether the node has a process, paused or not."""
        return name in self._nodes and self._nodes[name].env is not None

    def crash(self, name: str) -> None:
        """SIGKILL: the process's calls, tasks and sockets are gone, its streams reset; its disk keeps what it wrote."""
        self._end(name, "crash", Sign.RESET)

    def power_loss(self, name: str, *, torn: bool = True, scattered: bool = False, silent: bool = False) -> None:
        """A crash that also takes what was not synced, but for a random part of it with `torn`, and of that part some
        blocks with `scattered`. With `silent` the whole machine is gone: no resets, and dials hang, until the node has
        a process again."""
        if self._node(name).process is not None:  # a machine may lose its power when the node is down
            self._end(name, "power loss", None if silent else Sign.RESET)
        node = self._nodes[name]
        node.disk.power_loss(torn=torn, scattered=scattered)
        node.machine_boots += 1

    def reboot(self, name: str) -> None:
        """The node's machine is restarted in good order while its process is down: the kernel writes all it was given,
        so nothing is lost, but whoever boots next sees only that this is another boot."""
        node = self._node(name)
        assert node.process is None, f"{name} runs"
        self._note("reboot", name)
        node.disk.write_back()
        node.machine_boots += 1

    def crash_inside(
        self, name: str, point: str, count: int = 1, *, power: bool = False, then: Callable[[], object] | None = None
    ) -> Callable[[], None]:
        """Let the process die inside of a pass, right after its next `append` (to a file), `overwrite` (in place),
        `remove`, `write` (to a stream) or `sync` (begun), or after the `count`-th from now: what it had yet to do in
        that pass is not done. With `power` the machine goes too. `then` is called when it has happened; what is
        returned calls it off."""
        process, left = self._running(name), count

        def passed(what: str) -> None:
            nonlocal left
            left -= what == point
            if left == 0:
                process.trap = None
                (self.power_loss if power else self.crash)(name)
                if then is not None:
                    then()
                raise Killed

        def call_off() -> None:
            process.trap = None

        process.trap = passed
        return call_off

    def pause(self, name: str, *, after_calls: int = 0) -> None:
        """SIGSTOP: the process's calls and what comes for it wait. With `after_calls` it makes so many more calls, and
        so may stop inside of a pass."""
        self._note("pause", name)
        self.schedule.pause(self._running(name), after_calls=after_calls)

    def resume(self, name: str) -> None:
        """SIGCONT: what has waited is met as a real loop meets it: due timers, then the sockets, each whole."""
        self._note("resume", name)
        self.schedule.resume(self._running(name))

    def stall(self, name: str, seconds: float, *, after_calls: int = 0) -> None:
        """The process gets no processor for so long. Then it meets its sockets first and its timers after, unless it
        was in the middle of reading its sockets (`after_calls`, as for `pause`)."""
        self._note("stall", name)
        process = self._running(name)
        self.schedule.starve(process, after_calls=after_calls)
        self.call_later(seconds, self.schedule.feed, process)

    def set_clock(self, name: str, *, skew: float = 0.0, rate: float = 1.0) -> None:
        """Let the node's wall clock be `skew` seconds ahead, at once; its next process has time run `rate` fast."""
        node = self._node(name)
        node.skew, node.rate = skew, rate
        if node.clock is not None:
            node.clock.skew = skew

    # The network.

    def partition(self, groups: Sequence[Sequence[str]], one_way: bool = False) -> None:
        """Block what goes between nodes of different groups, beside what is blocked already; one way: only what goes
        from an earlier group to a later one. Nodes in no group are not affected."""
        self._note("partition", "|".join(",".join(group) for group in groups) + (" one way" if one_way else ""))
        self.network.routes.block(groups, one_way=one_way)

    def heal(self) -> None:
        """End all partitions."""
        self._note("heal", "")
        self.network.heal()

    def slow(
        self,
        source: str,
        target: str,
        delay: float = Quality.delay,
        jitter: float = Quality.jitter,
        loss: float = 0.0,
        *,
        duplicate: float = 0.0,
        reorder: float = 0.0,
    ) -> None:
        """Let the route from one node to another be so (the other direction stays); without figures: as new."""
        quality = replace(LOOPBACK, delay=delay, jitter=jitter, loss=loss, duplicate=duplicate, reorder=reorder)
        self.network.routes.between(source, target).shape(quality)

    # Time.

    @property
    def now(self) -> float:
        """Virtual seconds since the world began."""
        return self.schedule.now

    def run_until(self, when: float) -> None:
        """Make every call that is due by then. What a call raises comes out, with a note of time, node and seed."""
        self.schedule.run_until(when)

    def run_for(self, seconds: float) -> None:
        """Make every call of the next `seconds`."""
        self.schedule.run_for(seconds)

    def run_until_true(self, predicate: Callable[[], bool], timeout: float = 60.0, step: float = 0.01) -> float:
        """Run until the predicate holds, asked every `step` seconds (0: after each instant). Returns the seconds it
        took; raises TimeoutError."""
        return self.schedule.run_until_true(predicate, timeout, step)

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> ScheduledCall:
        """Let a test or a nemesis act from outside of the nodes, after `delay` seconds."""
        return self.schedule.at(self.now + delay, self.schedule.kernel, function, args)

    def complete(self, name: str, coroutine: Coroutine[Any, Any, T], timeout: float = 60.0) -> T:
        """Run a coroutine in the node's process to its end, and return its result."""
        self.env(name)
        loop = self._nodes[name].loop
        assert loop is not None
        task = loop.create_task(coroutine)
        self.run_until_true(task.done, timeout, step=0.0)
        return task.result()

    def trace_digest(self) -> str:
        """A hash of all that has happened: the same for the same seed."""
        return self.trace.digest()

    def close(self) -> None:
        """End every process, and the coroutines that the run left unfinished."""
        for node in self._nodes.values():
            if node.env is not None:
                self.schedule.kill(node.stop())
            node.dispose()

    def _node(self, name: str) -> "SimulatedMachine":
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = SimulatedMachine(self, name)
        return node

    def _running(self, name: str) -> SimulatedProcess:
        node = self._node(name)
        assert node.process is not None, f"{name} has no process"
        return node.process

    def _end(self, name: str, what: str, sign: Sign | None) -> None:
        self._note(what, name)
        self._running(name)
        process = self._nodes[name].stop()
        self.schedule.kill(process)
        self.network.end(process, sign)

    def _note(self, what: str, whom: str) -> None:
        self.trace.record((self.now, what, whom))


class SimulatedMachine:
    """One name: its disk, and the process that runs for it."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.disk = SimulatedDisk(world.schedule, world.random(f"{name}/disk"), name)
        self.origin = world.random(f"{name}/clock").randrange(CLOCK_ORIGIN_MAX_S)
        self.skew = 0.0
        self.rate = 1.0
        self.incarnation = 0
        self.machine_boots = 0
        self.env: Env | None = None
        self.process: SimulatedProcess | None = None
        self.loop: SimulatedLoop | None = None
        self.clock: SimulatedClock | None = None
        self._dead_loops: list[SimulatedLoop] = []

    def start(self, world: World) -> Env:
        """Start the next process."""
        self.incarnation += 1
        process = self.process = SimulatedProcess(self.name, self.incarnation)
        clock = self.clock = SimulatedClock(world.schedule, process, self.origin, self.rate, self.skew)
        process.loop = self.loop = SimulatedLoop(world.schedule, process, clock)  # type: ignore[abstract]
        world.network.start(process)
        disk = ProcessDisk(self.disk, process)

        def ail(faults: DiskFaults | None, skew_s: float, on_clock: Callable[[], object]) -> None:
            disk.faults = faults
            clock.set_skew(skew_s, on_clock)

        self.env = Env(
            clock=clock,
            random=world.random(f"{self.name}/{self.incarnation}"),
            disk=disk,
            network=ProcessNetwork(world.network, process),
            spawn=self.loop.spawn,
            boot_id=f"{self.name}-boot-{self.machine_boots}",
            open_sorted=lambda folder, anew: SimulatedSortedRows(disk, clock, folder, anew=anew),
            ail=ail,
        )
        return self.env

    def stop(self) -> SimulatedProcess:
        """Let go of the process. Its tasks are kept unfinished: a killed process runs no `finally`."""
        assert self.process is not None and self.loop is not None
        process = self.process
        self._dead_loops.append(self.loop)
        self.env = self.process = self.loop = self.clock = None
        return process

    def dispose(self) -> None:
        """The run is over: close the unfinished coroutines of the dead processes."""
        for loop in self._dead_loops:
            loop.dispose()
        self._dead_loops.clear()
