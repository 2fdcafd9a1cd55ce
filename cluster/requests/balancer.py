"""Which endpoint gets a call: the better of two drawn at random, by peak EWMA latency x (calls in flight + 1).

Two choices leave the longest queue at log log n instead of log n / log log n for one (Mitzenmacher, "The Power of Two
Choices in Randomized Load Balancing", IEEE TPDS 2001), and unlike the best of all they do not herd on one endpoint.
The latency is Finagle's and Linkerd's peak EWMA: it jumps to a worse observation at once, forgets it over `TAU_S`, and
decays between observations too, so that an endpoint that is avoided is tried again. The zone of the caller comes first,
and another one gets the call when the best of the two here is worse by half. Pure: time and randomness are passed in.
"""

from collections.abc import Callable, Sequence
from math import exp
from typing import TypeVar

TAU_S = 2.0
"""Finagle's default is 10 s; here people watch recoveries that take seconds."""
FLOOR_S = 0.001
"""Latencies below this are alike: the hop to another node must not look worse than calling oneself."""
PENALTY_S = 1.0
"""What a failure counts as, or an endpoint that fails quickly would look like the quickest."""
SHED_PENALTY_S = 0.1
"""And a call that was shed: its endpoint works, but has more than enough."""
SPILL = 1.5
"""Another zone is used when the own one costs so many times as much."""


class EndpointLoad:
    """What is known of the load of one endpoint."""

    __slots__ = ("in_flight", "latency_s", "observed_at")

    def __init__(self) -> None:
        self.in_flight = 0
        self.latency_s = 0.0
        self.observed_at = 0.0

    def observe(self, latency_s: float, now: float) -> None:
        """Take in the latency of one call."""
        if latency_s >= self.latency_s:
            self.latency_s = latency_s
        else:
            kept = exp((self.observed_at - now) / TAU_S)
            self.latency_s = self.latency_s * kept + latency_s * (1.0 - kept)
        self.observed_at = now

    def took_at_least(self, latency_s: float, now: float) -> None:
        """A call was cancelled after so long: how long it would have taken is not known."""
        if latency_s > self.latency_s:
            self.observe(latency_s, now)

    def cost(self, now: float) -> float:
        """Seconds of latency that a call there may expect, times those who wait already."""
        latency_s = self.latency_s
        if latency_s > FLOOR_S:
            latency_s *= exp((self.observed_at - now) / TAU_S)
        return (latency_s if latency_s > FLOOR_S else FLOOR_S) * (self.in_flight + 1)


T = TypeVar("T", bound=EndpointLoad)


def better_of_two(endpoints: Sequence[T], random: Callable[[], float], now: float) -> T:
    """One of `endpoints`, of which there is at least one; `random()` draws from 0 to 1."""
    count = len(endpoints)
    if count == 1:
        return endpoints[0]
    one = int(random() * count)
    other = int(random() * (count - 1))
    if other >= one:
        other += 1
    first, second = endpoints[one], endpoints[other]
    return first if first.cost(now) <= second.cost(now) else second


def nearest(local: Sequence[T], others: Sequence[T], random: Callable[[], float], now: float) -> T:
    """The better of two in the own zone, unless the better of two in `others` costs much less. One of the sequences has
    an endpoint."""
    if not others:
        return better_of_two(local, random, now)
    far = better_of_two(others, random, now)
    if not local:
        return far
    near = better_of_two(local, random, now)
    return near if near.cost(now) <= SPILL * far.cost(now) else far
