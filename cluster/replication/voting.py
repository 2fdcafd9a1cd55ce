"""Whether this node's answers are votes.

An owner that lost data of a partition is *recovering* for it until it is complete again. One that boots, finds itself
stalled, or refutes its own death is *catching up* until each live member attests that it holds no hint for it. Both
store and acknowledge writes, but what they lack proves nothing. A member that is dead while the others attest may still
hold hints: the node votes, its answers say that it may miss something, and that member is asked when it returns, until
it attests as well.

A round of attestations belongs to one boot: its number is told together with the boot, so that an answer to an earlier
life attests nothing. Copies that were in flight when a member was asked may since lie, as hints, at one that attested
before: then all are asked again, in another pass of the round. Pure; which partitions are recovering is the store's to
remember.
"""

from collections.abc import Callable, Iterable, Mapping

from cluster.replication.quorum import CATCHING_UP, MAY_MISS_HINTS, NO_VOTE, VOTING

Pass = tuple[int, int]
"""The number of a round in this boot, and of the pass through all members within it."""


class VotingStatus:
    """One node's right to vote. `recovering` is a live view of the partitions that lost data, with the reason."""

    __slots__ = ("_attested", "_mine", "asked_in", "catching_up", "may_hold_hints", "pending", "reason", "recovering")

    def __init__(self, recovering: Mapping[int, str], mine: Callable[[int], bool] = lambda partition: True) -> None:
        self.recovering = recovering
        self._mine = mine
        self.catching_up = False
        self.reason = ""
        self.asked_in: Pass = (0, 0)
        """Answers to any other pass attest nothing."""
        self.may_hold_hints: dict[str, None] = {}
        """Members that have not attested since the last round ended: they were dead then."""
        self.pending: dict[str, int] = {}
        """How many hints a member still held when it was asked last."""
        self._attested: dict[str, None] = {}

    def votes(self, partition: int) -> bool:
        """Whether absence here is a vote for this partition."""
        return not self.catching_up and partition not in self.recovering

    def complete(self, partition: int) -> bool:
        """Whether this owner lost nothing of the partition, though it may have missed something."""
        return partition not in self.recovering

    def vote(self, partition: int) -> int:
        """What an answer from here counts for; see `quorum`."""
        if partition in self.recovering:
            return NO_VOTE
        if self.catching_up:
            return CATCHING_UP
        return MAY_MISS_HINTS if self.may_hold_hints else VOTING

    @property
    def may_miss_hints(self) -> bool:
        """Whether a member that has not attested may hold hints for this node."""
        return bool(self.may_hold_hints)

    def begin(self, reason: str) -> None:
        """Something may have been missed: start a round of attestations."""
        self.asked_in = (self.asked_in[0] + 1, 0)
        self.catching_up = True
        self.reason = reason
        self.pending.clear()
        self._attested.clear()

    def to_ask(self, live: Iterable[str]) -> list[str]:
        """The live members whose attestation is missing: in a round all of them, after it those that were dead."""
        if self.catching_up:
            return [name for name in live if name not in self._attested]
        return [name for name in live if name in self.may_hold_hints]

    def on_attest(self, member: str, asked_in: Pass, hints: int, in_flight: int = 0) -> None:
        """A member says how many hints it holds for this node, and how many copies of writes that began before the
        round may become some; only one with none of either attests."""
        if asked_in != self.asked_in:
            return
        if in_flight and self.catching_up:
            round, number = self.asked_in
            self.asked_in = (round, number + 1)
            self._attested.clear()
        if hints or in_flight:
            self.pending[member] = hints + in_flight
            return
        self.pending.pop(member, None)
        self._attested[member] = None
        self.may_hold_hints.pop(member, None)

    def settle(self, live: Iterable[str], members: Iterable[str]) -> bool:
        """End the round if every live member attested. Returns whether it ended now. `members` are the others of the
        layout, alive or not."""
        if not self.catching_up or self.to_ask(live):
            return False
        self.catching_up = False
        self.may_hold_hints = {name: None for name in members if name not in self._attested}
        return True

    def keep(self, members: Iterable[str]) -> None:
        """The members are these from now on: nobody waits for one that has left."""
        there = dict.fromkeys(members)
        self.may_hold_hints = {name: None for name in self.may_hold_hints if name in there}

    def lost(self) -> list[int]:
        """The partitions that this node owns and has lost data of; not those that it is only to own."""
        return [partition for partition in self.recovering if self._mine(partition)]

    def state(self) -> str:
        """For `status`: recovering, catching-up or running."""
        return "recovering" if self.lost() else "catching-up" if self.catching_up else "running"


def causes(reasons: Iterable[str]) -> str:
    """The reasons of many partitions in one line: each once, and of many the first two."""
    distinct = list(dict.fromkeys(reasons))
    more = f" (and {len(distinct) - 2} more)" if len(distinct) > 2 else ""
    return "; ".join(distinct[:2]) + more
