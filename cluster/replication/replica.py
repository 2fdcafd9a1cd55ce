"""The side that holds copies: merges what it is sent, answers reads by digest, tells what hints it owes."""

from cluster.errors import ClusterError, Usage
from cluster.layout import PARTITIONS
from cluster.replication.ground import Ground
from cluster.replication.hints import HintKey
from cluster.replication.messenger import Asked
from cluster.replication.writer import Writer
from cluster.wire.replication import AskHints, Fetch, Fetched, HintsOwed, Replicate, Scan, Scanned

PAGE_ROWS_MAX = 1024


class Replica:
    """Handlers for the requests of other nodes."""

    def __init__(self, ground: Ground, writer: Writer) -> None:
        self.ground = ground
        self.writer = writer
        self._rounds: dict[str, tuple[int, float]] = {}

    def replicate(self, asked: Asked) -> None:
        """Merge, and acknowledge once it is as durable as the cluster promises."""
        ground = self.ground
        body: Replicate = asked.body
        if body.table not in ground.mergeables or not 0 <= body.partition < PARTITIONS:
            asked.fail(Usage(f"no table {body.table} or partition {body.partition}"))
            return

        def stored(error: ClusterError | None) -> None:
            if error is None:
                asked.acknowledge()
            else:
                asked.fail(error)

        if body.hint_for and body.hint_for != ground.me:
            ground.hints.add(HintKey(body.hint_for, body.table, body.partition, body.key), body.blob, stored)
            return
        held = ground.store.get(body.table, body.partition, body.key)
        merged = body.blob if held is None else ground.mergeables[body.table].merge(held, body.blob)
        # What is held already was staged before, perhaps in this very pass: staging it again keeps the order of
        # acknowledgements without a second rule.
        ground.store.put(body.table, body.partition, body.key, merged, stored)

    def fetch(self, asked: Asked) -> None:
        """What is held for the key, or that it is the same as what the asker holds."""
        ground = self.ground
        body: Fetch = asked.body
        if not ground.owns(body.partition):
            asked.reply(Fetched(False, ground.hints.find(body.table, body.partition, body.key), False, False))
            return
        standing = ground.standing
        held = ground.store.get(body.table, body.partition, body.key)
        same = (ground.mergeables[body.table].digest(held) if held is not None else b"") == body.digest
        asked.reply(Fetched(same, None if same else held, standing.votes(body.partition), standing.owed))

    def ask_hints(self, asked: Asked) -> None:
        """How many copies wait here for the asker; writes that were in flight when its round began count as well."""
        ground = self.ground
        body: AskHints = asked.body
        round, since = self._rounds.get(body.target, (-1, 0.0))
        if round != body.round:
            since = ground.env.clock.now()
            self._rounds[body.target] = (body.round, since)
        asked.reply(HintsOwed(ground.hints.pending(body.target) + self.writer.waiting_for(body.target, since)))

    def scan(self, asked: Asked) -> None:
        """One page of a partition, in the order of keys."""
        ground = self.ground
        body: Scan = asked.body
        rows = ground.store.rows(body.table, body.partition)
        page: list[tuple[str, bytes]] = []
        size = 0
        keys = sorted(key for key in rows if key > body.after)
        for key in keys[:PAGE_ROWS_MAX]:
            if size > body.bytes_max:
                break
            page.append((key, rows[key]))
            size += len(rows[key])
        asked.reply(Scanned(page, len(page) < len(keys), ground.standing.votes(body.partition)))
