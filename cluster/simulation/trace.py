"""What happened in a run, as a digest that two runs of one seed share and as a tail that a person can read.

Events are tuples of numbers, strings and bytes, so that their encoding depends on their values alone. They are folded
into the digest in batches: the cost is a fraction of a microsecond an event.
"""

import marshal
from hashlib import blake2b

FOLD_EVENTS = 4096
TAIL_EVENTS = 2000
ENCODING = 2  # later versions of marshal encode shared objects by reference, so by identity and not by value

Event = tuple[float | int | str | bytes | bool, ...]


class Trace:
    """A running hash over events, and the last few thousand of them (all of them with `keep`)."""

    def __init__(self, *, keep: bool = False) -> None:
        self._hash = blake2b(digest_size=16)
        self._keep = keep
        self._kept: list[Event] = []
        self.pending: list[Event] = []
        self.record = self.pending.append

    def fold_if_due(self) -> None:
        """Bound the memory; cheap to call often."""
        if len(self.pending) >= FOLD_EVENTS:
            self._fold()

    def _fold(self) -> None:
        for event in self.pending:  # event by event, so that the digest does not depend on when it was asked for
            self._hash.update(marshal.dumps(event, ENCODING))
        self._kept += self.pending
        self.pending.clear()
        if not self._keep:
            del self._kept[:-TAIL_EVENTS]

    def digest(self) -> str:
        """The hash of all events so far, in hexadecimal."""
        self._fold()
        return self._hash.hexdigest()

    def events(self) -> list[Event]:
        """The last events, oldest first; all of them when the trace keeps them."""
        self._fold()
        return list(self._kept)
