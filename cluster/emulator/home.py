"""The state directory: which files lie where.

    HOME/locks/NAME                 held while a command changes the cluster NAME; deleted with it, by the holder
    HOME/locks/.ports               held while ports are chosen
    HOME/clusters/NAME/             one cluster; appears and disappears by rename, so that nobody sees half of one
        cluster.json                what it was made with, and its places
        layout.json  secret         what a client needs (cluster/client/locate.py)
        faults.json                 the faults (cluster/faults)
        leash                       a FIFO, where the cluster is leashed
        nodes/n1/                   one node: lock, node.log, layout.json, boot.json, and its data

`DSECTL_HOME` overrides the platform's user state directory.
"""

from dataclasses import dataclass
from pathlib import Path

from cluster.client.locate import SECRET_BYTES, SECRET_FILE, Address, cluster_folder, home
from cluster.emulator.disk import read
from cluster.emulator.spec import ClusterRecord, decode_record
from cluster.errors import Damaged, NotFound, UnknownCluster

RECORD_FILE, FAULTS_FILE, LEASH_FILE = "cluster.json", "faults.json", "leash"
NODE_LAYOUT_FILE, NODE_BOOT_FILE, NODE_LOCK_FILE, NODE_LOG_FILE = "layout.json", "boot.json", "lock", "node.log"
NEW, OLD = ".new-", ".old-"  # a cluster's name never begins with a dot


@dataclass(frozen=True)
class Home:
    """One state directory; it need not exist."""

    folder: Path

    def cluster(self, name: str) -> Path:
        """The folder of a cluster, whether it exists or not; Usage for what cannot be a name."""
        cluster_folder(name)
        return self.folder / "clusters" / name

    def lock(self, name: str) -> Path:
        """The lock of a cluster."""
        return self.folder / "locks" / name

    @property
    def ports_lock(self) -> Path:
        """The lock under which ports are chosen."""
        return self.folder / "locks" / ".ports"

    def names(self) -> list[str]:
        """The clusters that exist, damaged ones too, sorted."""
        return [name for name in self.entries() if not name.startswith(".")]

    def locks(self) -> list[str]:
        """The names under which locks lie, that for ports left out."""
        try:
            return sorted(entry.name for entry in (self.folder / "locks").iterdir() if not entry.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def entries(self) -> list[str]:
        """The names in the folder of clusters, sorted; with a dot first, what an interrupted command left."""
        try:
            return sorted(entry.name for entry in (self.folder / "clusters").iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []


def find_home() -> Home:
    """The state directory of this user."""
    return Home(Path(home()))


@dataclass(frozen=True)
class ClusterFiles:
    """One cluster on disk, readable as a whole."""

    folder: Path
    record: ClusterRecord
    secret: bytes

    def __repr__(self) -> str:  # the secret stays out of logs and tracebacks
        return f"ClusterFiles({str(self.folder)!r})"

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.record.name

    @property
    def nodes(self) -> list[str]:
        """The nodes' names, in the order of their places."""
        return [place.name for place in self.record.places]

    @property
    def addresses(self) -> dict[str, Address]:
        """Where each node listens."""
        return {place.name: ("127.0.0.1", place.port) for place in self.record.places}

    @property
    def secret_path(self) -> Path:
        """Where the secret is."""
        return self.folder / SECRET_FILE

    def node(self, name: str) -> Path:
        """A node's folder; NotFound for a name that is none."""
        if name not in self.nodes:
            raise NotFound(f"cluster {self.name!r} has no node called {name!r}", help="`dsectl members` lists them.")
        return self.folder / "nodes" / name

    def log(self, name: str) -> Path:
        """A node's log."""
        return self.node(name) / NODE_LOG_FILE


def load_cluster(name: str, home: Home | None = None) -> ClusterFiles:
    """The files of cluster `name`. Raises UnknownCluster, or Damaged naming the file that is missing or unreadable."""
    folder = (home or find_home()).cluster(name)
    if not folder.is_dir():
        raise UnknownCluster(f"no cluster is called {name!r}")
    try:
        record = decode_record(read(folder / RECORD_FILE))
        if record.name != name:
            raise Damaged(f"{folder / RECORD_FILE} is of cluster {record.name!r}")
        secret = read(folder / SECRET_FILE)
        if len(secret) != SECRET_BYTES:
            raise Damaged(f"{folder / SECRET_FILE} has {len(secret)} bytes instead of {SECRET_BYTES}")
    except Damaged as error:
        help = f"Restore this one file from a copy; what the nodes hold in {folder / 'nodes'} is not touched by it."
        raise Damaged(error.message, help=help) from error
    return ClusterFiles(folder, record, secret)


def node_folders(folder: Path) -> dict[str, Path]:
    """The folders of all nodes of a cluster, as the disk has them: for damaged clusters too."""
    try:
        return {path.name: path for path in sorted((folder / "nodes").iterdir()) if path.is_dir()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
