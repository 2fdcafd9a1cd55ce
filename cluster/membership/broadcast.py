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


RUMOR_BYTES_MIN = len(_encode(Rumor("", "", 0, 0)))
"""No rumor fits into less."""


class _QueuedRumor:
    __slots__ = ("data", "incarnation", "order", "transmits")

    def __init__(self, data: bytes, incarnation: tuple[int, int], order: int) -> None:
        self.data = data
        self.incarnation = incarnation
        self.order = order
        self.transmits = 0


class Broadcasts:
    """Rumors to send, with how often each has been sent. `limit` tells how often that may be, now.

    Kept twice: by member, because a rumor replaces others about its member, and by how often it was sent, because a
    packet is filled with those least sent. While nodes start there are hundreds, so neither may look at all of them.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._by_name: dict[str, dict[Subject, _QueuedRumor]] = {}
        self._by_transmits: list[dict[int, tuple[Subject, _QueuedRumor]]] = [{}]
        self._order = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rumor: Rumor) -> None:
        """Spread a rumor, in place of what it makes obsolete."""
        subject = subject_of(rumor)
        incarnation = (rumor.epoch, rumor.refutations)
        for other, entry in list(self._by_name.get(rumor.name, {}).items()):
            # Of the member's state nothing else is to be said, but for accusations that this one joins.
            joins = rumor.state == SUSPECT and other[2] and entry.incarnation == incarnation
            if other == subject or (other[1] == subject[1] == "state" and not joins):
                self._drop(other, entry)
        self._order += 1
        entry = _QueuedRumor(_encode(rumor), incarnation, self._order)
        self._by_name.setdefault(rumor.name, {})[subject] = entry
        self._by_transmits[0][entry.order] = subject, entry
        self._count += 1

    def _drop(self, subject: Subject, entry: _QueuedRumor) -> None:
        held = self._by_name[subject[0]]
        del held[subject]
        if not held:
            del self._by_name[subject[0]]
        del self._by_transmits[entry.transmits][entry.order]
        self._count -= 1

    def forget(self, name: str) -> None:
        """Say nothing more of a member."""
        for subject, entry in list(self._by_name.get(name, {}).items()):
            self._drop(subject, entry)

    def take(self, space: int) -> list[bytes]:
        """Encoded rumors for one packet with `space` bytes left: least sent first, then newest first."""
        taken: list[tuple[Subject, _QueuedRumor]] = []
        for sent_as_often in self._by_transmits:
            for order in sorted(sent_as_often, reverse=True):
                if space < RUMOR_BYTES_MIN:
                    break
                subject, entry = sent_as_often[order]
                if len(entry.data) <= space:
                    space -= len(entry.data)
                    taken.append((subject, entry))
        limit = self._limit() if taken else 0
        for subject, entry in taken:
            if entry.transmits + 1 >= limit:
                self._drop(subject, entry)
                continue
            del self._by_transmits[entry.transmits][entry.order]
            entry.transmits += 1
            if entry.transmits == len(self._by_transmits):
                self._by_transmits.append({})
            self._by_transmits[entry.transmits][entry.order] = subject, entry
        return [entry.data for _, entry in taken]
