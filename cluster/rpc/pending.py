"""Calls that wait for replies.

One number may wait for several peers (a quorum), each on the connection that it was written on: what happens to another
connection of that peer, a later one above all, says nothing about it. Deadlines fall into buckets as wide as the sweep
interval, so a call costs one list append, a reply one dictionary look-up, and no call has a timer of its own.
"""

from collections.abc import Callable, Iterator
from typing import Any

from cluster.ports import Done
from cluster.transport import Connection
from cluster.wire.parts import Window


class PendingCall:
    """One call: who has not answered yet, on which connection (None: it was never written), and whom to give it to.
    `again` is the message of a placed call and its lane: it goes out once more when it was routed by an old layout.
    `on_part` takes the parts of an answer that has any."""

    __slots__ = ("again", "deadline", "done", "left", "on_part", "window")

    def __init__(
        self,
        left: dict[str, Connection | None],
        deadline: float,
        done: Done,
        again: tuple[Any, int] | None = None,
        on_part: Callable[[bytes], None] | None = None,
    ) -> None:
        self.left = left
        self.deadline = deadline
        self.done = done
        self.again = again
        self.on_part = on_part
        self.window: Window | None = None
        """Of the parts, once one has come."""


class Pending:
    """All calls that wait. Pure: times are passed in, callbacks are the owner's to make."""

    __slots__ = ("_buckets", "_width", "waiting")

    def __init__(self, width_s: float) -> None:
        self.waiting: dict[int, PendingCall] = {}
        self._buckets: dict[int, list[int]] = {}
        self._width = width_s

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, id: int, waiting: PendingCall) -> None:
        """A new call."""
        self.waiting[id] = waiting
        bucket = int(waiting.deadline / self._width) + 1
        ids = self._buckets.get(bucket)
        if ids is None:
            self._buckets[bucket] = [id]
        else:
            ids.append(id)

    def answered(self, id: int, peer: str) -> Done | None:
        """Whom to give an answer to; None when it is late, repeated or uninvited."""
        waiting = self.waiting.get(id)
        if waiting is None or peer not in waiting.left:
            return None
        del waiting.left[peer]
        if not waiting.left:
            del self.waiting[id]
        return waiting.done

    def expired(self, now: float) -> Iterator[tuple[Done, list[str]]]:
        """Calls whose deadline has passed, with the peers that did not answer; they are forgotten."""
        current = int(now / self._width)
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= current):
            for id in self._buckets.pop(bucket):
                waiting = self.waiting.pop(id, None)
                if waiting is not None:
                    yield waiting.done, list(waiting.left)

    def lost(self, peer: str, connection: Connection) -> Iterator[Done]:
        """The calls that wait for `peer` on a connection that ended, one after another; `peer` is struck out."""
        for id, waiting in list(self.waiting.items()):
            if waiting.left.get(peer) is connection:
                del waiting.left[peer]
                if not waiting.left:
                    self.waiting.pop(id, None)
                yield waiting.done
