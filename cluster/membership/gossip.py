"""Sends packets, each filled up with rumors, and gossips while there is something to say.

SWIM (2002) section 4.1 piggybacks rumors on probes only; as memberlist does, rumors are also sent on their own to a few
random members each gossip interval, so that news do not wait for probes. With nothing to say there is no timer.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from cluster.env import Timer
from cluster.membership.broadcast import Broadcasts
from cluster.membership.context import MembershipContext
from cluster.wire.datagram import seal_bytes
from cluster.wire.membership import Probe, Rumor

PROBE_BYTES_MAX = 128
"""Room for the packet's own structure and a probe message with a name."""

_encode = msgspec.msgpack.Encoder().encode


class _EncodedPacket(Struct, array_like=True, gc=False):
    """As `Packet`, of rumors that are encoded already."""

    probe: Probe | None
    rumors: list[msgspec.Raw]


class Gossip:
    """One node's outgoing packets."""

    def __init__(self, context: MembershipContext) -> None:
        self.context = context
        settings, table = context.settings, context.table
        self.queue = Broadcasts(lambda: settings.retransmit_limit(table.size()))
        self.space = settings.packet_bytes_max - seal_bytes(context.me.name) - PROBE_BYTES_MAX
        self._timer: Timer | None = None
        self._last = float("-inf")
        self._running = False

    def start(self) -> None:
        """Begin to gossip what is queued."""
        self._running = True
        self._arm()

    def stop(self) -> None:
        """Gossip no more."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, rumor: Rumor) -> None:
        """Spread a rumor, beginning now."""
        self.queue.add(rumor)
        self._arm()

    def send(self, peer: str, probe: Probe | None, first: Iterable[Rumor] = ()) -> None:
        """One packet: the probe message, the rumors that this peer must hear (Lifeguard's buddy system, section IV.C),
        and as many of the queue as fit."""
        must = [_encode(rumor) for rumor in first]
        self._send(peer, probe, must, self.queue.take(self.space - sum(map(len, must))))

    def _send(self, peer: str, probe: Probe | None, must: list[bytes], rumors: list[bytes]) -> None:
        self.context.count("packets")
        packet = _EncodedPacket(probe, [msgspec.Raw(data) for data in (*must, *rumors)])
        self.context.datagrams.datagram(peer, _encode(packet))

    def _arm(self) -> None:
        if self._timer is not None or not self._running or not len(self.queue):
            return
        context = self.context

        def tick() -> None:
            self._timer = None
            self._last = context.clock.now()
            others = context.table.others()
            if not others:
                return  # the queue stays for whoever comes
            for peer in context.random.sample(others, min(context.settings.gossip_nodes, len(others))):
                rumors = self.queue.take(self.space)
                if not rumors:
                    break
                self._send(peer, None, [], rumors)
            self._arm()

        when = max(context.clock.now(), self._last + context.settings.gossip_interval_s)
        self._timer = context.clock.call_at(when, tick)
