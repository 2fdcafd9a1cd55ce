"""The actor that this node's writes carry: (id, boot epoch, mint).

A new one is minted only when writes of the present one may exist elsewhere that this node does not know: the log
undid a refused batch, recovery cut or quarantined something, or a clock proves it. A dot is then never given twice.
"""

from cluster.versions import Actor, actor_name


class ActorMint:
    """One node's present actor."""

    __slots__ = ("_epoch", "_id", "_mints", "actor")

    def __init__(self, id: str, epoch: int) -> None:
        self._id = id
        self._epoch = epoch
        self._mints = 0
        self.actor: Actor = actor_name(id, epoch, 0)

    def renew(self) -> Actor:
        """From now on a new actor, never used before."""
        self.actor = self.once()
        return self.actor

    def once(self) -> Actor:
        """An actor for one write only. A fallback needs it: it keeps no object of its own, so it cannot count its
        dots."""
        self._mints += 1
        return actor_name(self._id, self._epoch, self._mints)
