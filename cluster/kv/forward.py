"""A node that owns no copy of a key passes the request on to an owner, and coordinates only when no owner can be
reached.

A read may be tried at several owners. A put goes on to the next owner only after a definite refusal: once it may have
been carried out, it is never given to another coordinator.
"""

from collections.abc import Callable

import msgspec

from cluster.errors import ClusterError, Maybe, Overloaded, QuorumMissing, Unreachable
from cluster.ports import Inbound, Outcome
from cluster.replication.context import ReplicationContext
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.kv import Get, Got, Put, PutDone

HOPS_MAX = 2
"""Layouts may differ for a moment while they change; a request that still wanders after this is answered where it
is."""
READ_SHARE = 0.4
"""A read waits for one owner for this share of what is left before it tries the next."""


class Forwarder:
    """Passes requests on."""

    def __init__(self, replication: ReplicationContext) -> None:
        self.replication = replication

    def put(self, body: Put, partition: int, inbound: Inbound, coordinate: Callable[[Put, int, Inbound], None]) -> None:
        """Give a put to the first owner that takes it."""
        owners = self._owners(partition, body.hops)
        onward = msgspec.structs.replace(body, hops=body.hops + 1)

        def try_next() -> None:
            if not owners:
                coordinate(body, partition, inbound)  # as a fallback, with hints for the owners
                return
            self.replication.messenger.request([owners.pop(0)], onward, inbound.deadline, answered, LANE_FOREGROUND)

        def answered(owner: str, outcome: Outcome) -> None:
            if type(outcome) is PutDone:
                inbound.reply(outcome)
            elif isinstance(outcome, Unreachable | Overloaded):
                self.replication.avoidance.failed(owner, self.replication.env.clock.now())
                try_next()
            elif isinstance(outcome, ClusterError):
                if isinstance(outcome, Maybe):
                    self.replication.avoidance.failed(owner, self.replication.env.clock.now())
                inbound.fail(outcome)
            else:
                inbound.fail(Maybe(f"{owner} answered out of turn"))

        try_next()

    def get(self, body: Get, partition: int, inbound: Inbound, read: Callable[[Get, int, Inbound], None]) -> None:
        """Give a get to one owner after the other until one answers."""
        owners = self._owners(partition, body.hops)
        onward = msgspec.structs.replace(body, hops=body.hops + 1)
        clock = self.replication.env.clock

        def try_next() -> None:
            now = clock.now()
            if not owners or now >= inbound.deadline:
                read(body, partition, inbound)
                return
            share = 1.0 if len(owners) == 1 else READ_SHARE
            self.replication.messenger.request(
                [owners.pop(0)], onward, now + (inbound.deadline - now) * share, answered, LANE_FOREGROUND
            )

        def answered(owner: str, outcome: Outcome) -> None:
            if type(outcome) is Got:
                self.replication.avoidance.heard(owner)
                inbound.reply(outcome)
            elif isinstance(outcome, Unreachable | Overloaded | Maybe):
                self.replication.avoidance.failed(owner, clock.now())
                try_next()
            elif isinstance(outcome, QuorumMissing):
                inbound.fail(outcome)
            else:
                inbound.fail(outcome if isinstance(outcome, ClusterError) else Maybe(f"{owner} answered out of turn"))

        try_next()

    def _owners(self, partition: int, hops: int) -> list[str]:
        if hops >= HOPS_MAX:
            return []
        return [name for name in self.replication.view.owners(partition) if not self.replication.avoided(name)]
