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
    `hints` how many copies wait with a fallback; `siblings` how many values a read shows now, so no tombstones."""

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
    cell: bool = False


class Got(Struct, array_like=True, gc=False, tag=13):
    """The values, newest last; more than one are siblings; none is not found. `context` is the encoded clock. `kind` is
    empty for versioned values; else that of the cell that is shown (`value`, `counter` or `set`, whose items are the
    values), which may end at `expires_ms` (since 1970; 0: never)."""

    siblings: list[bytes]
    context: bytes
    answered: int
    repaired: int
    degraded: bool
    coordinator: str
    kind: str = ""
    expires_ms: int = 0


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


def first_keys(pages: list[KeysFound], limit: int) -> KeysFound:
    """The first `limit` keys out of pages of several nodes: each lists what it holds, so the union is what there is.

    A node that has more than it sent says nothing about keys behind where it looked, so the page ends where the first
    of them stopped.
    """
    end = min((page.after for page in pages if page.after), default="")
    keys = sorted({key for page in pages for key in page.keys})
    known = [key for key in keys if not end or key <= end]
    if len(known) > limit:
        end = known[limit - 1]
    return KeysFound(known[:limit], end)


class ReadClock(Struct, array_like=True, gc=False, tag=18):
    """Read the node's wall clock."""


class ClockRead(Struct, array_like=True, gc=False, tag=19):
    """Its wall time in seconds since 1970, and the newest stamp that it has given."""

    wall_s: float
    newest_stamp: int


class SetValue(Struct, array_like=True, gc=False, tag=1):
    """Be a register with this value, in a bucket where the last write wins. It ends at `ends_ms` (since 1970), or never
    for 0; `keep_end`: when what it replaces would have. `get`: the answer has what was there."""

    value: bytes
    ends_ms: int = 0
    keep_end: bool = False
    get: bool = False


class Remove(Struct, array_like=True, gc=False, tag=2):
    """Delete what is there: of a set what the context covers. `get` as of SetValue."""

    get: bool = False


class Increment(Struct, array_like=True, gc=False, tag=3):
    """Count `by` further; the answer has the number."""

    by: int


class AddItems(Struct, array_like=True, gc=False, tag=4):
    """Add to a set; `changed` are those that were new."""

    items: list[bytes]


class RemoveItems(Struct, array_like=True, gc=False, tag=5):
    """Remove from a set what the context covers of these items; `changed` are those that are gone."""

    items: list[bytes]


class Expire(Struct, array_like=True, gc=False, tag=6):
    """End at `ends_ms`, or never for 0; `changed` is 1 when that is set. `condition`: `nx` only without an end before,
    `xx` only with one, `gt` and `lt` only when the new one is later or earlier."""

    ends_ms: int
    condition: str = ""


class Append(Struct, array_like=True, gc=False, tag=7):
    """Put this behind the value of a register; `changed` is the length of the whole."""

    value: bytes


class SetRange(Struct, array_like=True, gc=False, tag=8):
    """Put this into the value of a register, from `offset` on; `changed` is the length of the whole."""

    offset: int
    value: bytes


KvOperation = SetValue | Remove | Increment | AddItems | RemoveItems | Expire | Append | SetRange


class Update(Struct, array_like=True, gc=False, tag=16):
    """Change the value of a key by what is there: its coordinator reads before it writes. `strict`: a read without its
    quorum is refused; else it goes on with what is found. The other fields are those of a Put."""

    key: str
    operation: str
    change: KvOperation
    context: bytes | None = None
    w: int = 0
    strict: bool = False
    hops: int = 0
    coordinator: str = ""


class Updated(Struct, array_like=True, gc=False, tag=17):
    """How an update ended, as of PutDone. `changed` and `value` are as the operation says. `degraded`: what was read
    before is perhaps not all."""

    outcome: str
    acks: int
    hints: int
    context: bytes
    coordinator: str
    durability: str = ""
    changed: int = 0
    value: bytes | None = None
    degraded: bool = False


KvBody = Put | PutDone | Get | Got | Keys | KeysFound | Update | Updated | ReadClock | ClockRead
