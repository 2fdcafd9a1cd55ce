"""Admission to an endpoint: so many calls run at a time, others wait for a moment, and what would wait longer is shed.

A call that waits long is answered when nobody wants the answer any more, so a queue that does not empty itself helps no
one. CoDel (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 2012) tells such a queue from a burst: some call
has been late, by `TARGET_S`, for a whole `INTERVAL_S`. Then every late call is shed, and the newest is taken first,
since it has the most time left; before that, the oldest (Maurer, "Fail at Scale", ACM Queue 2015, does both). A call of
low priority waits behind all others, and so is shed first.

Pure: fed with calls and times. A call that waits is not decoded, a shed is definite, and nothing is given a place after
its deadline.
"""

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, Protocol, TypeVar

from cluster.errors import ClusterError, DeadlinePassed, Overloaded

CONCURRENCY = 1024
"""Calls of a service that run together on an endpoint, unless the service says otherwise."""
TARGET_S = 0.020
INTERVAL_S = 0.100
WAITING_MAX = 4096
"""Memory for those who wait; at a target of 20 ms that many are more than one loop gets through."""
NORMAL, LOW = 0, 1


class WaitingCall(Protocol):
    """What a gate has to know of a call; compared by identity."""

    @property
    def priority(self) -> int:
        """`NORMAL` or `LOW`."""

    @property
    def deadline(self) -> float:
        """Not to be started from then on."""


C = TypeVar("C", bound=WaitingCall)
Refusals = list[tuple[C, ClusterError]]


class Gate(Generic[C]):
    """The places of one endpoint, called `name` in refusals. Without `sheds` calls wait until their deadlines."""

    def __init__(
        self, name: str, concurrency: int = CONCURRENCY, waiting_max: int = WAITING_MAX, sheds: bool = True
    ) -> None:
        self.name = name
        self.concurrency = concurrency
        self.running = 0
        self.waiting = 0
        self.shed = 0
        """Calls that were refused because they would have waited too long."""
        self.over = False
        """The queue does not empty itself."""
        self._waiting_max = waiting_max
        self._sheds = sheds
        self._queues: tuple[OrderedDict[C, float], OrderedDict[C, float]] = (OrderedDict(), OrderedDict())
        """By priority: since when each waits, oldest first."""
        self._deadlines: list[tuple[float, int, C]] = []
        """A heap, also of some that wait no more."""
        self._numbers = count()
        self._expired: list[C] = []
        self._late_since: float | None = None
        self._late_at = 0.0

    def enter(self) -> bool:
        """Take a free place, if nobody waits for one."""
        if self.waiting or self.running >= self.concurrency:
            return False
        self.running += 1
        return True

    def leave(self) -> None:
        """A place is free again."""
        assert self.running > 0
        self.running -= 1

    def wait(self, call: C, now: float) -> Refusals[C]:
        """Let a call wait. Returns whom to refuse when there is no room: of low priority, or who would be last."""
        self._observe(now)
        normal, low = self._queues
        refused: Refusals[C] = []
        if self.waiting >= self._waiting_max:
            newest = (call.priority == LOW and not low) or not (self.over or low)
            victim = call if newest else next(iter(low or normal))
            self.shed += 1
            refused.append((victim, self._overloaded()))
            if newest:
                return refused
            self.discard(victim)
        self._queues[1 if call.priority else 0][call] = now
        self.waiting += 1
        if len(self._deadlines) > 2 * self.waiting + 64:
            self._deadlines = [one for one in self._deadlines if self._waits(one[2])]
            heapify(self._deadlines)
        heappush(self._deadlines, (call.deadline, next(self._numbers), call))
        return refused

    def discard(self, call: C) -> None:
        """Nobody wants its answer any more; harmless when it does not wait."""
        for queue in self._queues:
            if queue.pop(call, None) is not None:
                self.waiting -= 1

    def next(self, now: float) -> C | None:
        """The call to run next, which has a place from now on; None while there is no place, or nobody to take it. Ask
        for `refusals` behind it."""
        self._observe(now)
        while self.waiting and self.running < self.concurrency:
            call, _ = (self._queues[NORMAL] or self._queues[LOW]).popitem(last=self.over)
            self.waiting -= 1
            if call.deadline > now:
                self.running += 1
                return call
            self._expired.append(call)
        return None

    def refusals(self, now: float) -> Refusals[C]:
        """Those who have waited long enough: past their deadlines, or late while the queue does not empty itself."""
        self._observe(now)
        expired, self._expired = self._expired, []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, call = heappop(self._deadlines)
            if self._waits(call):
                self.discard(call)
                expired.append(call)
        refused: Refusals[C] = [
            (call, DeadlinePassed(f"{self.name} had no place for the call before its deadline")) for call in expired
        ]
        if self.over:
            for queue in self._queues:
                while queue and now >= queue[call := next(iter(queue))] + TARGET_S:
                    self.discard(call)
                    self.shed += 1
                    refused.append((call, self._overloaded()))
        return refused

    def look_at(self) -> float | None:
        """When to ask for `refusals`; None while nobody waits."""
        oldest = self._oldest()
        if oldest is None:
            return None
        while not self._waits(self._deadlines[0][2]):
            heappop(self._deadlines)
        if not self._sheds:
            return self._deadlines[0][0]
        late_at = oldest + TARGET_S
        if not self.over and self._late_since is not None:
            late_at = max(late_at, self._late_since + INTERVAL_S)
        return min(late_at, self._deadlines[0][0])

    def _observe(self, now: float) -> None:
        """Whether the queue stands: some call has been late for an interval. Over once none has for as long."""
        if not self._sheds:
            return
        oldest = self._oldest()
        if oldest is not None and now >= oldest + TARGET_S:  # as `look_at` says it, or rounding makes it ask again
            if self._late_since is None:
                self._late_since = oldest + TARGET_S
            self._late_at = now
            self.over = self.over or now >= self._late_since + INTERVAL_S
        elif not self.over:
            self._late_since = None
        elif now - self._late_at >= INTERVAL_S:
            self.over, self._late_since = False, None

    def _oldest(self) -> float | None:
        return min((next(iter(queue.values())) for queue in self._queues if queue), default=None)

    def _waits(self, call: C) -> bool:
        return call in self._queues[NORMAL] or call in self._queues[LOW]

    def _overloaded(self) -> ClusterError:
        return Overloaded(f"{self.name} has more calls than it can run in time")
