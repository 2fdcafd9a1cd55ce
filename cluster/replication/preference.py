"""Who takes a write: the owners that can be reached, and stand-ins for those that cannot.

Pure. Dynamo (2007) section 4.6, sloppy quorum: the first N healthy nodes of the preference list, where a stand-in keeps a
hint that names the owner it stands in for. Owners are the placement's, stand-ins the next of its fallback list.
"""

from collections.abc import Callable, Sequence


def split_owners(owners: Sequence[str], avoided: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """(reachable, avoided), in order."""
    reachable = [name for name in owners if not avoided(name)]
    return reachable, [name for name in owners if name not in reachable]


def stand_in(fallbacks: Sequence[str], taken: Sequence[str], avoided: Callable[[str], bool]) -> str | None:
    """The next fallback that is not taken and can be reached, or None."""
    for name in fallbacks:
        if name not in taken and not avoided(name):
            return name
    return None


class Avoidance:
    """Which peers to leave out of a preference list now: those not alive, and those that failed us a moment ago.

    Local evidence (autonomy): it costs nobody anything, heals by itself after `avoid_s`, and accuses nobody.
    """

    __slots__ = ("_alive", "_avoid_s", "_until")

    def __init__(self, avoid_s: float, alive: Callable[[str], bool]) -> None:
        self._avoid_s = avoid_s
        self._alive = alive
        self._until: dict[str, float] = {}

    def failed(self, peer: str, now: float) -> None:
        """An exchange with the peer failed."""
        self._until[peer] = now + self._avoid_s

    def heard(self, peer: str) -> None:
        """The peer answered."""
        self._until.pop(peer, None)

    def avoided(self, peer: str, now: float) -> bool:
        """Whether to go round the peer."""
        until = self._until.get(peer)
        if until is not None:
            if now < until:
                return True
            del self._until[peer]
        return not self._alive(peer)
