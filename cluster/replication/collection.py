"""When a tombstone may go, and what stays in its place. Pure.

A tombstone may go once nothing older than it can come back. That is so for all of a partition at once, up to a cut: by
node id a number, up to which every write is *settled*: it is at every owner, or was replaced. The cut is kept in place
of the tombstones that it covers, as the stable clock of the partition (`cluster.versions.stable`), one row that owners
share as any other. So a removal is nothing that owners have to agree on or could do by halves: each removes the
tombstones that its stable clock covers, and what is newer is not covered.

A cut is made in three looks at a partition, under one layout that does not move, each node in one boot throughout:

1. every member attests that it has no hint of the partition and no write or old read of it under way, and up to which
   number it has given writes: no later one is in the cut;
2. every member attests the same again. A copy that was under way from a writer that had not attested yet to a fallback
   that had, lies there now as a hint. If there is none, all copies of the cut are rows of owners;
3. every owner attests the same digest of all its rows, that nothing was written for twice the longest deadline, and
   that it votes and misses nothing. Resting longer than the look takes makes the digests one snapshot, and what was on
   the wire before has expired.

Everything that is attested is on the medium before. So a cut waits for each member that is not alive, for each hint,
and for each owner that is behind: it may be the one that holds what would be denied. It does not wait for hint records
that were lost: what all owners hold alike is all there is of the cut, and what is lost does not come back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from math import inf
from typing import Final

import msgspec

from cluster.errors import Damaged
from cluster.layout import PARTITIONS, partition_of
from cluster.versions import StableClock
from cluster.wire.replication import Surveyed

NOTHING_SETTLED: Final[StableClock] = {}
REST_FACTOR: Final = 2.0
"""How many times the longest deadline a partition rests before a cut: what was sent has expired after one, and clocks
of two nodes are not compared better than that."""

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(dict[str, int])
_rows: dict[int, str] = {}


@cache
def stable_row(partition: int) -> str:
    """The key of the stable clock: one that belongs to the partition, as the key of each row must."""
    number = 0
    while len(_rows) < PARTITIONS:  # some 1,600 hashes, once
        _rows.setdefault(partition_of(str(number)), str(number))
        number += 1
    return _rows[partition]


def encode_stable(stable: StableClock) -> bytes:
    """Its canonical bytes."""
    return _encoder.encode(stable)


def decode_stable(blob: bytes) -> StableClock:
    """The inverse. Raises Damaged."""
    try:
        return _decoder.decode(blob)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"a stable clock cannot be read: {error}") from error


def join_stable(a: StableClock, b: StableClock) -> StableClock:
    """What both together say is settled."""
    return {id: max(a.get(id, 0), b.get(id, 0)) for id in sorted({**a, **b})}


def covered(newest: Mapping[str, int], stable: StableClock) -> bool:
    """Whether all that an object names is settled."""
    return all(number <= stable.get(id, 0) for id, number in newest.items())


class StableClocks:
    """The Mergeable of stable clocks. They are settled themselves: no copy of one is old."""

    place = staticmethod(partition_of)

    def mark(self, key: str) -> str:
        """The clock itself is kept for who missed it."""
        return ""

    def wanted(self, blob: bytes, key: str) -> bool:
        """Always."""
        return True

    def merge(self, held: bytes, other: bytes) -> bytes:
        """The join; see `Mergeable`."""
        mine, theirs = decode_stable(held), decode_stable(other)
        return held if covered(theirs, mine) else encode_stable(join_stable(mine, theirs))

    def check(self, blob: bytes) -> None:
        """Raise Damaged for bytes that are none."""
        decode_stable(blob)

    def digest(self, blob: bytes) -> bytes:
        """Eight bytes that are equal when the clocks are."""
        return blake2b(blob, digest_size=8).digest()

    def parts(self, blob: bytes) -> int:
        """It is one value."""
        return 1

    def shows(self, blob: bytes, key: str) -> bool:
        """It is there for all."""
        return True

    def is_deleted(self, blob: bytes, key: str) -> bool:
        """It never goes."""
        return False

    def ends_s(self, blob: bytes, key: str) -> float:
        """Nor will it."""
        return inf

    def newest(self, blob: bytes, key: str) -> dict[str, int]:
        """It names no event of its own."""
        return {}

    def unsettled(self, blob: bytes, key: str, held: bytes | None, stable: StableClock) -> bytes | None:
        """All of it."""
        return blob


@dataclass(frozen=True)
class Attestation:
    """What one node sees of a partition that is to be settled."""

    hints: int
    """Copies that it keeps for owners of it."""
    write_under_way: bool
    old_read_under_way: bool
    """One that began before the partition came to rest: it may still repair with what it found then."""
    owner: bool
    votes: bool
    """As an owner: that it lost nothing and misses nothing."""
    rested_s: float

    def obstacle(self, rest_s: float) -> str:
        """Why the node does not attest; empty when it does."""
        if self.write_under_way:
            return "a write is under way"
        if self.old_read_under_way:
            return "a read is under way"
        if self.hints:
            return "hints wait to be delivered"
        if self.owner and not self.votes:
            return "it may miss something"
        if self.owner and self.rested_s < rest_s:
            return "it was written lately"
        return ""


class Cut:
    """One cut of some partitions: who is to be asked, fed by what they attest. Partitions that turn out not to be
    settled leave `left`, with the reason in `refused`; the others go on."""

    LOOKS: Final = 3

    def __init__(self, members: Sequence[str], owners: Mapping[int, Sequence[str]]) -> None:
        """`owners` of each partition; all of them are members."""
        self._members = tuple(members)
        self._owners = owners
        self.left = dict.fromkeys(owners)
        self.refused: dict[int, str] = {}
        self.look = 1
        self.given: dict[str, int] = {}
        """Node id -> the number that it had given when it was asked first."""
        self._boots: dict[str, str] = {}
        self._roots: dict[int, bytes] = {}
        self._waiting = dict.fromkeys(members)

    @property
    def asks_roots(self) -> bool:
        """Whether this look is the last, at owners."""
        return self.look == self.LOOKS

    def to_ask(self) -> list[str]:
        """Whom this look waits for."""
        return list(self._waiting)

    def on_answer(self, name: str, answer: Surveyed | None) -> bool:
        """A node attests, or gives no answer. Returns whether the look is over; `next` begins another."""
        if name not in self._waiting:
            return False
        del self._waiting[name]
        if answer is None:
            self._refuse(self.left, f"{name} does not answer")
        elif self._boots.setdefault(name, answer.boot) != answer.boot:
            self._refuse(self.left, f"{name} has booted")
        else:
            self._attested(name, answer)
        return not self._waiting

    def _attested(self, name: str, answer: Surveyed) -> None:
        for partition, reason in answer.unsettled.items():
            self._refuse([partition], f"{name}: {reason}")
        if self.look == 1:
            self.given[answer.id] = answer.number
        if not self.asks_roots:
            return
        for partition in list(self.left):
            if name in self._owners[partition]:
                root = answer.roots.get(partition, b"")
                if not root or self._roots.setdefault(partition, root) != root:
                    self._refuse([partition], f"{name} does not hold the same as the other owners")

    def _refuse(self, partitions: Iterable[int], reason: str) -> None:
        for partition in list(partitions):
            if partition in self.left:
                del self.left[partition]
                self.refused[partition] = reason

    def next(self) -> bool:
        """Begin the next look at what is left. False when there is none: what is left is settled now, up to `given`."""
        assert not self._waiting
        if self.look == self.LOOKS or not self.left:
            return False
        self.look += 1
        asked = self._members
        if self.asks_roots:
            asked = tuple(dict.fromkeys(name for partition in self.left for name in self._owners[partition]))
        self._waiting = dict.fromkeys(asked)
        return True

    def covers(self, newest: Mapping[str, int]) -> bool:
        """Whether an object lies within the cut. Ids that no member has any more give no numbers, so all of theirs is
        over and done with; of the others nothing above `given` is known to be settled."""
        return all(number <= self.given.get(id, number) for id, number in newest.items())
