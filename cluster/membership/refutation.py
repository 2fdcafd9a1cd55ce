"""What this node makes of a rumor about itself.

SWIM (2002) section 4.2: only the member itself may raise its incarnation, and it does so to contradict a rumor that it
failed. Pure.
"""

from enum import Enum, auto

from cluster.membership.incarnation import Incarnation
from cluster.membership.member import ALIVE, Member
from cluster.wire.membership import Rumor


class Answer(Enum):
    """What to do about a rumor about oneself."""

    NOTHING = auto()
    REMIND = auto()  # they are behind: tell them what holds
    REFUTE = auto()  # they think that we failed: a higher incarnation contradicts
    RISE = auto()  # they know a higher incarnation of this boot: go on above it
    AMNESIA = auto()  # they know a later boot of our id: our directory is a copy from before
    CONTEST = auto()  # another id has our name


def answer_to(rumor: Rumor, me: Member) -> Answer:
    """Judge a plausible rumor about `me`; its incarnation decides first."""
    heard = Incarnation(rumor.epoch, rumor.refutations)
    if heard < me.incarnation:
        return Answer.REMIND
    if rumor.id and rumor.id != me.id:
        return Answer.CONTEST
    if rumor.id and heard.epoch > me.incarnation.epoch:
        return Answer.AMNESIA
    if rumor.state == me.state:
        return Answer.RISE if heard > me.incarnation else Answer.NOTHING
    if rumor.state == ALIVE:  # of before we began to leave
        return Answer.RISE if heard > me.incarnation else Answer.REMIND
    return Answer.REFUTE
