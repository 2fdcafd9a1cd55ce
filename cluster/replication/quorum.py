"""The verdicts of a replicated write and of a replicated read.

Pure: fed by answers, own no socket and no clock. Dynamo (DeCandia et al., SOSP 2007) sections 4.5 and 4.6; what
counts as a vote is this project's own rule: only a voting owner's absence is a vote.
"""

from collections.abc import Callable
from typing import NamedTuple

OK, OK_SLOPPY, MAYBE, NO = "ok", "ok-sloppy", "maybe", "no"


class QuorumWrite:
    """One replicated put: `ok` once `needed` owners hold it, `ok-sloppy` once owners and fallbacks together do.

    `strict` counts owners only. `maybe` and `no` are decided when nothing is outstanding any more: `no` only if
    everybody refused definitely, so that no copy can ever appear.
    """

    __slots__ = ("acks", "decided", "needed", "outstanding", "owner_acks", "strict", "unsure")

    def __init__(self, needed: int, strict: bool) -> None:
        self.needed = needed
        self.strict = strict
        self.acks = 0
        self.owner_acks = 0
        self.outstanding = 0
        self.unsure = 0
        self.decided: str | None = None

    def sent(self, copies: int = 1) -> None:
        """So many copies are on their way."""
        self.outstanding += copies

    def on_ack(self, owner: bool) -> str | None:
        """A copy is durable. Returns the verdict when this acknowledgement decides it."""
        self.outstanding -= 1
        self.acks += 1
        if owner:
            self.owner_acks += 1
        if self.decided is None and (self.owner_acks if self.strict else self.acks) >= self.needed:
            self.decided = OK if self.owner_acks >= self.needed else OK_SLOPPY
            return self.decided
        return None

    def on_failure(self, definite: bool) -> str | None:
        """A copy failed, surely (`definite`) or perhaps. Returns the verdict when nothing is outstanding."""
        self.outstanding -= 1
        if not definite:
            self.unsure += 1
        return self.settle()

    def on_kept(self) -> str | None:
        """A copy that does not count is kept to be delivered: whatever the verdict, it is no definite no."""
        self.outstanding -= 1
        self.unsure += 1
        return self.settle()

    def settle(self) -> str | None:
        """The verdict if nothing can change it any more."""
        if self.decided is None and self.outstanding == 0:
            self.decided = NO if self.acks == 0 and self.unsure == 0 else MAYBE
            return self.decided
        return None


class ReadVerdict(NamedTuple):
    """What a read found. `blob` None: not found, by enough votes. `stale`: who must be repaired with `blob` first."""

    blob: bytes | None
    answered: int
    degraded: bool
    stale: tuple[str, ...]


class QuorumRead:
    """One replicated read.

    Decided when `r` voting owners answered and, if nothing was found, `absent` of them (N - W + 1: one of any write
    quorum is among them). Non-voting answers bring values but no votes.
    """

    __slots__ = ("_merge", "absent", "answers", "degraded_by", "merged", "r", "votes")

    def __init__(self, r: int, absent: int, merge: Callable[[bytes, bytes], bytes]) -> None:
        self.r = r
        self.absent = absent
        self.answers: dict[str, bytes | None] = {}
        self.votes = 0
        self.merged: bytes | None = None
        self.degraded_by = 0
        self._merge = merge

    def on_answer(self, node: str, blob: bytes | None, voting: bool, may_miss_hints: bool) -> None:
        """An owner (or, never voting, a holder of hints) answered with all that it holds."""
        if node in self.answers:
            return
        self.answers[node] = blob
        self.votes += voting
        self.degraded_by += may_miss_hints
        if blob is not None:
            merged = self.merged
            self.merged = blob if merged is None else merged if merged is blob else self._merge(merged, blob)

    @property
    def needed(self) -> int:
        """How many votes decide, as things stand."""
        return self.r if self.merged is not None else max(self.r, self.absent)

    def decided(self) -> bool:
        """Whether enough owners voted."""
        return self.votes >= self.needed

    def verdict(self, owners: tuple[str, ...]) -> ReadVerdict:
        """The result so far; `degraded` when it rests on fewer votes than `r`, or on an owner that may miss
        hints."""
        merged = self.merged
        stale: tuple[str, ...] = ()
        if merged is not None:
            for node, blob in self.answers.items():
                if blob is not merged and blob != merged and node in owners:
                    stale = (*stale, node)
        degraded = self.merged is not None and (self.votes < self.r or self.degraded_by > 0)
        return ReadVerdict(self.merged, len(self.answers), degraded, stale)
