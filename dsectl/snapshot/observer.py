"""Takes snapshots: the disk and the processes for what is there, every node directly for what it answers.

`observe` is one look, for commands. An `Observer`, as any `ClusterObserver`, looks again and again over streams that
stay open, and never raises for what is lost: a cluster may go down, be deleted and come back under other ports
meanwhile. A `Poller` does so in a thread, so that whoever draws never waits for a node.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from cluster.client.blocking import BlockingCluster
from cluster.client.locate import locate
from cluster.client.vitals import Vitals, owned, read_vitals
from cluster.emulator.cluster import processes
from cluster.emulator.home import ClusterFiles, find_home
from cluster.emulator.inspect import cpu_s
from cluster.emulator.linkfaults import faults_readable, readable_faults
from cluster.emulator.members import current
from cluster.emulator.nodefiles import cure, identity_damage
from cluster.errors import ClusterError, Damaged, Unreachable
from dsectl.snapshot.snapshot import NodeSnapshot, Snapshot, judge
from dsectl.ui.faults import fault_json

ANSWER_S = 0.3
"""How long a node may take to answer a poller that looks twice a second."""
COMMAND_ANSWER_S = 1.0
"""How long for a command, which looks once: it must come quickly also when nodes hang."""
SILENT = {"paused": "its process is paused", "stopped": "its process does not run"}
"""What is said of a node that gives no answer, instead of what a client saw of it."""
FIRST_EVENTS = 20
"""How many events of a node the first look fetches."""


def observe(
    files: ClusterFiles,
    client: BlockingCluster,
    *,
    via: str | None = None,
    answer_s: float = COMMAND_ANSWER_S,
    each: dict[str, dict[str, Any]] | None = None,
) -> Snapshot:
    """The cluster now; takes at most `answer_s` and what the disk takes. `each`: the arguments of the nodes' vitals, by
    name; without, no events are fetched. A paused node is not asked, since it cannot answer."""
    at = time.monotonic()
    running = processes(files)
    asked = [name for name, process in running.items() if process.state != "paused"]
    limit = min(answer_s, client.timeout)
    answers = client.ask_all(asked, "vitals", {"limit": 0}, timeout=limit, each=each) if asked else {}
    owns = owned(client.location)
    nodes = {}
    for place in files.record.places:
        name, process, answer = place.name, running[place.name], answers.get(place.name)
        said = None if answer is None else read_vitals(answer)
        vitals = said if isinstance(said, Vitals) else None
        error = said if isinstance(said, ClusterError) else None
        if vitals is None and process.state in SILENT:
            error = Unreachable(f"{name}: {SILENT[process.state]}")
        damage = identity_damage(files, name) if vitals is None and not process.alive else None
        why = f"{damage}; {cure(files.name, name, len(files.nodes))}" if damage is not None else ""
        used_s = cpu_s(process.pid) if process.pid is not None else 0.0
        nodes[name] = NodeSnapshot(name, process, vitals, error, place.zone, place.port, owns.get(name, 0), used_s, why)
    taken = Snapshot(
        files.name,
        at,
        time.time(),
        faults=tuple(fault_json(fault) for fault in readable_faults(files.name)),
        faults_readable=faults_readable(files.name),
    )
    return judge(client.location, nodes, via, taken)


Seen = TypeVar("Seen")
"""What a look finds."""


class ClusterObserver(Generic[Seen]):
    """Looks at one cluster over streams that stay open, and opens them anew when the cluster is another one, or has
    other members. For one thread at a time."""

    def __init__(self, cluster: Callable[[], str], *, answer_s: float = ANSWER_S) -> None:
        """`cluster` is asked before each look, since a shell may turn to another one."""
        self.cluster = cluster
        self.answer_s = answer_s
        self._client: BlockingCluster | None = None

    def look(self) -> Seen:
        """What is there now; takes at most `answer_s` and what the disk takes."""
        raise NotImplementedError

    def open(self) -> tuple[ClusterFiles, BlockingCluster]:
        """The cluster's files and a client of it. Raises what is in the way of one."""
        name = self.cluster()
        files = current(name, find_home())
        location = locate(name)
        if self._client is None or self._client.location != location:
            self.close()
            self._client = BlockingCluster(location)
        return files, self._client

    def lost(self, error: ClusterError | OSError) -> ClusterError:
        """Why there is nothing to look at; an OSError: it was deleted between two looks at its files."""
        self.close()
        return error if isinstance(error, ClusterError) else Damaged(f"its files cannot be read: {error.strerror}")

    def close(self) -> None:
        """End the streams; another look opens them again."""
        if self._client is not None:
            self._client.close()
            self._client = None


