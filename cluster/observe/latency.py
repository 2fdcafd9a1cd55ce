"""How long operations took, counted in buckets that are a quarter of a power of two wide.

A bucket is the three leading bits of the duration in microseconds, as in an HDR histogram with two bits behind the
first: no figure is off by more than a quarter, from 1 us to a minute, in 104 integers. Counts only grow, so a reader
takes the difference of two looks, and the counts of several nodes add up. Pure.
"""

from collections.abc import Mapping

_MICRO = 1_000_000
BUCKETS = 104
"""Up to 67 s: longer than anything waits."""


class Latencies:
    """The durations of one kind of operation. `note` is on the hot paths: one increment, and it makes nothing."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS

    def note(self, seconds: float) -> None:
        """One operation took so long; a clock that went back counts as nothing."""
        micros = int(seconds * _MICRO)
        if micros < 8:
            self.counts[micros if micros > 0 else 0] += 1
            return
        shift = micros.bit_length() - 3
        try:
            self.counts[(shift << 2) + (micros >> shift)] += 1
        except IndexError:  # longer than anything waits
            self.counts[-1] += 1

    def sparse(self) -> list[tuple[int, int]]:
        """The buckets that hold something, in order: (bucket, count)."""
        return [(bucket, count) for bucket, count in enumerate(self.counts) if count]


def upper_s(bucket: int) -> float:
    """The durations in a bucket are below this, in seconds."""
    shift = max(0, (bucket >> 2) - 1)
    return ((bucket - (shift << 2) + 1) << shift) / _MICRO


def quantile_s(counts: Mapping[int, int], part: float) -> float | None:
    """What `part` (0 to 1) of the operations were faster than, in seconds; None when there were none."""
    total = sum(counts.values())
    if total <= 0:
        return None
    wanted = part * total
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted and counts[bucket]:
            return upper_s(bucket)
    return None
