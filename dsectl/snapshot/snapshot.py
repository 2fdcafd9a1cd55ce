"""One observation of a cluster, judged: what each node's process does, what each node answers, and the verdict on both.

The only judge: `status`, `watch`, `health`, `members --matrix`, the shell's toolbar, the demo and the evidence of a
recipe take its words, so that the same observation has the same name everywhere. The verdict is one node's view in one
respect: whom that node, the viewer, suspects or has declared dead does not count, however well it may be, since the
viewer's side does without it. Pure; observer.py looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cluster.client.locate import Location
from cluster.client.verdict import Serves, judge_layout
from cluster.client.vitals import Moving, Vitals
from cluster.emulator.inspect import NodeProcess
from cluster.errors import ClusterError
from dsectl.ui.text import count

USABLE = ("alive", "leaving")
"""In the viewer's table; the replicas that it coordinates avoid all others, suspects too."""


@dataclass(frozen=True)
class NodeSnapshot:
    """One node. `vitals` is its answer, None when there is none; `error` says why then."""

    name: str
    process: NodeProcess
    vitals: Vitals | None = None
    error: ClusterError | None = None
    zone: str = ""
    port: int = 0
    owned: int = 0
    """Partitions."""
    cpu_s: float = 0.0
    """Processor time since its boot; 0 where it is not known."""
    damage: str = ""
    """Why it cannot be started again, and what helps."""
    seen_as: str = ""
    """Its state in the view of the viewer, when that is not one to count on."""
    viewer: str = ""

    @property
    def state(self) -> str:
        """`starting`, `running`, `catching-up`, `recovering`, `paused` or `stopped`. The answer is newer than the look
        at the process, so it goes first; a process that runs and does not answer is starting, for all that can be
        seen."""
        if self.vitals is not None:
            return self.vitals.state
        return "starting" if self.process.state == "running" else self.process.state

    @property
    def note(self) -> str:
        """What explains the state."""
        if self.vitals is None:
            if self.state == "starting":
                return f"does not answer: {self.silence}"
            return f"damaged: {self.damage}" if self.damage else ""
        notes = [f"refuses writes, its disk is full: {self.vitals.full}"] if self.vitals.full else []
        if self.seen_as:
            notes.append(f"{self.seen_as} in the view of {self.viewer}")
        if self.vitals.draining:
            notes.append("draining, takes nothing new")
        return "; ".join([*notes, *([self.vitals.reason] if self.vitals.reason else [])])

    @property
    def silence(self) -> str:
        """Why there is no answer, without the node's name."""
        return self.error.message.removeprefix(f"{self.name}: ") if self.error is not None else ""

    @property
    def problems(self) -> list[str]:
        """What it lacks, as it says itself; of one that does not answer, that. Empty when it is healthy."""
        return self.vitals.problems if self.vitals is not None else [self.silence]

    @property
    def serves(self) -> Serves:
        """What it does for the cluster, as far as the viewer counts on it."""
        if self.vitals is None or self.seen_as:
            return Serves(runs=False)
        return Serves(
            True, self.vitals.state != "catching-up", frozenset(self.vitals.recovering), full=bool(self.vitals.full)
        )

    def to_json(self) -> dict[str, Any]:
        """What `status --json` prints of it."""
        fields: dict[str, Any] = {"state": self.state, "pid": self.process.pid, "port": self.port, "zone": self.zone}
        fields |= {"rss_mb": self.process.rss_mb, "note": self.note, "answers": self.vitals is not None}
        if self.vitals is not None:
            said, moved = self.vitals, {key: total for key, total in self.vitals.totals.items() if "moved" in key}
            fields |= {"epoch": said.epoch, "hints": sum(said.hints.values()), "draining": said.draining, **moved}
            fields["storage"] = said.storage
            if said.gateways:
                fields["gateways"] = said.gateways
        return fields


