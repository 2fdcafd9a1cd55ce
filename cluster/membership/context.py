"""What the parts of one node's membership share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.config import MembershipSettings
from cluster.env import Clock, StallWatch
from cluster.errors import ClusterError
from cluster.membership.member import OwnIdentity
from cluster.membership.probe import Awareness
from cluster.membership.table import MemberTable
from cluster.ports import Datagrams, Lanes, Messenger, Outcome, Recorder

if TYPE_CHECKING:
    from random import Random


@dataclass
class MembershipContext:
    """One node's world, as the parts of its membership share it."""

    me: OwnIdentity
    clock: Clock
    random: "Random"
    messenger: Messenger
    lanes: Lanes
    datagrams: Datagrams
    settings: MembershipSettings
    stall: StallWatch
    record: Recorder
    table: MemberTable
    awareness: Awareness
    counts: dict[str, int] = field(default_factory=dict)
    """How often what happened, for metrics."""

    def count(self, what: str) -> None:
        """One more of it."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def probe_timeout_s(self) -> float:
        """How long an answer may take, given this node's health."""
        return self.awareness.scale(self.settings.probe_timeout_s)


def is_refusal(outcome: Outcome) -> bool:
    """Whether a request failed because the peer's port is closed: its process is gone. `Unreachable` alone may also
    mean that nobody dialled, because an earlier dial failed."""
    return isinstance(outcome, ClusterError) and outcome.code == "unreachable" and "refused" in outcome.message
