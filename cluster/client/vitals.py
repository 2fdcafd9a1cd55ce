"""A node's answer to `vitals`, checked, and the durations in it. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from cluster.client.locate import Location
from cluster.errors import BadMessage, ClusterError
from cluster.layout import PARTITIONS, placement
from cluster.observe.latency import quantile_s

__all__ = ["KINDS", "Moving", "Vitals", "owned", "quantile_s", "read_vitals"]

KINDS = ("writes", "reads", "calls")
"""Of operations whose durations are counted."""


class Moving(Struct, frozen=True):
    """A change of members that is under way."""

    what: str
    waits_for: list[str]
    """Why it cannot end yet; empty when it is about to."""
    joining: dict[str, int]
    """How many partitions each owner to come takes over."""
    lacking: dict[str, int]
    """Of how many of them it lacks data."""
    forgotten: tuple[str, ...] = ()
    """Who cannot come back with their data: a change that forgets somebody is not taken back."""


class Vitals(Struct, frozen=True):
    """What one node says of itself. Totals and latencies are since its boot; `uptime_s` is when it said so."""

    epoch: int
    uptime_s: float
    state: str
    reason: str
    """Why its answers are no votes, or may miss something."""
    recovering: list[int]
    layout: int
    sees: dict[str, str]
    """How it sees each member, itself included."""
    hints: dict[str, int]
    """The copies that wait here, by the owner that they are for."""
    receipts: dict[str, dict[str, int]]
    """What each fault touched here: fault -> link -> count."""
    totals: dict[str, int]
    latency: dict[str, list[tuple[int, int]]]
    """(bucket, count), by kind of operation; see cluster/observe/latency.py."""
    event_count: int
    events: list[dict[str, Any]]
    full: str = ""
    """Why its disk refuses writes; empty when it does not."""
    draining: bool = False
    problems: list[str] = []
    """Why it is not healthy, one by one; empty when it is."""
    may_have_lost: list[str] = []
    moving: Moving | None = None
    storage: dict[str, str | int] = {}
    """What it promises about its disk, how long its log is, and what was copied and verified since the boot."""

    gateways: dict[str, dict[str, int]] = {}
    """Of each gateway its port, the one that all nodes share (0: none), its clients, and places for more."""

    queues: dict[str, dict[str, int]] = {}
    """Of the shards that it gives out: `depth`, `in_flight`, `redelivered` and `dead`, by queue. All nodes' add up."""

    def counted(self, kind: str) -> Mapping[int, int]:
        """The durations of one kind, by bucket."""
        return dict(self.latency.get(kind, ()))


def read_vitals(answer: Any) -> Vitals | ClusterError:
    """An answer as it came, checked; an error stays one."""
    if isinstance(answer, ClusterError):
        return answer
    try:
        return msgspec.convert(answer, Vitals)
    except msgspec.ValidationError as error:
        return BadMessage(f"invalid answer of a node: {error}")


def owned(location: Location) -> dict[str, int]:
    """How many partitions each member of a cluster that was found by name owns."""
    entry = location.entry
    assert entry is not None
    place = placement(entry)
    found = {member.name: 0 for member in entry.members}
    for partition in range(PARTITIONS):
        for name in place.owners(partition):
            found[name] += 1
    return found
