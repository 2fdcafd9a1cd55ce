"""The state directory: which files lie where.

    HOME/locks/NAME                 held while a command changes the cluster NAME; deleted with it, by the holder
    HOME/locks/.ports-UID           held while ports are chosen, by a user among whose clusters they must differ
    HOME/clusters/NAME/             one cluster; appears and disappears by rename, so that nobody sees half of one
        cluster.json                what it was made with, and its places
        layout.json  secret         what a client needs (cluster/client/locate.py)
        faults.json                 the faults (cluster/faults)
        leash                       a FIFO, where the cluster is leashed
        nodes/n1/                   one node: lock, node.log, layout.json, boot.json, and its data
        nodes/n1/workers/2/         its worker n1/2: lock, worker.log, worker.json (what it serves), key

`DSECTL_HOME` overrides the platform's user state directory.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cluster.client.locate import (
    LAYOUT_FILE,
    SECRET_BYTES,
    SECRET_FILE,
    Address,
    check_reachable,
    cluster_folder,
    home,
    is_reachable,
)
from cluster.emulator.disk import read
from cluster.emulator.spec import ClusterRecord, decode_record
from cluster.errors import Damaged, NotFound, UnknownCluster
from cluster.layout.entry import NAME
from cluster.wire.rights import gateway_password

RECORD_FILE, FAULTS_FILE, LEASH_FILE = "cluster.json", "faults.json", "leash"
NODE_LAYOUT_FILE, NODE_BOOT_FILE, NODE_LOCK_FILE, NODE_LOG_FILE = "layout.json", "boot.json", "lock", "node.log"
NODES_FOLDER = "nodes"
NODE_CHAIN_FOLDER = "chain"
WORKERS_FOLDER, WORKER_LOG_FILE = "workers", "worker.log"
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
        return self.folder / "locks" / f".ports-{os.getuid()}"

    def names(self) -> list[str]:
        """The clusters that exist, damaged ones too, sorted. What else lies there, or belongs to another user, is
        passed over."""
        return [name for name in self.entries() if NAME.fullmatch(name) and is_cluster(self.cluster(name))]

    def locks(self) -> list[str]:
        """The names under which locks lie, that for ports left out."""
        return [name for name in _listed(self.folder / "locks") if not name.startswith(".")]

    def entries(self) -> list[str]:
        """The names in the folder of clusters, sorted; with a dot first, what an interrupted command left. Raises
        Damaged for a folder that this user may not read."""
        folder = self.folder / "clusters"
        check_reachable(str(folder))
        return _listed(folder)


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def is_cluster(folder: Path) -> bool:
    """Whether a folder that this user can work in holds a cluster, or what is left of one. A link to one is none: under
    two names it would be ended and deleted twice."""
    if folder.is_symlink() or not (folder.is_dir() and is_reachable(str(folder))):
        return False
    return any((folder / part).exists() for part in (RECORD_FILE, LAYOUT_FILE, SECRET_FILE, NODES_FOLDER))


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
    def gateways(self) -> dict[str, dict[str, str]]:
        """Where each gateway listens, by its name and then by node; `any` is the address that all nodes share."""
        found: dict[str, dict[str, str]] = {}
        for name in self.record.spec.gateways():
            at = found[name] = {
                place.name: f"127.0.0.1:{place.gateways[name]}"
                for place in self.record.places
                if name in place.gateways
            }
            if name in self.record.shared_ports:
                at["any"] = f"127.0.0.1:{self.record.shared_ports[name]}"
        return found

    @property
    def gateway_password(self) -> str:
        """What clients of the gateways give."""
        return gateway_password(self.secret)

    @property
    def gateway_variables(self) -> dict[str, str]:
        """What unmodified programs read from their environment: addresses with the password in them."""
        found: dict[str, str] = {}
        http = self.gateways.get("http")
        if http:
            at = http.get("any") or next(iter(http.values()))
            found["DSECTL_HTTP_URL"] = f"http://dsectl:{self.gateway_password}@{at}"
        nats = self.gateways.get("nats")
        if nats:
            found["NATS_URL"] = f"nats://{self.gateway_password}@{nats.get('any') or next(iter(nats.values()))}"
        redis = self.gateways.get("redis")
        if redis:
            found["REDIS_URL"] = f"redis://:{self.gateway_password}@{redis.get('any') or next(iter(redis.values()))}/0"
        sqs = self.gateways.get("sqs")
        if sqs:
            found |= {
                "AWS_ENDPOINT_URL_SQS": f"http://{sqs.get('any') or next(iter(sqs.values()))}",
                "AWS_ACCESS_KEY_ID": "dsectl",
                "AWS_SECRET_ACCESS_KEY": self.gateway_password,
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        return found

    @property
    def secret_path(self) -> Path:
        """Where the secret is."""
        return self.folder / SECRET_FILE

    def node(self, name: str) -> Path:
        """A node's folder; NotFound for a name that is none."""
        if name not in self.nodes:
            raise NotFound(
                f"cluster {self.name!r} has no node called {name!r}", help="`dsectl members` lists the nodes."
            )
        return self.folder / NODES_FOLDER / name

    def log(self, name: str) -> Path:
        """The log of a node, or of a worker."""
        return self.worker(name) / WORKER_LOG_FILE if "/" in name else self.node(name) / NODE_LOG_FILE

    def worker(self, endpoint: str) -> Path:
        """The folder of a worker that `serve` started, as n2/1; NotFound for a name that is none."""
        node, _, number = endpoint.partition("/")
        folder = self.node(node) / WORKERS_FOLDER / number
        if not number.isdecimal() or not folder.is_dir():
            raise NotFound(f"cluster {self.name!r} has no worker {endpoint!r}", help="`dsectl status` lists them.")
        return folder

    def workers(self) -> dict[str, Path]:
        """The folders of all workers that `serve` started, by endpoint."""
        return {
            f"{name}/{folder.name}": folder
            for name in self.nodes
            for folder in worker_folders(self.folder / NODES_FOLDER / name)
        }


def load_cluster(name: str, home: Home | None = None) -> ClusterFiles:
    """The files of cluster `name`. Raises UnknownCluster, or Damaged naming the file that is missing or unreadable."""
    folder = (home or find_home()).cluster(name)
    check_exists(folder)
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


def check_exists(folder: Path) -> None:
    """Raises UnknownCluster when there is no cluster in a folder, Damaged when it is another user's."""
    check_reachable(str(folder))
    if not is_cluster(folder):
        raise UnknownCluster(f"unknown cluster {folder.name!r}")


def node_folders(folder: Path) -> dict[str, Path]:
    """The folders of all nodes of a cluster, as the disk has them: for damaged clusters too."""
    nodes = folder / NODES_FOLDER
    return {name: nodes / name for name in _listed(nodes) if name[0] != "." and (nodes / name).is_dir()}


def worker_folders(node: Path) -> list[Path]:
    """The folders of a node's workers, in the order of their numbers."""
    names = [name for name in _listed(node / WORKERS_FOLDER) if name.isdecimal()]
    return [node / WORKERS_FOLDER / name for name in sorted(names, key=int)]
