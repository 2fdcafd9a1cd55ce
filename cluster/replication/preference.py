"""Who takes a write: the owners that can be reached, and fallbacks for those that cannot.

Pure. Dynamo (2007) section 4.6, sloppy quorum: the first N healthy nodes of the preference list, where a fallback
keeps a hint that names the owner it stands in for. Owners come from the view, and fallbacks from its fallback list.
"""

from collections.abc import Callable, Sequence

from cluster.errors import Maybe, Overloaded, Unreachable

UNANSWERED = (Unreachable, Overloaded, Maybe)
"""Errors that say something about a peer, which is left out for a while. Any other is the peer's answer, about one key
or operation, and says nothing about the next."""


def split_owners(owners: Sequence[str], avoided: Callable[[str], bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(reachable, avoided), in order."""
    reachable = tuple(name for name in owners if not avoided(name))
    return reachable, tuple(name for name in owners if name not in reachable)


def next_fallback(fallbacks: Sequence[str], taken: Sequence[str], avoided: Callable[[str], bool]) -> str | None:
    """The next fallback that is not taken and can be reached, or None."""
    for name in fallbacks:
        if name not in taken and not avoided(name):
            return name
    return None


class Avoidance:
    """Which peers to leave out of a preference list now: those not alive, and those that failed us a moment ago.

    Local evidence (autonomy): it costs nobody anything, accuses nobody, and heals by itself. A peer that failed is
    tried again after `first_s`, and each time that it fails again after twice as long, at most `longest_s`.
    """

    __slots__ = ("_down", "_first_s", "_longest_s", "_until", "_waits")

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._until: dict[str, float] = {}
        self._waits: dict[str, float] = {}  # how long it was avoided the last time, until it answers
        self._down: dict[str, None] = {}

    def failed(self, peer: str, now: float) -> None:
        """An exchange with the peer failed. While it is avoided that is no news."""
        if now < self._until.get(peer, float("-inf")):
            return
        before = self._waits.get(peer)
        wait = self._first_s if before is None else min(2 * before, self._longest_s)
        self._waits[peer] = wait
        self._until[peer] = now + wait

    def heard(self, peer: str) -> None:
        """The peer answered."""
        if self._waits:
            self._waits.pop(peer, None)
            self._until.pop(peer, None)

    def state_changed(self, peer: str, alive: bool) -> None:
        """Membership holds the peer for alive, or not."""
        if alive:
            self._down.pop(peer, None)
            self.heard(peer)
        else:
            self._down[peer] = None

    def quiet(self) -> bool:
        """Whether nobody is to be avoided: the usual case, and the one that must be cheap."""
        return not self._until and not self._down

    def avoided(self, peer: str, now: float) -> bool:
        """Whether to go round the peer."""
        until = self._until.get(peer)
        if until is not None:
            if now < until:
                return True
            del self._until[peer]
        return peer in self._down
