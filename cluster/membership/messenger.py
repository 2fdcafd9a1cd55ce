"""What membership needs of the transport, and what its parts share.

`cluster.transport.Transport` is a `Messenger`; so is the small network of the tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from cluster.config import MembershipSettings
from cluster.env import Address, Clock, StallWatch
from cluster.errors import ClusterError
from cluster.membership.awareness import Awareness
from cluster.membership.member import Identity
from cluster.membership.table import Table
from cluster.ports import Done, Inbound, Outcome, Recorder

if TYPE_CHECKING:
    from random import Random


class Messenger(Protocol):
    """Requests over streams and sealed datagrams, by the name of the peer."""

    addresses: dict[str, Address]
    on_contact: list[Callable[[str], None]]
    on_datagram: Callable[[str, bytes, float], None]

    def handle(self, body_type: type, handler: Callable[[Inbound], None]) -> None:
        """Give all requests of a type to `handler`."""

    def request(self, peers: Sequence[str], body: Struct, deadline: float, done: Done, lane: int = ...) -> int:
        """Call each of `peers`; `done` comes once for each, never before this returns."""

    def datagram(self, peer: str, body: bytes) -> None:
        """Send a datagram; it may be lost."""

    def redial(self, peer: str) -> None:
        """The peer runs: dial it at once, however often that failed before."""

    def watch(self, peer: str) -> None:
        """Hold a connection open, so that its end is heard of."""

    def unwatch(self, peer: str) -> None:
        """Let go of it."""


@dataclass
class Context:
    """One node's world, as the parts of its membership share it."""

    me: Identity
    clock: Clock
    random: "Random"
    messenger: Messenger
    settings: MembershipSettings
    stall: StallWatch
    record: Recorder
    table: Table
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
