"""One entry of the numbered layout chain: who the members are, and how many replicas a key has.

An entry is immutable and is the only input of placement, so that nodes that hold the same number agree on every owner
without asking each other. It says nothing about who is alive: failure detection routes, it never places.

How the next entry is decided is no concern of this file (a ballot among the members of the one before).
"""

import re
from typing import Final

import msgspec

from cluster import errors
from cluster.limits import REPLICAS_MAX

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
WEIGHT_MAX: Final = 100


class Member(msgspec.Struct, frozen=True, cache_hash=True):
    """A place in the layout: its name, the zone it fails with, its address, and its share of the data."""

    name: str
    zone: str
    host: str
    port: int
    weight: int = 1

    def validate(self) -> None:
        """Raise `errors.Usage` for a field that cannot be accepted."""
        _check_name("node", self.name)
        _check_name("zone", self.zone)
        if not self.host:
            raise errors.Usage(f"node {self.name} has no host")
        if not 1 <= self.port <= 65535:
            raise errors.Usage(f"node {self.name} has port {self.port}; a port is from 1 to 65535")
        if not 1 <= self.weight <= WEIGHT_MAX:
            raise errors.Usage(f"node {self.name} has weight {self.weight}; a weight is from 1 to {WEIGHT_MAX}")


class LayoutEntry(msgspec.Struct, frozen=True, cache_hash=True, omit_defaults=True):
    """Entry `number` of the chain, after entry `previous` (none for genesis); `n`, `r` and `w` as in Dynamo."""

    number: int
    cluster: str
    members: tuple[Member, ...]
    n: int
    r: int
    w: int
    previous: int | None = None

    @property
    def replicas(self) -> int:
        """How many owners each partition really has: `n`, or all members where there are fewer."""
        return min(self.n, len(self.members))

    def validate(self) -> None:
        """Raise `errors.Usage`, naming what is wrong, for an entry that no node may run."""
        _check_name("cluster", self.cluster)
        if self.number < 1:
            raise errors.Usage(f"layout number {self.number} is not positive")
        if self.previous is not None and not 1 <= self.previous < self.number:
            raise errors.Usage(f"layout {self.number} cannot follow layout {self.previous}")
        self._validate_quorums()
        self._validate_members()

    def _validate_quorums(self) -> None:
        if not 1 <= self.n <= REPLICAS_MAX:
            raise errors.Usage(f"N is {self.n}; it is from 1 to {REPLICAS_MAX}")
        for letter, quorum in (("R", self.r), ("W", self.w)):
            if not 1 <= quorum <= self.n:
                raise errors.Usage(f"{letter} is {quorum}; it is from 1 to N, which is {self.n}")

    def _validate_members(self) -> None:
        if not self.members:
            raise errors.Usage("a layout needs at least one member")
        names: dict[str, None] = {}
        addresses: dict[tuple[str, int], str] = {}
        for member in self.members:
            member.validate()
            if member.name in names:
                raise errors.Usage(f"two members are called {member.name}")
            names[member.name] = None
            other = addresses.setdefault((member.host, member.port), member.name)
            if other != member.name:
                raise errors.Usage(f"{other} and {member.name} share the address {member.host}:{member.port}")


def _check_name(kind: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise errors.Usage(
            f"{name!r} is no name for a {kind}",
            help="A name is a lower-case letter, then up to 31 lower-case letters, digits or hyphens.",
        )


_decoder = msgspec.json.Decoder(LayoutEntry)


def encode_entry(entry: LayoutEntry) -> bytes:
    """The entry as JSON: equal entries give equal bytes."""
    return msgspec.json.encode(entry)


def decode_entry(blob: bytes) -> LayoutEntry:
    """The valid entry that `blob` holds; raises `errors.Damaged` for anything else. Unknown fields are ignored."""
    try:
        entry = _decoder.decode(blob)
        entry.validate()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, errors.Usage) as error:
        raise errors.Damaged(f"the layout cannot be read: {error}") from error
    return entry
