"""Which kinds of operation there are, and how many of each: `read=50,write=50`, or one of YCSB's workloads A to F.

The workloads are those of Cooper et al. ("Benchmarking Cloud Serving Systems with YCSB", SoCC 2010, table 2). Pure.
"""

from bisect import bisect
from collections.abc import Mapping
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

from msgspec import Struct

from cluster.errors import Usage
from dsectl.load.keyspace import LATEST, ZIPFIAN

READ, WRITE, INSERT, SCAN, RMW = "read", "write", "insert", "scan", "rmw"
KINDS = (READ, WRITE, INSERT, SCAN, RMW)
"""`write` meets a key that exists, `insert` makes one, `scan` lists keys in order, `rmw` reads, then writes."""


class Mix(Struct, frozen=True):
    """Shares of the kinds, which need not add up to anything, and the distribution of keys that goes with them."""

    shares: dict[str, float]
    distribution: str = ZIPFIAN

    @property
    def reads(self) -> bool:
        """Whether keys must be there before it begins."""
        return any(self.shares.get(kind) for kind in (READ, SCAN, RMW))


PRESETS = {
    "A": Mix({READ: 50, WRITE: 50}),
    "B": Mix({READ: 95, WRITE: 5}),
    "C": Mix({READ: 100}),
    "D": Mix({READ: 95, INSERT: 5}, LATEST),
    "E": Mix({SCAN: 95, INSERT: 5}),
    "F": Mix({READ: 50, RMW: 50}),
}
MIX_DEFAULT = "A"
_HELP = (
    "Write shares, as in read=50,write=50 (kinds: read, write, insert, scan, rmw), or the letter of a YCSB workload: "
    "A read/write 50/50, B 95/5, C read only, D read/insert 95/5 of the latest, E scan/insert 95/5, F read/rmw 50/50."
)


def parse_mix(text: str) -> Mix:
    """A letter from A to F, or shares. Raises Usage."""
    preset = PRESETS.get(text.strip().upper())
    if preset is not None:
        return preset
    shares: dict[str, float] = {}
    for part in text.split(","):
        kind, equals, number = part.strip().partition("=")
        if kind not in KINDS or not equals:
            raise Usage(f"{part.strip()!r} is no part of a mix", help=_HELP)
        if kind in shares:
            raise Usage(f"the mix names {kind} twice", help=_HELP)
        shares[kind] = _share(kind, number)
    if not any(shares.values()):
        raise Usage(f"the mix {text!r} has no operation at all", help=_HELP)
    return Mix({kind: share for kind, share in shares.items() if share})


def _share(kind: str, number: str) -> float:
    try:
        share = float(number.removesuffix("%"))
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise Usage(f"the share of {kind} is a number from 0, not {number!r}", help=_HELP)
    return share


What = TypeVar("What")


class KindChooser(Generic[What]):
    """Picks what to do next: the mix's kinds, each standing for what `does` has for it."""

    def __init__(self, mix: Mix, random: Random, does: Mapping[str, What]) -> None:
        self._random = random.random
        self._kinds = [does[kind] for kind in mix.shares]
        *self._bounds, self._total = accumulate(mix.shares.values())

    def pick(self) -> What:
        """One of them, by its share."""
        return self._kinds[bisect(self._bounds, self._random() * self._total)]
