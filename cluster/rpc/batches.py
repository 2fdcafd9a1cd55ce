"""Operations that wait for their peers, and the batches in which they call them.

All that one pass of the loop has for a peer leaves as one message, and what the peer does with it in one pass comes
back as one. So an operation costs a tuple a peer, not a call with its own deadline, callback and reply. An entry ends
as a call does: in the peer's answer, or in an error whose `definite` says whether the peer surely did not act.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from cluster.errors import ClusterError, Maybe, Unreachable
from cluster.limits import BATCH_BYTES_MAX
from cluster.transport import Connection
from cluster.wire.frames import OneWay, encode_frame
from cluster.wire.replication import ReplicationBody

Entry = tuple[Any, ...]
"""One of a batch: first the number of the operation, last the bytes that count towards the limit."""


class BatchedOperation(Protocol):
    """An operation under way. `waiting` are the peers that have not answered, each with the connection that it was
    called on, None until that is written."""

    id: int
    started: float
    deadline: float
    waiting: dict[str, Connection | None]

    def failed(self, peer: str, error: ClusterError) -> None:
        """No answer will come from this peer; it is to leave `waiting`."""

    def again(self, peer: str) -> None:
        """The peer did nothing, because the layout has changed; this node knows the new one by now."""

    def linger(self, now: float) -> None:
        """Still under way at a sweep."""


Operation = TypeVar("Operation", bound=BatchedOperation)


class Sender(Protocol):
    """What batches need of rpc."""

    sweeping: bool

    @property
    def next_id(self) -> Callable[[], int]:
        """Makes a number that no other call of this node has."""

    def sweep_soon(self) -> None:
        """Something waits: look at deadlines."""

    def at_flush(self, function: Callable[[], None]) -> None:
        """Call at the end of this pass."""

    def send_on(self, peer: str, data: bytes) -> Connection | None:
        """Send a frame on the foreground lane; the connection, or None when it surely never leaves."""

    def timed_out(self, peer: str) -> None:
        """The peer did not answer in time."""


class BatchedCalls(Generic[Operation]):
    """The operations of one kind on one node. `batch` makes the message of a list of entries."""

    def __init__(self, sender: Sender, batch: Callable[[list[Any]], ReplicationBody]) -> None:
        self.in_flight: dict[int, Operation] = {}
        """By number, in the order of their start."""
        self._sender = sender
        self._batch = batch
        self._queued: dict[str, list[Entry]] = {}

    def begin(self, operation: Operation) -> None:
        """Give the operation its number and watch its deadline, until it is taken out of `in_flight`."""
        sender = self._sender
        operation.id = id = sender.next_id()
        self.in_flight[id] = operation
        if not sender.sweeping:
            sender.sweep_soon()

    def call(self, peers: Iterable[str], entry: Entry) -> None:
        """Send the entry to each of `peers` at the end of this pass. The operation has them in `waiting`."""
        queued = self._queued
        if not queued:
            self._sender.at_flush(self._flush)
        for peer in peers:
            entries = queued.get(peer)
            if entries is None:
                queued[peer] = [entry]
            else:
                entries.append(entry)

    def _flush(self) -> None:
        queued, self._queued = self._queued, {}
        in_flight = self.in_flight
        former: list[Entry] = []
        messages: list[tuple[list[Entry], bytes]] = []
        for peer, entries in queued.items():
            if entries != former:  # peers that own the same partitions are asked the same, which is encoded once
                former = entries
                messages = [(batch, encode_frame(OneWay(self._batch(batch)))) for batch in batches(entries)]
            for batch, data in messages:
                connection = self._sender.send_on(peer, data)
                if connection is None:
                    self.refused(peer, [entry[0] for entry in batch], Unreachable(f"{peer} cannot be reached now"))
                    continue
                for entry in batch:
                    operation = in_flight.get(entry[0])
                    if operation is not None and peer in (waiting := operation.waiting):
                        waiting[peer] = connection

    def refused(self, peer: str, ids: Iterable[int], error: ClusterError) -> None:
        """The peer did nothing for the operations of these numbers; numbers of others are passed over."""
        for id in ids:
            operation = self.in_flight.get(id)
            if operation is not None and peer in operation.waiting:
                operation.failed(peer, error)

    def again(self, peer: str, ids: Iterable[int]) -> None:
        """Go on under another layout with those operations of these numbers that still wait for the peer."""
        for id in ids:
            operation = self.in_flight.get(id)
            if operation is not None and peer in operation.waiting:
                operation.again(peer)

    def lost(self, peer: str, connection: Connection, error: ClusterError) -> None:
        """A connection to the peer ended, or could not be made: what was called on it gets no answer."""
        for operation in list(self.in_flight.values()):
            if operation.waiting.get(peer) is connection:
                operation.failed(peer, error)

    def sweep(self, now: float, since: float) -> None:
        """End what is past its deadline. Operations begun after `since` are left to the next sweep: with hundreds in
        flight they are nearly all, and nearly all end before it."""
        for operation in list(self._begun_before(since)):
            if now < operation.deadline:
                operation.linger(now)
                continue
            for peer in list(operation.waiting):
                self._sender.timed_out(peer)
                operation.failed(peer, Maybe(f"no answer from {peer} before the deadline"))

    def waited_for(self, names: dict[str, None], since: float) -> None:
        """Add the peers that an operation has waited for since before `since`."""
        for operation in self._begun_before(since):
            names.update(dict.fromkeys(operation.waiting))

    def _begun_before(self, since: float) -> Iterator[Operation]:
        for operation in self.in_flight.values():
            if operation.started > since:
                break  # in the order of their start
            yield operation


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
