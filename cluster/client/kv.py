"""The key-value store: put, get, delete and keys of versioned values, and what `cells` adds to it."""

from __future__ import annotations

from time import monotonic

from msgspec import Struct

from cluster.client.cells import Cells
from cluster.client.keyed import GetResult, check_context, check_key, check_write, confirmed, first_attempt
from cluster.client.operation import (
    Gather,
    S,
    Steps,
    check_bytes,
    check_count,
    check_flag,
    check_text,
    check_timeout,
    operation,
)
from cluster.errors import ClusterError, TooLarge, WrongType
from cluster.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from cluster.versions.context import make_token
from cluster.wire.frames import Body
from cluster.wire.kv import Keys, KeysFound, Put, PutDone, first_keys

KEYS_MAX = 1000
"""Keys in a page unless the caller says otherwise."""
PAGE_TIMEOUT_MIN_S = 0.001
PAGE_MARGIN, PAGE_SPARE = 1.2, 50
"""Nodes hold unequal shares (5 % at most), and chance makes those of a short range more unequal."""


class PutResult(Struct, frozen=True):
    """A write that is `ok` or `ok-sloppy`; `hints` of its copies wait with a fallback. `ms` is as the caller saw it."""

    key: str
    outcome: str
    coordinator: str
    acks: int
    hints: int
    context: str
    durability: str
    siblings: int
    ms: float


class KeysResult(Struct, frozen=True):
    """One page of keys, in order. `more`: there may be others, behind `after`; the page is only then shorter than its
    limit, or empty, when the time was over. `silent` nodes gave no answer, so that keys may be missing when they are as
    many as a key has replicas."""

    keys: list[str]
    more: bool
    silent: list[str]
    after: str = ""


