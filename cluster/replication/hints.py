"""Hints: copies kept for owners that could not take them, durable, bounded, and never given up.

A hint that counted towards W is never evicted or expired: a full store refuses new ones instead. One row per (owner,
table, key): later hints for the same key merge into it. Dynamo (2007) section 4.6. Where W owners have what an owner
missed, one mark may stand for many rows that it missed: see `marks`. Owners are named, not identified: a place keeps
its name when its directory is lost, and whoever holds the place needs the copy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.errors import ClusterError, StorageFull, TooLarge
from cluster.layout import PARTITIONS
from cluster.replication.mergeable import MARK, TABLE_HINTS, Mergeable, check_merged
from cluster.storage import Store

RECOVERY_PAGE = 1024

Done = Callable[[ClusterError | None], None]


@dataclass(frozen=True, slots=True)
class HintKey:
    """Which copy, for whom."""

    target: str
    table: int
    partition: int
    key: str

    def row(self) -> str:
        """The row's key in the hint table."""
        return f"{self.target}\0{self.table}\0{self.key}"


def parse_row(partition: int, row: str) -> HintKey:
    """The inverse of `HintKey.row`."""
    target, table, key = row.split("\0", 2)
    return HintKey(target, int(table), partition, key)


class HintStore:
    """The hints of one node, by the owner that they wait for."""

    def __init__(
        self,
        store: Store,
        mergeables: dict[int, Mergeable],
        bytes_max: int,
        takers: Callable[[int], Sequence[str]] | None = None,
    ) -> None:
        """`takers`: who takes copies of a partition, under the layout of now."""
        self._store = store
        self._mergeables = mergeables
        self._bytes_max = bytes_max
        self._bytes = 0
        self._by_target: dict[str, dict[HintKey, int]] = {}
        self._refused: dict[HintKey, str] = {}
        self._raised: dict[HintKey, int] = {}
        self._takers = takers
        self.astray: dict[HintKey, None] = {}
        """Copies for who does not own their partition any more, or has been forgotten."""
        self.gone: Sequence[str] = ()
        """Who will never take its copies, though the layout still names it: `layout_changed` finds them astray."""

    def recover(self) -> None:
        """Index what the log brought back."""
        for partition in range(PARTITIONS):
            after, more = "", True
            while more:
                page, more = self._store.scan(TABLE_HINTS, partition, after, RECOVERY_PAGE)
                for after, blob in page:
                    self._note(parse_row(partition, after), len(blob))

    def add(self, hint: HintKey, blob: bytes, done: Done) -> None:
        """Keep a copy; `done` when it is as durable as the cluster promises, or with an error and nothing kept."""
        held = self._store.get(TABLE_HINTS, hint.partition, hint.row())
        if held == blob == MARK:
            self._raised[hint] = self._raised.get(hint, 0) + 1
            if self._store.logged(TABLE_HINTS, hint.partition, hint.row()) is not None:
                done(None)
            else:
                self._store.then(done)
            return
        merged = blob if held is None else self._mergeables[hint.table].merge(held, blob)
        try:
            check_merged(self._mergeables[hint.table], held, merged)
        except TooLarge as error:
            done(error)
            return
        if self._bytes + len(merged) - (len(held) if held is not None else 0) > self._bytes_max:
            done(StorageFull(f"the hint store is full ({self._bytes} bytes)"))
            return

        def added(error: ClusterError | None) -> None:
            if error is not None and self.get(hint) is None:  # the store undid it
                self._forget(hint)
            done(error)

        self._note(hint, len(merged))
        self._store.put(TABLE_HINTS, hint.partition, hint.row(), merged, added)

    def raised(self, hint: HintKey) -> int:
        """How often a mark was raised again while it was there."""
        return self._raised.get(hint, 0)

    def get(self, hint: HintKey) -> bytes | None:
        """The copy kept under this key."""
        return self._store.get(TABLE_HINTS, hint.partition, hint.row())

    def find(self, table: int, partition: int, key: str, *, logged: bool = False) -> bytes | None:
        """What is kept for this key, for whichever owners, merged; None for nothing. `logged`: only what the log has,
        for whoever is shown it."""
        found: bytes | None = None
        look_up = self._store.logged if logged else self._store.get
        for target in self._by_target:
            blob = look_up(TABLE_HINTS, partition, HintKey(target, table, partition, key).row())
            if blob is not None:
                found = blob if found is None else self._mergeables[table].merge(found, blob)
        return found

    def delivered(self, hint: HintKey, blob: bytes) -> None:
        """The owner has this copy: remove it, unless it has grown since it was sent."""
        self._refused.pop(hint, None)
        if self.get(hint) == blob:
            self._forget(hint)

            def removed(error: ClusterError | None) -> None:
                if error is not None and self.get(hint) is not None:  # the store undid it
                    self._note(hint, len(blob))

            self._store.put(TABLE_HINTS, hint.partition, hint.row(), None, removed)

    def set_aside(self, hint: HintKey, code: str) -> bool:
        """The owner refuses this copy, for the reason `code`. It stays, and nobody waits for it. Returns whether this
        is new."""
        if hint in self.astray or self.get(hint) is None:
            return False  # it goes to the owners that there are now, or has gone already
        new = hint not in self._refused
        self._refused[hint] = code
        return new

    def refused(self) -> dict[HintKey, str]:
        """The copies that their owners refuse, with the code of the reason."""
        return self._refused

    def pending(self, target: str) -> int:
        """How many copies wait for an owner, without those that it refuses."""
        return len(self._by_target.get(target, ())) - sum(hint.target == target for hint in self._refused)

    def waiting_for(self, target: str, accept: Callable[[HintKey], bool], limit: int) -> list[tuple[HintKey, bytes]]:
        """Up to `limit` copies for an owner that are accepted, oldest first, without what the log may yet refuse."""
        found: list[tuple[HintKey, bytes]] = []
        unreadable: list[HintKey] = []
        for hint in self._by_target.get(target, ()):
            if len(found) >= limit:
                break
            if accept(hint):
                blob = self._store.logged(TABLE_HINTS, hint.partition, hint.row())
                if blob is not None:
                    found.append((hint, blob))
                elif self.get(hint) is None:  # its table cannot read it any more; the owner is told of that
                    unreadable.append(hint)
        for hint in unreadable:
            self._forget(hint)
        return found

    def by_target(self) -> dict[str, int]:
        """How many copies wait for each owner."""
        return {target: len(rows) for target, rows in self._by_target.items() if rows}

    def for_key(self, table: int, partition: int, key: str) -> list[str]:
        """The owners for whom a copy of this key waits here."""
        return [target for target, rows in self._by_target.items() if HintKey(target, table, partition, key) in rows]

    def layout_changed(self) -> None:
        """Find the copies that are astray now."""
        self.astray.clear()
        for rows in self._by_target.values():
            for hint in rows:
                self._judge(hint)

    def _judge(self, hint: HintKey) -> None:
        if hint.target in self.gone or (self._takers is not None and hint.target not in self._takers(hint.partition)):
            self.astray[hint] = None

    def _note(self, hint: HintKey, size: int) -> None:
        if hint not in self._by_target.get(hint.target, ()):
            self._judge(hint)
        rows = self._by_target.setdefault(hint.target, {})
        self._bytes += size - rows.get(hint, 0)
        rows[hint] = size

    def _forget(self, hint: HintKey) -> None:
        rows = self._by_target.get(hint.target, {})
        self._bytes -= rows.pop(hint, 0)
        self.astray.pop(hint, None)
        self._refused.pop(hint, None)
        self._raised.pop(hint, None)
        if not rows:
            self._by_target.pop(hint.target, None)
