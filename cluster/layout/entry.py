"""One layout: who the members are, how many replicas a key has, and in a transition who is to own what next.

A layout is immutable and is the only input of placement, so that nodes that hold the same number agree on every owner
without asking each other. It says nothing about who is alive: failure detection routes, it never places.

Owners are ranked in the first layout of a cluster. One that follows another carries them, made from those before with
as little movement as can be (`rebalance`). While data moves, `coming` has the members and owners to come beside those
in force; requests are routed by the number of the layout, which each such change raises by one.

How the next one is decided is no concern of this file: see `cluster.chain`.
"""

import re
from typing import Final

import msgspec

from cluster import errors
from cluster.layout.partition import PARTITIONS
from cluster.limits import REPLICAS_MAX

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
WEIGHT_MAX: Final = 100


class LayoutMember(msgspec.Struct, frozen=True, cache_hash=True):
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


Rows = tuple[tuple[str, ...], ...]
"""The names that own each partition, the preferred one first."""


class Coming(msgspec.Struct, frozen=True, cache_hash=True):
    """The members and owners of the next layout, to which data moves."""

    members: tuple[LayoutMember, ...]
    owners: Rows


class LayoutEntry(msgspec.Struct, frozen=True, cache_hash=True, omit_defaults=True):
    """Layout `number`, after layout `previous` (none for genesis); `n`, `r` and `w` as in Dynamo."""

    number: int
    cluster: str
    members: tuple[LayoutMember, ...]
    n: int
    r: int
    w: int
    previous: int | None = None
    owners: Rows = ()
    """Who owns each partition; empty where the ranking says it."""
    coming: Coming | None = None
    """Where the data moves; None when it does not."""

    @property
    def all_members(self) -> tuple[LayoutMember, ...]:
        """The members, and those to come."""
        if self.coming is None:
            return self.members
        names = {member.name for member in self.members}
        return (*self.members, *(member for member in self.coming.members if member.name not in names))

    def after(self) -> "LayoutEntry":
        """The layout that data moves to, as if it were in force under the next number."""
        assert self.coming is not None
        return LayoutEntry(
            self.number + 1, self.cluster, self.coming.members, self.n, self.r, self.w, self.number, self.coming.owners
        )

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
        if not 1 <= self.n <= REPLICAS_MAX:
            raise errors.Usage(f"N is {self.n}; it is from 1 to {REPLICAS_MAX}")
        for letter, quorum in (("R", self.r), ("W", self.w)):
            if not 1 <= quorum <= self.n:
                raise errors.Usage(f"{letter} is {quorum}; it is from 1 to N, which is {self.n}")
        _validate_members(self.members)
        _validate_owners(self.owners, self.members, self.replicas)
        if self.coming is not None:
            if not self.coming.owners:
                raise errors.Usage("the layout to come names no owners")
            _validate_members(self.coming.members)
            _validate_owners(self.coming.owners, self.coming.members, min(self.n, len(self.coming.members)))
            _validate_addresses(self.all_members)


def _validate_members(members: tuple[LayoutMember, ...]) -> None:
    if not members:
        raise errors.Usage("a layout needs at least one member")
    names: dict[str, None] = {}
    for member in members:
        member.validate()
        if member.name in names:
            raise errors.Usage(f"two members are called {member.name}")
        names[member.name] = None
    _validate_addresses(members)


def _validate_addresses(members: tuple[LayoutMember, ...]) -> None:
    addresses: dict[tuple[str, int], str] = {}
    for member in members:
        other = addresses.setdefault((member.host, member.port), member.name)
        if other != member.name:
            raise errors.Usage(f"{other} and {member.name} share the address {member.host}:{member.port}")


def _validate_owners(owners: Rows, members: tuple[LayoutMember, ...], replicas: int) -> None:
    if not owners:
        return
    if len(owners) != PARTITIONS:
        raise errors.Usage(f"a layout has owners for {len(owners)} partitions instead of {PARTITIONS}")
    names = {member.name for member in members}
    for partition, row in enumerate(owners):
        if len(row) != replicas or len(set(row)) != replicas or not names.issuperset(row):
            raise errors.Usage(f"partition {partition} cannot be owned by {', '.join(row) or 'nobody'}")


def _check_name(kind: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise errors.Usage(
            f"invalid name of a {kind} {name!r}",
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
