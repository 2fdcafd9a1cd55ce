"""What a node that lost hint records must not forget: whom it has not told yet.

Asked how many hints it holds for an owner, such a node cannot say *none*: it answers *unknown*, with the name of its
loss, and the owner that asked is recovering from then on. Once that is on the owner's disk it names the loss in turn,
and is told the truth again. Which members have done so is a small document beside the log, so that a restart of this
node makes no owner recover twice; the store remembers that there was a loss at all.
"""

from typing import Final

import msgspec
from msgspec import Struct

from cluster.env import Disk
from cluster.storage import read_document

DOCUMENT: Final = "hints-told.json"


class LossNotice(Struct, frozen=True):
    """Of the loss `id`, which the store describes by `reason`: the members that know of it."""

    id: str
    reason: str
    members: list[str]


class HintLoss:
    """One node's lost hint records. `boot` names this boot, and so a loss that was found in it."""

    def __init__(self, disk: Disk, boot: str) -> None:
        self._disk = disk
        self._boot = boot
        self._told: LossNotice | None = None
        self._later = 0  # losses found while this boot runs

    def recover(self, reason: str, fresh: bool) -> None:
        """`reason` as the store remembers it, empty for none; `fresh`: this boot found it."""
        if not reason:
            return
        self._told = LossNotice(self._boot, reason, [])
        data = None if fresh else read_document(self._disk, DOCUMENT)
        try:
            before = None if data is None else msgspec.json.decode(data, type=LossNotice)
        except msgspec.DecodeError:
            return  # everybody is told again
        if before is not None and before.reason == reason:
            self._told = before

    def lost_now(self, reason: str) -> None:
        """More was lost just now: another loss than whatever members know of, `reason` as the store has it."""
        self._later += 1
        self._told = LossNotice(f"{self._boot}-{self._later}", reason, [])

    @property
    def id(self) -> str:
        """The name of the loss; empty when there is none."""
        return "" if self._told is None else self._told.id

    @property
    def reason(self) -> str:
        """Why hint records were lost."""
        return "" if self._told is None else self._told.reason

    def unknown_to(self, member: str) -> bool:
        """Whether the member does not know of the loss."""
        return self._told is not None and member not in self._told.members

    def tell(self, member: str) -> None:
        """The member knows, and will not forget. A disk that refuses this makes it recover once more, some day."""
        assert self._told is not None
        self._told = LossNotice(self._told.id, self._told.reason, [*self._told.members, member])
        try:
            self._disk.write(DOCUMENT, msgspec.json.encode(self._told))
        except OSError:
            pass

    def settle(self) -> None:
        """Everybody knows: there is nothing to remember any more."""
        self._told = None
