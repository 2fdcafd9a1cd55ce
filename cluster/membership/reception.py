"""What arrives: packets, push-pulls, pings over streams, and facts told directly.

It decodes, passes rumors on to rumors.py and probe messages to detector.py, and answers. Lifeguard's buddy system
(section IV.C) is here in a general form: whoever is in contact with this node hears at once what is said of it, so
that it can contradict, and whoever is behind about this node is reminded of what holds.
"""

import msgspec

from cluster.errors import BadMessage, NotFound
from cluster.limits import FRAME_BYTES_MAX
from cluster.membership.context import MembershipContext
from cluster.membership.evidence import WatchLinks
from cluster.membership.facts import Announcing
from cluster.membership.gossip import Gossip
from cluster.membership.member import ALIVE, DEAD, SUSPECT, is_sound
from cluster.membership.rumors import Rumors
from cluster.ports import Inbound
from cluster.wire.handshake import ROLE_NODE
from cluster.wire.membership import (
    MemberState,
    Packet,
    Ping,
    PingAck,
    PingNack,
    PingRequest,
    PushPull,
    PushPullReply,
    Rumor,
    StreamPing,
    StreamPong,
    Tell,
    Told,
)

FACT_BYTES_MAX = FRAME_BYTES_MAX // 2
"""Of all facts in one push-pull; the rest of the frame is for rows and names."""

_decode = msgspec.msgpack.Decoder(Packet).decode


class Reception:
    """One node's incoming messages."""

    def __init__(
        self, context: MembershipContext, gossip: Gossip, rumors: Rumors, announcing: Announcing, links: WatchLinks
    ) -> None:
        self.context = context
        self._gossip = gossip
        self._rumors = rumors
        self._announcing = announcing
        self._links = links
        self._reminded: dict[str, float] = {}
        messenger = context.messenger
        context.datagrams.on_datagram = self.on_datagram
        context.lanes.on_contact.append(self.on_contact)
        messenger.handle(PushPull, self.on_push_pull)
        messenger.handle(StreamPing, self.on_stream_ping)
        messenger.handle(Tell, self.on_tell)

    def forget(self, name: str) -> None:
        """Drop what is remembered of a member."""
        self._reminded.pop(name, None)

    def on_datagram(self, sender: str, body: bytes, sent: float) -> None:
        """A packet: first its rumors, then its probe message, which is answered with what the sender must hear."""
        try:
            packet = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.context.count("garbage")
            return
        self._heard_from(sender)
        behind = False
        for rumor in packet.rumors:
            behind = self._rumors.take(rumor, sender) or behind
        probe = packet.probe
        if isinstance(probe, PingAck):
            self._rumors.detector.on_ack(sender, probe)
        elif isinstance(probe, PingNack):
            self._rumors.detector.on_nack(sender, probe)
        elif isinstance(probe, PingRequest):
            self._rumors.detector.on_request(sender, probe)
        first = self._owed(sender, behind)
        if isinstance(probe, Ping):
            self._rumors.detector.on_ping(sender, probe, first)
        elif first:
            self._remind(sender, first)

    def on_contact(self, peer: str) -> None:
        """A handshake with `peer` succeeded, so it lives, whatever is said."""
        self._heard_from(peer)
        self._remind(peer, self._owed(peer, False))

    def on_push_pull(self, inbound: Inbound) -> None:
        """Another node's table, answered with this one's."""
        if self._is_node(inbound):
            assert isinstance(inbound.body, PushPull)
            self._heard_from(inbound.sender)
            self.absorb(inbound.body.rows, inbound.sender)
            inbound.reply(PushPullReply(self.rows()))

    def on_stream_ping(self, inbound: Inbound) -> None:
        """A probe over a stream, refused when the address has a new owner."""
        assert isinstance(inbound.body, StreamPing)
        if inbound.body.target == self.context.me.name:
            inbound.reply(StreamPong())
        else:
            inbound.fail(NotFound(f"this is {self.context.me.name}, not {inbound.body.target}"))

    def on_tell(self, inbound: Inbound) -> None:
        """Facts, with an acknowledgement."""
        if self._is_node(inbound):
            assert isinstance(inbound.body, Tell)
            for rumor in inbound.body.rumors:
                self._rumors.take(rumor, inbound.sender)
            inbound.reply(Told())

    def _is_node(self, inbound: Inbound) -> bool:
        if inbound.role == ROLE_NODE:
            return True
        inbound.fail(BadMessage("only nodes tell about members"))
        return False

    def _heard_from(self, sender: str) -> None:
        member = self.context.table.members.get(sender)
        if member is not None and not member.heard:
            member.heard = True
            self._links.changed()

    def _owed(self, sender: str, behind: bool) -> list[Rumor]:
        """What `sender` must hear: that it is behind about us, and what is said of it unless that is just `alive`."""
        owed = [self.context.table.me.rumor()] if behind else []
        member = self.context.table.members.get(sender)
        if member is not None and not member.is_known():
            owed.append(member.rumor())
        return owed

    def _remind(self, peer: str, first: list[Rumor]) -> None:
        """Tell a peer what it must hear, though it did not ask; not more often than one gossips."""
        now = self.context.clock.now()
        due = self._reminded.get(peer, float("-inf")) + self.context.settings.gossip_interval_s
        if first and now >= due and peer in self.context.table.members:
            self._reminded[peer] = now
            self._gossip.send(peer, None, first)

    # -- push-pull

    def rows(self) -> list[MemberState]:
        """The table, without members of which nothing is known but that the layout has them.

        This node's row comes first. Facts beyond what a frame may hold are left out: their announcers tell them.
        """
        rows: list[MemberState] = []
        space = FACT_BYTES_MAX
        for name, member in self.context.table.members.items():
            if (member.heard and member.incarnation.epoch > 0) or member.state != ALIVE:
                facts = self._announcing.facts.of(name)
                space -= sum(len(fact.body) for fact in facts)
                rows.append(MemberState(member.rumor(), facts if space >= 0 else []))
        return rows

    def absorb(self, rows: list[MemberState], via: str) -> None:
        """Take in another node's table."""
        self._heard_from(via)
        table, facts = self.context.table, self._announcing.facts
        for row in rows:  # of which most say what is known
            if not table.knows(row.rumor):
                self._take_row(row.rumor, via)
            for fact in row.facts:
                if not facts.knows(fact):
                    self._rumors.take(fact, via)

    def _take_row(self, rumor: Rumor, via: str) -> None:
        """As any rumor, but for a verdict on a member that we hold alive: it may be of before a partition healed.

        The member is confronted, and only its silence makes a suspicion (memberlist suspects it outright).
        """
        member = self.context.table.members.get(rumor.name)
        if (
            member is None
            or member is self.context.table.me
            or not member.is_known()
            or rumor.state != DEAD
            or not is_sound(rumor)
        ):
            self._rumors.take(rumor, via)
        elif (rumor.epoch, rumor.refutations) < member.incarnation or self._rumors.detector.is_challenged(rumor.name):
            return
        else:
            claim = Rumor(SUSPECT, rumor.name, rumor.epoch, rumor.refutations, by=rumor.by or via)
            # An answer brought a rumor of its own.
            self._rumors.detector.challenge(
                member, rumor, lambda answered: None if answered else self._rumors.take(claim, via)
            )
