"""Operations that wait for their peers, and the batches in which they ask them.

All that one pass of the loop asks of a peer leaves as one message, and what the peer does with it in one pass comes
back as one. So an operation costs a tuple a peer, not a request with its own deadline, callback and reply. What the
transport does for a request is done here for an entry: it ends in the peer's answer, or in an error whose `definite`
says whether the peer surely did not act (never sent: it did not; connection broken after sending, deadline: it may
have).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from cluster.env import Clock
from cluster.env.stall import SWEEP_LATE_S
from cluster.errors import ClusterError, Maybe, Unreachable
from cluster.ports import Messenger
from cluster.rpc.reach import Reach
from cluster.wire.frames import Body
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.replication import Entry

SWEEP_S = 0.02
"""Deadlines are exact to this, and so is `linger`."""
BATCH_BYTES_MAX = 1024 * 1024
"""A batch over this is closed and another begun, far below the limit of a frame."""


class Waiting(Protocol):
    """An operation under way. `waiting` are the peers that have not answered."""

    id: int
    started: float
    deadline: float
    waiting: dict[str, None]

    def failed(self, peer: str, error: ClusterError) -> None:
        """No answer will come from this peer; it is to leave `waiting`."""

    def linger(self, now: float) -> None:
        """Still under way at a sweep."""


Operation = TypeVar("Operation", bound=Waiting)


class Exchange(Generic[Operation]):
    """The operations of one kind on one node. `batch` makes the message of a list of entries."""

    def __init__(self, clock: Clock, messenger: Messenger, reach: Reach, batch: Callable[[list[Entry]], Body]) -> None:
        self.in_flight: dict[int, Operation] = {}
        """By number, in the order of their start."""
        self._clock = clock
        self._messenger = messenger
        self._reach = reach
        self._batch = batch
        self._last_id = 0
        self._queued: dict[str, list[Entry]] = {}
        self._sweeping = False
        self._sweep_at = 0.0
        reach.waited_for.append(self._waited_for)

    def begin(self, operation: Operation) -> None:
        """Give the operation its number and watch its deadline, until it is taken out of `in_flight`."""
        self._last_id = operation.id = id = self._last_id + 1
        self.in_flight[id] = operation
        if not self._sweeping:
            self._sweep_again(self._clock.now())

    def ask(self, peers: Iterable[str], entry: Entry) -> None:
        """Send the entry to each of `peers` at the end of this pass. The operation has them in `waiting`."""
        queued = self._queued
        if not queued:
            self._messenger.at_flush(self._flush)
        for peer in peers:
            entries = queued.get(peer)
            if entries is None:
                queued[peer] = [entry]
            else:
                entries.append(entry)

    def _flush(self) -> None:
        queued, self._queued = self._queued, {}
        for peer, entries in queued.items():
            for batch in batches(entries):
                if not self._messenger.send(peer, self._batch(batch), LANE_FOREGROUND):
                    self._fail(peer, [entry[0] for entry in batch], Unreachable(f"nothing can be sent to {peer} now"))

    def lost(self, peer: str, error: ClusterError) -> None:
        """The connection to the peer broke, or could not be made."""
        self._queued.pop(peer, None)
        self._fail(peer, list(self.in_flight), error)

    def _fail(self, peer: str, ids: list[int], error: ClusterError) -> None:
        for id in ids:
            operation = self.in_flight.get(id)
            if operation is not None and peer in operation.waiting:
                operation.failed(peer, error)

    def _sweep(self) -> None:
        now = self._clock.now()
        if now - self._sweep_at > SWEEP_LATE_S:
            self._sweep_again(now)
            return
        self._reach.beat(now)
        for operation in list(self.in_flight.values()):
            if now < operation.deadline:
                operation.linger(now)
                continue
            for peer in list(operation.waiting):
                self._messenger.timed_out(peer)
                operation.failed(peer, Maybe(f"no answer from {peer} before the deadline"))
        self._sweeping = bool(self.in_flight)
        if self._sweeping:
            self._sweep_again(now)

    def _sweep_again(self, now: float) -> None:
        self._sweeping = True
        self._sweep_at = now + SWEEP_S
        self._clock.call_later(SWEEP_S, self._sweep)

    def _waited_for(self, names: dict[str, None], now: float) -> None:
        """Add the peers that an operation has waited for longer than a sweep."""
        for operation in self.in_flight.values():
            if operation.started > now - SWEEP_S:
                break  # in the order of their start
            names.update(operation.waiting)


def batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    """The entries, cut so that no part goes on after `BATCH_BYTES_MAX`."""
    start = size = 0
    for position, entry in enumerate(entries):
        size += len(entry[-1])
        if size > BATCH_BYTES_MAX:
            yield entries[start : position + 1]
            start, size = position + 1, 0
    if start < len(entries):
        yield entries[start:] if start else entries


def remaining_ms(deadline: float, now: float) -> int:
    """A deadline as it travels: clocks differ, so it is what remains; never 0, which has expired."""
    return max(1, int((deadline - now) * 1000))
