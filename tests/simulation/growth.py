"""A nemesis that also changes the members: nodes are added, leave, are forgotten, and changes are taken back.

It asks one node, as `dsectl add` does, and goes on at once; the others of its steps hit whatever is under way then.
"""

from collections.abc import Iterable
from random import Random

from cluster.chain.entry import ChainEntry
from cluster.simulation.fleet import Fleet, SimulatedRequest
from tests.simulation.nemesis import CONDITIONS, STEPS, Nemesis, Step

MEMBERS_MAX = 8
MEMBERS_MIN = 4
TIMEOUT_S = 4.0


class Growth(Nemesis):
    """See above. One change is asked for at a time, of whichever node."""

    def __init__(self, fleet: Fleet, random: Random, *, down_max: int, steps: Iterable[Step] | None = None) -> None:
        super().__init__(fleet, random, down_max=down_max, steps=GROWTH if steps is None else steps)
        self.asked: list[SimulatedRequest] = []
        fleet.until(lambda: True)

    def act(self) -> None:
        self.follow()
        super().act()

    def newest(self) -> ChainEntry:
        """The last entry that a running node knows."""
        return max((node.layouts.chain.entry for node in self.fleet.nodes.values()), key=lambda entry: entry.slot)

    def follow(self) -> None:
        """Boot the members that were added, and count those that left no more."""
        fleet = self.fleet
        if not fleet.nodes:
            return
        entry = self.newest()
        members = [member.name for member in entry.layout.all_members]
        for name in [name for name in fleet.names if name not in members]:
            if "left" in fleet.fatal.get(name, "") or not fleet.world.is_up(name):
                fleet.fatal.pop(name, None)
                fleet.names.remove(name)
        source = next((name for name, node in fleet.nodes.items() if node.layouts.chain.entry.slot == entry.slot), None)
        for name in members:
            if name not in fleet.names and source is not None and not fleet.world.is_up(name):
                self.empty_disk()  # the name may be that of one who left with a full one
                fleet.join(name, via=source)
        if self.paused:
            self.paused = [name for name in self.paused if name in fleet.names]

    def _ask(self, what: dict[str, object]) -> None:
        via = self.random.choice(self.running)
        self.asked.append(self.fleet.ask(via, "change", what, TIMEOUT_S))

    def add(self) -> None:
        """One or two more."""
        count = self.random.choice((1, 1, 2))
        self.asked.append(self.fleet.add(count, via=self.random.choice(self.running), timeout=TIMEOUT_S))

    def leave(self) -> None:
        self._ask({"leave": [self.random.choice(self.fleet.names)]})

    def forget(self) -> None:
        """Of a node that is down: it does not come back."""
        victim = self.random.choice(self.down)
        self._ask({"forget": [victim]})

    def revert(self) -> None:
        self._ask({"revert": True})

    def _may_change(self) -> bool:
        return bool(self.running) and all(result.ended for result in self.asked)

    def end(self) -> None:
        """Everybody runs, and every change comes to its end, or is taken back by whoever waits for it."""
        fleet = self.fleet
        fleet.heal()
        self.empty_disk()
        for _, call_off in self._doomed.values():
            call_off()
        self.resume()
        fleet.world.run_for(2 * TIMEOUT_S)  # what was called off may still be decided
        fleet.until(lambda: all(name in fleet.nodes for name in self._start_all()), 60.0)

        def over() -> bool:
            self.follow()
            return fleet.settled()

        fleet.until(over, 120.0)
        self._look()

    def _start_all(self) -> list[str]:
        """Who is to run, started if it is down: not who is forgotten, which ends itself as soon as it learns of it."""
        self.follow()
        gone = self.newest().gone if self.fleet.nodes else ()
        wanted = [name for name in self.fleet.names if name not in gone]
        down = [name for name in self.down if name in wanted]
        if down:
            self.fleet.start(*down)
        return wanted


CONDITIONS.update(
    {
        Growth.add: lambda self: self._may_change() and len(self.fleet.names) < MEMBERS_MAX,  # type: ignore[attr-defined,dict-item]
        Growth.leave: lambda self: self._may_change() and len(self.fleet.names) > MEMBERS_MIN,  # type: ignore[attr-defined,dict-item]
        Growth.forget: lambda self: self._may_change() and bool(self.down) and len(self.fleet.names) > MEMBERS_MIN,  # type: ignore[attr-defined,dict-item]
        Growth.revert: lambda self: self._may_change(),  # type: ignore[attr-defined,dict-item]
    }
)

GROWTH: list[Step] = [
    *STEPS,
    *[Growth.add] * 3,  # type: ignore[list-item]
    *[Growth.leave] * 3,  # type: ignore[list-item]
    *[Growth.forget] * 2,  # type: ignore[list-item]
    Growth.revert,  # type: ignore[list-item]
]
