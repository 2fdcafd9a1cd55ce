"""Every parameter of a node, frozen, with its unit in its name and its reason beside it.

Presets are functions (`lan`, `local`); a command line option replaces a field of a preset. `validate` states what must
hold between fields. Nothing here is read from the environment.
"""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cluster.errors import Usage
from cluster.limits import REPLICAS_MAX


class Durability(StrEnum):
    """What an acknowledgement promises about the disk."""

    INTERVAL = "interval"  # given to the kernel before the acknowledgement, synced each second
    ALWAYS = "always"  # synced before the acknowledgement
    NONE = "none"  # given to the kernel before the acknowledgement, which writes it when it likes


class TableKind(StrEnum):
    """Where the rows are, beside the log."""

    MEMORY = "memory"  # all of them
    DISK = "disk"  # in a database, which may be larger than memory


@dataclass(frozen=True)
class MembershipSettings:
    """SWIM and Lifeguard; names and formulas as in hashicorp/memberlist, values in seconds."""

    probe_interval_s: float
    probe_timeout_s: float
    indirect_probes: int
    gossip_interval_s: float
    gossip_nodes: int
    retransmit_mult: int
    suspicion_mult: int
    suspicion_max_mult: int
    push_pull_interval_s: float
    health_score_max: int = 8
    """Lifeguard section IV.A: the local health multiplier saturates here."""
    watch_links: int = 0
    """How many successors (in the ring of names) are watched over an idle stream, whose end tells of a death at
    once."""
    reconnect_interval_s: float = 5.0
    """How often one dead peer is tried again, so that the sides of a healed partition find each other."""
    packet_bytes_max: int = 1400

    def retransmit_limit(self, members: int) -> int:
        """How often one update is sent: mult * ceil(log10(n + 1)), as in memberlist."""
        return self.retransmit_mult * math.ceil(math.log10(members + 1))

    def suspicion_min_s(self, members: int) -> float:
        """The shortest suspicion: mult * max(1, log10(n)) * probe interval, as in memberlist."""
        return self.suspicion_mult * max(1.0, math.log10(max(1, members))) * self.probe_interval_s

    def suspicion_max_s(self, members: int) -> float:
        """The longest suspicion, when nobody confirms."""
        return self.suspicion_max_mult * self.suspicion_min_s(members)


def lan_membership() -> MembershipSettings:
    """The preset of memberlist's DefaultLANConfig, with the suspicion multiplier of DESIGN section 5."""
    return MembershipSettings(
        probe_interval_s=1.0,
        probe_timeout_s=0.5,
        indirect_probes=3,
        gossip_interval_s=0.2,
        gossip_nodes=3,
        retransmit_mult=4,
        suspicion_mult=5,
        suspicion_max_mult=6,
        push_pull_interval_s=15.0,
        reconnect_interval_s=5.0,
    )


def local_membership() -> MembershipSettings:
    """For many nodes on one machine: round trips take microseconds, starved cores are the only delay."""
    return MembershipSettings(
        probe_interval_s=0.4,
        probe_timeout_s=0.2,
        indirect_probes=3,
        gossip_interval_s=0.1,
        gossip_nodes=3,
        retransmit_mult=4,
        suspicion_mult=4,
        suspicion_max_mult=6,
        push_pull_interval_s=10.0,
        watch_links=3,
        reconnect_interval_s=1.0,
    )


@dataclass(frozen=True)
class TransportSettings:
    """Limits and timers of the connections between nodes and from clients."""

    connect_timeout_s: float = 0.5
    handshake_timeout_s: float = 1.0
    prove_timeout_s: float = 0.25
    """What an accepted connection has for its first word, and again for its proof."""
    reconnect_min_s: float = 0.05
    reconnect_max_s: float = 2.0
    """Backoff doubles from min to max, with full jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""
    queue_bytes_max: int = 32 * 1024 * 1024
    """A connection's queue: what finds it over this fails at once instead of waiting."""
    clients_max: int = 512
    idle_close_s: float = 30.0
    """A background lane that carried nothing for so long is closed."""
    slice_messages: int = 64
    """What so many messages of one read have produced leaves before more are looked at."""
    sweep_interval_s: float = 0.02
    """Deadlines are exact to this: one timer sweeps them all. One that is shorter may be late by as much again."""


