"""In whose name this node's writes are counted, and when it takes another name.

A node may go on with an actor on a key while it surely holds every write that it gave there in that name; see
cluster.versions.versions for what a clock claims otherwise (that the missing write was replaced, which would lose it).

*An owner* keeps its rows, so it has one actor for all of them, over boots too. It takes a new one whenever a row may
lack a write that others have: the log undid a refused batch (its copies may have been sent), or lost its end or a
record, the machine booted (what was not synced is gone), the directory is new, or a context names a write of this node
that the row does not. Whoever drops or replaces rows of this node has to call `renew` as well.

*A fallback* keeps a row only until its hint is delivered. It remembers the last write that it gave on a key, and goes
on in that name while what it holds contains it; else it takes a name that no key has seen. That makes one clock entry
an outage, not one a write. The memory is bounded and ends with the process: forgetting costs an entry.

That an actor may be kept is a document on the disk, with the boot of the machine, written at boot. It is what a loss
removes, because a full disk, which causes the loss, still lets a file be removed. Names have the boot epoch in them, so
that a new one needs nothing on the disk; the next boot takes another one, and keeps that.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from cluster.env import Env
from cluster.storage import read_document
from cluster.versions import Actor, actor_name, first_number

ACTOR: Final = "actor.json"
FALLBACK_KEYS_MAX: Final = 4096
"""Keys whose last write as a fallback is remembered."""


class KeptActor(msgspec.Struct, frozen=True):
    """The proof that an owner may go on with its actor: rows lack nothing unless the machine has booted since."""

    actor: Actor
    boot_id: str


class Actors:
    """The actors of one node, and the one counter that numbers its writes."""

    __slots__ = ("_env", "_epoch", "_given", "_id", "_is_kept", "_mints", "actor", "number")

    def __init__(self, env: Env, id: str, epoch: int) -> None:
        self._env = env
        self._id = id
        self._epoch = epoch
        self._mints = 0
        self._is_kept = True  # as far as anyone knows, until `resume` has looked
        self._given: dict[str, tuple[Actor, int]] = {}
        self.actor: Actor = actor_name(id, epoch, 0)
        """In whose name this node writes as an owner."""
        self.number = first_number(epoch)
        """The last one that was given."""

    def resume(self, lost: str) -> str:
        """After recovery: go on with the actor of the last boot, unless something may be lost, which `lost` says.
        Returns why it is a new one, or nothing."""
        kept = self._kept()
        if not lost and kept is None:
            lost = "no actor was kept"
        elif not lost and not (self._env.boot_id and kept is not None and kept.boot_id == self._env.boot_id):
            lost = "the machine has booted"
        self._is_kept = True
        if kept is not None and not lost:
            self.actor = kept.actor
        else:
            self._keep()
        return lost

    def renew(self) -> None:
        """From now on this node writes as an owner in a name never used before, and after its next boot in another."""
        if self._is_kept:
            self._is_kept = False
            self._env.disk.remove(ACTOR)
        self.actor = self.mint()

    def mint(self) -> Actor:
        """An actor never used before."""
        self._mints += 1
        return actor_name(self._id, self._epoch, self._mints)

    def for_fallback(self, key: str, clock: Mapping[Actor, int]) -> Actor:
        """In whose name a fallback writes that holds `clock` for the key, its hints included."""
        actor, last = self._given.get(key, ("", 0))
        return actor if last and clock.get(actor, 0) >= last else self.mint()

    def gave(self, key: str, actor: Actor, number: int) -> None:
        """A fallback gave a write."""
        self._given.pop(key, None)
        self._given[key] = (actor, number)
        if len(self._given) > FALLBACK_KEYS_MAX:
            del self._given[next(iter(self._given))]

    def _keep(self) -> None:
        disk = self._env.disk
        try:
            disk.write(ACTOR, msgspec.json.encode(KeptActor(self.actor, self._env.boot_id)) + b"\n")
        except OSError:  # it is full: an earlier one must not outlive this boot
            disk.remove(ACTOR)

    def _kept(self) -> KeptActor | None:
        data = read_document(self._env.disk, ACTOR)
        try:
            kept = None if data is None else msgspec.json.decode(data, type=KeptActor)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return kept if kept is not None and kept.actor.startswith(f"{self._id}.") else None
