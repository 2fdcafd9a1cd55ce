"""What one owner of a shard gives of it: which items are visible, who has leased which, and until when. Pure.

Only what was leased, is delayed, or came back has a state of its own here. All else is given by walking over the live
blocks, lazily, in the order in which they arrived. Time is passed in, on the monotonic clock; a wall clock is needed
for delays and expiry alone, because those began at another node.

A giver writes down each lease, for whoever gives next (`LeaseNote`): a successor counts attempts from there, and waits
for the leases of its predecessor as if they were its own. So what is kept here may be forgotten (`rest`): the notes say
it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from cluster.limits import QUEUE_RECEIVE_BYTES_MAX
from cluster.queues.rows import Item, ItemBlock, LeaseNote, dedup_hash, item_id, parse_item_id
from cluster.queues.shard import LiveBlock, Shard

HELD_MAX: Final = 100_000
"""Items of a shard with a state of their own; while there are so many, nothing more is leased."""
STEPS_MAX: Final = 8192
"""Of the walk in one go: it may meet much that is not due, or is leased, and show nothing."""
OPENING_STEPS: Final = 32
"""To decode a block costs so many steps of passing one over."""
ENDED_MAX: Final = 256
"""Items that are not given but ended in one go."""
SPARE: Final = 256
"""Blocks of what is done with are left until there are so many of them, and more than of what is not; timers, each of
which keeps what it stands for, until they are half as many."""
WAITS, REPEATED = "waits", "repeated"
WAIT_S: Final = 1.0
"""What waits for another item is looked at again after so long."""
RELEASED: Final = -1
"""The remaining time of a lease that reached nobody: its attempt does not count."""

Load = Callable[[LiveBlock], ItemBlock | None]
"""The items of a block; None when they cannot be read."""


class HeldItem:
    """The state of one item. Until `until` nobody is given it: it is leased, or has to wait."""

    __slots__ = ("attempt", "block", "counter", "index", "leased", "receiver", "until")

    def __init__(
        self, block: LiveBlock, index: int, attempt: int, counter: int, until: float, leased: bool, receiver: str
    ) -> None:
        self.block = block
        self.index = index
        self.attempt = attempt
        """How often it was leased, this lease included."""
        self.counter = counter
        self.until = until
        self.leased = leased
        self.receiver = receiver

    @property
    def number(self) -> int:
        """The number that its actor gave the item."""
        return self.block.first + self.index


class Taken:
    """What `take` found."""

    __slots__ = ("expired", "leases", "more", "overdue", "repeated", "size", "steps")

    def __init__(self) -> None:
        self.leases: list[tuple[HeldItem, ItemBlock, Item]] = []
        self.overdue: list[tuple[HeldItem, ItemBlock, Item]] = []
        """Leased to nobody: they were delivered as often as the queue allows."""
        self.expired: list[tuple[LiveBlock, int]] = []
        self.repeated: list[tuple[LiveBlock, int]] = []
        """The same was sent before, under its deduplication id, and that is given instead."""
        self.size = 0
        """Bytes of what was leased."""
        self.steps = 0
        """Of the walk, as far as they are counted."""
        self.more = False
        """There may be more all the same: so far it was enough for one go."""


class Giver:
    """Gives of one shard. `counter` numbers the leases of this boot of the node."""

    def __init__(
        self,
        shard: Shard,
        me: str,
        epoch: int,
        counter: Iterator[int],
        load: Load,
        on_added: Callable[[int], None],
    ) -> None:
        """`on_added(queue)`: there may be more to give."""
        self.shard = shard
        self.me = me
        self.epoch = epoch
        self._in_flight = 0
        self.redelivered = 0
        self._load = load
        self._counter = counter
        self._on_added = on_added
        self._held: dict[tuple[str, int], HeldItem] = {}
        self._timers: list[tuple[float, int, HeldItem]] = []
        self._ready: deque[tuple[LiveBlock, int, int]] = deque()  # block, index, attempts so far
        self._walking = False
        self._fresh: deque[LiveBlock] = deque()
        self._waiting: list[tuple[float, int, LiveBlock]] = []  # blocks of which nothing is due yet
        self._due: deque[LiveBlock] = deque()  # and of which something is now
        self._second: dict[tuple[str, int], tuple[LiveBlock, int, str]] = {}  # what waits for another item
        self._kept: dict[tuple[str, int], set[int]] = {}  # of blocks that are walked over again: what is leased
        self._open: tuple[LiveBlock, ItemBlock, deque[int]] | None = None
        self._loaded: tuple[LiveBlock, ItemBlock] | None = None
        shard.watcher = self

    # -- what becomes of the shard

    def added(self, block: LiveBlock) -> None:
        """There is one more block."""
        if self._walking:
            self._fresh.append(block)
            if len(self._fresh) > 2 * len(self.shard.blocks) + SPARE:  # another node gives meanwhile
                self._fresh = deque(one for one in self._fresh if one.undone)
        self._on_added(self.shard.queue)

    def done(self, block: LiveBlock, mask: int) -> None:
        """These of its items are done with."""
        held, actor, first = self._held, block.actor, block.first
        if not held:
            return
        while mask:
            low = mask & -mask
            mask ^= low
            one = held.pop((actor, first + low.bit_length() - 1), None)
            if one is not None and one.leased:
                self._in_flight -= 1

    def gone(self, block: LiveBlock) -> None:
        """It is not there any more. Of one that is not done with this node is no owner now; should it become one
        again, another block stands for the same items, with what was noted of them meanwhile."""
        if self._loaded is not None and self._loaded[0] is block:
            self._loaded = None
        if block.undone:
            for number in range(block.first, block.first + block.count):
                held = self._held.get((block.actor, number))
                if held is not None:
                    self._end(held)
            block.undone = 0  # wherever the walk meets it, there is nothing in it

    def noted(self, block: LiveBlock) -> None:
        """Another giver has leased some of it: looked at when the items are met."""

    # -- giving

    def take(
        self,
        count: int,
        now: float,
        wall_ms: int,
        visibility_s: float,
        *,
        receiver: str = "",
        max_receives: int = 0,
        expires: bool = True,
        bytes_max: int = QUEUE_RECEIVE_BYTES_MAX,
    ) -> Taken:
        """Lease up to `count` items that are visible, the last of which may go beyond `bytes_max`. `expires`: this
        node's clock is right enough to say so."""
        taken = Taken()
        if not self._walking:
            self._walk()  # before what was leased comes back, which the walk leaves out
        self._advance(now)
        until, leases = now + visibility_s, taken.leases
        while len(leases) < count and taken.size < bytes_max and not self.is_full:
            if len(taken.expired) + len(taken.repeated) + len(taken.overdue) >= ENDED_MAX:
                taken.more = True
                break
            found = self._next(now, wall_ms, taken)
            if found is None:
                break
            block, items, index, attempts = found
            if items is None or not block.undone >> index & 1:
                continue
            note = block.notes.get(index) if block.notes else None
            if note is not None and note.attempt > attempts:  # another has given it meanwhile, or this one long ago
                attempts = _attempts(note)
                if (ends := block.noted_at[index] + note.remaining_ms / 1000) > now:
                    self._hold(block, index, attempts, ends)
                    continue
            if expires and wall_ms >= items.expires_ms:
                taken.expired.append((block, index))
                continue
            item = items.items[index]
            if item.dedup_id and (what := self._waits_for(block, index, item.dedup_id)):
                if what == REPEATED:
                    taken.repeated.append((block, index))
                else:
                    self._hold(block, index, attempts, now + WAIT_S)
                    self._second[block.actor, block.first + index] = block, index, item.dedup_id
                continue
            held = HeldItem(block, index, attempts + 1, next(self._counter), until, True, receiver)
            self._held[block.actor, block.first + index] = held
            heappush(self._timers, (until, held.counter, held))
            self._in_flight += 1
            if max_receives and attempts >= max_receives:
                taken.overdue.append((held, items, item))
                continue
            self.redelivered += attempts > 0
            taken.size += len(item.body)
            leases.append((held, items, item))
        if len(self._timers) > 1.5 * len(self._held) + SPARE:
            self._rebuild_timers()
        return taken

    def note_of(self, held: HeldItem, now: float) -> LeaseNote:
        """What is to be written down of a lease that was just given."""
        return LeaseNote(held.attempt, self.epoch, held.counter, self.me, int((held.until - now) * 1000))

    def repeated(self) -> list[tuple[LiveBlock, int]]:
        """What waited for another item under its deduplication id, and is not needed any more."""
        self._second = {key: one for key, one in self._second.items() if one[0].undone >> one[1] & 1}
        return [
            (block, index)
            for block, index, id in self._second.values()
            if self._waits_for(block, index, id) == REPEATED
        ]

    def lease(self, actor: str, number: int, counter: int, now: float) -> HeldItem | None:
        """The lease that a receipt of this giver names, if it is the item's current one."""
        held = self._held.get((actor, number))
        return held if held is not None and held.leased and held.counter == counter and held.until > now else None

    def extend(self, held: HeldItem, now: float, visibility_s: float) -> LeaseNote:
        """The lease lasts so long from now on. What is to be noted."""
        held.until = now + visibility_s
        return self._again(held, visibility_s)

    def put_back(self, held: HeldItem, now: float, delay_s: float) -> LeaseNote:
        """The lease is over: give the item again after the delay. What is to be noted."""
        if delay_s > 0:
            held.leased, held.until = False, now + delay_s
            self._in_flight -= 1
            return self._again(held, delay_s)
        self._end(held)
        if self._walking:  # else the next walk finds it
            self._ready.append((held.block, held.index, held.attempt))
        return LeaseNote(held.attempt, self.epoch, next(self._counter), self.me, 0)

    def release(self, held: HeldItem) -> LeaseNote:
        """The lease reached nobody: give the item again, as if it had not been given. What is to be noted."""
        self._end(held)
        if self._walking:
            self._ready.appendleft((held.block, held.index, held.attempt - 1))
        return LeaseNote(held.attempt, self.epoch, next(self._counter), self.me, RELEASED)

    def next_at(self) -> float | None:
        """When something may become visible by itself; None for never."""
        times = [heap[0][0] for heap in (self._timers, self._waiting) if heap]
        return min(times, default=None)

    def in_flight(self, now: float) -> int:
        """How many are leased now, whether or not anybody has taken since the others' leases ended."""
        self._advance(now)
        return self._in_flight

    @property
    def is_full(self) -> bool:
        """Whether nothing more is leased, though there may be more."""
        return len(self._held) >= HELD_MAX

    def may_give(self, now: float) -> bool:
        """Whether it is worth while to take."""
        if not self._walking:
            return bool(self.shard.blocks)
        self._advance(now)
        return bool(self._ready or self._open or self._due or self._fresh)

    def rest(self) -> None:
        """Keep the leases and forget the rest, which grows while another node gives: the walk begins anew."""
        self._walking = False
        self._fresh.clear()
        self._waiting.clear()
        self._due.clear()
        self._ready.clear()
        self._open = self._loaded = None
        self._held = {key: held for key, held in self._held.items() if held.leased}
        self._rebuild_timers()

    # -- the walk

    def _walk(self) -> None:
        self._walking = True
        self._fresh.extend(self.shard.blocks.values())
        self._kept = {}
        for held in self._held.values():
            self._kept.setdefault((held.block.actor, held.block.first), set()).add(held.index)

    def _next(self, now: float, wall_ms: int, taken: Taken) -> tuple[LiveBlock, ItemBlock | None, int, int] | None:
        """An item that may be visible: its block, the items of that as far as they can be read, its place there, and
        how often it is known to have been delivered. None when there is none, or no more in one go."""
        while True:
            if self._ready:
                block, index, attempts = self._ready.popleft()
                return block, self._items(block), index, attempts
            if self._open is not None:
                block, items, left = self._open
                if left:
                    return block, items, left.popleft(), 0
                self._open = None
            elif self._due:
                self._begin(self._due.popleft(), now, wall_ms, is_due=True)
            elif not self._fresh:
                return None
            elif taken.steps >= STEPS_MAX:
                taken.more = True
                return None
            else:
                taken.steps += OPENING_STEPS if self._begin(self._fresh.popleft(), now, wall_ms) else 1

    def _begin(self, block: LiveBlock, now: float, wall_ms: int, is_due: bool = False) -> bool:
        """Open a block, but for what is leased, or not due. Whether it had to be read. `is_due`: the least delay of its
        items has been waited for."""
        undone = block.undone
        if undone and block.delay_ms and not is_due:
            remaining_s = _remaining_s(block, block.delay_ms, wall_ms)
            if remaining_s > 0:
                heappush(self._waiting, (now + remaining_s, next(self._counter), block))
                return False
        items = self._items(block) if undone else None
        if items is None:
            return False
        left = deque(index for index in range(block.count) if undone >> index & 1)
        kept = self._kept.pop((block.actor, block.first), None) if self._kept else None
        delayed = any(item.delay_ms for item in items.items)
        if kept or delayed or block.notes:
            visible: deque[int] = deque()
            later: list[tuple[float, int, int]] = []
            for index in left:
                if kept and index in kept:
                    continue
                attempts, note = 0, block.notes.get(index)
                remaining_s = 0.0
                if note is not None:
                    attempts, remaining_s = _attempts(note), block.noted_at[index] + note.remaining_ms / 1000 - now
                elif delay_ms := items.items[index].delay_ms:
                    rest_s = (delay_ms - block.delay_ms) / 1000
                    remaining_s = rest_s if is_due else _remaining_s(block, delay_ms, wall_ms)
                if remaining_s > 0:
                    later.append((now + remaining_s, index, attempts))
                else:
                    visible.append(index)
            for until, index, attempts in later:
                self._hold(block, index, attempts, until)
            left = visible
        self._open = block, items, left
        return True

    def _items(self, block: LiveBlock) -> ItemBlock | None:
        if self._loaded is not None and self._loaded[0] is block:
            return self._loaded[1]
        items = self._load(block)
        if items is not None:
            self._loaded = block, items
        return items

    def _waits_for(self, block: LiveBlock, index: int, dedup_id: str) -> str:
        """Whether the item has to wait for another one under its deduplication id (WAITS), or is not needed any more
        (REPEATED), or neither. Two were accepted apart, on two sides of a partition or by a node that died with its
        own. Which of them stands for the id may change as rows come together: so only what is done with, because it
        was delivered, ends the others."""
        shard, dedup = self.shard, self.shard.dedup.get(dedup_hash(dedup_id))
        if dedup is None:
            return ""
        own = item_id(shard.queue, shard.number, block.actor, block.first + index)
        for other in map(parse_item_id, {dedup.item: None, **dict.fromkeys(dedup.others)}):
            name = item_id(*other)
            if name != own and shard.is_done(other.actor, other.number):
                return REPEATED
        stands = parse_item_id(dedup.item)
        return WAITS if dedup.item != own and shard.find(stands.actor, stands.number) is not None else ""

    # -- what has a state of its own

    def _advance(self, now: float) -> None:
        """What was waited for until now may be given again."""
        timers, waiting = self._timers, self._waiting
        while timers and timers[0][0] <= now:
            _, _, held = heappop(timers)
            key = held.block.actor, held.number
            if self._held.get(key) is held and held.until <= now:
                self._end(held)
                if self._walking:  # else the next walk finds it
                    self._ready.append((held.block, held.index, held.attempt))
        while waiting and waiting[0][0] <= now:
            self._due.append(heappop(waiting)[2])

    def _hold(self, block: LiveBlock, index: int, attempts: int, until: float) -> None:
        held = HeldItem(block, index, attempts, next(self._counter), until, False, "")
        self._held[block.actor, held.number] = held
        heappush(self._timers, (until, held.counter, held))

    def _rebuild_timers(self) -> None:
        self._timers = [(held.until, held.counter, held) for held in self._held.values()]
        heapify(self._timers)

    def _again(self, held: HeldItem, remaining_s: float) -> LeaseNote:
        number = next(self._counter)
        heappush(self._timers, (held.until, number, held))
        return LeaseNote(held.attempt, self.epoch, number, self.me, int(remaining_s * 1000))

    def _end(self, held: HeldItem) -> None:
        if self._held.pop((held.block.actor, held.number), None) is held:
            self._in_flight -= held.leased


def _attempts(note: LeaseNote) -> int:
    """How often an item was delivered."""
    return note.attempt - (note.remaining_ms == RELEASED)


def _remaining_s(block: LiveBlock, delay_ms: int, wall_ms: int) -> float:
    """How long until what was delayed is due. By the wall clocks of two nodes: never longer than the delay itself,
    however wrong they are."""
    return min(block.accepted_ms + delay_ms - wall_ms, delay_ms) / 1000
