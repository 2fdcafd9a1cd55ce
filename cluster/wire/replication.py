"""Messages between the owners of a partition: writes, reads by digest, attestations, scans.

`table` says which kind of object the bytes are (each a Mergeable of `cluster.replication`); the bytes themselves are
shipped whole and never re-encoded on the way.
"""

from typing import TypeAlias

from msgspec import Struct

Entry: TypeAlias = tuple[int, float, int, int, str, bytes]
"""One of a batch: the sender's number for it, its deadline on the sender's clock, table, partition, key, and the bytes.
Expires by itself: the others of its batch may have another deadline."""

Found: TypeAlias = tuple[int, bool, bytes | None, int]
"""An answer to the question of that number. *Same*: the digest is the one asked about, and there are no bytes. Else the
bytes are what is held, None for nothing. Last what the answer counts for: a vote of `cluster.replication.quorum`."""


class Replicate(Struct, array_like=True, gc=False, tag=20):
    """Merge `blob` into what is held for the key. `hint_for` is the name of the owner that it is kept for, or empty.
    `synced`: acknowledge only what is on the medium, because another durable copy is given up for it."""

    table: int
    partition: int
    key: str
    blob: bytes
    hint_for: str = ""
    synced: bool = False


class Replicated(Struct, array_like=True, gc=False, tag=21):
    """The blob is merged and as durable as the cluster promises."""


class ReplicateBatch(Struct, array_like=True, gc=False, tag=28):
    """`Replicate` of many copies, one way: all that one pass of the sender has for an owner. `layout` is the number of
    the layout that the sender routed by."""

    copies: list[Entry]
    layout: int = 0


class ReplicatedBatch(Struct, array_like=True, gc=False, tag=29):
    """Of a batch: the numbers whose copies are merged and durable; the number, code and message of each failure."""

    ids: list[int]
    failed: list[tuple[int, str, str]]


class BatchRefused(Struct, array_like=True, gc=False, tag=70):
    """Of a one-way batch: nothing was done for the calls of these numbers. `code` and `layout` as in Failure."""

    ids: list[int]
    code: str
    message: str
    layout: int = 0


class Fetch(Struct, array_like=True, gc=False, tag=22):
    """What is held for each key, unless its digest is the entry's (empty: nothing is held by the one who asks).
    `layout` as in ReplicateBatch."""

    questions: list[Entry]
    layout: int = 0


class Fetched(Struct, array_like=True, gc=False, tag=23):
    """An owner's answers to some questions."""

    answers: list[Found]


class Attest(Struct, array_like=True, gc=False, tag=24):
    """Do you hold undelivered hints for node `target`? Asked while `target` catches up, in round `round` of the boot
    `boot`. `loss` names the loss of hint records that the target has noted on its disk."""

    target: str
    boot: str
    round: int
    loss: str = ""


class Attested(Struct, array_like=True, gc=False, tag=25):
    """How many hints are still to be delivered, and how many copies of writes that began before the round are in flight
    and may become hints, here or elsewhere. With a `loss` the answer is *unknown*: hint records were lost, for that
    reason, and the target may lack whatever they held."""

    hints: int
    in_flight: int = 0
    loss: str = ""
    reason: str = ""


class Scan(Struct, array_like=True, gc=False, tag=26):
    """The rows of a partition with keys after `after`, in order, about `bytes_max` bytes of them; with 0 none. `known`:
    digests of rows that the sender has, 8 bytes each, which are left out."""

    table: int
    partition: int
    after: str
    bytes_max: int
    known: bytes = b""


class Scanned(Struct, array_like=True, gc=False, tag=27):
    """One page of a scan, up to the key `after`. `more`: ask again after that, in `rest_s` seconds. `complete`: this
    owner lacks nothing of the partition that it lost, as of now. `same`: a bit for each digest that was known, set for
    those that are left out because the same row is here."""

    rows: list[tuple[str, bytes]]
    after: str
    more: bool
    complete: bool
    rest_s: float
    same: bytes = b""


class Compare(Struct, array_like=True, gc=False, tag=90):
    """Does your digest tree of the partition have this root?"""

    partition: int
    root: bytes


class Compared(Struct, array_like=True, gc=False, tag=91):
    """It has, or these are its leaves: 256 sums of 8 bytes."""

    equal: bool
    leaves: bytes = b""


class Leaves(Struct, array_like=True, gc=False, tag=92):
    """The rows of some leaves of a partition."""

    partition: int
    leaves: list[int]


class LeavesFound(Struct, array_like=True, gc=False, tag=93):
    """Table, key and digest of each row."""

    rows: list[tuple[int, str, bytes]]


class Survey(Struct, array_like=True, gc=False, tag=94):
    """Is all that was written to these partitions settled, as far as you know? Asked under the layout of that number.
    `roots`: of those that you own, their digests as well, once they rest."""

    partitions: list[int]
    layout: int
    roots: bool = False


class Surveyed(Struct, array_like=True, gc=False, tag=95):
    """What a node attests in its boot `boot`, with all of it on the medium: the partitions that are not settled, and
    why; the roots that were asked for. No write of node `id` numbered up to `number` is under way to the others."""

    boot: str
    id: str
    number: int
    unsettled: dict[int, str]
    roots: dict[int, bytes]


class Offer(Struct, array_like=True, gc=False, tag=96):
    """The sender has these rows of a partition, by key and digest: which does the owner lack, or have otherwise?"""

    table: int
    partition: int
    rows: list[tuple[str, bytes]]


class Offered(Struct, array_like=True, gc=False, tag=97):
    """The places of those rows in the offer."""

    lacking: list[int]


ReplicationBody = (
    Replicate
    | Replicated
    | ReplicateBatch
    | ReplicatedBatch
    | BatchRefused
    | Fetch
    | Fetched
    | Attest
    | Attested
    | Scan
    | Scanned
    | Compare
    | Compared
    | Leaves
    | LeavesFound
    | Survey
    | Surveyed
    | Offer
    | Offered
)