@dataclass(frozen=True)
class Snapshot:
    """The cluster as it was seen from `at` (monotonic seconds) to `wall` (Unix seconds). `lost` says why there is none
    to look at."""

    cluster: str
    at: float
    wall: float
    lost: ClusterError | None = None
    nodes: Mapping[str, NodeSnapshot] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()
    """All since `up`, as `faults --json` has them, without their receipts."""
    faults_readable: bool = True
    verdict: str = ""
    """green, amber or red."""
    reason: str = ""
    viewer: str = ""
    """Whose view of the others the verdict takes; empty when nobody answers."""
    layout: int = 0
    voting_owners: Mapping[int, int] = field(default_factory=dict)
    """How many partitions have so many owners that vote."""

    @property
    def answering(self) -> int:
        """How many nodes gave an answer."""
        return sum(node.vitals is not None for node in self.nodes.values())

    @property
    def silent(self) -> dict[str, ClusterError]:
        """Those that gave none, and why."""
        return {name: node.error for name, node in self.nodes.items() if node.error is not None}

    @property
    def faults_active(self) -> int:
        """How many faults are in force."""
        return sum(fault["active"] for fault in self.faults)

    @property
    def settled(self) -> bool:
        """Every node runs, and no copy waits for another one."""
        return bool(self.nodes) and not self.hints() and all(node.state == "running" for node in self.nodes.values())

    @property
    def healthy(self) -> bool:
        """Every node answers and lacks nothing."""
        return not any(node.problems for node in self.nodes.values())

    @property
    def matrix(self) -> dict[str, dict[str, str]]:
        """Who sees whom how; observers that do not answer are left out."""
        return {name: node.vitals.sees for name, node in self.nodes.items() if node.vitals is not None}

    @property
    def moving(self) -> Moving | None:
        """The change of members that is under way, as the node says that has the newest layout."""
        told = [node.vitals for node in self.nodes.values() if node.vitals is not None]
        return max(told, key=lambda vitals: vitals.layout).moving if told else None

    def hints(self) -> dict[str, int]:
        """The copies that wait, by the owner that they are for, in the order of the nodes."""
        found = dict.fromkeys(self.nodes, 0)
        for node in self.nodes.values():
            for target, number in (node.vitals.hints if node.vitals else {}).items():
                found[target] = found.get(target, 0) + number
        return {target: number for target, number in found.items() if number}

    def queues(self) -> dict[str, dict[str, int]]:
        """Of each queue what the nodes that answer say of the shards that they give out, together."""
        found: dict[str, dict[str, int]] = {}
        for node in self.nodes.values():
            for name, said in (node.vitals.queues if node.vitals else {}).items():
                total = found.setdefault(name, {})
                for what, number in said.items():
                    total[what] = total.get(what, 0) + number
        return dict(sorted(found.items()))

    def to_json(self) -> dict[str, Any]:
        """What `status --json` prints."""
        moving = self.moving
        return {
            "cluster": self.cluster,
            "verdict": self.verdict,
            "reason": self.reason,
            "view": self.viewer,
            "ready_s": None,
            "nodes": {name: node.to_json() for name, node in self.nodes.items()},
            "layout": self.layout,
            "moving": f"{moving.what}: {'; '.join(moving.waits_for[:3]) or 'about to end'}" if moving else "",
            "moves": moving,
            "voting_owners": {str(voters): partitions for voters, partitions in self.voting_owners.items()},
            "faults_active": self.faults_active,
        }


def judge(location: Location, nodes: Mapping[str, NodeSnapshot], via: str | None, taken: Snapshot) -> Snapshot:
    """`taken` with its nodes, the viewer (`via`, or the first node that answers) and the verdict filled in."""
    entry = location.entry
    assert entry is not None  # found by name
    candidates = [via] if via else list(nodes)
    viewer = next((name for name in candidates if name in nodes and nodes[name].vitals is not None), "")
    said = nodes[viewer].vitals if viewer else None
    sees = said.sees if said is not None else {}
    seen = {name: sees.get(name, "alive") for name in nodes}
    judged = {
        name: node if seen[name] in USABLE else replace(node, seen_as=seen[name], viewer=viewer)
        for name, node in nodes.items()
    }
    verdict = judge_layout(entry, {name: node.serves for name, node in judged.items()})
    view = f"as {viewer} sees it" if viewer else f"{via} does not answer" if via else "no node answers"
    if verdict.full and verdict.fewest == entry.replicas:
        reason = f"{', '.join(verdict.full)} {'refuses' if len(verdict.full) == 1 else 'refuse'} writes: disk full"
    elif verdict.colour == "green":
        owners = "the owner" if entry.replicas == 1 else f"all {entry.replicas} owners"
        reason = f"{owners} of every partition {'votes' if entry.replicas == 1 else 'vote'}"
    else:
        fewest = f"only {verdict.fewest} of {entry.replicas} voting owners" if verdict.fewest else "no voting owner"
        reason = f"{count(verdict.short, 'partition has', 'partitions have')} {fewest}"
    return replace(
        taken,
        nodes=judged,
        viewer=viewer,
        verdict=verdict.colour,
        reason=f"{reason} ({view})",
        layout=entry.number,
        voting_owners=verdict.by_voters,
    )
