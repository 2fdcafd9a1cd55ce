"""Messages of publish/subscribe: at-most-once fan-out from a publisher's node to the nodes with interest."""

from msgspec import Struct


class Publish(Struct, array_like=True, gc=False, tag=30):
    """A client's message for everyone whose pattern matches. Sent as a request it is answered with Published; sent one
    way it is fire and forget. `id` empty: the node makes one. `reply`: where answers are awaited, if any."""

    subject: str
    payload: bytes
    id: str = ""
    headers: dict[str, str] | None = None
    reply: str = ""


class Published(Struct, array_like=True, gc=False, tag=31):
    """How many subscriptions it was sent towards (not: received by), and what became of it at each queue that is bound
    to its subject: queue, id there, and outcome as of a send."""

    id: str
    subscribers: int
    queues: list[tuple[str, str, str]]


class Relay(Struct, array_like=True, gc=False, tag=32):
    """One way, node to node: a message for those of the receiver's own subscribers that are in no group. `node` is
    where it was published."""

    subject: str
    payload: bytes
    id: str
    node: str
    headers: dict[str, str] | None = None
    reply: str = ""


class GroupRelay(Struct, array_like=True, gc=False, tag=37):
    """One way, node to node: a message for one member of `group`. A receiver that has none any more passes it on to a
    node that is not among the `tried` ones."""

    subject: str
    payload: bytes
    id: str
    node: str
    group: str
    tried: list[str]
    headers: dict[str, str] | None = None
    reply: str = ""


class Message(Struct, array_like=True, gc=False, tag=33):
    """One way, node to client: a message for the client's subscription `subscription`. `dropped` counts what its
    bounded buffer lost before this message."""

    subscription: int
    subject: str
    payload: bytes
    id: str
    node: str
    dropped: int = 0
    headers: dict[str, str] | None = None
    reply: str = ""


class Subscribe(Struct, array_like=True, gc=False, tag=34):
    """Deliver what matches `pattern` to this connection as `subscription`: all of it, or with `group` what the other
    members of the group do not get. Answered with Subscribed after the barrier: every live node then knows of the
    interest."""

    subscription: int
    pattern: str
    group: str = ""


class Subscribed(Struct, array_like=True, gc=False, tag=35):
    """The subscription is known by `nodes` nodes."""

    nodes: int


class Unsubscribe(Struct, array_like=True, gc=False, tag=36):
    """End a subscription of this connection."""

    subscription: int


class TopicRequest(Struct, array_like=True, gc=False, tag=38):
    """Publish it with an inbox as `reply`, and answer with the first message that comes there, as TopicReply."""

    subject: str
    payload: bytes
    headers: dict[str, str] | None = None


class TopicReply(Struct, array_like=True, gc=False, tag=39):
    """What somebody answered to a TopicRequest, published at `node`."""

    subject: str
    payload: bytes
    id: str
    node: str
    headers: dict[str, str] | None = None


TopicBody = (
    Publish
    | Published
    | Relay
    | GroupRelay
    | Message
    | Subscribe
    | Subscribed
    | Unsubscribe
    | TopicRequest
    | TopicReply
)
