"""Messages between the owners of a partition: writes, reads by digest, hints owed, scans for a refill.

`table` says which kind of object the bytes are (each a Mergeable of `cluster.replication`); the bytes themselves are
shipped whole and never re-encoded on the way.
"""

from msgspec import Struct


class Replicate(Struct, array_like=True, gc=False, tag=20):
    """Merge `blob` into what is held for the key. `hint_for` is the id of the owner that it is kept for, or empty."""

    table: int
    partition: int
    key: str
    blob: bytes
    hint_for: str = ""


class Replicated(Struct, array_like=True, gc=False, tag=21):
    """The blob is merged and as durable as the cluster promises."""


class Fetch(Struct, array_like=True, gc=False, tag=22):
    """What is held for the key, unless its digest is `digest` (empty: nothing is held by the one who asks)."""

    table: int
    partition: int
    key: str
    digest: bytes


class Fetched(Struct, array_like=True, gc=False, tag=23):
    """An owner's answer. `same`: its digest is the one asked about, and `blob` is None. Else `blob` is what it holds,
    None for nothing. `voting`: absence here is a vote. `owed`: a dead member may hold hints for this owner."""

    same: bool
    blob: bytes | None
    voting: bool
    owed: bool


class AskHints(Struct, array_like=True, gc=False, tag=24):
    """Do you hold undelivered hints for node `target`? Asked while `target` catches up, once a round."""

    target: str
    round: int


class HintsOwed(Struct, array_like=True, gc=False, tag=25):
    """How many hints, and writes in flight that may become hints, are still to be delivered."""

    count: int


class Scan(Struct, array_like=True, gc=False, tag=26):
    """The rows of a partition with keys after `after`, in order, about `bytes_max` bytes of them."""

    table: int
    partition: int
    after: str
    bytes_max: int


class Scanned(Struct, array_like=True, gc=False, tag=27):
    """One page of a scan. `more`: ask again after the last key. `voting` as in Fetched."""

    rows: list[tuple[str, bytes]]
    more: bool
    voting: bool


ReplicationBody = Replicate | Replicated | Fetch | Fetched | AskHints | HintsOwed | Scan | Scanned
