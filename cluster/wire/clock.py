"""The monotonic times of another process, placed on this one's clock.

Deadlines and stamps travel in the sender's clock. Processes of one boot of one machine share it, so nothing is to be
done; their boot ids agree in the handshake. Else this side adds an offset: the least of (received - stamp) that it has
seen lately, begun in the handshake. No message arrives before it was sent, so the least is nearest to the truth, and
is late by the quickest way between the two, never early. Pure: times are passed in.

Dating by the receiver alone does not work: after a stop what waits in the sockets looks new, and a coalesced read
hides the older behind the newer (measured: 160 to 276 of 400 expired frames ran, with the sender's stamp none).
"""

WINDOW_S = 30.0
"""The least of this window and the one before it counts. A window ends with a sample, not with time alone: after a long
stop the first samples are late, and must not push out the good ones."""


class SenderClock:
    """One sender's clock, as seen from here."""

    __slots__ = ("_before", "_since", "_within", "offset", "same")

    def __init__(self, same: bool) -> None:
        self.same = same
        """Whether the two sides share one clock."""
        self.offset = 0.0
        """Add it to a time of the sender."""
        self._since = float("-inf")
        self._within = float("inf")
        self._before = float("inf")

    def stamped(self, at: float, now: float) -> float:
        """Something written at `at` is read at `now`. Returns when it was written, on this side's clock."""
        if self.same:
            return at
        sample = now - at
        if now - self._since > WINDOW_S:
            self._before, self._within, self._since = self._within, sample, now
        elif sample < self._within:
            self._within = sample
        self.offset = offset = self._within if self._within < self._before else self._before
        return at + offset

    def local(self, at: float) -> float:
        """A time of the sender, on this side's clock."""
        return at + self.offset
