"""A seeded enemy: random faults, one at a time and in combination, always leaving a way back.

A step is chosen among those that can act now: that nobody is down is no reason to "restart". Links, disks and clocks
suffer from the users' own rules (`Fleet.fault`); processes are killed, stopped and starved, also inside of a pass and
while they boot. Each step is counted, and what its rule touched is counted by the nodes (`Nemesis.touched`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from cluster.node import Node
from cluster.simulation.fleet import Fleet

PARTITIONS_MAX = 2
SLOW_MAX = 3
HEALED = ("partition", "slow", "disk-slow", "clock")
"""What `heal` ends here; a full disk has a step of its own."""
STALLS_S = (0.2, 0.5, 1.5, 4.0)
"""Under the limit of a stall, over it, over a write's deadline, over a suspicion."""


class Nemesis:
    """`down_max`: how many nodes may be down, stopped or starved at a time."""

    def __init__(self, fleet: Fleet, random: Random, *, down_max: int, steps: "Iterable[Step] | None" = None) -> None:
        self.fleet = fleet
        self.random = random
        self.down_max = down_max
        self.steps = list(STEPS if steps is None else steps)
        self.paused: list[str] = []
        self.full: list[str] = []
        self.damaged: str | None = None  # the one node that may lose data: of two nobody knows what is left
        self.done: Counter[str] = Counter()
        self.log: list[str] = []
        self._starved: dict[str, float] = {}  # until when
        self._doomed: dict[str, tuple[Node, Callable[[], None]]] = {}  # dies inside of a pass that is still to come
        self._touched: dict[str, dict[tuple[str, int], int]] = {}  # fault -> (node, boot) -> count

    def act(self) -> None:
        """One step, of those that can act."""
        self._look()
        step = self.random.choice([step for step in self.steps if CONDITIONS[step](self)])
        self.done[step.__name__] += 1
        self.log.append(f"{self.fleet.world.now:.2f} {step.__name__}")
        step(self)

    def touched(self) -> dict[str, int]:
        """How many packets and operations met each fault so far, by id."""
        self._look()
        return {id: sum(counts.values()) for id, counts in self._touched.items()}

    def _look(self) -> None:
        nodes = self.fleet.nodes
        self._doomed = {name: one for name, one in self._doomed.items() if nodes.get(name) is one[0]}
        for name, node in self.fleet.nodes.items():
            for id, links in node.faults.receipts().items():
                self._touched.setdefault(id, {})[name, node.boot.epoch] = sum(links.values())

    # -- who

    @property
    def running(self) -> list[str]:
        """The nodes that have booted and are neither stopped nor starved."""
        now = self.fleet.world.now
        return [name for name in self.fleet.up if name not in self.paused and self._starved.get(name, 0.0) <= now]

    @property
    def down(self) -> list[str]:
        """The nodes without a process."""
        return [name for name in self.fleet.names if not self.fleet.world.is_up(name)]

    def _may_take(self) -> bool:
        healthy = self._healthy()
        return bool(healthy) and len(self.fleet.names) - len(healthy) < self.down_max

    def _healthy(self) -> list[str]:
        return [name for name in self.running if name not in self._doomed]

    def _victim(self) -> str:
        return self.random.choice(self._healthy())

    def _count(self, kind: str) -> int:
        return len(self._active(kind))

    # -- processes

    def crash(self) -> None:
        """SIGKILL, between two calls or inside of a pass: after a write to the log or to a socket."""
        victim = self._victim()
        point = self.random.choice(("append", "write", "", ""))
        if point:
            call_off = self.fleet.crash_inside(victim, point, self.random.randint(1, 5))
            self._doomed[victim] = self.fleet.nodes[victim], call_off
        else:
            self.fleet.kill(victim)

    def power_loss(self) -> None:
        """One node, or as many as may be down, at once."""
        silent, scattered = self.random.random() < 0.5, self.random.random() < 0.5
        for _ in range(self.random.choice((1, self.down_max))):
            if self._may_take():
                self.fleet.power_loss(self._victim(), silent=silent, scattered=scattered)

    def restart(self) -> None:
        """All that are down; one of them may be stopped while it boots."""
        self.empty_disk()  # without room for its boot record a node does not start
        names = self.down
        self.fleet.start()
        if self.random.random() < 0.2:
            late = self.random.choice(names)
            self.fleet.world.pause(late, after_calls=self.random.randrange(3))
            self.paused.append(late)

    def pause(self) -> None:
        """SIGSTOP, in the poll or inside of a pass."""
        victim = self._victim()
        if self.random.random() < 0.3:
            self.fleet.world.pause(victim, after_calls=self.random.randint(1, 3))
        else:
            self.fleet.pause(victim)
        self.paused.append(victim)

    def resume(self) -> None:
        while self.paused:
            self.fleet.resume(self.paused.pop())

    def stall(self) -> None:
        """No processor for a while."""
        victim, seconds = self._victim(), self.random.choice(STALLS_S)
        self.fleet.world.stall(victim, seconds, after_calls=self.random.choice((0, 0, 1, 2)))
        self._starved[victim] = self.fleet.world.now + seconds

    def kill_zone(self) -> None:
        """All nodes of one zone, at once."""
        members = {member.name: member.zone for member in self.fleet.entry.members}
        zone = members[self._victim()]
        for name in [name for name in self._healthy() if members.get(name) == zone]:
            self.fleet.kill(name)

    def rest(self) -> None:
        """Nothing."""

    # -- disks and clocks

    def damage(self) -> None:
        """Bytes flip in the log of a node that is down."""
        victim = self.random.choice(self._with_logs())
        for _ in range(self.random.choice((1, 1, 3))):
            path = self.random.choice(self._logs(victim))
            self.fleet.flip_byte(victim, path)
        self.damaged = victim

    def wipe(self) -> None:
        """The directory of a node that is down is emptied, but for its layout."""
        victim = self.random.choice(self._with_logs())
        self.fleet.wipe(victim)
        self.damaged = victim

    def outage(self) -> None:
        """Power loss of the one node that may lose what it had not synced."""
        victim = self.damaged or self._victim()
        self.fleet.power_loss(victim, silent=self.random.random() < 0.5, scattered=self.random.random() < 0.5)
        self.damaged = victim

    def _may_lose_power(self) -> bool:
        return self._may_take() and (self.damaged is None or self.damaged in self._healthy())

    def _logs(self, name: str) -> list[str]:
        disk = self.fleet.world.disk(name)
        return [path for log in disk.names("log") if log.endswith(".log") and disk.read(path := f"log/{log}")]

    def _with_logs(self) -> list[str]:
        """The nodes that are down and may lose data, and have some."""
        return [name for name in self.down if self.damaged in (None, name) and self._logs(name)]

    def fill_disk(self) -> None:
        """A little room is left, or none: whatever is refused must be undone."""
        victim = self.random.choice([name for name in self.running if name not in self.full])
        room = self.random.choice((0, 200, 2000))
        if room:
            self.fleet.world.disk(victim).full_after(room)
        else:
            self.fleet.fault("disk-full", nodes=[victim])
        self.full.append(victim)

    def empty_disk(self) -> None:
        while self.full:
            self.fleet.world.disk(self.full.pop()).full_after(None)
        full = self._active("disk-full")
        if full:
            self.fleet.heal(*full)

    def slow_disk(self) -> None:
        """Appends hold the process, up to where its peers suspect it; syncs come late."""
        victim = self.random.choice(self.running)
        self.fleet.fault("disk-slow", nodes=[victim], delay_ms=self.random.choice((2.0, 20.0, 150.0)))

    def set_clock(self) -> None:
        """Wall clocks jump; nothing but the order of siblings may depend on them."""
        victim = self.random.choice(self.running)
        self.fleet.fault("clock", nodes=[victim], skew_ms=self.random.uniform(-3_600_000.0, 3_600_000.0))

    def _active(self, *kinds: str) -> list[str]:
        return [fault.id for fault in self.fleet.faults.faults if fault.active and fault.kind in kinds]

    # -- links

    def partition(self) -> None:
        names = list(self.fleet.names)
        self.random.shuffle(names)
        cut = self.random.randrange(1, len(names))
        groups = [sorted(names[:cut]), sorted(names[cut:])]
        self.fleet.fault("partition", groups=groups, one_way=self.random.random() < 0.3)

    def slow(self) -> None:
        one, two = self.random.sample(self.fleet.names, 2)
        figures: dict[str, Any] = {"delay_ms": self.random.choice((50.0, 300.0)), "jitter_ms": 50.0}
        if self.random.random() < 0.5:
            figures["loss"] = 0.2
        if self.random.random() < 0.3:
            figures |= {"duplicate": 0.1, "reorder": 0.2}
        self.fleet.fault("slow", source=one, target=two, both=self.random.random() < 0.3, **figures)

    def heal(self) -> None:
        """All faults of links and clocks, and slow disks, or one of them."""
        active = self._active(*HEALED)
        self.fleet.heal(*([self.random.choice(active)] if self.random.random() < 0.3 else active))

    # -- the end

    def end(self) -> None:
        """Undo everything and wait until nobody waits for anything."""
        self._look()
        for _, call_off in self._doomed.values():
            call_off()
        self.fleet.heal()
        self.empty_disk()
        self.resume()
        self.fleet.start()
        self.fleet.until(self.fleet.settled, timeout=120.0)
        self._look()


