"""Collects tombstones: one node's part; `collection` has the rule.

The first owner of a partition makes the cuts of it, many partitions in one round, when it has tombstones of it that
rest. What a cut covers becomes the partition's stable clock at each owner, and an owner that is not reached then gets
it as it would any row, from the others. Each owner removes by itself what its stable clock covers. A cluster without
tombstones, or with a member that is away, sends nothing for all this.

Which rows are tombstones is kept in an index, made at boot and changed with what is written; where more is written than
is followed, the partition is walked over again once it rests. Rows are walked over in slices.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import inf
from typing import Any, Final

from cluster.env import Slices
from cluster.errors import ClusterError, Usage
from cluster.layout import PARTITIONS
from cluster.observe.events import LimitedRecorder
from cluster.ports import Inbound, Outcome
from cluster.replication.antientropy import AntiEntropy
from cluster.replication.collection import (
    REST_FACTOR,
    Attestation,
    Cut,
    covered,
    encode_stable,
    join_stable,
    stable_row,
)
from cluster.replication.context import ReplicationContext
from cluster.replication.digests import Change, Row, root_of
from cluster.replication.mergeable import TABLE_HINTS, TABLE_STABLE
from cluster.replication.quorum import VOTING
from cluster.replication.reader import Reader
from cluster.replication.writer import Writer
from cluster.versions import StableClock
from cluster.wire.handshake import LANE_BACKGROUND
from cluster.wire.replication import Replicate, Survey, Surveyed

PARTITIONS_MAX: Final = 64
"""Of one round: a survey of so many is a kibibyte, and some milliseconds of hashing at each owner."""
BUSY_OPERATIONS: Final = 64
"""With more writes and reads in flight no round is begun."""
SLICE_ROWS: Final = 64
REFUSED_REST_S: Final = 3.0
"""A partition that was not settled is looked at again after so long."""

ENDED_REST_S: Final = 60.0
"""A partition whose rows end by themselves is looked through no more often: of a million rows that is 1 % of a core."""

Given = Callable[[], tuple[str, int]]
"""This node's id, and the number of the last write that it gave."""


