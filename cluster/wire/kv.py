"""Messages of the key-value store between a client and the coordinator, and between nodes that forward them."""

from msgspec import Struct


class Put(Struct, array_like=True, gc=False, tag=10):
    """Write a value (or with `deleted` a tombstone). `context` is an encoded clock, None for a blind write.
    `operation` is the same in every retry of one logical write. `w` 0 means the bucket's. `hops` counts forwards.
    `coordinator`: this is a retry of a write that ended as `maybe` there, and nobody else may take it."""

    key: str
    value: bytes
    operation: str
    context: bytes | None = None
    deleted: bool = False
    w: int = 0
    strict: bool = False
    hops: int = 0
    coordinator: str = ""


class PutDone(Struct, array_like=True, gc=False, tag=11):
    """How the write ended: `ok`, `ok-sloppy` or `maybe` (a definite no is a Failure). `context` is the encoded clock
    that covers the write, empty when only its coordinator can know it (a `maybe` of a node that passed the write on);
    `hints` how many copies wait with a fallback."""

    outcome: str
    acks: int
    hints: int
    context: bytes
    coordinator: str
    siblings: int
    durability: str = ""


class Get(Struct, array_like=True, gc=False, tag=12):
    """Read a key. `r` 0 means the bucket's. `local`: only what this very node holds, without asking others."""

    key: str
    r: int = 0
    strict: bool = False
    local: bool = False
    hops: int = 0


class Got(Struct, array_like=True, gc=False, tag=13):
    """The values, newest last; more than one are siblings; none is not found. `context` is the encoded clock."""

    siblings: list[bytes]
    context: bytes
    answered: int
    repaired: int
    degraded: bool
    coordinator: str


class Keys(Struct, array_like=True, gc=False, tag=14):
    """Live keys held by this node with a prefix, after `after`, in order."""

    prefix: str
    after: str
    limit: int


class KeysFound(Struct, array_like=True, gc=False, tag=15):
    """One page of keys: all that are live up to `after`, which may be none where many are deleted; it goes on behind
    there. Without `after` there are no more."""

    keys: list[str]
    after: str


class ReadClock(Struct, array_like=True, gc=False, tag=18):
    """Read the node's wall clock."""


class ClockRead(Struct, array_like=True, gc=False, tag=19):
    """Its wall time in seconds since 1970, and the newest stamp that it has given."""

    wall_s: float
    newest_stamp: int


KvBody = Put | PutDone | Get | Got | Keys | KeysFound | ReadClock | ClockRead
