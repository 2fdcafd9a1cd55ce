"""One node's replication, assembled: the parts share one ReplicationContext and are told of the same changes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cluster.layout import LayoutEntry
from cluster.replication.antientropy import AntiEntropy
from cluster.replication.catchup import CatchUp
from cluster.replication.collecting import Collecting, Given
from cluster.replication.completing import Completing
from cluster.replication.context import ReplicationContext
from cluster.replication.dropping import Dropping
from cluster.replication.handoff import Handoff
from cluster.replication.reader import Reader
from cluster.replication.replica import Replica
from cluster.replication.transfer import RowGiver
from cluster.replication.voting import causes
from cluster.replication.writer import Writer


class Replication:
    """Writer, reader, replica, hand-off, catch-up and completing of one node. `on_drop` is called before rows of this
    node go because it no longer owns them; `given` says how far it has numbered its writes."""

    def __init__(self, context: ReplicationContext, on_drop: Callable[[], None], given: Given) -> None:
        self.context = context
        self.writer = Writer(context)
        self.reader = Reader(context)
        self.replica = Replica(context, self.writer)
        self.giver = RowGiver(context)
        self.handoff = Handoff(context)
        self.completing = Completing(context)
        self.catchup = CatchUp(context, self.lost)
        self.dropping = Dropping(context, on_drop)
        writes, reads = self.writer.in_flight, self.reader.in_flight
        self.antientropy = AntiEntropy(context, self.reader, lambda: len(writes) + len(reads))
        self.collecting = Collecting(context, self.antientropy, self.writer, self.reader, given)
        context.view.on_change.append(self._layout_changed)

    def start(self, returning: bool, hints_lost_now: bool) -> None:
        """After the store has recovered: `returning` for any boot but the first of its directory; `hints_lost_now` when
        this boot found that hint records were lost."""
        context = self.context
        context.hints.recover()
        context.hint_loss.recover(context.store.hints_lost, hints_lost_now)
        self._release()
        self._say_recovering(context.status.recovering)
        self.dropping.look()
        context.throttle.start()
        self.handoff.start()
        self.antientropy.start()
        self.collecting.start()
        if returning:
            self.catchup.begin("this node booted again and may have missed writes")
        self.completing.wake()

    def lost(self, reason: str, partitions: Iterable[int] | None = None) -> None:
        """These partitions, or all that this node owns, may lack something. Raises StorageFull when that cannot be
        kept; nothing has been said then."""
        partitions = self.context.view.held_partitions() if partitions is None else list(partitions)
        self.lack(partitions, reason)
        self._say_recovering(dict.fromkeys(partitions, reason))
        self.completing.wake()

    def rows_gone(self, partitions: Iterable[int], reason: str) -> None:
        """These partitions, of which it was written down that they lack rows, have lost them by now: nobody put or
        removed these rows."""
        gone = dict.fromkeys(partitions, reason)
        self.antientropy.trees.forget(gone)
        self._say_recovering(gone)
        self.completing.wake()

    def lack(self, partitions: Iterable[int], reason: str) -> None:
        """These partitions lack rows, on the disk before this returns: this node lost them, or is to own them. Raises
        StorageFull."""
        lacking = list(partitions)
        self.context.store.lose(lacking, reason)
        for partition in lacking:
            self.completing.lost(partition)

    def lacking(self) -> int:
        """Of how many partitions that this node holds, or is to hold, it lacks data."""
        holds = self.context.view.holds
        return sum(1 for partition in self.context.status.recovering if holds(partition))

    def _release(self) -> None:
        """What this node does not hold has no vote to lose; its hints are another matter."""
        context = self.context
        for partition in [partition for partition in context.store.recovering if not context.view.holds(partition)]:
            context.store.complete(partition)

    def _say_recovering(self, reasons: Mapping[int, str]) -> None:
        mine = {partition: reason for partition, reason in reasons.items() if self.context.view.mine(partition)}
        if mine:
            self.context.record("owner.recovering", causes(mine.values()), partitions=sorted(mine))

    def _layout_changed(self, entry: LayoutEntry) -> None:
        self._release()
        self.catchup.layout_changed()
        self.handoff.layout_changed()
        self.completing.wake()
        self.dropping.look()
        self.antientropy.layout_changed()

    def repair_status(self) -> dict[str, Any]:
        """How far what was lost is completed, and how far replicas were found equal."""
        return {**self.completing.status(), "equal": self.antientropy.status(), "deleted": self.collecting.status()}

    def not_voting(self) -> list[str]:
        """Why answers from here are no votes, or may miss something: what is waited for, and the command that goes on.
        Empty when they are."""
        status, completing, reasons = self.context.status, self.completing.status(), []
        lost = status.lost()
        if lost:
            failing = completing["failing"]
            names = [f"{name} ({failing[name]})" if name in failing else name for name in completing["waits_for"]]
            waits = f"; waits for {', '.join(names)}: {completing['help']}" if names else ""
            reasons.append(f"recovering {len(lost)} partitions: {completing['cause']}{waits}")
        waited_for, dead = self.catchup.waits_for()
        if status.catching_up:
            reasons.append(f"catching up: {status.reason}; waits for {', '.join(waited_for) or 'no node'}")
        elif waited_for:
            reasons.append(f"may miss hints: {', '.join(waited_for)} must deliver them")
        if dead and not status.catching_up:
            reasons.append(f"may miss hints: {', '.join(dead)} may hold some; `dsectl restart {' '.join(dead)}`")
        return reasons

    def member_changed(self, name: str, alive: bool) -> None:
        """Membership holds a member for alive, or no longer."""
        self.context.reach.state_changed(name, alive)
        if alive:
            self.handoff.member_back(name)
            self.catchup.member_back(name)
            self.antientropy.member_back(name)
            self.completing.wake()

    def member_heard(self, name: str) -> None:
        """A connection to or from a member was made."""
        self.context.reach.heard(name)
        self.handoff.wake(name)

    def member_failed(self, name: str) -> None:
        """A call to a member failed."""
        self.context.reach.failed(name)
