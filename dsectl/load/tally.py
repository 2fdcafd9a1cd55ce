"""Counts and latencies of what was offered, by kind of operation; and the report and the intervals made of them.

Every operation ends as exactly one of: `ok`; `declared` (a service answered with an error of its own: the cluster did
its part); `maybe` (it may have happened); `failed` (it surely did not). Latencies are those of all that were answered,
and of those that ran out of time, which took at least so long. A refusal has no latency: were it counted, a cluster
that refuses everything at once would look quick.

Latencies are kept in an HdrHistogram: microseconds, three significant digits, up to an hour. The library answers False
to a value that is out of range and counts nothing, so the answer is looked at, and values are brought into range first.
Values are counted as they come, and recorded once in a while, those together that the histogram cannot tell apart
(docs/decisions/0010-hdrhistogram.md has the figures).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from hdrh.histogram import HdrHistogram
from msgspec import Struct, field

from cluster.client.aio import Outcome
from cluster.errors import ClusterError, DeadlinePassed, ServiceError

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


US = 1_000_000


class KindTally:
    """Operations of one kind."""

    def __init__(self) -> None:
        self.ok = self.declared = self.maybe = self.failed = 0
        self.service, self.response = Latency(), Latency()
        self._service, self._response = self.service.fresh.append, self.response.fresh.append

    def timed(self, due: float, sent: float, now: float) -> None:
        """It took so long: from when it was due, and from when it was sent. Seconds of one clock."""
        self._service(int((now - sent) * US))
        self._response(int((now - due) * US))


class Interval(Struct, tag=True):
    """What happened in one piece of time: so many seconds that end `until_s` after the first operation."""

    until_s: float
    seconds: float
    offered: int
    in_flight: int
    ok: int = 0
    declared: int = 0
    maybe: int = 0
    failed: int = 0
    service: bytes = b""
    response: bytes = b""

    def summaries(self) -> tuple[Summary, Summary]:
        """Of service and response."""
        return decode(self.service).summary(), decode(self.response).summary()

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        service, response = self.summaries()
        counts = {"ok": self.ok, "failed": self.failed, "maybe": self.maybe, "declared": self.declared}
        rates = {"offered_per_s": _rate(self.offered, self.seconds), "achieved_per_s": _rate(self.ok, self.seconds)}
        return {
            "until_s": round(self.until_s, 3), "seconds": round(self.seconds, 3), **counts, **rates,
            "in_flight": self.in_flight, "service": service, "response": response,
        }  # fmt: skip


class KindReport(Struct):
    """The end of a `KindTally`."""

    ok: int = 0
    declared: int = 0
    maybe: int = 0
    failed: int = 0
    service: bytes = b""
    response: bytes = b""


class LoadReport(Struct, tag=True):
    """What one process reports at its end."""

    kinds: dict[str, KindReport] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    """By code."""
    lag: bytes = b""
    """How long operations that were due waited for the generator itself."""
    offered: int = 0
    """Sent."""
    unsent: int = 0
    """Due, and never sent, because as many as allowed were under way until the end."""
    unsent_for: bytes = b""
    """How long those had waited when the load ended."""
    missed: int = 0
    """Due, and not sent, because the generator did not come to it."""
    sending_s: float = 0.0
    busy: float = 0.0
    """The share of a core that the generator used while it was sending."""
    prepared: int = 0
    stopped: bool = False
    """It ended before its time, because it was stopped."""
    interrupted_by: int = 0
    """The signal that ended it; 0 for none."""
    lost: int = 0
    unexpected: int = 0
    duplicated: int = 0
    stale: int = 0
    checked: int = 0
    """Promises that were looked at again at the end."""
    unchecked: int = 0
    """And those that could not be."""
    delivered: int = 0
    dropped: int = 0
    unheard: int = 0
    """Messages that nobody was known to listen to."""
    delivery: bytes = b""
    examples: list[str] = field(default_factory=list)
    """Of what went wrong, in words."""
    silent: list[str] = field(default_factory=list)
    """Processes that ended without a report."""


EXAMPLES_MAX = 5


class Tally:
    """Counts as the load goes on."""

    def __init__(self) -> None:
        self.kinds: dict[str, KindTally] = {}
        self.errors: dict[str, int] = {}
        self.lag, self.unsent = Latency(), Latency()
        self.offered = 0
        self._total: dict[str, tuple[Latency, Latency]] = {}
        self._before = (0, 0, 0, 0, 0)

    def kind(self, name: str) -> KindTally:
        """The counts of a kind, made when it is met first."""
        found = self.kinds.get(name)
        if found is None:
            found = self.kinds[name] = KindTally()
            self._total[name] = (Latency(), Latency())
        return found

    def went_wrong(self, kind: KindTally, outcome: Outcome, due: float, sent: float, now: float) -> bool | None:
        """Count an operation that has not succeeded. Returns whether it surely did not happen; None when a service
        answered with an error of its own."""
        if isinstance(outcome, ServiceError):
            kind.declared += 1
            kind.timed(due, sent, now)
            return None
        code, definite = (outcome.code, outcome.definite) if isinstance(outcome, ClusterError) else ("maybe", False)
        self.errors[code] = self.errors.get(code, 0) + 1
        if definite:
            kind.failed += 1
        else:
            kind.maybe += 1
        if not definite or isinstance(outcome, DeadlinePassed):
            kind.timed(due, sent, now)
        return definite

    def count_fresh(self) -> None:
        """Count fresh latencies; often, so that it never takes long."""
        self.lag.count_fresh()
        for kind in self.kinds.values():
            kind.service.count_fresh()
            kind.response.count_fresh()

    def interval(self, until_s: float, seconds: float, in_flight: int) -> Interval:
        """What happened since the last one."""
        service, response = Latency(), Latency()
        for name, kind in self.kinds.items():
            total_service, total_response = self._total[name]
            for fresh, part, total in (
                (kind.service, service, total_service), (kind.response, response, total_response)
            ):  # fmt: skip
                part.add(fresh)
                total.add(fresh)
                fresh.clear()
        kinds = self.kinds.values()
        now = (
            self.offered, sum(one.ok for one in kinds), sum(one.declared for one in kinds),
            sum(one.maybe for one in kinds), sum(one.failed for one in kinds),
        )  # fmt: skip
        offered, ok, declared, maybe, failed = (after - before for after, before in zip(now, self._before, strict=True))
        self._before = now
        return Interval(
            until_s, seconds, offered, in_flight, ok, declared, maybe, failed, service.encode(), response.encode()
        )

    def report(self) -> LoadReport:
        """The counts of all; the rest of the report is left as it is at first."""
        kinds = {}
        for name, kind in self.kinds.items():
            for fresh, total in zip((kind.service, kind.response), self._total[name], strict=True):
                total.add(fresh)
                fresh.clear()
            service, response = (total.encode() for total in self._total[name])
            kinds[name] = KindReport(kind.ok, kind.declared, kind.maybe, kind.failed, service, response)
        return LoadReport(kinds, dict(self.errors), self.lag.encode(), self.offered, unsent_for=self.unsent.encode())


Merged = TypeVar("Merged", Interval, LoadReport, KindReport)


def merge(many: Sequence[Merged]) -> Merged:
    """What several processes report of the same time, as one: histograms and counts add up, and of times the longest
    counts."""
    first = many[0]
    if len(many) == 1:
        return first
    return type(first)(*(_merged([getattr(one, name) for one in many]) for name in first.__struct_fields__))


def _merged(values: list[Any]) -> Any:
    match values[0]:
        case bytes():
            total = Latency()
            for value in values:
                total.add(decode(value))
            return total.encode()
        case bool() | float():
            return max(values)
        case int():
            return sum(values)
        case list():
            return [one for value in values for one in value]
        case dict():
            names = dict.fromkeys(name for value in values for name in value)
            return {name: _merged([value[name] for value in values if name in value]) for name in names}
        case _:
            return merge(values)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0
