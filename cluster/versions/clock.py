"""A hybrid logical clock: stamps near wall time that never go back and respect what was heard.

Kulkarni, Demirbas, Madeppa, Avva and Leone, "Logical Physical Clocks and Consistent Snapshots in Globally Distributed
Databases" (OPODIS 2014), section 3. A stamp is one integer: 48 bits of milliseconds and 16 bits of counter, so that it
is compared as a number, and a counter that overflows carries into the milliseconds.

A stamp too far ahead of this node's wall time is refused (section 4 of the paper bounds the drift likewise): one node
with a wrong clock must not drag all others into its future, where it would win every last-writer-wins race.

Stamps order values for display and for the `lww` resolver; causality is the version vectors' alone.
"""

COUNTER_BITS = 16
AHEAD_MAX_S = 60.0  # far above the skew of synchronised clocks, far below what anyone would call the same time


class HybridClock:
    """The clock of one node; wall time is passed in, in seconds since 1970. `last` resumes from a stored stamp."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def tick(self, wall_s: float) -> int:
        """A stamp above all that this clock gave or heard, and not below `wall_s`."""
        stamp, last = int(wall_s * 1000) << COUNTER_BITS, self.last  # `stamp_at` and `max`, which take twice the time
        self.last = stamp if stamp > last else last + 1
        return self.last

    def observe(self, stamp: int, wall_s: float) -> bool:
        """Hear a stamp of another node, so that later ticks exceed it; False if it was refused as too far ahead."""
        if stamp > stamp_at(wall_s + AHEAD_MAX_S):
            return False
        self.last = max(self.last, stamp)
        return True


def stamp_at(wall_s: float) -> int:
    """The first stamp of the millisecond that holds `wall_s`."""
    return int(wall_s * 1000) << COUNTER_BITS


def wall_of(stamp: int) -> float:
    """The wall time of `stamp` in seconds since 1970, to a millisecond."""
    return (stamp >> COUNTER_BITS) / 1000
