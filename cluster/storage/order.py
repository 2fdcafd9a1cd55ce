"""The order of keys that come and go, for whoever reads them in order now and then.

A put must not pay for order, so a new key is only noted; the sorted blocks are brought up to date by whoever reads in
order, some hundred keys at a time (`prepare`), so that a first reader need not stop the node. Bisection finds the start
of a page, so a page costs its own length. Who finds a key here that is gone discards it: it is passed over once.
"""

import gc
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

BLOCK = 1024
"""Keys in a block, and up to twice as many: what is moved when one is inserted."""
CHUNK = 512
"""Keys that are sorted and merged in one step: 0.3 ms."""
CHUNK_SHARE = 16
"""With more keys than `CHUNK` times this, a step takes as large a part of them: each goes through all blocks, so that
steps of one length would cost the square of the keys."""
FEW_SHARE = 32
"""Up to this part of the keys are inserted one by one (two bisections and a move of memory each)."""


class KeyOrder:
    """Keys, some perhaps twice, or gone already; whoever owns them knows."""

    __slots__ = ("_blocks", "fresh", "length")

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self.fresh = list(keys)
        """Keys that were added, in any order: whoever adds one appends it here."""
        self._blocks: list[list[str]] = []  # sorted, as the keys in them; none is empty
        self.length = 0
        """Keys that are in order: all others."""

    def after(self, key: str, prefix: str = "") -> Iterator[str]:
        """The keys above `key` that begin with `prefix`, in order, each once, but for those that are fresh. Nothing is
        added or discarded meanwhile."""
        blocks = self._blocks
        from_prefix = prefix > key
        start = prefix if from_prefix else key
        last = ""
        for number in range(bisect_left(blocks, start, key=_last), len(blocks)):
            block = blocks[number]
            at = bisect_left(block, start) if from_prefix else bisect_right(block, start)
            for position in range(at, len(block)):
                found = block[position]
                if not found.startswith(prefix):
                    return
                if found != last:
                    yield found
                    last = found

    def discard(self, keys: Iterable[str]) -> None:
        """Forget keys that a reader has passed over."""
        blocks = self._blocks
        for key in keys:
            number = bisect_left(blocks, key, key=_last)
            while number < len(blocks):
                block = blocks[number]
                at = bisect_left(block, key)
                if at == len(block) or block[at] != key:
                    break
                del block[at]
                self.length -= 1
                if not block:
                    del blocks[number]
                elif at == len(block):
                    number += 1  # it may be there twice, and the other one in the next block

    def prepare(self) -> bool:
        """Put a few of the fresh keys into blocks; whether there are more."""
        fresh = self.fresh
        if not fresh:
            return False
        size = max(CHUNK, self.length // CHUNK_SHARE)
        chunk = fresh[-size:]
        del fresh[-size:]
        self.length += len(chunk)
        if len(chunk) * FEW_SHARE < self.length:
            blocks = self._blocks
            for key in chunk:
                number = min(bisect_left(blocks, key, key=_last), len(blocks) - 1)
                insort(blocks[number], key)
                if len(blocks[number]) > 2 * BLOCK:
                    blocks[number : number + 1] = _cut(blocks[number])
        else:
            chunk.sort()
            self._merge(chunk)
            # Many young lists of keys would be gone through at once, which takes as long as there are keys.
            gc.collect(0)
        return bool(fresh)

    def _merge(self, chunk: list[str]) -> None:
        """Each block takes its part of the sorted keys: two sorted runs, which Timsort merges in linear time."""
        made: list[list[str]] = []
        done = 0
        for number, block in enumerate(self._blocks):
            is_last = number == len(self._blocks) - 1
            end = len(chunk) if is_last else bisect_right(chunk, block[-1], done)
            if end > done:
                block += chunk[done:end]
                block.sort()
                made += _cut(block)
                done = end
            else:
                made.append(block)
        self._blocks = made or _cut(chunk)


def _last(block: list[str]) -> str:
    return block[-1]


def _cut(block: list[str]) -> list[list[str]]:
    """Blocks that are not too long."""
    if len(block) <= 2 * BLOCK:
        return [block]
    return [block[first : first + BLOCK] for first in range(0, len(block), BLOCK)]
