"""Who takes a write, and the verdicts of a replicated write and of a replicated read.

Pure: fed by answers, own no socket and no clock. Dynamo (DeCandia et al., SOSP 2007) sections 4.5 and 4.6. What counts
is this project's own rule: a write counts owner *slots*, not copies, and absence (a tombstone shows nothing either) is
proven by votes only. A write is taken by the owners that can be reached, and by fallbacks, which keep a hint that names
the owner, for those that cannot: the first N healthy nodes of the preference list.
"""

from collections.abc import Callable, Sequence
from typing import Final

from cluster.errors import Maybe, Overloaded, Unreachable
from cluster.replication.mergeable import Mergeable

OK, OK_SLOPPY, MAYBE, NO = "ok", "ok-sloppy", "maybe", "no"

NO_VOTE: Final = 0
"""From a recovering owner, which lost data, or from whoever is no owner."""
CATCHING_UP: Final = 1
"""From an owner that lost nothing and may have missed writes: a vote on what W *owners* acknowledged, so for strict
reads, and on nothing else."""
MAY_MISS_HINTS: Final = 2
"""From a voting owner for whom a dead member may hold hints: a vote on a value, not on absence."""
VOTING: Final = 3
"""From an owner that misses nothing that anybody knows of."""

UNANSWERED = (Unreachable, Overloaded, Maybe)
"""Errors that may say something about a peer: `Reach.unanswered` decides whether it is left out for a while. Any other
is the peer's answer, about one key or operation, and says nothing about the next."""


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


class QuorumWrite:
    """One replicated put: decided once `needed` distinct owner slots are filled, each by its owner or by one fallback.

    `ok` if the owners themselves are as many as the caller asked for and as the layout's W (`promised`), else
    `ok-sloppy`: strict reads meet only what W owners hold. `strict` counts owners only. `maybe` and `no` are decided
    when nothing is outstanding any more: `no` only if everybody refused definitely, so that no copy can ever appear.
    """

    __slots__ = ("decided", "filled", "needed", "outstanding", "owner_acks", "promised", "strict", "unsure")

    def __init__(self, needed: int, promised: int, strict: bool) -> None:
        self.needed = needed
        self.promised = promised
        self.strict = strict
        self.filled: dict[str, str] = {}
        """Owner -> the node that holds its copy."""
        self.owner_acks = 0
        self.outstanding = 0
        self.unsure = 0
        self.decided: str | None = None

    @property
    def acks(self) -> int:
        """How many slots are filled."""
        return len(self.filled)

    def sent(self, copies: int = 1) -> None:
        """So many copies are on their way."""
        self.outstanding += copies

    def on_ack(self, slot: str, node: str) -> str | None:
        """`node` holds the copy of owner `slot` durably; each owner is fed once. Returns the verdict when this
        acknowledgement decides it."""
        self.outstanding -= 1
        filled = self.filled
        if node == slot:
            filled[slot] = node  # a fallback may have filled it already: still one slot
            self.owner_acks += 1
        elif slot not in filled and node not in filled.values():
            filled[slot] = node
        if self.decided is None:
            owners, needed = self.owner_acks, self.needed
            if (owners if self.strict else len(filled)) >= needed:
                self.decided = decided = OK if owners >= needed and owners >= self.promised else OK_SLOPPY
                return decided
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
            self.decided = MAYBE if self.filled or self.unsure else NO
            return self.decided
        return None


class QuorumRead:
    """One replicated read.

    A value is decided by `r` owners that vote, absence by `absent` (N - W + 1: one of any write quorum is among them)
    that vote and may miss nothing. A strict read promises only what W owners acknowledged, and needs both numbers of
    owners that lost nothing. Other answers bring values but no votes. What an owner that lost data still has may be
    deleted long since, so it is said only when the votes do not decide; what is a hint is said.
    """

    __slots__ = (
        "absent", "answers", "aside", "complete", "key", "may_miss", "mergeable", "merged", "r", "strict", "sure",
        "unrepaired", "votes",
    )  # fmt: skip

    def __init__(self, key: str, r: int, absent: int, strict: bool, mergeable: Mergeable) -> None:
        self.key = key
        self.r = r
        self.absent = absent if absent > r else r
        self.strict = strict
        self.mergeable = mergeable
        self.answers: dict[str, bytes | None] = {}
        self.complete = 0
        """Owners that lost nothing; of them `votes` vote, and of these `sure` may miss nothing."""
        self.votes = 0
        self.sure = 0
        self.may_miss = 0
        self.merged: bytes | None = None
        """All that was found so far; None for nothing."""
        self.aside: dict[str, bytes] | None = None
        """What was found without a vote, by node, while there is any."""
        self.unrepaired = False
        """An owner that is behind did not take what was found, or must not: a later read may miss it."""

    def on_answer(self, node: str, blob: bytes | None, vote: int) -> None:
        """A node answered with all that it holds; `vote` is one of the constants above. Raises Damaged when what two
        nodes hold cannot be merged."""
        if node in self.answers:
            return
        if blob is not None:
            if vote == NO_VOTE:
                self.aside = {**(self.aside or {}), node: blob}
            else:
                merged = self.merged
                if merged is None:
                    self.merged = blob
                elif merged is not blob:
                    self.merged = self.mergeable.merge(merged, blob)
        self.answers[node] = blob
        if vote == VOTING:
            self.complete += 1
            self.votes += 1
            self.sure += 1
        elif vote:
            self.complete += 1
            if vote == MAY_MISS_HINTS:
                self.votes += 1
                self.may_miss += 1

    def shows_value(self) -> bool:
        """Whether a reader would be shown anything of what was found so far: a tombstone hides, as absence does."""
        return self.merged is not None and self.mergeable.shows(self.merged, self.key)

    def lacking(self) -> int:
        """How many more votes decide, as things stand; 0 or less once decided."""
        if self.strict:
            return self.absent - self.complete
        for_value, for_absence = self.r - self.votes, self.absent - self.sure
        if for_value == for_absence:  # the usual case, and what was found need not be decoded
            return for_value
        return for_value if self.shows_value() else for_absence

    @property
    def degraded(self) -> bool:
        """Whether the result rests on fewer votes than it should, an owner that answered may miss hints, or one that is
        behind stays behind."""
        return self.may_miss > 0 or self.votes < self.r or self.unrepaired

    def use_aside(self, but: Sequence[str] = ()) -> None:
        """Count what was found without a vote, but at these nodes. Nobody is repaired with it. Raises Damaged when it
        cannot be merged."""
        before = self.merged
        for node, blob in (self.aside or {}).items():
            if node not in but:
                self.merged = blob if self.merged is None else self.mergeable.merge(self.merged, blob)
        self.unrepaired |= self.merged is not before
        self.aside = None

    def behind(self, owners: Sequence[str]) -> list[str]:
        """The owners among those that answered which lack some of what was found."""
        merged = self.merged
        if merged is None:
            return []
        return [node for node, blob in self.answers.items() if blob is not merged and blob != merged and node in owners]