Step = Callable[[Nemesis], None]

CONDITIONS: dict[Step, Callable[[Nemesis], bool]] = {
    Nemesis.crash: Nemesis._may_take,
    Nemesis.power_loss: Nemesis._may_take,
    Nemesis.restart: lambda self: bool(self.down),
    Nemesis.pause: Nemesis._may_take,
    Nemesis.resume: lambda self: bool(self.paused),
    Nemesis.stall: Nemesis._may_take,
    Nemesis.kill_zone: lambda self: len(self._healthy()) == len(self.fleet.names),
    Nemesis.rest: lambda self: True,
    Nemesis.damage: lambda self: bool(self._with_logs()),
    Nemesis.wipe: lambda self: bool(self._with_logs()),
    Nemesis.outage: Nemesis._may_lose_power,
    Nemesis.fill_disk: lambda self: any(name not in self.full for name in self.running),
    Nemesis.empty_disk: lambda self: bool(self.full),
    Nemesis.slow_disk: lambda self: bool(self.running) and self._count("disk-slow") < SLOW_MAX,
    Nemesis.set_clock: lambda self: bool(self.running),
    Nemesis.partition: lambda self: self._count("partition") < PARTITIONS_MAX,
    Nemesis.slow: lambda self: self._count("slow") < SLOW_MAX,
    Nemesis.heal: lambda self: bool(self._active(*HEALED)),
}
"""When a step can act."""

STEPS: Sequence[Step] = (
    Nemesis.crash,
    Nemesis.crash,  # twice: crashes are what the rest builds on
    Nemesis.restart,
    Nemesis.pause,
    Nemesis.resume,
    Nemesis.stall,
    Nemesis.partition,
    Nemesis.slow,
    Nemesis.heal,
)

LOSSES: Sequence[Step] = (
    *[Nemesis.outage] * 3,
    *[Nemesis.damage] * 2,
    *[Nemesis.wipe] * 2,
    *[Nemesis.restart] * 2,
    Nemesis.partition,
    Nemesis.heal,
)
"""One node loses data again and again."""
