"""Counts and latencies of what was offered, by kind of operation; and the report and the intervals made of them.

Every operation ends as exactly one of: `ok`; `declared` (a service answered with an error of its own: the cluster did
its part); `maybe` (it may have happened); `failed` (it surely did not, or the handler of a service broke). What it took
beside that are its efforts: it was `shed` (refused as too much, one of the failures), `hedged`, or tried again, by the
cluster or by the load.

Latencies are those of all that were answered, and of those that ran out of time, which took at least so long. A refusal
has no latency: were it counted, a cluster that refuses everything at once would look quick.

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
from cluster.errors import ClusterError, DeadlinePassed, Overloaded, ServiceError

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
EXACT_BITS = 11
"""With three digits, numbers of up to 11 bits are kept exactly, and of longer ones the first 11 bits."""
PERCENTILES = {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "p999_ms": 99.9, "max_ms": 100.0}
Summary = dict[str, float | None]
"""By the names of PERCENTILES; None where nothing was recorded."""


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

    def summary(self) -> Summary:
        """As JSON."""
        return {name: self.percentile_ms(percentile) for name, percentile in PERCENTILES.items()}

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
COUNTS = ("ok", "failed", "maybe", "declared")
EFFORTS = ("shed", "hedged", "cluster_retries", "load_retries")
"""Operations that were shed or hedged; attempts beyond the first, by the cluster for what it answered, and by the load.
"""
REPLIES = "replies"
"""Of operations that stream, also of those that did not end well."""
_SUMS = (*COUNTS, *EFFORTS, REPLIES)
EXAMPLES_MAX = 5


class KindTally:
    """Operations of one kind. The latencies are those since they were last taken, the totals those before."""

    def __init__(self) -> None:
        self.ok = self.failed = self.maybe = self.declared = 0
        self.shed = self.hedged = self.cluster_retries = self.load_retries = self.replies = 0
        self.service, self.response = Latency(), Latency()
        self.totals = Latency(), Latency()
        self._service, self._response = self.service.fresh.append, self.response.fresh.append

    def timed(self, due: float, sent: float, now: float) -> None:
        """It took so long: from when it was due, and from when it was sent. Seconds of one clock."""
        self._service(int((now - sent) * US))
        self._response(int((now - due) * US))

    def take(self, service: Latency, response: Latency) -> None:
        """Add the latencies to these and to the totals, and begin again."""
        for fresh, *others in zip((self.service, self.response), (service, response), self.totals, strict=True):
            for other in others:
                other.add(fresh)
            fresh.clear()


class KindReport(Struct, kw_only=True):
    """What became of the operations of one kind, or of all."""

    ok: int = 0
    failed: int = 0
    maybe: int = 0
    declared: int = 0
    shed: int = 0
    hedged: int = 0
    cluster_retries: int = 0
    load_retries: int = 0
    replies: int = 0
    service: bytes = b""
    response: bytes = b""

    @property
    def counts(self) -> dict[str, int]:
        """How many ended how."""
        return {name: getattr(self, name) for name in COUNTS}

    @property
    def efforts(self) -> dict[str, int]:
        """What that took."""
        return {name: getattr(self, name) for name in EFFORTS}

    def summaries(self) -> dict[str, Summary]:
        """Of service and response."""
        return {"service": decode(self.service).summary(), "response": decode(self.response).summary()}


class Interval(KindReport, tag=True, kw_only=True):
    """What happened in one piece of time: so many seconds that end `until_s` after the first operation."""

    until_s: float
    seconds: float
    offered: int
    in_flight: int

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        rates = {"offered_per_s": rate(self.offered, self.seconds), "achieved_per_s": rate(self.ok, self.seconds)}
        times = {"until_s": round(self.until_s, 3), "seconds": round(self.seconds, 3)}
        counts = {**self.counts, **self.efforts, REPLIES: self.replies}
        return {**times, **counts, **rates, "in_flight": self.in_flight, **self.summaries()}


class LoadReport(Struct, tag=True):
    """What one process reports at its end."""

    kinds: dict[str, KindReport] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    """By code."""
    declared_errors: dict[str, int] = field(default_factory=dict)
    """By name: those that a service declares."""
    lag: bytes = b""
    """How long operations that were due waited for the generator itself."""
    offered: int = 0
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
    """Different messages, counted once for each subscription that has it."""
    acked: int = 0
    """Messages of a queue whose consumption was acknowledged."""
    recovered: int = 0
    """Messages of a queue whose send ended in doubt, and that came."""
    dropped: int = 0
    """Of the accepted messages, how many deliveries are missing."""
    unheard: int = 0
    """Messages that nobody was known to listen to."""
    delivery: bytes = b""
    examples: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    """Processes that ended without a report."""

    def example(self, text: str) -> None:
        """One more of what went wrong, unless there are enough."""
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(text)


class Tally:
    """Counts as the load goes on; what is found beside them goes into the report at once."""

    def __init__(self) -> None:
        self.kinds: dict[str, KindTally] = {}
        self.found = LoadReport()
        self.lag, self.unsent = Latency(), Latency()
        self.offered = 0
        self._before: dict[str, int] = {}

    def kind(self, name: str) -> KindTally:
        """The counts of a kind, made when it is met first."""
        return self.kinds.get(name) or self.kinds.setdefault(name, KindTally())

    def went_wrong(self, kind: KindTally, outcome: Outcome, due: float, sent: float, now: float) -> bool:
        """Count an operation that has not succeeded. Returns whether it was refused: it surely did not happen, and no
        service answered with an error of its own."""
        kind.shed += isinstance(outcome, Overloaded)
        code, definite = (outcome.code, outcome.definite) if isinstance(outcome, ClusterError) else ("maybe", False)
        self.found.errors[code] = self.found.errors.get(code, 0) + 1
        broke = isinstance(outcome, ServiceError)  # the handler, in a way that it does not declare: that is no doubt
        if definite or broke:
            kind.failed += 1
        else:
            kind.maybe += 1
        if not definite or isinstance(outcome, DeadlinePassed):
            kind.timed(due, sent, now)
        return definite

    def answered_with_error(self, kind: KindTally, name: str, due: float, sent: float, now: float) -> None:
        """Count an operation that a service answered with an error that it declares: it did its part."""
        kind.declared += 1
        kind.timed(due, sent, now)
        self.found.declared_errors[name] = self.found.declared_errors.get(name, 0) + 1

    def count_fresh(self) -> None:
        """Count fresh latencies; often, so that it never takes long."""
        self.lag.count_fresh()
        for kind in self.kinds.values():
            kind.service.count_fresh()
            kind.response.count_fresh()

    def interval(self, until_s: float, seconds: float, in_flight: int) -> Interval:
        """What happened since the last one."""
        service, response = Latency(), Latency()
        now = {"offered": self.offered, **dict.fromkeys(_SUMS, 0)}
        for kind in self.kinds.values():
            kind.take(service, response)
            for name in _SUMS:
                now[name] += getattr(kind, name)
        new: dict[str, Any] = {name: number - self._before.get(name, 0) for name, number in now.items()}
        self._before = now
        new |= {"service": service.encode(), "response": response.encode()}
        return Interval(until_s=until_s, seconds=seconds, in_flight=in_flight, **new)

    def report(self) -> LoadReport:
        """The counts of all, with what was found."""
        found = self.found
        for name, kind in self.kinds.items():
            kind.take(Latency(), Latency())
            service, response = (total.encode() for total in kind.totals)
            counts = {one: getattr(kind, one) for one in _SUMS}
            found.kinds[name] = KindReport(**counts, service=service, response=response)
        found.lag, found.offered, found.unsent_for = self.lag.encode(), self.offered, self.unsent.encode()
        return found


Merged = TypeVar("Merged", Interval, LoadReport, KindReport)


def merge(many: Sequence[Merged]) -> Merged:
    """What several processes report of the same time, as one: histograms and counts add up, and of times the longest
    counts."""
    first = many[0]
    if len(many) == 1:
        return first
    names = first.__struct_fields__
    return type(first)(**{name: _merged([getattr(one, name) for one in many]) for name in names})


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


def rate(count: int, seconds: float) -> float:
    """How many a second."""
    return round(count / seconds, 1) if seconds > 0 else 0.0
