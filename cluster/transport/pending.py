"""Requests that wait for replies, and the one timer that sweeps their deadlines.

One id may wait for several peers (a quorum). Deadlines fall into buckets as wide as the sweep interval, so a request
costs one list append, a reply costs one dictionary look-up, and no request has a timer of its own.
"""

from collections.abc import Iterator

from cluster.ports import Done


class Waiting:
    """One request: who has not answered yet (name to lane), and whom to tell."""

    __slots__ = ("deadline", "done", "left")

    def __init__(self, left: dict[str, int], deadline: float, done: Done) -> None:
        self.left = left
        self.deadline = deadline
        self.done = done


class Pending:
    """All requests that wait. Pure: times are passed in, callbacks are the owner's to make."""

    __slots__ = ("_buckets", "_next_id", "_swept", "_width", "waiting")

    def __init__(self, width_s: float) -> None:
        self.waiting: dict[int, Waiting] = {}
        self._buckets: dict[int, list[int]] = {}
        self._width = width_s
        self._next_id = 0
        self._swept = 0

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, left: dict[str, int], deadline: float, done: Done) -> int:
        """A new request; its id."""
        self._next_id = id = self._next_id + 1
        self.waiting[id] = Waiting(left, deadline, done)
        bucket = int(deadline / self._width) + 1
        ids = self._buckets.get(bucket)
        if ids is None:
            self._buckets[bucket] = [id]
        else:
            ids.append(id)
        return id

    def answered(self, id: int, peer: str) -> Done | None:
        """Whom to tell of an answer; None when it is late, repeated or uninvited."""
        waiting = self.waiting.get(id)
        if waiting is None or waiting.left.pop(peer, None) is None:
            return None
        if not waiting.left:
            del self.waiting[id]
        return waiting.done

    def waited_for(self, names: dict[str, None], now: float) -> None:
        """Add the peers that owe an answer."""
        for waiting in self.waiting.values():
            names.update(dict.fromkeys(waiting.left))

    def expired(self, now: float) -> Iterator[tuple[Done, list[str]]]:
        """Requests whose deadline has passed, with the peers that did not answer; they are forgotten."""
        current = int(now / self._width)
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= current):
            for id in self._buckets.pop(bucket):
                waiting = self.waiting.pop(id, None)
                if waiting is not None:
                    yield waiting.done, list(waiting.left)

    def lost(self, peer: str, lane: int) -> list[Done]:
        """The requests that waited for `peer` on a lane that broke, told one after another; `peer` is struck out."""
        told: list[Done] = []
        for id, waiting in list(self.waiting.items()):
            if waiting.left.get(peer) == lane:
                del waiting.left[peer]
                told.append(waiting.done)
                if not waiting.left:
                    del self.waiting[id]
        return told
