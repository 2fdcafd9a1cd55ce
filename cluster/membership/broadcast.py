"""The queue of rumors that are still to be spread.

SWIM (2002) section 4.1: an update is piggybacked about lambda * log(n) times, those least sent first. As in
memberlist's queue.go, a newer rumor about the same subject replaces older ones. Accusations of one suspicion by
different accusers are different subjects, because each confirms it (Lifeguard IV.B); anything else that is said of the
member replaces them all. A rumor is encoded once, however often it is sent. Pure.
"""

from collections.abc import Callable

import msgspec

from cluster.membership.member import FACT, NEWS, SUSPECT
from cluster.wire.membership import Rumor

_encode = msgspec.msgpack.Encoder().encode

Subject = tuple[str, str, str]  # member, topic, and who accuses or what kind of fact


def subject_of(rumor: Rumor) -> Subject:
    """What a rumor is about; a newer one about the same replaces it."""
    if rumor.state in (FACT, NEWS):
        return rumor.name, FACT, rumor.kind
    return rumor.name, "state", rumor.by if rumor.state == SUSPECT else ""


class _Entry:
    __slots__ = ("data", "incarnation", "order", "transmits")

    def __init__(self, data: bytes, incarnation: tuple[int, int], order: int) -> None:
        self.data = data
        self.incarnation = incarnation
        self.order = order
        self.transmits = 0


class Broadcasts:
    """Rumors to send, with how often each has been sent. `limit` tells how often that may be, now."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._entries: dict[Subject, _Entry] = {}
        self._order = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, rumor: Rumor) -> None:
        """Spread a rumor, in place of what it makes obsolete."""
        subject = subject_of(rumor)
        incarnation = (rumor.epoch, rumor.refutations)
        if subject[1] == "state":
            self._replace(rumor, incarnation)
        self._order += 1
        self._entries.pop(subject, None)
        self._entries[subject] = _Entry(_encode(rumor), incarnation, -self._order)

    def _replace(self, rumor: Rumor, incarnation: tuple[int, int]) -> None:
        """Drop what was to be said of the member's state, but for accusations that this one joins."""
        for subject in [key for key in self._entries if key[0] == rumor.name and key[1] == "state"]:
            joins = rumor.state == SUSPECT and subject[2] and self._entries[subject].incarnation == incarnation
            if not joins:
                del self._entries[subject]

    def forget(self, name: str) -> None:
        """Say nothing more of a member."""
        for subject in [key for key in self._entries if key[0] == name]:
            del self._entries[subject]

    def take(self, space: int) -> list[bytes]:
        """Encoded rumors for one packet with `space` bytes left: least sent first, then newest first."""
        if not self._entries:
            return []
        limit = self._limit()
        taken: list[bytes] = []
        for subject, entry in sorted(self._entries.items(), key=_least_sent):
            if len(entry.data) > space:
                continue
            space -= len(entry.data)
            taken.append(entry.data)
            entry.transmits += 1
            if entry.transmits >= limit:
                del self._entries[subject]
        return taken


def _least_sent(item: tuple[Subject, _Entry]) -> tuple[int, int]:
    return item[1].transmits, item[1].order