class Observer(ClusterObserver[Snapshot]):
    """Looks at all of one cluster; each event of a node is in one snapshot only."""

    def __init__(
        self, cluster: Callable[[], str], via: str | None = None, *, events: bool = True, answer_s: float = ANSWER_S
    ) -> None:
        super().__init__(cluster, answer_s=answer_s)
        self._via = via
        self._events = events
        self._secret = b""
        self._seen: dict[str, dict[str, Any]] = {}  # node: boot epoch and how many of its events were fetched

    def look(self) -> Snapshot:
        """The cluster now."""
        try:
            files, client = self.open()
            if client.location.secret != self._secret:  # another cluster of the same name has other events
                self._seen, self._secret = {}, client.location.secret
            each = {name: self._seen.get(name, {"limit": FIRST_EVENTS}) for name in files.nodes}
            found = observe(files, client, via=self._via, answer_s=self.answer_s, each=each if self._events else None)
        except (ClusterError, OSError) as error:
            self._secret = b""
            return Snapshot(self.cluster(), time.monotonic(), time.time(), self.lost(error))
        for name, node in found.nodes.items():
            if node.vitals is not None:
                self._seen[name] = {"epoch": node.vitals.epoch, "seen": node.vitals.event_count}
        return found


class Poller(Generic[Seen]):
    """A thread that looks again and again, at least every `every_s`."""

    def __init__(
        self, observer: ClusterObserver[Seen], every_s: float, on_snapshot: Callable[[], None], *,
        pause_s: float = 0.0, latest_s: float = 0.0,
    ) -> None:  # fmt: skip
        """`on_snapshot` is called by the thread after each look. A look computes for some milliseconds, which a key on
        a busy machine would feel: it waits for a pause of `pause_s` since the last `touched`, but not beyond
        `latest_s`."""
        self._observer = observer
        self._every_s = every_s
        self._on_snapshot = on_snapshot
        self._pause_s = pause_s
        self._latest_s = latest_s
        self._lock = threading.Lock()
        self._taken: list[Seen] = []
        self._wake = threading.Event()
        self.is_ending = False
        self._touched_at = float("-inf")
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="status poller", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def take(self) -> list[Seen]:
        """The snapshots since the last call, oldest first. Raises what ended the thread, if something did."""
        with self._lock:
            taken, self._taken = self._taken, []
        if self._error is not None:
            raise self._error
        return taken

    def hurry(self) -> None:
        """Look now: something was done."""
        self._wake.set()

    def touched(self) -> None:
        """A key was pressed."""
        self._touched_at = time.monotonic()

    def stop(self) -> None:
        """End; takes at most as long as one look."""
        self.is_ending = True
        self._wake.set()
        self._thread.join(2 * ANSWER_S)

    def _run(self) -> None:
        try:
            while not self.is_ending:
                due = time.monotonic() + self._every_s
                snapshot = self._observer.look()
                with self._lock:
                    self._taken.append(snapshot)
                self._on_snapshot()
                latest = time.monotonic() + self._latest_s
                while not self._wake.wait(max(0.0, due - time.monotonic())):  # `hurry` ends it
                    due = min(self._touched_at + self._pause_s, latest)
                    if due <= time.monotonic():
                        break
                self._wake.clear()
        except BaseException as error:
            self._error = error
            self._on_snapshot()
        finally:
            self._observer.close()
