"""One look at a cluster: what its processes do, what each node says, which faults there are, and the verdict. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.client.verdict import Serves
from cluster.client.vitals import Vitals

SILENT, PAUSED, STOPPED = "silent", "paused", "stopped"
USABLE = ("alive", "leaving")
"""Whom a viewer counts on; see dsectl/commands/status.py."""


@dataclass(frozen=True)
class NodeSight:
    """One node. `vitals` is None when it gave no answer; `silence` says why."""

    process: str
    vitals: Vitals | None = None
    silence: str = ""
    zone: str = ""
    owned: int = 0
    """Partitions."""
    cpu_s: float = 0.0
    """Processor time since its boot; 0 where it is not known."""
    rss_mb: float = 0.0

    @property
    def state(self) -> str:
        """What a person wants to know first: what its process does, then what it says of itself."""
        if self.process in (STOPPED, PAUSED):
            return self.process
        if self.vitals is not None:
            return self.vitals.state
        return SILENT if self.process == "running" else self.process

    @property
    def note(self) -> str:
        """What explains the state."""
        if self.vitals is None:
            return self.silence if self.state == SILENT else ""
        if self.vitals.full:
            return f"refuses writes, its disk is full: {self.vitals.full}"
        if self.vitals.recovering:
            return f"completing {len(self.vitals.recovering)} partitions"
        return self.vitals.reason


@dataclass(frozen=True)
class Sight:
    """The cluster at `at` (monotonic seconds) and `wall` (Unix seconds). `lost` says why there is none to look at."""

    cluster: str
    at: float
    wall: float
    lost: str = ""
    nodes: Mapping[str, NodeSight] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()
    """All since `up`, as `faults --json` has them, without their receipts."""
    colour: str = ""
    reason: str = ""
    viewer: str = ""
    layout: int = 0

    @property
    def answering(self) -> int:
        """How many nodes gave an answer."""
        return sum(node.vitals is not None for node in self.nodes.values())

    def hints(self) -> dict[str, int]:
        """The copies that wait, by the owner that they are for, in the order of the nodes."""
        found = dict.fromkeys(self.nodes, 0)
        for node in self.nodes.values():
            for target, number in (node.vitals.hints if node.vitals else {}).items():
                found[target] = found.get(target, 0) + number
        return {target: number for target, number in found.items() if number}


def pick_viewer(nodes: Mapping[str, NodeSight], wanted: str | None) -> str:
    """Whose view of the others the verdict takes: the wanted one, or the first that answers; empty when nobody does."""
    for name in [wanted] if wanted else nodes:
        if name in nodes and nodes[name].vitals is not None:
            return name
    return ""


def serving(nodes: Mapping[str, NodeSight], viewer: str) -> dict[str, Serves]:
    """Who votes, as far as the viewer counts on them."""
    vitals = nodes[viewer].vitals if viewer else None
    sees = vitals.sees if vitals is not None else {}
    return {name: _serves(node, sees.get(name, "alive")) for name, node in nodes.items()}


def _serves(node: NodeSight, seen_as: str) -> Serves:
    if node.vitals is None or node.process != "running" or seen_as not in USABLE:
        return Serves(runs=False)
    return Serves(
        True, node.vitals.state != "catching-up", frozenset(node.vitals.recovering), full=bool(node.vitals.full)
    )