class Collecting:
    """All partitions of one node."""

    def __init__(
        self, context: ReplicationContext, antientropy: AntiEntropy, writer: Writer, reader: Reader, given: Given
    ) -> None:
        self.context = context
        self.antientropy = antientropy
        self.rest_s = REST_FACTOR * max(context.settings.write_timeout_s, context.settings.read_timeout_s)
        self.collected = 0
        """Rows that were removed in this boot."""
        self.surveyed = 0
        """Surveys that were answered here."""
        self.refused: dict[int, str] = {}
        """Of the last cut of each partition that this node tried in vain: why it was not settled."""
        self._writes = writer.in_flight
        self._reads = reader.in_flight
        self._given = given
        self._slices = Slices(context.env.clock)
        self._record = LimitedRecorder(context.env.clock, context.record)
        self._tombstones: dict[int, dict[Row, bool]] = {}
        """By partition; whether a cut may cover them. One that names writes which were never given stays for good: a
        client made up its context."""
        self._due: dict[int, dict[Row, None]] = {}
        """By partition the tombstones that its stable clock may cover."""
        self._ends: dict[int, float] = {}
        """By partition when the first of its rows ends by itself, in seconds since 1970."""
        self._walked: dict[int, float] = {}
        """By partition when it was looked through for those last."""
        self._unfollowed: dict[int, None] = {}
        """Partitions that more was written to than was followed."""
        self._sweeping: dict[int, None] = {}
        self._resting: dict[int, float] = {}
        self._round: CutRound | None = None
        self.retiring: Callable[[], Iterable[tuple[int, int, str]]] = tuple
        """Rows, by table, partition and key, that have become tombstones though nothing was written to them."""
        antientropy.trees.on_rows = self._written
        antientropy.trees.on_many = lambda partitions: self._unfollowed.update(dict.fromkeys(partitions))

    def start(self) -> None:
        """Collect from now on."""
        settings = self.context.settings
        if settings.compare and settings.collect:
            self._walk(range(PARTITIONS))
            self.context.env.clock.call_later(settings.collect_interval_s, self._tick)

    def status(self) -> dict[str, Any]:
        """For `repair --status`."""
        mine, away = self.context.view.mine, self._away()
        left = sum(len(rows) for partition, rows in self._tombstones.items() if mine(partition))
        unfollowed = "much was written, and is not looked through yet" if self._unfollowed else ""
        waits = f"{', '.join(away)} must be alive" if left and away else next(iter(self.refused.values()), unfollowed)
        return {"left": left, "collected": self.collected, "waits": waits}

    def _away(self) -> list[str]:
        live = dict.fromkeys(self.context.live())
        return [name for name in self.context.view.members if name not in live]

    # -- which rows are tombstones

    def _walk(self, partitions: Iterable[int]) -> None:
        """Find the tombstones of these partitions, and what is none any more."""
        for partition in partitions:
            known = list(self._tombstones.get(partition, ()))
            if known:
                self._slices.begin(partial(self._note_again, partition, known))
            for table in self.antientropy.trees.tables:
                if self.context.store.count(table, partition):
                    self._slices.begin(partial(self._index, table, partition, [""]))

    def _note_again(self, partition: int, left: list[Row]) -> bool:
        for table, key in left[:SLICE_ROWS]:
            self._note(table, partition, key)
        del left[:SLICE_ROWS]
        return bool(left)

    def _index(self, table: int, partition: int, after: list[str]) -> bool:
        """A slice of what was there at boot."""
        page, more = self.context.store.scan(table, partition, after[0], 4 * SLICE_ROWS)
        for key, _blob in page:
            self._note(table, partition, key)
            after[0] = key
        return more

    def _written(self, changes: list[Change]) -> None:
        for table, partition, key, _before in changes:
            if table == TABLE_STABLE:
                self._due.setdefault(partition, {}).update(dict.fromkeys(self._tombstones.get(partition, ())))
            elif table in self.antientropy.trees.tables:
                self._note(table, partition, key)

    def _note(self, table: int, partition: int, key: str) -> None:
        blob = self.context.store.logged(table, partition, key)
        rows = self._tombstones.get(partition)
        mergeable = self.context.mergeables[table]
        if blob is not None and mergeable.is_deleted(blob, key):
            if rows is None:
                rows = self._tombstones[partition] = {}
            rows[table, key] = True
            if self.context.stable_clock(partition):  # a late repair brings back what is covered already
                self._due.setdefault(partition, {})[table, key] = None
            return
        if blob is not None and (ends_s := mergeable.ends_s(blob, key)) < self._ends.get(partition, inf):
            self._ends[partition] = ends_s
        if rows is not None and rows.pop((table, key), None) is not None and not rows:
            del self._tombstones[partition]
            self.refused.pop(partition, None)

    def look_again(self) -> None:
        """Something that stands in no row may have made tombstones of some."""
        self._walk(range(PARTITIONS))

    def _walk_ended(self) -> None:
        """Find the tombstones of partitions in which a row has ended by itself. When the others end is noted on the
        way, so that nothing is kept of each."""
        if not self._ends:
            return
        wall_s, now = self.context.env.clock.wall(), self.context.env.clock.now()
        for partition, ends_s in list(self._ends.items()):
            if ends_s <= wall_s and now >= self._walked.get(partition, -inf) + ENDED_REST_S:
                del self._ends[partition]
                self._walked[partition] = now
                self._walk([partition])

    # -- removing

    def _sweep_due(self) -> None:
        for partition in [partition for partition in self._due if partition not in self._sweeping]:
            self._sweeping[partition] = None
            self._slices.begin(partial(self._sweep, partition, list(self._due.pop(partition))))

    def _sweep(self, partition: int, left: list[Row]) -> bool:
        """Remove a slice of what the stable clock covers. Its record stands before these in the log."""
        context, store = self.context, self.context.store
        stable = context.stable_clock(partition)
        if context.status.complete(partition) and not store.full:
            for table, key in left[:SLICE_ROWS]:
                if self._may_go((table, key), store.get(table, partition, key), stable):
                    store.put(table, partition, key, None, None)
                    self.collected += 1
            del left[:SLICE_ROWS]
            if left:
                return True
        else:
            self._due.setdefault(partition, {}).update(dict.fromkeys(left))
        del self._sweeping[partition]
        return False

    def _may_go(self, row: Row, blob: bytes | None, stable: StableClock) -> bool:
        """Whether this is a tombstone of which nothing is newer than the stable clock."""
        table, key = row
        mergeable = self.context.mergeables[table]
        return blob is not None and mergeable.is_deleted(blob, key) and covered(mergeable.newest(blob, key), stable)

    # -- rounds

    @property
    def layout(self) -> int:
        """The number of the layout, under which cuts can be made; 0 while owners change."""
        view = self.context.view
        return 0 if view.moving else view.number

    def _tick(self) -> None:
        context = self.context
        self._sweep_due()
        rested = [one for one in self._unfollowed if self.antientropy.rested_s(one) >= self.rest_s]
        for partition in rested:
            del self._unfollowed[partition]
        self._walk(rested)
        self._walk_ended()
        for table, partition, key in self.retiring():
            self._note(table, partition, key)
        busy = self._round is not None or len(self._writes) + len(self._reads) > BUSY_OPERATIONS
        if self._tombstones and not busy and self.layout and not self._away():
            partitions = self._ripe()
            if partitions:
                self._round = CutRound(self, {partition: context.view.owners(partition) for partition in partitions})
                self._round.ask()
        context.env.clock.call_later(context.settings.collect_interval_s, self._tick)

    def _ripe(self) -> list[int]:
        """The partitions whose first owner this node is, with tombstones that rest."""
        view, now = self.context.view, self.context.env.clock.now()
        return [
            partition
            for partition, rows in self._tombstones.items()
            if view.owners(partition)[0] == view.me
            and True in rows.values()
            and self._resting.get(partition, 0.0) <= now
            and partition not in self._sweeping
            and not self._obstacle(partition, ({}, {}))
        ][:PARTITIONS_MAX]

    def settled(self, cut: Cut) -> None:
        """The round is over: what is left of it is settled."""
        now = self.context.env.clock.now()
        self._round = None
        for partition in cut.refused:
            self._resting[partition] = now + REFUSED_REST_S
        for partition in (*cut.left, *cut.refused):
            self.refused.pop(partition, None)
        self.refused.update(cut.refused)
        if cut.left:
            cause = "nothing older is on its way, and all owners hold the same"
            self._record("tombstones.settled", cause, partitions=sorted(cut.left))
        for partition in cut.left:
            self._resting.pop(partition, None)
            rows = self._tombstones.get(partition)
            if rows:
                self._slices.begin(partial(self._advance, partition, cut, list(rows), [{}]))

    def _advance(self, partition: int, cut: Cut, left: list[Row], found: list[StableClock]) -> bool:
        """Join what a slice of the tombstones names; behind the last, give it to all owners as their stable clock."""
        context = self.context
        rested = self.antientropy.rested_s(partition) >= self.rest_s
        for table, key in left[:SLICE_ROWS]:
            blob, mergeable = context.store.logged(table, partition, key), context.mergeables[table]
            if blob is None or not mergeable.is_deleted(blob, key):
                continue
            newest = mergeable.newest(blob, key)
            if cut.covers(newest):
                found[0] = join_stable(found[0], newest)
            elif rested:  # else it was written since
                self._tombstones[partition][table, key] = False
        del left[:SLICE_ROWS]
        if left:
            return True
        if not covered(found[0], context.stable_clock(partition)):
            self._give(partition, found[0])
        return False

    def _give(self, partition: int, stable: StableClock) -> None:
        context, row, blob = self.context, stable_row(partition), encode_stable(stable)
        context.store.put(TABLE_STABLE, partition, row, context.merge_in(TABLE_STABLE, partition, row, blob), None)
        others = context.view.others(partition)
        if others:  # who does not take it finds it when the owners compare, as any row that it lacks
            deadline = context.env.clock.now() + context.settings.write_timeout_s
            body = Replicate(TABLE_STABLE, partition, row, blob, synced=True)
            context.messenger.request(others, body, deadline, lambda name, outcome: None, LANE_BACKGROUND)

    # -- attesting

    def on_survey(self, inbound: Inbound) -> None:
        """Another node makes a cut."""
        body: Survey = inbound.body
        if len(body.partitions) > PARTITIONS_MAX or not all(0 <= one < PARTITIONS for one in body.partitions):
            inbound.fail(Usage(f"a survey is of at most {PARTITIONS_MAX} of {PARTITIONS} partitions"))
            return
        self.surveyed += 1
        self.attest(body, inbound.reply)

    def attest(self, body: Survey, reply: Callable[[Surveyed], None]) -> None:
        """Say what is not settled, once what this node holds is on the medium."""
        context, view = self.context, self.context.view
        id, number = self._given()  # before what is under way is looked at: a later write is in no cut
        if body.layout != self.layout:
            reply(self._surveyed(id, number, dict.fromkeys(body.partitions, "the layout is changing"), {}))
            return
        under_way = self._under_way()
        unsettled = {one: why for one in body.partitions if (why := self._obstacle(one, under_way))}
        roots: dict[int, bytes] = {}
        left = {one: None for one in body.partitions if one not in unsettled and view.mine(one) and body.roots}

        def with_tree(partition: int, tree: list[int] | None) -> None:
            del left[partition]
            # The tree has taken in all that was written, so only now it is known how long it rests.
            if tree is None or (why := self._obstacle(partition, under_way)):
                unsettled[partition] = "it is being written" if tree is None else why
            else:
                roots[partition] = root_of(tree)
            if not left:
                context.store.synced(synced)

        def synced(error: ClusterError | None) -> None:
            reply(self._surveyed(id, number, unsettled, roots))

        if not left:
            context.store.synced(synced)
        for partition in list(left):
            self.antientropy.with_tree(partition, partial(with_tree, partition))

    def _surveyed(self, id: str, number: int, unsettled: dict[int, str], roots: dict[int, bytes]) -> Surveyed:
        return Surveyed(self.context.boot, id, number, unsettled, roots)

    def _under_way(self) -> tuple[dict[int, None], dict[int, None]]:
        """The partitions of writes in flight, and of reads that may have been answered before the last write."""
        since = self.context.env.clock.now() - self.rest_s
        writes = dict.fromkeys(write.partition for write in self._writes.values())
        return writes, dict.fromkeys(read.partition for read in self._reads.values() if read.started <= since)

    def _obstacle(self, partition: int, under_way: tuple[dict[int, None], dict[int, None]]) -> str:
        """Why this node does not attest; empty when it does."""
        context, (writes, reads) = self.context, under_way
        evidence = Attestation(
            hints=context.store.count(TABLE_HINTS, partition),
            write_under_way=partition in writes,
            old_read_under_way=partition in reads,
            owner=context.view.mine(partition),
            votes=context.status.vote(partition) == VOTING,
            rested_s=self.antientropy.rested_s(partition),
        )
        return evidence.obstacle(self.rest_s)


class CutRound:
    """One cut on its way. `collecting` is given the cut when it is made."""

    def __init__(self, collecting: Collecting, owners: Mapping[int, tuple[str, ...]]) -> None:
        self.collecting = collecting
        self.layout = collecting.layout
        self.cut = Cut(collecting.context.view.members, owners)

    def ask(self) -> None:
        """Ask all whom this look is for, this node included. It takes no longer than partitions rest."""
        context, cut = self.collecting.context, self.cut
        body = Survey(list(cut.left), self.layout, cut.asks_roots)
        deadline = context.env.clock.now() + self.collecting.rest_s
        names = cut.to_ask()

        def answered(look: int, name: str, outcome: Outcome) -> None:
            in_time = context.env.clock.now() <= deadline
            attested = outcome if in_time and isinstance(outcome, Surveyed) else None
            if look == cut.look and cut.on_answer(name, attested):
                if cut.next():
                    self.ask()
                else:
                    self.collecting.settled(cut)

        answer = partial(answered, cut.look)
        others = [name for name in names if name != context.me]
        if others:
            context.messenger.request(others, body, deadline, answer, LANE_BACKGROUND)
        if context.me in names:
            self.collecting.attest(body, partial(answer, context.me))
