"""Whether nodes that were started, and the others, hold all that each announced in its present boot.

Then a request straight behind `up` or `restart` finds what they offer. Each is asked what it announced and what it
holds (`node/ready.py`); those that are behind are asked again, with what they must hold.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError, HandshakeRefused, Usage

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster

SLICE_S = 0.5
"""How long one question may wait at a node before this side looks whether its process still lives."""
REDIAL_S = 0.01

Held = Sequence[Any]


class Knowledge:
    """Who must hold the announcements of whom: each of `started` those of all, and all those of `started`.

    `apart(one, other)` says which pairs cannot hear each other, and need not. Pure: fed with answers to `ready`.
    """

    def __init__(
        self,
        started: Sequence[str],
        others: Sequence[str],
        apart: Callable[[str, str], bool] = lambda one, other: False,
    ) -> None:
        names = list(dict.fromkeys([*started, *others]))
        new = dict.fromkeys(started)
        self.wanted: dict[str, list[str]] = {
            name: [other for other in names if (name in new or other in new) and not apart(name, other)]
            for name in names
        }
        """By node: of whom it must hold the announcements, itself included when it was started."""
        self.announced: dict[str, Held] = {}
        self._held: dict[str, Mapping[str, Held]] = {}

    def question(self, name: str) -> dict[str, Held | None]:
        """What to ask `name` to wait for."""
        return {other: self.announced.get(other) for other in self.wanted[name]}

    def answered(self, name: str, holds: Mapping[str, Held]) -> None:
        """What `name` holds now, and what it announced itself."""
        self._held[name] = holds
        if name in holds:
            self.announced[name] = holds[name]

    def behind(self) -> list[tuple[str, str]]:
        """(node, of whom it does not hold everything yet)."""
        return [(name, other) for name, others in self.wanted.items() for other in others if self._lacks(name, other)]

    def late(self) -> list[str]:
        """Those that are behind."""
        return list(dict.fromkeys(name for name, _ in self.behind()))

    def _lacks(self, name: str, other: str) -> bool:
        held = self._held.get(name, {}).get(other)
        announced = self.announced.get(other)
        if held is None or announced is None or held[0] < announced[0]:
            return True
        versions = held[1]
        return held[0] == announced[0] and any(versions.get(kind, 0) < one for kind, one in announced[1].items())


def wait_known(
    client: "BlockingCluster", knowledge: Knowledge, deadline: float, check: Callable[[list[str]], None]
) -> list[tuple[str, str]]:
    """Ask until nobody is behind, or the deadline passes: who is behind then. `check` is given those that are, between
    two rounds, and may raise."""
    late = list(knowledge.wanted)
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return knowledge.behind()
        rounds: dict[str, list[str]] = {}
        for name in late:  # nearly always all the same question
            rounds.setdefault(repr(knowledge.question(name)), []).append(name)
        for names in rounds.values():
            question = {"layout": 1, "holds": knowledge.question(names[0])}
            said = client.ask_all(names, "ready", question, min(SLICE_S, max(0.05, deadline - time.monotonic())))
            for name, answer in said.items():
                if isinstance(answer, Usage | HandshakeRefused):
                    raise answer  # it will not get better
                if not isinstance(answer, ClusterError):
                    knowledge.answered(name, answer["holds"])
        late = knowledge.late()
        if not late:
            return []
        check(late)
        time.sleep(REDIAL_S)
