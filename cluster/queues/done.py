"""Which items of one actor in a shard are done with: chunks of bits above a floor. Pure.

What is done stays done, so owners join what they know by OR, in any order and any number of times. A chunk all of whose
items are done, with nothing but such chunks before it, is folded into the floor; each owner does that for itself, and
equal sets are equal rows whichever way they came about. The room that is taken is that of the chunks with gaps.
"""

from collections.abc import Iterable

from cluster.queues.rows import CHUNK_BITS, FULL


def chunks_of(numbers: Iterable[int]) -> dict[int, int]:
    """The bits of some items, by chunk."""
    chunks: dict[int, int] = {}
    for number in numbers:
        chunk, place = divmod(number, CHUNK_BITS)
        chunks[chunk] = chunks.get(chunk, 0) | 1 << place
    return chunks


class DoneBits:
    """Of one actor."""

    __slots__ = ("chunks", "floor")

    def __init__(self) -> None:
        self.floor = 0
        """All chunks below this one are full."""
        self.chunks: dict[int, int] = {}
        """Bits by chunk, of those at or above the floor that have any."""

    def is_done(self, number: int) -> bool:
        """Whether the item of this number is."""
        chunk, place = divmod(number, CHUNK_BITS)
        return chunk < self.floor or bool(self.chunks.get(chunk, 0) >> place & 1)

    def undone(self, first: int, count: int) -> int:
        """Of `count` items from `first` on, at most a chunk's: a bit for each that is not done, the lowest for
        `first`."""
        chunk, place = divmod(first, CHUNK_BITS)
        done = (FULL if chunk < self.floor else self.chunks.get(chunk, 0)) >> place
        if place + count > CHUNK_BITS:
            next = FULL if chunk + 1 < self.floor else self.chunks.get(chunk + 1, 0)
            done |= next << CHUNK_BITS - place
        return ~done & (1 << count) - 1

    def add(self, chunk: int, bits: int) -> int:
        """These are done; returns those that were not before."""
        if chunk < self.floor:
            return 0
        held = self.chunks.get(chunk, 0)
        self.chunks[chunk] = held | bits
        return bits & ~held

    def raise_floor(self, floor: int) -> None:
        """All chunks below are full."""
        if floor > self.floor:
            self.floor = floor
            for chunk in [chunk for chunk in self.chunks if chunk < floor]:
                del self.chunks[chunk]

    def folded(self) -> int:
        """Where the floor would be with the full chunks that stand upon it."""
        floor = self.floor
        while self.chunks.get(floor) == FULL:
            floor += 1
        return floor

    @property
    def end(self) -> int:
        """The number after the last that is done."""
        if not self.chunks:
            return self.floor * CHUNK_BITS
        last = max(self.chunks)
        return last * CHUNK_BITS + self.chunks[last].bit_length()
