"""A bucket: the rules for the keys that begin with its name and a slash, as an entry of the chain defines them. Pure.

N is the layout's, since owners are placed once for all; the rest is the bucket's own. A definition raises no layout
number: no request that is under way becomes stale by it, and a node that has not taken it over yet goes on as before.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from cluster.errors import Usage
from cluster.layout.entry import NAME
from cluster.limits import BUCKETS_MAX

SIBLINGS: Final = "siblings"
"""Concurrent writes all stay, until a writer that has seen them replaces them."""
LWW: Final = "lww"
"""The write with the greatest stamp of a hybrid logical clock stays."""
RESOLVERS: Final = (SIBLINGS, LWW)
TTL_MAX_S: Final = 10 * 366 * 86400.0


class Bucket(Struct, frozen=True, omit_defaults=True):
    """What holds for the keys of a bucket."""

    resolver: str = SIBLINGS
    r: int = 0
    """Owners that a read asks, unless it says otherwise; 0: the cluster's R."""
    w: int = 0
    """Copies that a write waits for; 0: the cluster's W."""
    ttl_s: float = 0.0
    """A write expires so long after it, unless it says otherwise; 0: never."""
    emptied: int = 0
    """The stamp with which the bucket was last emptied: what was written with a lower one is gone."""

    @property
    def base(self) -> tuple[int, str, int]:
        """The generation in which its cells begin: one below it is over."""
        return self.emptied, "", 0

    def validate(self, name: str, n: int) -> None:
        """Raise Usage for a bucket that cannot be, in a cluster with `n` copies of each key."""
        if not NAME.fullmatch(name):
            raise Usage(
                f"invalid name of a bucket {name!r}: expected a lower-case letter, then up to 31 lower-case letters, "
                "digits or hyphens"
            )
        if self.resolver not in RESOLVERS:
            raise Usage(f"invalid resolver {self.resolver!r}: expected siblings or lww")
        for letter, quorum in (("R", self.r), ("W", self.w)):
            if not 0 <= quorum <= n:
                raise Usage(f"{letter} of bucket {name} is {quorum}; it is from 1 to N, which is {n}")
        if not 0.0 <= self.ttl_s <= TTL_MAX_S:
            raise Usage(f"the time to live of bucket {name} is {self.ttl_s} s; it is at most 10 years")
        if self.ttl_s and self.resolver != LWW:
            raise Usage(f"bucket {name} keeps siblings, and those do not expire: a time to live needs resolver lww")
        if self.emptied < 0:
            raise Usage(f"bucket {name} was emptied at stamp {self.emptied}")

    def same_options(self, other: "Bucket") -> bool:
        """Whether both were created alike, whenever they were emptied."""
        mine = (self.resolver, self.r, self.w, self.ttl_s)
        return mine == (other.resolver, other.r, other.w, other.ttl_s)


DEFAULT: Final = Bucket()
"""Of every key that belongs to no bucket that is defined."""


def bucket_name(key: str, defined: Mapping[str, Bucket]) -> str:
    """The bucket that a key belongs to: the one that its part before the first slash names, or "", the default one."""
    name, slash, _ = key.partition("/")
    return name if slash and name in defined else ""


def check_count(defined: Mapping[str, Bucket]) -> None:
    """Raise Usage for more buckets than an entry of the chain may carry."""
    if len(defined) > BUCKETS_MAX:
        raise Usage(f"a cluster has at most {BUCKETS_MAX} buckets")
