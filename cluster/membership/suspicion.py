"""How long a suspicion lasts before it becomes a verdict: the fewer confirm it, the longer.

Lifeguard (Dadgar, Phillips, Currey, 2018) section IV.B, "LHA-Suspicion", in the form of hashicorp/memberlist's
suspicion.go:

    timeout = max - (max - min) * log(c + 1) / log(k + 1)

with c independent confirmations out of the k that are expected.

Independent means by other accusers, or by time: a kernel that refuses this node's dial once may serve a process that
restarts; one that refuses again and again, a probe interval apart, has none. When all who could confirm are down too
(two of three killed), nothing else can shorten a suspicion. Pure.
"""

import math

from cluster.membership.incarnation import Incarnation


def confirmations_expected(suspicion_mult: int, members: int) -> int:
    """k = min(multiplier - 2, n - 2): the accuser and the accused confirm nothing. 0 or less: do not wait for any."""
    return min(suspicion_mult - 2, members - 2)


def suspicion_timeout_s(confirmations: int, expected: int, min_s: float, max_s: float) -> float:
    """The whole length of a suspicion; `min_s` when nobody could confirm it."""
    if expected <= 0:
        return min_s
    fraction = math.log(confirmations + 1) / math.log(expected + 1)
    return max(min_s, max_s - fraction * (max_s - min_s))


class Suspicion:
    """A suspicion that runs against one incarnation of a member.

    `refusals` counts how often this node itself found the member's port closed, a probe interval apart. Time that this
    process slept is given back through `extended_s`.
    """

    __slots__ = (
        "checked",
        "confirmed_by",
        "expected",
        "extended_s",
        "incarnation",
        "max_s",
        "min_s",
        "refusals",
        "refused_at",
        "started",
    )

    def __init__(
        self, incarnation: Incarnation, by: str, expected: int, min_s: float, max_s: float, started: float
    ) -> None:
        assert 0 < min_s <= max_s
        self.incarnation = incarnation
        self.confirmed_by = {by: None}  # ordered, with the first accuser, who is no confirmation
        self.expected = expected
        self.min_s = min_s
        self.max_s = max_s
        self.started = started
        self.extended_s = 0.0
        self.refusals = 0
        self.refused_at = float("-inf")
        self.checked = False

    @property
    def confirmations(self) -> int:
        """How many besides the first evidence: other accusers, and own dials that were refused again."""
        return len(self.confirmed_by) - 1 + max(0, self.refusals - 1)

    @property
    def is_confirmed(self) -> bool:
        """Whether more evidence would change nothing."""
        return self.confirmations >= self.expected

    @property
    def deadline(self) -> float:
        """When the member is to be declared dead."""
        whole = suspicion_timeout_s(self.confirmations, self.expected, self.min_s, self.max_s)
        return self.started + whole + self.extended_s

    def confirm(self, by: str) -> bool:
        """Count an accuser. False when it is none that shortens the suspicion: repeated, or beyond those expected."""
        if by in self.confirmed_by or self.is_confirmed:
            return False
        self.confirmed_by[by] = None
        return True

    def refuse(self, now: float, apart_s: float) -> bool:
        """This node's dial was refused. True when it counts: the first, or one `apart_s` behind the last that did."""
        if now - self.refused_at < apart_s or (self.refusals and self.is_confirmed):
            return False
        self.refusals += 1
        self.refused_at = now
        return True

    def extend(self, until: float) -> None:
        """Move the deadline to `until`, when that is later."""
        self.extended_s += max(0.0, until - self.deadline)
