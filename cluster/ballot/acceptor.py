"""What an acceptor may say: a promise keeps every lower ballot out, and what was accepted is told to whoever asks.

Single-decree Paxos (Lamport, "Paxos Made Simple", 2001, section 2.2), one instance a slot. An acceptor keeps state for
one slot, the first that it does not know as decided: of an earlier one it gives the decided value, which is all that
Paxos could ever decide there.

Pure. The caller writes the state down before it sends the answer: a promise that a reboot forgets can decide two
values.
"""

from typing import NamedTuple, TypeAlias

from msgspec import Struct

Ballot: TypeAlias = tuple[int, str]
"""A round and the id of its proposer, so that no two proposers share a ballot."""

NONE: Ballot = (0, "")


class AcceptorState(Struct, frozen=True):
    """What must survive: for `slot`, the highest ballot promised, and what was accepted last and in which ballot."""

    slot: int
    promised: Ballot = NONE
    accepted: Ballot = NONE
    value: bytes = b""


class Promised(NamedTuple):
    """An answer to *prepare*: `granted`, with what was accepted before; or the higher ballot that stands against it."""

    granted: bool
    promised: Ballot
    accepted: Ballot
    value: bytes


class Accepted(NamedTuple):
    """An answer to *accept*."""

    granted: bool
    promised: Ballot


class Acceptor:
    """One acceptor. `state` changes with `prepare`, `accept` and `advance`; write it down before the answer leaves."""

    def __init__(self, state: AcceptorState) -> None:
        self.state = state

    def prepare(self, slot: int, ballot: Ballot) -> Promised:
        """Promise to take part in no lower ballot."""
        state = self.state
        assert slot == state.slot, (slot, state.slot)
        if ballot < state.promised:
            return Promised(False, state.promised, NONE, b"")
        self.state = AcceptorState(slot, ballot, state.accepted, state.value)
        return Promised(True, ballot, state.accepted, state.value)

    def accept(self, slot: int, ballot: Ballot, value: bytes) -> Accepted:
        """Accept the value, unless a higher ballot was promised."""
        state = self.state
        assert slot == state.slot, (slot, state.slot)
        if ballot < state.promised:
            return Accepted(False, state.promised)
        self.state = AcceptorState(slot, ballot, ballot, value)
        return Accepted(True, ballot)

    def advance(self, slot: int) -> None:
        """All before `slot` is decided and known here: that is the slot to vote on."""
        if slot > self.state.slot:
            self.state = AcceptorState(slot)
