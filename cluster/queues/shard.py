"""One shard of a queue as an owner sees it: which items live, who leased them, what was sent before. Pure.

It is fed with the rows of the shard as the log has them, in any order, and keeps of each block only what is undone of
it; the items themselves stay in the store. Rows that say nothing any more (a block whose items are all done, bits below
the floor, notes of a block that is gone) are named in `covered`, and each owner removes them by itself: what covers
them is a row as well, so equal owners stay equal, and a late copy is not wanted.
"""

from bisect import bisect_right, insort
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Final, Protocol

from cluster.queues.done import DoneBits
from cluster.queues.rows import (
    CHUNK_BITS,
    KIND_BITS,
    KIND_BLOCK,
    KIND_DEDUP,
    KIND_FLOOR,
    KIND_NOTES,
    BlockOutline,
    Dedup,
    ItemId,
    LeaseNote,
    RowKey,
    bits_key,
    block_key,
    decode_bits,
    decode_dedup,
    decode_floor,
    decode_notes,
    floor_key,
    notes_key,
    outline_block,
    parse_item_id,
)
from cluster.versions import Actor

DEDUP_S: Final = 300.0
"""How long an item is remembered under its deduplication id."""
DEDUP_SPARE_S: Final = 5.0
"""Longer, at owners: clocks differ, and who gives by the shorter time never misses one."""
DEDUP_MAX: Final = 100_000
"""So many are remembered: 25 MB a shard."""

BlockName = tuple[Actor, int]
"""Actor and first number of a block."""


class LiveBlock:
    """A block of which something is undone."""

    __slots__ = (
        "accepted_ms", "actor", "count", "delay_ms", "expires_ms", "first", "has_notes", "noted_at", "notes", "size",
        "undone",
    )  # fmt: skip

    def __init__(self, actor: Actor, first: int, outline: BlockOutline, undone: int) -> None:
        self.actor = actor
        self.first = first
        self.count = outline.count
        self.size = outline.size
        self.accepted_ms = outline.accepted_ms
        self.expires_ms = outline.expires_ms
        self.delay_ms = outline.delay_ms
        self.undone = undone
        """A bit for each item that is not done, the lowest for the first."""
        self.has_notes = False
        """Whether there is a row of notes."""
        self.notes: dict[int, LeaseNote] = {}
        """The last known lease of each item that is not done, by its place."""
        self.noted_at: dict[int, float] = {}
        """When each note came: what remained of its time began to run then, on this node's clock."""

    def note(self, notes: dict[int, LeaseNote], now: float) -> bool:
        """The notes are these; whether any is another than before."""
        self.has_notes = True
        fresh = [place for place, note in notes.items() if self.undone >> place & 1 and self.notes.get(place) != note]
        for place in fresh:
            self.notes[place], self.noted_at[place] = notes[place], now
        return bool(fresh)

    def forget(self, places: int) -> None:
        """These are done with: whoever still has the block somewhere needs no notes of them."""
        for place in [place for place in self.notes if places >> place & 1]:
            del self.notes[place], self.noted_at[place]


class ShardWatcher(Protocol):
    """Follows one shard."""

    def added(self, block: LiveBlock) -> None:
        """A block has come."""

    def done(self, block: LiveBlock, places: int) -> None:
        """These items of a block are done, a bit for each."""

    def noted(self, block: LiveBlock) -> None:
        """The notes of a block are others than before."""

    def gone(self, block: LiveBlock) -> None:
        """A block has gone: nothing of it is undone, or this node is no owner any more."""


