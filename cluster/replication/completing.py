"""Completes the partitions of which this node lost data, so that it may vote on them again; `completion` decides when.

Many partitions at a time, from all sources at once, on the background lane: what is in flight is bounded, so that a
link's latency costs little, and a source has few questions at a time. Rows are merged into what is here, never put in
its place, but for what a complete source shows to be deleted and collected; see `transfer`. A source that fails is
tried again; one that is absent is waited for, and named together with the command that goes on without it.
"""

from collections import Counter
from dataclasses import replace
from typing import Any, Final

from cluster.errors import ClusterError
from cluster.replication.completion import Completion, CompletionReason
from cluster.replication.context import ReplicationContext
from cluster.replication.transfer import PAGE_BYTES, PartitionScan, ReceivedRows, RowReceiver
from cluster.replication.voting import causes

PARALLEL: Final = 32
"""Partitions: a mebibyte in flight, 25 MiB a second where a link takes 20 ms."""
PARALLEL_OF_SOURCE: Final = 8
RETRY_S: Final = 0.25
"""How soon a source that failed, or was absent, is tried again; one that returns is tried at once."""
GO_ON: Final = (
    "`dsectl restart {absent}` brings back what is waited for; `dsectl repair {me} --accept-loss` goes on without"
)


class Completing:
    """All partitions of one node that are recovering."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self.losses: list[str] = []
        """What may have been lost, as it was said, in this boot."""
        self.receiver = RowReceiver(context)
        self._completions: dict[int, Completion] = {}
        self._scans: dict[int, PartitionScan] = {}
        self._ending: dict[int, Completion] = {}  # complete, and not yet written down
        self._ended: dict[CompletionReason, dict[int, str]] = {}
        self._said = ReceivedRows()
        """What had been received when it was said last that partitions are complete."""
        self._failing: dict[str, str] = {}
        """Sources that were called and did not give a whole scan the last time, and why."""
        self._timer = False
        self.gone: list[str] = []
        """Owners that will never answer, and whose loss was accepted."""

    def wake(self) -> None:
        """Something changed: a partition lost data, or a member can be reached again."""
        self._step()

    def accept_loss(self) -> dict[str, Any]:
        """Go on without the owners that are waited for and do not answer; says which, and for which partitions."""
        context = self.context
        owners: dict[str, None] = {}
        partitions = []
        for partition in self._recovering():
            absent = [name for name in context.view.others(partition) if self._gives_nothing(name)]
            accepted = self._completion(partition).accept_loss(absent)
            owners.update(dict.fromkeys(accepted))
            if accepted:
                partitions.append(partition)
        if partitions:
            context.record(
                "owner.loss-accepted", f"{', '.join(owners)} were not asked", owners=list(owners), partitions=partitions
            )
        self._step()
        return {"owners": list(owners), "partitions": partitions}

    def waits_for(self) -> dict[str, int]:
        """The owners that do not answer and are waited for, with how many partitions."""
        found: dict[str, int] = {}
        for partition in self._recovering():
            if partition not in self._scans:
                for name in self._completion(partition).missing():
                    if self._gives_nothing(name):
                        found[name] = found.get(name, 0) + 1
        return found

    def status(self) -> dict[str, Any]:
        """For `repair --status`."""
        waits_for = self.waits_for()
        help = GO_ON.format(absent=" ".join(waits_for), me=self.context.me) if waits_for else ""
        return {
            "recovering": sorted(self._recovering()),
            "cause": causes(self.context.status.recovering.values()),
            "waits_for": waits_for,
            "failing": dict(self._failing),
            "running": len(self._scans),
            "may_have_lost": self.losses,
            "help": help,
        }

    def _recovering(self) -> list[int]:
        """What is to be done: not what is complete, and only not written down yet."""
        holds, ending = self.context.view.holds, self._ending
        return [
            partition for partition in self.context.status.recovering if holds(partition) and partition not in ending
        ]

    def _reachable(self, name: str) -> bool:
        return not self.context.avoided(name)

    def _gives_nothing(self, name: str) -> bool:
        return not self._reachable(name) or name in self._failing

    def _completion(self, partition: int) -> Completion:
        view = self.context.view
        others = view.others(partition)
        found = self._completions.get(partition)
        if found is None or found.others != others:  # another layout: who was asked before says nothing
            found = self._completions[partition] = Completion(
                others, self.context.settings.w, len(view.owners(partition))
            )
        return found

    def lost(self, partition: int) -> None:
        """The partition lost data: what was merged before counts for nothing."""
        for table in (self._completions, self._scans, self._ending):
            table.pop(partition, None)

    def _step(self, probe: bool = False) -> None:
        context = self.context
        for partition in self._recovering():
            if len(self._scans) >= PARALLEL:
                break
            if partition not in self._scans:
                self._look_at(partition, probe)
        if not context.status.recovering:
            self._completions.clear()
        elif not self._timer:
            self._timer = True
            context.env.clock.call_later(RETRY_S, self._tick)

    def _tick(self) -> None:
        self._timer = False
        self._step(probe=True)

    def _look_at(self, partition: int, probe: bool) -> None:
        completion = self._completion(partition)
        if self.gone:
            completion.accept_loss(self.gone)
        verdict = completion.verdict()
        if verdict is not None:
            self._complete(partition, verdict)
            return
        reachable = [name for name in completion.others if self._reachable(name)]
        sources = completion.sources(reachable)
        if sources:
            running = Counter(scan.source for scan in self._scans.values())
            # One that fails may be alive and first in order for ever: the others may suffice.
            source = min(sources, key=lambda name: (name in self._failing, running[name]))
            if running[source] < PARALLEL_OF_SOURCE:
                self._scan(partition, source, PAGE_BYTES)
        elif probe:  # what lacked something when it was scanned may be complete by now, and then it counts
            lacking = next((name for name in reachable if completion.scanned.get(name) is False), None)
            if lacking is not None:
                self._scan(partition, lacking, 0)

    def _scan(self, partition: int, source: str, page_bytes: int) -> None:
        def ended(complete: bool | None) -> None:
            if self._scans.get(partition) is not scan:
                return  # the partition lost data meanwhile
            del self._scans[partition]
            if complete is None:
                self._failing[source] = scan.error
            else:
                self._failing.pop(source, None)
            if complete is not None and page_bytes:
                self._completion(partition).on_scan(source, complete)
            elif complete:
                self._completion(partition).on_complete(source)
            if complete is None or not page_bytes:
                return  # not before the next tick
            self._step()

        informed = any(self._completion(partition).scanned.values())
        scan = self._scans[partition] = PartitionScan(self.receiver, partition, source, page_bytes, ended, informed)
        scan.start()

    def _complete(self, partition: int, verdict: CompletionReason) -> None:
        """Write it down, behind the rows; this node votes once that is as durable as they are."""
        reason = self.context.status.recovering[partition]
        ending = self._ending[partition] = self._completions.pop(partition)

        def written(error: ClusterError | None) -> None:
            if self._ending.get(partition) is not ending:
                return  # the partition lost data meanwhile
            del self._ending[partition]
            if error is None:
                self.receiver.moved.partitions += 1
                self._ended.setdefault(verdict, {})[partition] = reason
                self._say()
            else:
                self._completions[partition] = ending

        self.context.store.complete(partition, written)

    def _say(self) -> None:
        """One event for all partitions that were completed together, not one each."""
        if self._scans or self._ending:
            return
        ended, self._ended = self._ended, {}
        moved, said = self.receiver.moved, self._said
        self._said = replace(moved)
        for verdict, reasons in ended.items():
            partitions = sorted(reasons)
            cause = f"{verdict.value}; was recovering: {causes(reasons.values())}"
            received = {"bytes": moved.bytes - said.bytes, "rows": moved.rows - said.rows}
            self.context.record("owner.complete", cause, partitions=partitions, **received)
            if verdict is CompletionReason.ENOUGH:
                continue
            whose = "this node" if verdict is CompletionReason.ALL else "this node or the owners that were not asked"
            some = ", ".join(map(str, partitions))
            where = f"{len(partitions)} partitions" if len(partitions) > 8 else f"partitions {some}"
            what = f"writes to {where} that only {whose} held may be lost: {causes(reasons.values())}"
            self.losses.append(what)
            self.context.record("owner.may-have-lost", what, partitions=partitions)
