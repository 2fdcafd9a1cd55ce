"""What happened in a run, as a digest that two runs of one seed share and as a tail that a person can read.

An event is a float (time moves on), a string (a process runs) or a tuple (what it did). Their encoding depends on their
values alone, and they are folded into the digest in batches of one size: a tenth of a microsecond an event.
"""

import marshal
from hashlib import blake2b

BATCH_EVENTS = 4096
TAIL_EVENTS = 2000
ENCODING = 2  # later versions of marshal encode shared objects by reference, so by identity and not by value

Event = float | str | tuple[float | int | str, ...]


class Trace:
    """A running hash over events, and the last few thousand of them (all of them with `keep`)."""

    def __init__(self, *, keep: bool = False) -> None:
        self._hash = blake2b(digest_size=16)
        self._keep = keep
        self._kept: list[Event] = []
        self._pending: list[Event] = []
        self.record = self._pending.append

    def fold_if_due(self) -> None:
        """Bound the memory; cheap to call often."""
        while len(self._pending) >= BATCH_EVENTS:
            batch = self._pending[:BATCH_EVENTS]
            del self._pending[:BATCH_EVENTS]
            self._hash.update(marshal.dumps(batch, ENCODING))
            self._kept += batch
            if not self._keep:
                del self._kept[:-TAIL_EVENTS]

    def digest(self) -> str:
        """The hash of all events so far, in hexadecimal."""
        self.fold_if_due()
        now = self._hash.copy()
        now.update(marshal.dumps(self._pending, ENCODING))
        return now.hexdigest()

    def events(self) -> list[Event]:
        """The last events, oldest first; all of them when the trace keeps them."""
        return self._kept + self._pending