class Shard:
    """What an owner has of one shard."""

    def __init__(self, queue: int, number: int) -> None:
        self.queue = queue
        self.number = number
        self.blocks: dict[BlockName, LiveBlock] = {}
        """In the order in which they came."""
        self.depth = 0
        """Items that are not done."""
        self.size = 0
        """Bytes of the blocks that live, those of their items that are done included."""
        self.done: dict[Actor, DoneBits] = {}
        self.dedup: dict[str, Dedup] = {}
        """By the hash of the id."""
        self.names = 0
        """Equal where the same blocks live, whichever way they came."""
        self.watcher: ShardWatcher | None = None
        self.covered: dict[str, None] = {}
        """Keys of rows that are to be removed."""
        self.folded: dict[Actor, None] = {}
        """Actors whose full chunks are to be folded."""
        self._firsts: dict[Actor, dict[int, list[int]]] = {}
        """By actor and chunk the first numbers of live blocks, sorted: few are looked through for each."""
        self._early: dict[BlockName, tuple[dict[int, LeaseNote], float]] = {}
        """Notes of blocks that have not come."""
        self._ageing: list[tuple[float, str]] = []
        """Dedup rows by the time at which they are to be looked at, in seconds since 1970: a heap, because
        a boot and a repair bring them in any order. Behind a younger one a row would be kept, and repaired in vain, for
        minutes after the other owners have let it go."""

    # -- asked

    def find(self, actor: Actor, number: int) -> LiveBlock | None:
        """The block of an item, if anything of the block lives."""
        chunks = self._firsts.get(actor)
        if chunks is None:
            return None
        chunk = number // CHUNK_BITS
        firsts = chunks.get(chunk)
        if firsts is None or firsts[0] > number:  # a block that began in the chunk before may reach into this one
            firsts = chunks.get(chunk - 1)
            if firsts is None:
                return None
        block = self.blocks[actor, firsts[bisect_right(firsts, number) - 1]]
        return block if number < block.first + block.count else None

    def lives(self, actor: Actor) -> bool:
        """Whether any item of the actor is not done."""
        return actor in self._firsts

    def is_done(self, actor: Actor, number: int) -> bool:
        """Whether the item is done, whether or not it ever came here."""
        done = self.done.get(actor)
        return done is not None and done.is_done(number)

    def end(self, actor: Actor) -> int:
        """The number after the last item that this node knows of."""
        done = self.done.get(actor)
        end = 0 if done is None else done.end
        chunks = self._firsts.get(actor)
        if chunks:
            last = self.blocks[actor, chunks[max(chunks)][-1]]
            end = max(end, last.first + last.count)
        return end

    def rows_of(self, actor: Actor) -> list[str]:
        """The keys of what is said of an actor's items, none of which lives."""
        keys = [notes_key(self.queue, self.number, *name) for name in self._early if name[0] == actor]
        done = self.done.get(actor)
        if done is not None:
            keys += [bits_key(self.queue, self.number, actor, chunk) for chunk in done.chunks]
            if done.floor:
                keys.append(floor_key(self.queue, self.number, actor))
        return keys

    def actors(self) -> list[Actor]:
        """All that this node has anything of."""
        return list(dict.fromkeys((*self._firsts, *self.done)))

    def wants(self, key: RowKey, blob: bytes, wall_s: float) -> bool:
        """Whether a row that is not here says anything. Raises Damaged."""
        kind, actor, number = key.kind, key.actor, key.number
        if kind == KIND_DEDUP:
            return self._remembers(decode_dedup(blob), wall_s)
        done = self.done.get(actor)
        if done is None:
            return True
        if kind == KIND_BLOCK:
            return bool(done.undone(number, outline_block(blob).count))
        if kind == KIND_BITS:
            return number >= done.floor
        if kind == KIND_NOTES:  # of a block that has not come yet, or lives
            return (actor, number) in self.blocks or not done.is_done(number)
        return True

    def digest(self) -> bytes:
        """Equal where the same is alive, and the same is known to be done with."""
        done = sorted(
            (actor, bits.folded(), sorted((chunk, its) for chunk, its in bits.chunks.items() if chunk >= bits.folded()))
            for actor, bits in self.done.items()
        )
        return blake2b(repr((self.names, done)).encode(), digest_size=8).digest()

    # -- fed

    def put(self, key: RowKey, blob: bytes, now: float) -> None:
        """A row has come or has changed. Raises Damaged."""
        kind, actor, number = key.kind, key.actor, key.number
        if kind == KIND_BLOCK:
            self._put_block(actor, number, outline_block(blob))
        elif kind == KIND_BITS:
            self._put_bits(actor, number, decode_bits(blob))
        elif kind == KIND_FLOOR:
            self._put_floor(actor, decode_floor(blob))
        elif kind == KIND_NOTES:
            self._put_notes(actor, number, decode_notes(blob), now)
        else:
            dedup = decode_dedup(blob)
            if actor not in self.dedup:
                heappush(self._ageing, (dedup.accepted_ms / 1000 + DEDUP_S + DEDUP_SPARE_S, actor))
            self.dedup[actor] = dedup

    def drop(self, key: RowKey) -> None:
        """A row has gone: it was covered, or retired, or this node is no owner any more."""
        kind, actor, number = key.kind, key.actor, key.number
        if kind == KIND_BLOCK:
            block = self.blocks.get((actor, number))
            if block is not None:
                self._end(block)
        elif kind == KIND_DEDUP:
            self.dedup.pop(actor, None)
        elif kind == KIND_NOTES:
            self._early.pop((actor, number), None)
        elif (done := self.done.get(actor)) is not None:
            if kind == KIND_BITS:
                done.chunks.pop(number, None)
            else:
                done.floor = 0
            if not done.floor and not done.chunks:
                del self.done[actor]

    def age(self, wall_s: float, most: int) -> bool:
        """Cover up to so many dedup rows that are not remembered any more; whether there may be more."""
        ageing = self._ageing
        while ageing and most and ageing[0][0] <= wall_s:
            most -= 1
            _, name = heappop(ageing)
            dedup = self.dedup.get(name)
            if dedup is None:
                continue
            if self._remembers(dedup, wall_s):
                heappush(ageing, (wall_s + DEDUP_S, name))
            else:
                self.covered[f"{self.queue}.{self.number}/{KIND_DEDUP}{name}"] = None
        return bool(ageing) and ageing[0][0] <= wall_s

    def _remembers(self, dedup: Dedup, wall_s: float) -> bool:
        if dedup.accepted_ms / 1000 + DEDUP_S + DEDUP_SPARE_S > wall_s:
            return True
        if not dedup.stays:
            return False
        item: ItemId = parse_item_id(dedup.item)
        block = self.find(item.actor, item.number)
        return block is not None and bool(block.undone >> item.number - block.first & 1)

    def _put_block(self, actor: Actor, first: int, outline: BlockOutline) -> None:
        if (actor, first) in self.blocks:
            return
        done = self.done.get(actor)
        undone = (1 << outline.count) - 1 if done is None else done.undone(first, outline.count)
        if not undone:
            self._cover_block(actor, first)
            return
        block = self.blocks[actor, first] = LiveBlock(actor, first, outline, undone)
        firsts = self._firsts.setdefault(actor, {}).setdefault(first // CHUNK_BITS, [])
        if not firsts or firsts[-1] < first:
            firsts.append(first)
        else:
            insort(firsts, first)
        self.depth += undone.bit_count()
        self.size += outline.size
        self.names ^= _hash(actor, first)
        early = self._early.pop((actor, first), None)
        if early is not None:
            block.note(*early)
        if self.watcher is not None:
            self.watcher.added(block)

    def _put_bits(self, actor: Actor, chunk: int, bits: int) -> None:
        done = self.done.get(actor)
        if done is None:
            done = self.done[actor] = DoneBits()
        if chunk < done.floor:
            self.covered[bits_key(self.queue, self.number, actor, chunk)] = None
            return
        fresh = done.add(chunk, bits)
        if fresh:
            self._settle(actor, chunk, fresh)
            self._cover_early(actor)
            if done.folded() > done.floor:
                self.folded[actor] = None

    def _put_floor(self, actor: Actor, floor: int) -> None:
        done = self.done.get(actor)
        if done is None:
            done = self.done[actor] = DoneBits()
        if floor <= done.floor:
            return
        for chunk in done.chunks:
            if chunk < floor:
                self.covered[bits_key(self.queue, self.number, actor, chunk)] = None
        done.raise_floor(floor)
        for chunk in [chunk for chunk in self._firsts.get(actor, ()) if chunk < floor]:
            for first in list(self._firsts[actor][chunk]):
                block = self.blocks[actor, first]
                # The last may reach beyond the floor.
                self._done(block, block.undone & ~done.undone(first, block.count))
        self._cover_early(actor)
        if done.folded() > floor:
            self.folded[actor] = None

    def _put_notes(self, actor: Actor, first: int, notes: dict[int, LeaseNote], now: float) -> None:
        block = self.blocks.get((actor, first))
        if block is not None:
            if block.note(notes, now) and self.watcher is not None:
                self.watcher.noted(block)
        elif self.is_done(actor, first):
            self.covered[notes_key(self.queue, self.number, actor, first)] = None
        else:
            self._early[actor, first] = notes, now

    def _settle(self, actor: Actor, chunk: int, bits: int) -> None:
        """These of a chunk are done now: a step for each block that has any of them."""
        base = chunk * CHUNK_BITS
        firsts = self._firsts.get(actor, {}).get(chunk, [])
        while bits:
            number = base + (bits & -bits).bit_length() - 1
            block = self.find(actor, number)
            if block is None:  # what is done may come later, or never; go on with the next that is here
                next = bisect_right(firsts, number)
                if next == len(firsts):
                    return
                place = firsts[next] - base
                bits = bits >> place << place
                continue
            place = block.first - base  # below 0 where it began in the chunk before
            end = place + block.count
            self._done(block, (bits >> place if place >= 0 else bits << -place) & block.undone)
            bits = bits >> end << end if end < CHUNK_BITS else 0

    def _done(self, block: LiveBlock, places: int) -> None:
        if not places:
            return
        block.undone ^= places
        if block.notes:
            block.forget(places)
        self.depth -= places.bit_count()
        if self.watcher is not None:
            self.watcher.done(block, places)
        if not block.undone:
            self._end(block)
            self._cover_block(block.actor, block.first)
            if block.has_notes:
                self.covered[notes_key(self.queue, self.number, block.actor, block.first)] = None

    def _cover_early(self, actor: Actor) -> None:
        """Notes of blocks that will not come any more: nobody wants what is done."""
        for name in [name for name in self._early if name[0] == actor and self.is_done(*name)]:
            del self._early[name]
            self.covered[notes_key(self.queue, self.number, *name)] = None

    def _cover_block(self, actor: Actor, first: int) -> None:
        self.covered[block_key(self.queue, self.number, actor, first)] = None
        if self._early.pop((actor, first), None) is not None:
            self.covered[notes_key(self.queue, self.number, actor, first)] = None

    def _end(self, block: LiveBlock) -> None:
        actor, first = block.actor, block.first
        del self.blocks[actor, first]
        self.names ^= _hash(actor, first)
        chunks, chunk = self._firsts[actor], first // CHUNK_BITS
        firsts = chunks[chunk]
        if len(firsts) > 1:
            del firsts[bisect_right(firsts, first) - 1]
        elif len(chunks) > 1:
            del chunks[chunk]
        else:
            del self._firsts[actor]
        self.depth -= block.undone.bit_count()
        self.size -= block.size
        block.notes, block.noted_at = {}, {}  # who still has the block keeps 300 bytes, and not some kilobytes
        if self.watcher is not None:
            self.watcher.gone(block)


def _hash(actor: Actor, first: int) -> int:
    return int.from_bytes(blake2b(f"{actor}/{first}".encode(), digest_size=8).digest(), "big")
