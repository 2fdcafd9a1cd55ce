"""The line below the prompt: what is known of the cluster without asking, and what is said when it goes or comes.

A thread asks now and then, and everybody reads its last answer: a key press must never wait for a node.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.errors import UnknownCluster
from dsectl.cli.invocation import Session
from dsectl.script.execution import carry_out
from dsectl.ui.text import count

LOOK_EVERY_S = 1.0
LOOK_S = 0.8
"""How long one look may take."""
KEYS_PAUSE_S = 0.3
"""A look computes for some milliseconds, which a key on a busy machine would feel: it waits for so long a pause."""
LOOK_LATEST_S = 3.0
"""But no longer than this after the last one, however fast the keys come."""


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


class StatusPoller:
    """Looks at the cluster in use once a second, in a thread of its own."""

    def __init__(self, cluster: Callable[[], str], on_change: Callable[[ClusterView, ClusterView], None]) -> None:
        """`on_change` is called with the old view and the new one, by the thread."""
        self.view = ClusterView()
        self._cluster = cluster
        self._on_change = on_change
        self._wake = threading.Event()
        self._ending = False
        self._touched_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="shell watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; it may take as long as one look."""
        self._ending = True
        self._wake.set()
        self._thread.join(2 * LOOK_S)

    def hurry(self) -> None:
        """Look now: something was done."""
        self._wake.set()

    def touched(self) -> None:
        """A key was pressed."""
        self._touched_at = time.monotonic()

    def _run(self) -> None:
        session = Session()
        while not self._ending:
            cluster = self._cluster()
            if cluster != session.cluster or not self.view.serves:  # connections that work are kept
                session.close()
                session = Session(cluster)
            before, self.view = self.view, look(session)
            if self.view != before and not self._ending:
                self._on_change(before, self.view)
            self._rest()
            self._wake.clear()
        session.close()

    def _rest(self) -> None:
        """Until the next look is due, or `hurry` was called."""
        wait_s, latest = LOOK_EVERY_S, time.monotonic() + LOOK_LATEST_S
        while wait_s > 0 and not self._wake.wait(wait_s):
            wait_s = min(self._touched_at + KEYS_PAUSE_S, latest) - time.monotonic()


def look(session: Session) -> ClusterView:
    """Ask now."""
    cluster = session.cluster or ""
    found = carry_out(["status"], session, timeout_s=LOOK_S)
    if found.code or not isinstance(found.value, dict):
        unknown = found.reported is not None and found.reported.get("code") == UnknownCluster.code
        return ClusterView(cluster, "none" if unknown else "lost")
    status = found.value
    nodes: dict[str, Any] = status["nodes"]
    alive = sum(node["state"] in ("running", "catching-up", "recovering") for node in nodes.values())
    if not alive:
        return ClusterView(cluster, "lost", tuple(nodes))
    hints = sum(node.get("hints") or 0 for node in nodes.values())
    return ClusterView(cluster, status["verdict"], tuple(nodes), alive, hints, status["faults_active"])


Fragments = list[tuple[str, str]]
"""Text with the style classes of prompt-toolkit."""


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
