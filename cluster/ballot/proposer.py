"""One attempt to have a value decided: promises of a majority, then acceptance by a majority.

If a majority's promises name a value that was accepted before, that value is proposed instead of one's own, the one of
the highest ballot: it may have been decided. Paxos Made Simple (2001), section 2.2. Pure: fed by answers; a refusal or
silence ends the attempt, and the caller begins another with a higher ballot, after a random while so that two proposers
do not chase each other for ever.
"""

from collections.abc import Iterable
from enum import Enum

from cluster.ballot.acceptor import NONE, Accepted, Ballot, Promised


class Phase(Enum):
    """How far an attempt is."""

    PREPARE = "prepare"
    ACCEPT = "accept"
    DECIDED = "decided"
    LOST = "lost"


def majority(acceptors: int) -> int:
    """How many of `acceptors` any two majorities share at least one of."""
    return acceptors // 2 + 1


class Proposer:
    """One attempt under one ballot. `acceptors` are ids: an answer counts once, and only from one of them.
    `unanimous`: all of them must grant it, so that any majority of a larger set that has one of them meets this ballot.
    """

    def __init__(self, acceptors: Iterable[str], ballot: Ballot, value: bytes, *, unanimous: bool = False) -> None:
        self.acceptors = dict.fromkeys(acceptors)
        self.needed = len(self.acceptors) if unanimous else majority(len(self.acceptors))
        self.ballot = ballot
        self.value = value
        """What is proposed: one's own value, or that of an earlier ballot which may have been decided."""
        self.phase = Phase.PREPARE
        self.higher: Ballot = NONE
        """The highest ballot that stood against this one: the next attempt goes above it."""
        self._highest: Ballot = NONE
        self._granted: dict[str, None] = {}
        self._refused: dict[str, None] = {}

    def on_promise(self, acceptor: str, answer: Promised) -> Phase:
        """An answer to *prepare*. ACCEPT is returned once, when `value` may be sent to all."""
        if self.phase is not Phase.PREPARE or not self._counts(acceptor, answer.granted, answer.promised):
            return self.phase
        if answer.accepted > self._highest:
            self._highest, self.value = answer.accepted, answer.value
        if len(self._granted) >= self.needed:
            self._granted, self._refused = {}, {}
            self.phase = Phase.ACCEPT
        return self.phase

    def on_accepted(self, acceptor: str, answer: Accepted) -> Phase:
        """An answer to *accept*. With DECIDED, `value` is the value of the slot for ever."""
        if self.phase is not Phase.ACCEPT or not self._counts(acceptor, answer.granted, answer.promised):
            return self.phase
        if len(self._granted) >= self.needed:
            self.phase = Phase.DECIDED
        return self.phase

    def on_silence(self, acceptor: str) -> Phase:
        """It cannot be reached, or does not answer in time."""
        if self.phase in (Phase.PREPARE, Phase.ACCEPT):
            self._counts(acceptor, False, NONE)
        return self.phase

    def _counts(self, acceptor: str, granted: bool, promised: Ballot) -> bool:
        if acceptor not in self.acceptors or acceptor in self._granted or acceptor in self._refused:
            return False
        if granted:
            self._granted[acceptor] = None
            return True
        self.higher = max(self.higher, promised)
        self._refused[acceptor] = None
        if len(self.acceptors) - len(self._refused) < self.needed:
            self.phase = Phase.LOST
        return False
