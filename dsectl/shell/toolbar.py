"""The line below the prompt: what the prompt knows of the cluster without asking.

A thread looks now and then, and everybody reads what it saw last, for a key press must never wait for a node.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.errors import UnknownCluster
from dsectl.snapshot.observer import Observer, Poller
from dsectl.snapshot.snapshot import Snapshot
from dsectl.ui.text import count

Fragments = list[tuple[str, str]]
"""Text with the style classes of prompt-toolkit."""

LOOK_EVERY_S = 1.0
KEYS_PAUSE_S = 0.3
LOOK_LATEST_S = 3.0
"""A look waits for a pause of the keys, but no longer than this after the last one, however fast somebody types."""


@dataclass(frozen=True)
class ClusterView:
    """The last answer. `verdict` is empty before the first, `none` without a cluster, `lost` when no node answers."""

    cluster: str = ""
    verdict: str = ""
    nodes: tuple[str, ...] = ()
    alive: int = 0
    hints: int = 0
    faults: int = 0

    @property
    def serves(self) -> bool:
        """A node answers."""
        return self.verdict in ("green", "amber", "red")


def view_of(found: Snapshot) -> ClusterView:
    """What of a snapshot the prompt shows."""
    if found.lost is not None:
        return ClusterView(found.cluster, "none" if isinstance(found.lost, UnknownCluster) else "lost")
    if not found.answering:
        return ClusterView(found.cluster, "lost", tuple(found.nodes))
    hints = sum(found.hints().values())
    return ClusterView(found.cluster, found.verdict, tuple(found.nodes), found.answering, hints, found.faults_active)


class StatusPoller(Poller[Snapshot]):
    """Looks at the cluster in use once a second, in a thread of its own."""

    def __init__(self, cluster: Callable[[], str], on_change: Callable[[ClusterView, ClusterView], None]) -> None:
        """`on_change` gets the old view and the new one, from the thread."""
        self.view = ClusterView()

        def on_snapshot() -> None:
            for found in self.take():
                before, self.view = self.view, view_of(found)
                if self.view != before and not self.is_ending:
                    on_change(before, self.view)

        observer = Observer(cluster, events=False)
        super().__init__(observer, LOOK_EVERY_S, on_snapshot, pause_s=KEYS_PAUSE_S, latest_s=LOOK_LATEST_S)


def toolbar(view: ClusterView, jobs: int, problem: str) -> Fragments:
    """Cluster, verdict, nodes alive, hints waiting, faults, jobs; then what is wrong with the line so far."""
    parts: list[tuple[str, str]] = [("class:bar.cluster", view.cluster or "…")]
    if view.verdict == "":
        parts.append(("class:bar.dim", "looking"))
    elif view.verdict == "none":
        parts.append(("class:bar.dim", "no such cluster: `up` starts one"))
    elif view.verdict == "lost":
        parts.append(("class:bar.red", "no node answers"))
    else:
        alive = f"{view.alive}/{len(view.nodes)} nodes"
        parts += [
            (f"class:bar.{view.verdict}", view.verdict),
            ("class:bar" if view.alive == len(view.nodes) else "class:bar.amber", alive),
        ]
        if view.hints:
            parts.append(("class:bar.amber", count(view.hints, "hint") + " waiting"))
        if view.faults:
            parts.append(("class:bar.amber", count(view.faults, "fault")))
    if jobs:
        parts.append(("class:bar", count(jobs, "job")))
    if problem:
        parts.append(("class:bar.dim", problem))
    fragments: Fragments = []
    for part in parts:
        fragments += [("class:bar", " " if not fragments else "  "), part]
    return fragments


def announcement(before: ClusterView, after: ClusterView) -> str:
    """What to say above the prompt of a change; empty for everyday ones."""
    if before.cluster != after.cluster or not before.verdict:
        return ""
    if before.verdict != "none" and after.verdict == "none":
        return f"cluster {after.cluster} is gone; `up` starts a new one, `ps` lists others"
    if before.serves and after.verdict == "lost":
        return f"no node of {after.cluster} answers any more; `status` shows more, `restart --all` starts them"
    if before.verdict in ("lost", "none") and after.serves:
        return f"cluster {after.cluster} answers: {after.verdict}, {after.alive} of {len(after.nodes)} nodes"
    return ""
