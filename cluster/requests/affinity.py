"""The endpoint that a key belongs to: rendezvous hashing, with bounded load.

Every key ranks all endpoints by a hash of both, so that an endpoint that comes or goes moves only the keys that are or
were its own (Thaler and Ravishankar, 1998). No endpoint gets more than 1.25 times its share of the calls in flight:
what is over goes to the next of the key's ranking, so that one hot key cannot drown its endpoint (Mirrokni, Thorup and
Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2017). Zones do not count: all entry nodes rank alike. Pure.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from typing import Protocol, TypeVar

LOAD_BOUND = 1.25
_MASK = (1 << 64) - 1
_SCALE = 0.5**64


class Ranked(Protocol):
    """An endpoint."""

    in_flight: int

    @property
    def seed(self) -> int:
        """The hash of its name."""


T = TypeVar("T", bound=Ranked)


def seed_of(text: str) -> int:
    """64 bits of a name, or of a key; the same on every node."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def belongs_to(key: str, endpoints: Sequence[T]) -> T:
    """The best of the key's ranking with room for one more call; the best of all where none has, which cannot be while
    the bound is above 1. There is at least one endpoint."""
    own = seed_of(key)
    room = ceil(LOAD_BOUND * (1 + sum(one.in_flight for one in endpoints)) / len(endpoints))
    return max(endpoints, key=lambda one: (one.in_flight < room, _mix(own ^ one.seed)))


def draw_of(key: str) -> float:
    """A number from 0 to 1 that a key always draws: which version it belongs to."""
    return _mix(seed_of(key)) * _SCALE


def _mix(bits: int) -> int:
    """The finalizer of SplitMix64: without it, ranks of keys that share bits would be alike."""
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB & _MASK
    return bits ^ (bits >> 31)