@dataclass(frozen=True)
class ReplicationSettings:
    """Quorums and hints."""

    n: int = 3
    r: int = 2
    w: int = 2
    write_timeout_s: float = 1.0
    read_timeout_s: float = 1.0
    """What an operation has, however long its client would wait."""
    read_hedge_s: float = 0.05
    """A reader that has no quorum after this asks the remaining owners too."""
    write_hedge_s: float = 0.2
    """A write that has no verdict after this uses fallbacks for the owners that it waits for, be they only slow."""
    hint_bytes_max: int = 256 * 1024 * 1024
    hint_batch: int = 64
    """Hints in flight to one returning owner at a time."""
    hint_retry_s: float = 0.25
    compare: bool = True
    """Owners compare what they hold, and repair what differs, without anybody reading it."""
    compare_interval_s: float = 0.25
    compare_quiet_s: float = 1.0
    """A partition is compared once it was not written for so long: copies under way are no differences."""
    collect: bool = True
    """Tombstones are collected once nothing older can come back."""
    collect_interval_s: float = 0.5


@dataclass(frozen=True)
class StorageSettings:
    """The segmented log."""

    durability: Durability = Durability.INTERVAL
    sync_interval_s: float = 1.0
    segment_bytes: int = 16 * 1024 * 1024
    """The log is cut by whole segments, and a boot has two of them in memory."""
    tables: TableKind = TableKind.MEMORY
    generation_bytes: int = 4 * 1024 * 1024
    """So much is put before tables on the disk are written: a write of it holds the interpreter for some milliseconds,
    and a boot reads twice as much of the log at most."""


@dataclass(frozen=True)
class NodeSettings:
    """Everything that `up` decides, the same for every node of a cluster."""

    profile: str = "local"
    membership: MembershipSettings = field(default_factory=local_membership)
    transport: TransportSettings = field(default_factory=TransportSettings)
    replication: ReplicationSettings = field(default_factory=ReplicationSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    stall_interval_s: float = 0.1
    stall_limit_s: float = 0.25
    events_max: int = 4096

    def validate(self) -> "NodeSettings":
        """These settings, or Usage when they contradict each other."""
        quorum, membership = self.replication, self.membership
        if not 1 <= quorum.n <= REPLICAS_MAX:
            raise Usage(f"N must be 1 to {REPLICAS_MAX}, not {quorum.n}")
        if not 1 <= quorum.r <= quorum.n:
            raise Usage(f"R must be 1 to N ({quorum.n}), not {quorum.r}")
        if not 1 <= quorum.w <= quorum.n:
            raise Usage(f"W must be 1 to N ({quorum.n}), not {quorum.w}")
        if membership.probe_timeout_s >= membership.probe_interval_s:
            raise Usage("the probe timeout must be shorter than the probe interval")
        return self


PROFILES = {"local": local_membership, "lan": lan_membership}


def node_settings(
    profile: str = "local", replication: str | None = None, durability: str = "interval", store: str = "memory"
) -> NodeSettings:
    """The settings that the options of `up` ask for; Usage when one is wrong. `replication` is `N/R/W`."""
    if profile not in PROFILES:
        raise Usage(f"unknown profile {profile!r}: one of {', '.join(PROFILES)}")
    if durability not in set(Durability):
        raise Usage(f"unknown durability {durability!r}: one of {', '.join(Durability)}")
    if store not in set(TableKind):
        raise Usage(f"unknown store {store!r}: one of {', '.join(TableKind)}")
    quorum = ReplicationSettings() if replication is None else parse_replication(replication)
    storage = StorageSettings(durability=Durability(durability), tables=TableKind(store))
    return NodeSettings(profile, PROFILES[profile](), replication=quorum, storage=storage).validate()


def parse_replication(text: str) -> ReplicationSettings:
    """`3/2/2` as settings."""
    parts = text.split("/")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise Usage(f"replication is N/R/W, as in 3/2/2, not {text!r}")
    n, r, w = (int(part) for part in parts)
    return replace(ReplicationSettings(), n=n, r=r, w=w)
