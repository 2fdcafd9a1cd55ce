"""The order of what is said about a member: (boot epoch, refutations), compared lexicographically.

SWIM (2002) section 4.2 numbers the lives of a member so that a newer statement beats an older one; only the member
itself raises its number. Here the boot epoch comes first: it is durable and grows with every start, so a restarted
process needs not know what was said of its former life. Pure.
"""

from typing import NamedTuple

EPOCH_MAX = 2**40
"""Starting a million times a second would take twelve days to get here: what claims more is refused."""


class Incarnation(NamedTuple):
    """One life of a member, and how often it had to contradict rumors in it."""

    epoch: int
    refutations: int

    def above(self, heard: "Incarnation") -> "Incarnation":
        """The smallest incarnation of this life that beats `heard`."""
        return self if self > heard else Incarnation(heard.epoch, heard.refutations + 1)

    def boot_after(self, heard: "Incarnation") -> "Incarnation":
        """A new life after `heard`, of which this one knew nothing.

        Our directory was emptied, say, so that counting began anew: without this nobody would ever believe us again.
        """
        return self if self > heard else Incarnation(heard.epoch + 1, 0)

    def is_plausible(self) -> bool:
        """Whether any honest node could have said it."""
        return 0 <= self.epoch <= EPOCH_MAX and 0 <= self.refutations <= EPOCH_MAX


UNHEARD = Incarnation(0, 0)
"""Of a member that the layout names and nobody has heard: every boot is newer, epochs begin at 1."""
