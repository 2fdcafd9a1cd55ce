"""Messages of publish/subscribe: at-most-once fan-out from a publisher's node to the nodes with interest."""

from msgspec import Struct


class Publish(Struct, array_like=True, gc=False, tag=30):
    """A client's message for everyone whose pattern matches. Sent as a request it is answered with Published; sent one
    way it is fire and forget. `id` empty: the node makes one."""

    subject: str
    payload: bytes
    id: str = ""
    headers: dict[str, str] | None = None


class Published(Struct, array_like=True, gc=False, tag=31):
    """How many subscriptions it was sent towards (not: received by), and what became of it at each queue that is bound
    to its subject: queue, id there, and outcome as of a send."""

    id: str
    subscribers: int
    queues: list[tuple[str, str, str]]


class Relay(Struct, array_like=True, gc=False, tag=32):
    """One way, node to node: a message for the receiver's own subscribers. `node` is where it was published."""

    subject: str
    payload: bytes
    id: str
    node: str
    headers: dict[str, str] | None = None


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


class Subscribe(Struct, array_like=True, gc=False, tag=34):
    """Deliver what matches `pattern` to this connection as `subscription`. Answered with Subscribed after the barrier:
    every live node then knows of the interest."""

    subscription: int
    pattern: str
    group: str = ""


class Subscribed(Struct, array_like=True, gc=False, tag=35):
    """The subscription is known by `nodes` nodes."""

    nodes: int


class Unsubscribe(Struct, array_like=True, gc=False, tag=36):
    """End a subscription of this connection."""

    subscription: int


TopicBody = Publish | Published | Relay | Message | Subscribe | Subscribed | Unsubscribe
