"""Which endpoint gets a call: the better of two drawn at random, by peak EWMA latency x (calls in flight + 1).

Two choices leave the longest queue at log log n instead of log n / log log n for one (Mitzenmacher, "The Power of Two
Choices in Randomized Load Balancing", IEEE TPDS 2001), and unlike the best of all they do not herd on one endpoint.
The latency is Finagle's and Linkerd's peak EWMA: it jumps to a worse observation at once, forgets it over `TAU_S`, and
decays between observations too, so that an endpoint that is avoided is tried again. Pure: time and randomness are
passed in.
"""

from collections.abc import Sequence
from math import exp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

TAU_S = 2.0
"""Finagle's default is 10 s; here people watch recoveries that take seconds."""
FLOOR_S = 0.001
"""Latencies below this are alike: the hop to another node must not look worse than calling oneself."""
PENALTY_S = 1.0
"""What a failure to answer at all counts as, or a node that refuses quickly would look like the quickest."""


class EndpointLoad:
    """What is known of one endpoint's node."""

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

    def cost(self, now: float) -> float:
        """Seconds of latency that a call there may expect, times those who wait already."""
        latency_s = self.latency_s
        if latency_s > FLOOR_S:
            latency_s *= exp((self.observed_at - now) / TAU_S)
        return (latency_s if latency_s > FLOOR_S else FLOOR_S) * (self.in_flight + 1)


class Balancer:
    """The loads of all nodes that this node calls."""

    def __init__(self, random: "Random") -> None:
        self._random = random.random
        self._loads: dict[str, EndpointLoad] = {}

    def choose(self, nodes: Sequence[str], now: float) -> str:
        """One of `nodes`, of which there is at least one."""
        count = len(nodes)
        if count == 1:
            return nodes[0]
        one = int(self._random() * count)
        other = int(self._random() * (count - 1))
        if other >= one:
            other += 1
        first, second = nodes[one], nodes[other]
        loads = self._loads
        cost = (loads.get(first) or self.load(first)).cost(now)
        return first if cost <= (loads.get(second) or self.load(second)).cost(now) else second

    def begin(self, node: str) -> EndpointLoad:
        """A call is sent; give what this returns to its `end`."""
        load = self._loads.get(node) or self.load(node)
        load.in_flight += 1
        return load

    def end(self, load: EndpointLoad, latency_s: float, now: float, answered: bool = True) -> None:
        """A call ended. `answered` False: the node refused it, or could not be reached, or was silent."""
        assert load.in_flight > 0
        load.in_flight -= 1
        load.observe(latency_s if answered else max(latency_s, PENALTY_S), now)

    def forget(self, node: str) -> None:
        """The node died or came back: what was known of it says nothing any more."""
        self._loads.pop(node, None)

    def load(self, node: str) -> EndpointLoad:
        """What is known of a node."""
        load = self._loads.get(node)
        if load is None:
            load = self._loads[node] = EndpointLoad()
        return load