class Kv(Cells[S]):
    """Reads and writes. Remembers the context of each key read or written, and writes with it."""

    @operation
    def put(
        self,
        key: str,
        value: bytes,
        *,
        context: str | None = None,
        blind: bool = False,
        w: int = 0,
        strict: bool = False,
        retry: ClusterError | None = None,
        trace: str = "",
        timeout: float | None = None,
    ) -> Steps[PutResult]:
        """Write `value`; it replaces what `context` covers (a token; else what this session has seen of the key).

        A session that has never seen the key reads it first, as far as it can be read. `blind` reads nothing and uses
        no context: the value is concurrent with all others. `w` 0 means the cluster's; `strict` counts owners only.
        Raises Maybe when the write may still appear. `retry` is such a Maybe of the same put: its coordinator takes the
        write again, as the same one. `trace` is a W3C traceparent: each node keeps its steps, see `admin.trace`.
        """
        value = check_bytes(value, "the value")
        if len(value) > VALUE_BYTES_MAX:
            raise TooLarge(f"the value has {len(value)} bytes; {VALUE_BYTES_MAX} are allowed")
        body = Put(check_key(key), value, "", w=w, strict=strict)
        return (yield from self._write(body, context, blind, timeout, trace, retry))

    @operation
    def delete(
        self,
        key: str,
        *,
        context: str | None = None,
        blind: bool = False,
        w: int = 0,
        strict: bool = False,
        trace: str = "",
        timeout: float | None = None,
    ) -> Steps[PutResult]:
        """Delete what `context` covers, as `put` does with a value."""
        body = Put(check_key(key), b"", "", deleted=True, w=w, strict=strict)
        return (yield from self._write(body, context, blind, timeout, trace))

    @operation
    def get(
        self,
        key: str,
        *,
        r: int = 0,
        strict: bool = False,
        only: str | None = None,
        trace: str = "",
        timeout: float | None = None,
    ) -> Steps[GetResult]:
        """Read `key`; a missing one has no siblings. `only`: what this node holds, without asking others. `trace` as of
        `put`."""
        return (yield from self._read(key, r, strict, only, timeout, trace))

    @operation
    def keys(
        self, prefix: str = "", *, limit: int = KEYS_MAX, after: str = "", timeout: float | None = None
    ) -> Steps[KeysResult]:
        """Live keys with a prefix, behind `after`, in order; asked of all nodes."""
        for text, what in ((prefix, "the prefix"), (after, "`after`")):
            if len(check_text(text, what).encode()) > KEY_BYTES_MAX:
                raise TooLarge(f"{what} is longer than a key; {KEY_BYTES_MAX} bytes are allowed")
        wanted, seconds = check_count(limit, "limit", 1), check_timeout(timeout) or self._session.timeout
        ends_at, begin = monotonic() + seconds, after
        nodes = list(self._session.location.nodes)
        keys: list[str] = []
        silent: list[str] = []
        # A node holds N of as many copies as there are nodes; another round fills a page that comes out too short.
        entry = self._session.location.entry
        share = 1.0 if entry is None else min(1.0, entry.n / len(entry.members))
        while True:
            left = wanted - len(keys)
            body = Keys(prefix, after, min(left, int(PAGE_MARGIN * share * left) + PAGE_SPARE))
            answers = yield Gather(dict.fromkeys(nodes, body), max(PAGE_TIMEOUT_MIN_S, ends_at - monotonic()))
            try:
                page = merge_pages(answers, left)
            except ClusterError:
                if after == begin:
                    raise
                return KeysResult(keys, True, silent + nodes, after)
            keys += page.keys
            silent += page.silent
            if not page.more or len(keys) == wanted or monotonic() >= ends_at:
                return KeysResult(keys, page.more, silent, page.after)
            # Where many keys are deleted, nodes answer before the page is full.
            nodes, after = [name for name in nodes if name not in silent], page.after

    def _write(
        self,
        body: Put,
        context: str | None,
        blind: bool,
        timeout: float | None,
        trace: str,
        retry: ClusterError | None = None,
    ) -> Steps[PutResult]:
        session, key = self._session, body.key
        check_write(body)
        if type(blind) is not bool:
            check_flag(blind, "blind")
        limit = None if timeout is None else check_timeout(timeout)
        began = monotonic()
        found: GetResult | None = None
        if context is not None:
            body.context = check_context(key, context)
        if retry is not None:
            body.operation, body.coordinator = first_attempt(retry, key)
        elif context is None and not blind and not session.contexts.knows(key):
            found, limit = yield from self._read_before(key, limit, trace)
        if context is None and not blind:
            body.context = session.contexts.recall(key)
        if body.deleted and found is not None and found.kind in ("counter", "set"):
            return (yield from self._delete_cell(body, limit, trace, began))
        try:
            done = yield from self._send(body, PutDone, limit, trace)
        except WrongType:
            if not body.deleted:
                raise
            limit = None if limit is None else max(0.001, began + limit - monotonic())
            return (yield from self._delete_cell(body, limit, trace, began))
        token, ms = make_token(key, done.context) if done.context else "", round((monotonic() - began) * 1000, 3)
        confirmed(key, body.operation, done, token, ms)
        return PutResult(
            key, done.outcome, done.coordinator, done.acks, done.hints, token, done.durability, done.siblings, ms
        )

    def _delete_cell(self, body: Put, limit: float | None, trace: str, began: float) -> Steps[PutResult]:
        """Delete what turned out to be a counter or a set."""
        key = body.key
        done, token, _ = yield from self._remove(key, body.context, body.w, body.strict, trace, limit)
        ms = round((monotonic() - began) * 1000, 3)
        return PutResult(key, done.outcome, done.coordinator, done.acks, done.hints, token, done.durability, 0, ms)


def merge_pages(answers: dict[str, Body | ClusterError], limit: int) -> KeysResult:
    """The first `limit` keys out of the pages of all nodes. Raises the error of a node when none answered."""
    pages = [answer for answer in answers.values() if isinstance(answer, KeysFound)]
    silent = [name for name, answer in answers.items() if not isinstance(answer, KeysFound)]
    if not pages:
        raise next(answer for answer in answers.values() if isinstance(answer, ClusterError))
    page = first_keys(pages, limit)
    return KeysResult(page.keys, bool(page.after), silent, page.after)
