"""Directed routes between nodes: how good each is, and whether a partition blocks it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """How a route behaves. Seconds, and probabilities of one datagram (loss also: of one chunk of a stream)."""

    delay: float = 0.000_2  # one way, at least
    jitter: float = 0.000_3  # evenly distributed, on top
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


class Route:
    """One direction between two nodes, and `back` the other one."""

    __slots__ = ("back", "blocked", "delay", "duplicate", "jitter", "loss", "reorder", "source", "target")

    back: "Route"

    def __init__(self, source: str, target: str, quality: Quality) -> None:
        self.source = source
        self.target = target
        self.blocked = False
        self.shape(quality)

    def shape(self, quality: Quality) -> None:
        """Behave so from now on."""
        self.delay = quality.delay
        self.jitter = quality.jitter
        self.loss = quality.loss
        self.duplicate = quality.duplicate
        self.reorder = quality.reorder


class Routes:
    """Every route that was ever used or shaped, made on demand."""

    def __init__(self, quality: Quality) -> None:
        self._quality = quality
        self._routes: dict[str, dict[str, Route]] = {}

    def between(self, source: str, target: str) -> Route:
        """The way from one node to another."""
        try:
            return self._routes[source][target]
        except KeyError:
            there, back = Route(source, target, self._quality), Route(target, source, self._quality)
            if source == target:
                back = there
            there.back, back.back = back, there
            self._routes.setdefault(source, {})[target] = there
            self._routes.setdefault(target, {})[source] = back
            return there

    def block(self, groups: Sequence[Sequence[str]], *, one_way: bool) -> None:
        """Block what goes between nodes of different groups; one way: only from earlier groups to later ones."""
        for index, group in enumerate(groups):
            for source in group:
                for target in (name for later in groups[index + 1 :] for name in later):
                    route = self.between(source, target)
                    route.blocked = True
                    route.back.blocked |= not one_way

    def unblock(self) -> None:
        """No partitions."""
        for routes in self._routes.values():
            for route in routes.values():
                route.blocked = False
