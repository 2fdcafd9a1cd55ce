"""Who may send what: one table of message type x role, and the keys by which a role is proven.

Keys are derived from the cluster's secret, one a role; workers and gateways are given theirs only. Whoever reads the
secret itself (nodes, and the command line) can derive all: against a person this guards from accidents, no more.
A worker hosts a service beside its node: it registers, answers the calls that come on its connection, and may call. A
gateway lives in its node, so its key proves nothing to a node: the password for its clients is made from it.
What is not in the table is an answer or a push, and nobody may send it on its own. Pure.
"""

from collections.abc import Callable
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from cluster.errors import ClusterError, Forbidden
from cluster.wire.admin import AdminQuery, Draining
from cluster.wire.chain import Accept, Decided, Entries, Prepare
from cluster.wire.kv import Get, Keys, Put, ReadClock, Update
from cluster.wire.membership import PushPull, StreamPing, Tell
from cluster.wire.queues import (
    QueueAck,
    QueueExtend,
    QueueReceive,
    QueueReturn,
    QueueSend,
    ShardDone,
    ShardLook,
    ShardPurge,
    ShardReady,
    ShardRelease,
    ShardTake,
)
from cluster.wire.replication import (
    Attest,
    BatchRefused,
    Compare,
    Fetch,
    Fetched,
    Leaves,
    Offer,
    Replicate,
    ReplicateBatch,
    ReplicatedBatch,
    Scan,
    Survey,
)
from cluster.wire.requests import Call, Register, Unregister
from cluster.wire.topics import GroupRelay, Publish, Relay, Subscribe, TopicRequest, Unsubscribe

ROLE_NODE, ROLE_CLIENT, ROLE_WORKER, ROLE_GATEWAY = "node", "client", "worker", "gateway"
ROLES = (ROLE_NODE, ROLE_CLIENT, ROLE_WORKER, ROLE_GATEWAY)

_NODES = (ROLE_NODE,)
_SESSIONS = (ROLE_CLIENT, ROLE_GATEWAY)
_ENTRY = (ROLE_NODE, *_SESSIONS)

MAY_SEND: dict[type, tuple[str, ...]] = {
    # Operations, and the same forwarded by the node that took them.
    Put: _ENTRY,
    Update: _ENTRY,
    Get: _ENTRY,
    Keys: _ENTRY,
    Call: (*_ENTRY, ROLE_WORKER),
    Register: (ROLE_WORKER,),
    Unregister: (ROLE_WORKER,),
    Publish: _SESSIONS,
    Subscribe: _SESSIONS,
    Unsubscribe: _SESSIONS,
    TopicRequest: _SESSIONS,
    QueueSend: _ENTRY,
    QueueReceive: _SESSIONS,
    QueueAck: _ENTRY,
    QueueReturn: _ENTRY,
    QueueExtend: _ENTRY,
    # Between owners.
    ShardTake: _NODES,
    ShardDone: _NODES,
    ShardLook: _NODES,
    ShardPurge: _NODES,
    ShardReady: _NODES,
    ShardRelease: _NODES,
    Replicate: _NODES,
    ReplicateBatch: _NODES,
    ReplicatedBatch: _NODES,
    Fetch: _NODES,
    Fetched: _NODES,
    Attest: _NODES,
    Scan: _NODES,
    Compare: _NODES,
    Leaves: _NODES,
    Offer: _NODES,
    Survey: _NODES,
    ReadClock: _NODES,
    # Fan-out and membership.
    Relay: _NODES,
    GroupRelay: _NODES,
    PushPull: _NODES,
    StreamPing: _NODES,
    Tell: _NODES,
    # The control chain.
    Prepare: _NODES,
    Accept: _NODES,
    Entries: _NODES,
    Decided: _NODES,
    # The calls themselves.
    BatchRefused: _NODES,
    AdminQuery: (ROLE_NODE, ROLE_CLIENT),
    Draining: (ROLE_NODE, ROLE_CLIENT),
}

PLACED: frozenset[type] = frozenset((Put, Update, Get, Keys, Replicate, Scan, Compare, Leaves))
"""Calls that go to a node because of what it owns: they carry the number of the layout that they were routed by. So do
the batches of reads and writes, in their own header."""


def role_key(secret: bytes, role: str) -> bytes:
    """The key that proves `role`: keyed BLAKE2b as a derivation function, as HKDF-Expand uses HMAC (RFC 5869)."""
    assert role in ROLES, role
    return blake2b(role.encode(), key=secret[:64], digest_size=32, person=b"dsectl role key").digest()


def gateway_password(secret: bytes) -> str:
    """What the clients of all gateways of a cluster give, whatever their protocol: letters and digits."""
    return blake2b(
        b"password", key=role_key(secret, ROLE_GATEWAY), digest_size=16, person=b"dsectl gateway"
    ).hexdigest()


NODES_ONLY: dict[type, tuple[Callable[[Any], Any], str]] = {
    Put: (attrgetter("hops"), "only nodes forward a put"),
    Update: (attrgetter("hops"), "only nodes forward an update"),
    Get: (attrgetter("hops"), "only nodes forward a get"),
    QueueSend: (lambda body: body.hops or body.stays, "only nodes forward what is sent to a queue"),
    QueueAck: (attrgetter("hops"), "only nodes forward an acknowledgement"),
    QueueReturn: (attrgetter("hops"), "only nodes forward a return"),
    QueueExtend: (attrgetter("hops"), "only nodes forward an extension"),
    Call: (attrgetter("routed"), "only nodes route a call; name the node with `only`"),
}
"""Fields that only nodes may set. A hop that never was would make a node coordinate what it does not own."""


def forbidden(body_type: type, role: str) -> ClusterError | None:
    """Why who has proven `role` may not send this; None when it may, or when nobody may."""
    roles = MAY_SEND.get(body_type)
    if roles is None or role in roles:
        return None
    return Forbidden(f"a {role} may not send {body_type.__name__}")
