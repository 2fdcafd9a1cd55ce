"""Takes looks: disk and processes for what is there, every node directly for what it says. Never raises for what is
lost: a cluster may go down, be deleted and come back under other ports while somebody watches.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from cluster.client.blocking import BlockingCluster
from cluster.client.locate import Location, locate
from cluster.client.verdict import judge_layout
from cluster.client.vitals import Vitals, owned, read_vitals
from cluster.emulator.cluster import processes
from cluster.emulator.home import ClusterFiles, load_cluster
from cluster.emulator.inspect import NodeProcess, cpu_s
from cluster.emulator.linkfaults import faults
from cluster.errors import ClusterError
from dsectl.commands.status import reason
from dsectl.snapshot.sight import NodeSight, Sight, pick_viewer, serving
from dsectl.ui.faults import fault_json

ANSWER_S = 0.3
"""How long a node may take to answer; one that takes longer is shown as silent. A look every half second allows no
more."""
FIRST_EVENTS = 20
"""How many events of a node are told in the first look."""


class Observer:
    """Looks at one cluster. For one thread at a time."""

    def __init__(self, cluster: str, via: str | None = None) -> None:
        self.cluster = cluster
        self.via = via
        self._client: BlockingCluster | None = None
        self._seen: dict[str, tuple[int, int]] = {}  # node: boot epoch and the events of it that were told
        self._owned: dict[str, int] = {}

    def look(self) -> Sight:
        """The cluster now; takes at most ANSWER_S and what the disk takes."""
        try:
            files = load_cluster(self.cluster)
            location = locate(self.cluster)
            client = self._client_of(location)
            running = processes(files)
            answers = client.ask_all(None, "vitals", timeout=ANSWER_S, each=self._questions(files))
            zones = {place.name: place.zone for place in files.record.places}
            nodes = {name: self._node(name, zones[name], process, answers[name]) for name, process in running.items()}
            return self._sight(files, location, nodes)
        except (ClusterError, OSError) as error:  # OSError: deleted between two looks at its files
            self.close()
            lost = error.message if isinstance(error, ClusterError) else f"its files cannot be read: {error.strerror}"
            return Sight(self.cluster, time.monotonic(), time.time(), lost=lost)

    def close(self) -> None:
        """End the streams; another look opens them again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _client_of(self, location: Location) -> BlockingCluster:
        """The streams; new ones when the cluster is another one of the same name, or has other members."""
        if self._client is not None and self._client.location != location:
            self.close()
        if self._client is None:
            self._client = BlockingCluster(location)
            self._seen = {}
            self._owned = owned(location.entry) if location.entry is not None else {}
        return self._client

    def _questions(self, files: ClusterFiles) -> dict[str, dict[str, Any]]:
        asked: dict[str, dict[str, Any]] = {}
        for name in files.nodes:
            epoch, seen = self._seen.get(name, (0, 0))
            asked[name] = {"epoch": epoch, "seen": seen} if epoch else {"limit": FIRST_EVENTS}
        return asked

    def _sight(self, files: ClusterFiles, location: Location, nodes: dict[str, NodeSight]) -> Sight:
        viewer = pick_viewer(nodes, self.via)
        entry = location.entry
        assert entry is not None  # found by name
        verdict = judge_layout(entry, serving(nodes, viewer))
        return Sight(
            files.name,
            time.monotonic(),
            time.time(),
            nodes=nodes,
            faults=tuple(fault_json(fault) for fault in faults(files.name)),
            colour=verdict.colour,
            reason=reason(verdict, entry.replicas, viewer),
            viewer=viewer,
            layout=location.layout,
        )

    def _node(self, name: str, zone: str, process: NodeProcess, answer: Any) -> NodeSight:
        said = read_vitals(answer)
        vitals = said if isinstance(said, Vitals) else None
        if vitals is not None:
            self._seen[name] = (vitals.epoch, vitals.event_count)
        return NodeSight(
            process.state,
            vitals,
            said.message.removeprefix(f"{name}: ") if isinstance(said, ClusterError) else "",
            zone,
            self._owned.get(name, 0),
            cpu_s(process.pid) if process.pid is not None else 0.0,
            process.rss_mb,
        )


class Watcher:
    """A thread that looks again and again, so that whoever draws never waits for a node."""

    def __init__(self, observer: Observer, every_s: float, on_sight: Callable[[], None]) -> None:
        """`on_sight` is called by the thread after each look."""
        self._observer = observer
        self._every_s = every_s
        self._on_sight = on_sight
        self._lock = threading.Lock()
        self._sights: list[Sight] = []
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def take(self) -> list[Sight]:
        """The sights since the last call, oldest first. Raises what ended the thread, if something did."""
        with self._lock:
            sights, self._sights = self._sights, []
        if self._error is not None:
            raise self._error
        return sights

    def stop(self) -> None:
        """End; takes at most as long as one look."""
        self._ending.set()
        self._thread.join(2 * ANSWER_S)

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                due = time.monotonic() + self._every_s
                sight = self._observer.look()
                with self._lock:
                    self._sights.append(sight)
                self._on_sight()
                self._ending.wait(max(0.0, due - time.monotonic()))
        except BaseException as error:
            self._error = error
            self._on_sight()
        finally:
            self._observer.close()
