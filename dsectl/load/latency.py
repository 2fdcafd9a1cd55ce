"""Latencies in an HdrHistogram: microseconds, three significant digits, up to an hour.

The library answers False to a value that is out of range and counts nothing, so the answer is looked at, and values are
brought into range first. Values are counted as they come, and recorded once in a while, those together that the
histogram cannot tell apart (docs/decisions/0010-hdrhistogram.md has the figures).
"""

from collections import Counter

from hdrh.histogram import HdrHistogram

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
EXACT_BITS = 11
"""With three digits, numbers of up to 11 bits are kept exactly, and of longer ones the first 11 bits."""
PERCENTILES = {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "p999_ms": 99.9}
Summary = dict[str, float | None]
"""`p50_ms p90_ms p99_ms p999_ms max_ms`; None where nothing was recorded."""


class Latency:
    """Many latencies."""

    def __init__(self) -> None:
        self.fresh: list[int] = []
        """Microseconds that are not recorded yet: append to it, which is all that a hot path does."""
        self._counts: Counter[int] = Counter()
        self._recorded = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)

    def count_fresh(self) -> None:
        """Count what is fresh: cheap, and to be done often, so that it never takes long."""
        if self.fresh:
            self._counts.update(self.fresh)
            self.fresh.clear()

    def record(self) -> None:
        """Take everything into the histogram."""
        self.count_fresh()
        if not self._counts:
            return
        batches: dict[int, int] = {}
        for value, count in self._counts.items():
            value = min(max(value, LOWEST_US), HIGHEST_US)
            dropped = value.bit_length() - EXACT_BITS
            if dropped > 0:
                value = value >> dropped << dropped
            batches[value] = batches.get(value, 0) + count
        self._counts.clear()
        for value, count in batches.items():
            if not self._recorded.record_value(value, count):
                raise AssertionError(f"{value} us is out of range")

    def add(self, other: "Latency") -> None:
        """Take in another's, too."""
        self.record()
        other.record()
        self._recorded.add(other._recorded)

    def clear(self) -> None:
        """Forget all."""
        self.fresh.clear()
        self._counts.clear()
        self._recorded.reset()

    @property
    def count(self) -> int:
        """How many there are."""
        self.record()
        return int(self._recorded.get_total_count())

    def percentile_ms(self, percentile: float) -> float | None:
        """What so many percent do not exceed, to three digits, in milliseconds."""
        if not self.count:
            return None
        value: int = self._recorded.get_value_at_percentile(percentile)
        return round(value / 1000, 3)

    def max_ms(self) -> float | None:
        """The greatest, in milliseconds."""
        return self.percentile_ms(100.0)

    def summary(self) -> Summary:
        """As JSON."""
        found: Summary = {name: self.percentile_ms(percentile) for name, percentile in PERCENTILES.items()}
        return {**found, "max_ms": self.max_ms()}

    def encode(self) -> bytes:
        """In the libraries' own compressed form, which those of other languages read, too."""
        self.record()
        encoded: bytes = self._recorded.encode()
        return encoded


def decode(encoded: bytes) -> Latency:
    """The inverse of `encode`."""
    latency = Latency()
    if encoded:
        latency._recorded.decode_and_add(encoded)
    return latency
