"""When an endpoint that keeps failing is left out, and when leaving out would do more harm than good.

Five failures in a row eject an endpoint for 30 s, then 60 s, and so on (Envoy's outlier detection). What counts are
calls that it refused, lost, had not answered by their deadline, or ended with an error that nobody declared; not what
it declared, shed, or was cancelled, nor what its handler called and found failing: that counts where it failed. Never
more than half of a service's endpoints, rounded down, are left out: when more of them fail, the fault is hardly theirs
alone, and the rest could not carry the load. Then all are used (Envoy's panic threshold). Pure.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from cluster.errors import ClusterError, Maybe, ServiceError

FAILURES_IN_ROW = 5
EJECTED_S = 30.0
"""The first time; n times as long the nth time in a row. Each such time without an ejection takes one off."""
FAR = float("inf")


def is_failure(error: ClusterError) -> bool:
    """Whether an error says that the endpoint does not do what it is there for: it refused, was lost, had no answer by
    the deadline, or ended with an error that it does not declare. What is wrong with the call itself is no failure."""
    return error.retryable or isinstance(error, Maybe | ServiceError)


class FailureRecord:
    """How one endpoint has done lately."""

    __slots__ = ("count", "ejected_at", "ejected_until", "in_row", "last")

    def __init__(self) -> None:
        self.in_row = 0
        self.last = ""
        """The last failure, for people."""
        self.count = 0
        """Ejections of late."""
        self.ejected_at = self.ejected_until = -FAR

    def succeeded(self, began: float) -> bool:
        """A call was answered. One that began during an ejection, in a panic, ends it; whether it did."""
        self.in_row = 0
        if not self.ejected_at <= began < self.ejected_until:
            return False
        self.ejected_until = began
        return True

    def failed(self, why: str, now: float) -> bool:
        """A call failed. Whether the endpoint is ejected by that."""
        self.in_row += 1
        self.last = why
        if self.in_row < FAILURES_IN_ROW or now < self.ejected_until:
            return False
        if self.count:
            self.count = max(0, self.count - int((now - self.ejected_until) / EJECTED_S))
        self.count += 1
        self.in_row = 0
        self.ejected_at = now
        self.ejected_until = now + EJECTED_S * self.count
        return True


class Fallible(Protocol):
    """An endpoint."""

    failures: FailureRecord


T = TypeVar("T", bound=Fallible)


def in_use(endpoints: Sequence[T], now: float) -> tuple[Sequence[T], bool]:
    """The endpoints to choose from, and whether there is panic: so many are ejected that all are used."""
    ejected = sum(one.failures.ejected_until > now for one in endpoints)
    if not ejected:
        return endpoints, False
    if ejected > len(endpoints) // 2:
        return endpoints, True
    return [one for one in endpoints if one.failures.ejected_until <= now], False


def next_return(endpoints: Iterable[Fallible], now: float) -> float:
    """When the first of those that are ejected comes back."""
    return min((one.failures.ejected_until for one in endpoints if one.failures.ejected_until > now), default=FAR)
