"""Whether this node's answers are votes.

An owner that lost data is *recovering* until refilled. One that boots, finds itself stalled, or refutes its own death
is *catching up* until each live member attests that it holds no undelivered hint for it. Both store and acknowledge
writes, but their absence proves nothing. A member that is dead while the others attest may still hold hints: the node
votes, and its answers say that they may be incomplete (`may_miss_hints`) until that member returns and attests. Pure.
"""

from cluster.replication.quorum import CATCHING_UP, MAY_MISS_HINTS, NO_VOTE, VOTING


class VotingStatus:
    """One node's right to vote."""

    __slots__ = ("_attested", "catching_up", "may_hold_hints", "reason", "recovering", "round")

    def __init__(self) -> None:
        self.catching_up = False
        self.reason = ""
        self.round = 0
        self.recovering: dict[int, str] = {}
        self.may_hold_hints: dict[str, None] = {}
        self._attested: dict[str, None] = {}

    def votes(self, partition: int) -> bool:
        """Whether absence here is a vote for this partition."""
        return not self.catching_up and partition not in self.recovering

    def vote(self, partition: int) -> int:
        """What an answer from here counts for; see `quorum`."""
        if partition in self.recovering:
            return NO_VOTE
        if self.catching_up:
            return CATCHING_UP
        return MAY_MISS_HINTS if self.may_hold_hints else VOTING

    @property
    def may_miss_hints(self) -> bool:
        """Whether a dead member may hold hints for this node."""
        return bool(self.may_hold_hints)

    def begin(self, reason: str) -> int:
        """Something may have been missed: start a round of attestations. Returns the round's number."""
        self.round += 1
        self.catching_up = True
        self.reason = reason
        self._attested.clear()
        return self.round

    def missing(self, live: list[str]) -> list[str]:
        """The live members that have not attested in this round."""
        return [name for name in live if name not in self._attested]

    def on_attest(self, member: str, round: int, count: int) -> None:
        """A member says how many hints it holds for this node; only none, and in this round, attests."""
        if round == self.round and count == 0:
            self._attested[member] = None
            self.may_hold_hints.pop(member, None)

    def settle(self, live: list[str], members: list[str]) -> bool:
        """End the round if every live member attested. Returns whether it ended now."""
        if not self.catching_up or self.missing(live):
            return False
        self.catching_up = False
        self.may_hold_hints = {name: None for name in members if name not in self._attested}
        return True

    def state(self) -> str:
        """For `status`: recovering, catching-up or running."""
        return "recovering" if self.recovering else "catching-up" if self.catching_up else "running"
