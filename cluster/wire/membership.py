"""Messages of SWIM: probes and gossip in datagrams, push-pull and liveness over streams.

Das, Gupta, Motivala, "SWIM" (DSN 2002); Dadgar, Phillips, Currey, "Lifeguard" (2018); names as in hashicorp/memberlist.
An update travels as one `Rumor`; a datagram is a `Packet` of one probe message (or none) and rumors.
"""

from msgspec import Struct


class Rumor(Struct, array_like=True, gc=False, frozen=True):
    """One statement about member `name`. `state`: alive, suspect, dead, leaving, left, fact or news. The incarnation is
    (epoch, refutations). `by` says who suspects or declares; the `kind` of a suspicion is `refused` when it rests on a
    closed port. A fact carries `kind`, `version` and `body` of what the member announces; `news` says only that such a
    version exists, too large for a packet. `id`, `zone`, `host` and `port` are set in alive rumors."""

    state: str
    name: str
    epoch: int
    refutations: int
    by: str = ""
    id: str = ""
    zone: str = ""
    host: str = ""
    port: int = 0
    kind: str = ""
    version: int = 0
    body: bytes = b""


class Ping(Struct, array_like=True, gc=False, tag=1):
    """Direct probe of `target` (a name: the address may have a new owner); acknowledged with the same sequence."""

    sequence: int
    target: str


class PingAck(Struct, array_like=True, gc=False, tag=2):
    """Answer to a ping, direct or through a helper."""

    sequence: int


class PingRequest(Struct, array_like=True, gc=False, tag=3):
    """Ask a third node to probe `target`."""

    sequence: int
    target: str


class PingNack(Struct, array_like=True, gc=False, tag=4):
    """The helper is alive but heard nothing from the target in time (Lifeguard IV.A)."""

    sequence: int


Probe = Ping | PingAck | PingRequest | PingNack


class Packet(Struct, array_like=True, gc=False):
    """The body of one datagram."""

    probe: Probe | None
    rumors: list[Rumor]


class MemberState(Struct, array_like=True, gc=False, frozen=True):
    """One row of the membership table, with all facts, as exchanged by push-pull."""

    rumor: Rumor
    facts: list[Rumor]


class PushPull(Struct, array_like=True, gc=False, tag=60):
    """The whole table of the sender; answered with the receiver's."""

    rows: list[MemberState]


class PushPullReply(Struct, array_like=True, gc=False, tag=61):
    """The whole table of the receiver."""

    rows: list[MemberState]


class StreamPing(Struct, array_like=True, gc=False, tag=62):
    """A probe over a stream, for when datagrams are lost; answered with StreamPong."""

    target: str


class StreamPong(Struct, array_like=True, gc=False, tag=63):
    """Answer to StreamPing."""


class Tell(Struct, array_like=True, gc=False, tag=64):
    """Rumors sent directly and acknowledged: the barrier behind `subscribe`."""

    rumors: list[Rumor]


class Told(Struct, array_like=True, gc=False, tag=65):
    """The rumors are applied."""


MembershipBody = PushPull | PushPullReply | StreamPing | StreamPong | Tell | Told
