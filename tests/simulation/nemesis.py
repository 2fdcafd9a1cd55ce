"""A seeded enemy, and the account that every acknowledged write must pass.

Keys are written once each, so the check is exact: what was acknowledged is read back, strictly, after everything has
healed. Values never written are never seen. A `maybe` may be there or not.
"""

from collections.abc import Callable, Sequence
from random import Random

from cluster.simulation.fleet import Fleet, Result
from cluster.wire.kv import Got, PutDone

ACKNOWLEDGED = ("ok", "ok-sloppy")


class Account:
    """What was written, and how it ended."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.writes: dict[str, tuple[bytes, Result]] = {}

    def write(self, via: str) -> None:
        """One write of a fresh key through a node."""
        key = f"key-{len(self.writes)}"
        value = f"value of {key}".encode()
        self.writes[key] = (value, self.fleet.put(via, key, value))

    def outcome(self, key: str) -> str:
        """`ok`, `ok-sloppy`, `maybe`, `no`, or `unknown` (its coordinator is gone)."""
        result = self.writes[key][1]
        if isinstance(result.answer, PutDone):
            return result.answer.outcome
        return "unknown" if result.error is None else "no" if result.error.definite else "maybe"

    def acknowledged(self) -> list[str]:
        """The keys whose writes were acknowledged."""
        return [key for key in self.writes if self.outcome(key) in ACKNOWLEDGED]

    def check(self) -> None:
        """Read everything back, through every node in turn."""
        lost: list[tuple[str, str]] = []
        wrong: list[tuple[str, object]] = []
        for number, (key, (value, _)) in enumerate(self.writes.items()):
            via = self.fleet.up[number % len(self.fleet.up)]
            result = self.fleet.wait(self.fleet.get(via, key, strict=True))
            assert isinstance(result.answer, Got), (key, self.outcome(key), result.error)
            outcome = self.outcome(key)
            if not result.answer.siblings and outcome in ACKNOWLEDGED:
                lost.append((key, outcome))
            if any(sibling != value for sibling in result.answer.siblings):
                wrong.append((key, result.answer.siblings))
            if result.answer.siblings and outcome == "no":
                wrong.append((key, "a definite no is there"))
        assert not lost, f"acknowledged and lost: {lost}"
        assert not wrong, f"never written, or refused, and there: {wrong}"


class Nemesis:
    """Random faults, one at a time and in combination, always leaving a way back."""

    def __init__(self, fleet: Fleet, random: Random, *, down_max: int, steps: "Sequence[Step] | None" = None) -> None:
        self.fleet = fleet
        self.random = random
        self.down_max = down_max
        self.steps = steps or STEPS
        self.paused: list[str] = []
        self.done: list[str] = []

    def act(self) -> None:
        """One step."""
        step = self.random.choice(self.steps)
        self.done.append(f"{self.fleet.world.now:.2f} {step.__name__}")
        step(self)

    def _victim(self) -> str | None:
        candidates = [name for name in self.fleet.up if name not in self.paused]
        down = len(self.fleet.names) - len(candidates)
        return self.random.choice(candidates) if down < self.down_max and candidates else None

    def crash(self) -> None:
        victim = self._victim()
        if victim is not None:
            self.fleet.crash(victim)

    def power_loss(self) -> None:
        """One node, or as many as may be down, at once."""
        silent = self.random.random() < 0.5
        for _ in range(self.random.choice((1, self.down_max))):
            victim = self._victim()
            if victim is not None:
                self.fleet.power_loss(victim, silent=silent)

    def fill_disk(self) -> None:
        """A little room is left, or none: whatever is refused must be undone."""
        victim = self._victim()
        if victim is not None:
            self.fleet.world.disk(victim).full_after(self.random.choice((0, 200, 2000)))

    def empty_disk(self) -> None:
        for name in self.fleet.names:
            self.fleet.world.disk(name).full_after(None)

    def set_clock(self) -> None:
        """Wall clocks jump; nothing but the order of siblings may depend on them."""
        self.fleet.world.set_clock(self.random.choice(self.fleet.names), skew=self.random.uniform(-3600.0, 3600.0))

    def restart(self) -> None:
        self.empty_disk()  # without room for its boot record a node does not start
        self.fleet.start()

    def pause(self) -> None:
        victim = self._victim()
        if victim is not None:
            self.fleet.world.pause(victim)
            self.paused.append(victim)

    def resume(self) -> None:
        while self.paused:
            self.fleet.world.resume(self.paused.pop())

    def partition(self) -> None:
        names = list(self.fleet.names)
        self.random.shuffle(names)
        cut = self.random.randrange(1, len(names))
        self.fleet.world.partition([names[:cut], names[cut:]], one_way=self.random.random() < 0.3)

    def slow(self) -> None:
        one, two = self.random.sample(self.fleet.names, 2)
        self.fleet.world.slow(
            one, two, delay=self.random.choice((0.05, 0.3)), jitter=0.05, loss=self.random.choice((0.0, 0.2))
        )

    def heal(self) -> None:
        self.fleet.world.heal()

    def end(self) -> None:
        """Undo everything and wait until nobody waits for anything."""
        self.heal()
        self.empty_disk()
        for one in self.fleet.names:
            for two in self.fleet.names:
                if one != two:
                    self.fleet.world.slow(one, two)
        self.resume()
        self.fleet.start()
        self.fleet.until(self.fleet.settled, timeout=120.0)


Step = Callable[[Nemesis], None]

STEPS: list[Step] = [
    Nemesis.crash,
    Nemesis.crash,  # twice: crashes are what the rest builds on
    Nemesis.restart,
    Nemesis.pause,
    Nemesis.resume,
    Nemesis.partition,
    Nemesis.slow,
    Nemesis.heal,
]
