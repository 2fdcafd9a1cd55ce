"""What a cluster is made with: the options of `up`, and `cluster.json`, which remembers them with the places chosen."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from cluster.config import NodeSettings, node_settings
from cluster.errors import Damaged, Usage
from cluster.layout import LayoutEntry, LayoutMember

NODES_MAX: Final = 200  # each is a process of 28 MB; so many start within the 30 s of `up` on two busy cores
DEFAULTS: Final = {
    "nodes": 5,
    "zones": 1,
    "replication": "3/2/2",
    "profile": "local",
    "durability": "interval",
    "store": "memory",
}
GATEWAYS: Final = ("http", "nats", "redis", "sqs")


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `up`. None is *not said*: the default for a new cluster, whatever it has for one that exists."""

    name: str
    nodes: int | None = None
    zones: int | None = None
    """How many zones; nodes take them in turn: n1 in z1, n2 in z2…"""
    replication: str | None = None
    profile: str | None = None
    durability: str | None = None
    store: str | None = None
    gateway: str | None = None
    """The gateways of each node, as NAME or NAME:PORT between commas; the port is that of n1. Empty: none."""
    base_port: int | None = None
    """The port of n1; the others follow. None: chosen."""
    ttl_s: float | None = None
    """Seconds until the nodes end themselves, counted from each `up`."""

    def resolved(self) -> "ClusterSpec":
        """With the defaults filled in; Usage when a value cannot be."""
        unsaid = {field: value for field, value in DEFAULTS.items() if getattr(self, field) is None}
        spec = msgspec.structs.replace(self, **unsaid)
        spec._validate()
        return spec

    def _validate(self) -> None:
        nodes, zones = self.nodes or 0, self.zones or 0
        if not 1 <= nodes <= NODES_MAX:
            raise Usage(f"a cluster has 1 to {NODES_MAX} nodes, not {nodes}")
        if not 1 <= zones <= nodes:
            raise Usage(f"{nodes} nodes make 1 to {nodes} zones, not {zones}")
        if self.base_port is not None and not 1024 <= self.base_port <= 65536 - nodes:
            raise Usage(f"{nodes} ports from {self.base_port} on: they must lie from 1024 to 65535")
        if self.ttl_s is not None and not 0 < self.ttl_s < float("inf"):
            raise Usage("the time to live must be above 0")
        self.gateways()
        self.settings()

    def gateways(self) -> dict[str, int | None]:
        """The gateways of each node, with the port of n1's or None for any. Raises Usage."""
        found: dict[str, int | None] = {}
        for part in (self.gateway or "").split(",") if self.gateway else ():
            name, colon, port = part.strip().partition(":")
            if name not in GATEWAYS:
                raise Usage(f"unknown gateway {name!r}: expected {' or '.join(GATEWAYS)}")
            if name in found:
                raise Usage(f"gateway {name} is named twice")
            if colon and not (port.isascii() and port.isdigit()):
                raise Usage(f"invalid port {port!r} of gateway {name}: expected as in {name}:6379")
            found[name] = int(port) if colon else None
            first = found[name]
            if first is not None and not 1024 <= first <= 65536 - (self.nodes or 1):
                raise Usage(f"{self.nodes} ports from {first} on: they must lie from 1024 to 65535")
        return found

    def settings(self) -> NodeSettings:
        """What each node is started with."""
        spec = self
        return node_settings(
            spec.profile or "local", spec.replication, spec.durability or "interval", spec.store or "memory"
        )


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a node lives: its name, its zone, its ports on the loopback."""

    name: str
    zone: str
    port: int
    gateways: dict[str, int] = {}
    """The port of each of its gateways."""


class ClusterRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `cluster.json`."""

    name: str
    spec: ClusterSpec
    places: list[Place]
    created: str
    """RFC 3339."""
    shared_ports: dict[str, int] = {}
    """The port of each gateway on which all nodes listen, where the system has such ports."""
    started: str = ""
    """The last `up`, RFC 3339."""
    expires_at: float | None = None
    """Unix time at which the nodes end themselves."""

    def entry(self) -> LayoutEntry:
        """Layout 1: the places, with the quorums of the specification."""
        quorum = self.spec.settings().replication
        members = tuple(LayoutMember(place.name, place.zone, "127.0.0.1", place.port) for place in self.places)
        entry = LayoutEntry(1, self.name, members, quorum.n, quorum.r, quorum.w)
        entry.validate()
        return entry


def places(spec: ClusterSpec, ports: list[int]) -> list[Place]:
    """The places of a resolved specification: n1, n2… over the zones in turn."""
    zones = spec.zones or 1
    return [Place(f"n{index + 1}", f"z{index % zones + 1}", port) for index, port in enumerate(ports)]


def check_same(asked: ClusterSpec, record: ClusterRecord) -> None:
    """Raise Usage when `up` of a stopped cluster says other options than it was made with."""
    for field in ("nodes", "zones", "replication", "profile", "durability", "store", "gateway", "base_port"):
        wanted, made = getattr(asked, field), getattr(record.spec, field)
        if field == "nodes":
            made = len(record.places)  # some may have joined or left
        if field == "base_port":
            made = record.places[0].port
        if wanted is not None and wanted != made:
            option = "--" + field.replace("_", "-")
            made = "none" if made is None else made
            raise Usage(
                f"cluster {record.name!r} was made with {option} {made}, not {wanted}",
                help=f"Leave {option} out to start it as it is, or `dsectl rm {record.name}` and make it anew.",
            )


def timestamp() -> str:
    """Now, as RFC 3339 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_decoder = msgspec.json.Decoder(ClusterRecord)


def encode_record(record: ClusterRecord) -> bytes:
    """The record as readable JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def decode_record(blob: bytes) -> ClusterRecord:
    """The record that `blob` holds; Damaged for anything else."""
    try:
        record = _decoder.decode(blob)
        record.spec._validate()
        record.entry()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Usage) as error:
        raise Damaged(f"cluster.json cannot be read: {error}") from error
    return record
