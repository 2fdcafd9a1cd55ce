"""The key-value store: put, get, delete and keys, and what a session remembers of the keys that it has seen.

Context tokens are made and opened here, at the edge, and nowhere on the way; what they hold is opaque to a client.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from msgspec import Struct

from cluster.client.operation import (
    Family,
    Gather,
    S,
    Send,
    Steps,
    check_bytes,
    check_count,
    check_flag,
    check_name,
    check_text,
    check_timeout,
    expect,
    operation,
)
from cluster.errors import BadContext, ClusterError, Maybe, TooLarge, Usage
from cluster.layout.partition import partition_of
from cluster.limits import KEY_BYTES_MAX, REPLICAS_MAX, VALUE_BYTES_MAX
from cluster.versions.context import encode_clock, make_token, open_token
from cluster.wire.frames import Body, trace_id
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone, first_keys

KEYS_MAX = 1000
"""Keys in a page unless the caller says otherwise."""
PAGE_TIMEOUT_MIN_S = 0.001
PAGE_MARGIN, PAGE_SPARE = 1.2, 50
"""Nodes hold unequal shares (5 % at most), and chance makes those of a short range more unequal."""
CONTEXTS_MAX = 10_000
NOTHING = encode_clock({})


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


class GetResult(Struct, frozen=True):
    """A read. `siblings` are all values; `value` is the only one, None when there is none or more than one."""

    key: str
    value: bytes | None
    siblings: list[bytes]
    context: str
    answered: int
    repaired: int
    degraded: bool
    coordinator: str
    ms: float

    @property
    def found(self) -> bool:
        """Whether the key holds any value."""
        return bool(self.siblings)


class KeysResult(Struct, frozen=True):
    """One page of keys, in order. `more`: there may be others, behind `after`; the page is only then shorter than its
    limit, or empty, when the time was over. `silent` nodes gave no answer, so that keys may be missing when they are as
    many as a key has replicas."""

    keys: list[str]
    more: bool
    silent: list[str]
    after: str = ""


class Contexts:
    """What a session has seen of each key: encoded clocks, so that its next write replaces just that. Empty for a key
    that was read and had no value: what others wrote since is not replaced unseen.

    Bounded: the key used least recently is forgotten first. Forgetting is safe; the next write is then concurrent with
    what it did not see, and becomes a sibling.
    """

    __slots__ = ("_clocks", "_limit")

    def __init__(self, limit: int = CONTEXTS_MAX) -> None:
        assert limit > 0
        self._clocks: dict[str, bytes] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._clocks)

    def remember(self, key: str, clock: bytes) -> None:
        """`clock` covers all that the session knows of `key`."""
        self._clocks.pop(key, None)
        self._clocks[key] = b"" if clock == NOTHING else clock
        if len(self._clocks) > self._limit:
            del self._clocks[next(iter(self._clocks))]

    def recall(self, key: str) -> bytes | None:
        """The clock to write `key` with, None when the session has seen no value of it."""
        clock = self._clocks.pop(key, None)
        if clock is not None:
            self._clocks[key] = clock
        return clock or None

    def knows(self, key: str) -> bool:
        """Whether the session has read or written `key`."""
        return key in self._clocks

    def forget(self, key: str) -> None:
        """The session has not seen `key`, and its next write reads it first."""
        self._clocks.pop(key, None)


class Kv(Family[S]):
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

    def _read(
        self, key: str, r: int, strict: bool, only: str | None, timeout: float | None, trace: str
    ) -> Steps[GetResult]:
        local = check_name(only, "`only`") is not None
        body = Get(check_key(key), check_count(r, "r", 0, REPLICAS_MAX), check_flag(strict, "strict"), local)
        began = monotonic()
        try:
            got = expect(Got, (yield Send(body, check_timeout(timeout), key, only, check_trace(trace))))
        except ClusterError as error:
            error.detail.setdefault("key", key)
            raise
        if not local:  # one node may know less than this session
            self._session.contexts.remember(key, got.context)
        return get_result(key, got, monotonic() - began)

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
        if type(body.w) is not int or not 0 <= body.w <= REPLICAS_MAX:
            check_count(body.w, "w", 0, REPLICAS_MAX)
        if not type(body.strict) is type(blind) is bool:
            for flag, what in ((body.strict, "strict"), (blind, "blind")):
                check_flag(flag, what)
        limit = None if timeout is None else check_timeout(timeout)
        began = monotonic()
        if context is not None:
            if not isinstance(context, str):
                raise BadContext(f"a context is a token (str), not {type(context).__name__}")
            body.context = open_token(key, context)
        if retry is not None:
            body.operation, body.coordinator = first_attempt(retry, key)
        elif context is None and not blind and not session.contexts.knows(key):
            limit = session.timeout if limit is None else limit
            try:  # however partial; without any answer too, since a write may succeed where a read cannot
                yield from self._read(key, 0, False, None, limit / 2, trace)
            except ClusterError:
                pass
            limit = max(0.001, began + limit - monotonic())
        if context is None and not blind:
            body.context = session.contexts.recall(key)
        body.operation = body.operation or session.operation_id()
        try:
            done = expect(PutDone, (yield Send(body, limit, key, None, check_trace(trace))))
        except ClusterError as error:
            error.detail.setdefault("key", key)
            error.detail.setdefault("outcome", "no" if error.definite else "maybe")
            if isinstance(error, Maybe) and (coordinator := body.coordinator or self._owner_asked(key, error)):
                error.detail |= {"operation": body.operation, "coordinator": coordinator}
            raise
        if done.context == NOTHING:  # blind, beside unseen siblings: no clock covers the one and not the others
            session.contexts.forget(key)
        elif done.context:
            session.contexts.remember(key, done.context)
        return put_result(key, body.operation, done, monotonic() - began)

    def _owner_asked(self, key: str, error: Maybe) -> str:
        """The node that was asked and gave no answer, if it coordinates what it is asked, so that it can repeat it."""
        node, entry = error.detail.get("node"), self._session.location.entry
        if node is None or entry is None:
            return ""
        from cluster.layout.placement import placement  # rarely needed, and a one-shot client does without

        return node if node in placement(entry).owners(partition_of(key)) else ""


def check_key(key: Any) -> str:
    """`key`; raises TooLarge or Usage for what cannot be one."""
    if type(key) is str and key.isascii() and 0 < len(key) <= KEY_BYTES_MAX:
        return key
    if not check_text(key, "a key"):
        raise Usage("a key has at least one character")
    if len(key) > KEY_BYTES_MAX // 4 and len(key.encode()) > KEY_BYTES_MAX:
        raise TooLarge(f"the key has {len(key.encode())} bytes; {KEY_BYTES_MAX} are allowed")
    return str(key)


def check_trace(trace: Any) -> str:
    """`trace`; raises Usage for what is neither empty nor a W3C traceparent."""
    if trace == "":
        return ""
    if not trace_id(check_text(trace, "a trace")):
        raise Usage('a trace is a W3C traceparent: "00-", 32 hexadecimal digits, "-", 16 of them, "-01"')
    return str(trace)


def first_attempt(retry: Any, key: str) -> tuple[str, str]:
    """The operation id and the coordinator that a `maybe` of the same key names; raises Usage when it does not."""
    detail = retry.detail if isinstance(retry, Maybe) else {}
    operation, coordinator = detail.get("operation"), detail.get("coordinator")
    if not (type(operation) is type(coordinator) is str and operation and coordinator and detail.get("key") == key):
        raise Usage("`retry` is a Maybe of this key that names its coordinator; without one, read the key")
    return operation, coordinator


def put_result(key: str, operation: str, done: PutDone, seconds: float) -> PutResult:
    """The result of a write; raises Maybe, with the same fields in its detail, when that is its outcome."""
    ms = round(seconds * 1000, 3)
    token = make_token(key, done.context) if done.context else ""
    if done.outcome == "maybe":
        known = (
            f"has {done.acks} acknowledgements, too few," if done.acks else f"by {done.coordinator} is not confirmed,"
        )
        raise Maybe(
            f"the write of {key!r} {known} and may still appear",
            key=key,
            outcome="maybe",
            operation=operation,
            coordinator=done.coordinator,
            acks=done.acks,
            hints=done.hints,
            context=token,
            durability=done.durability,
            ms=ms,
        )
    return PutResult(
        key, done.outcome, done.coordinator, done.acks, done.hints, token, done.durability, done.siblings, ms
    )


def get_result(key: str, got: Got, seconds: float) -> GetResult:
    """The result of a read."""
    value = got.siblings[0] if len(got.siblings) == 1 else None
    ms = round(seconds * 1000, 3)
    token = make_token(key, got.context)
    return GetResult(key, value, got.siblings, token, got.answered, got.repaired, got.degraded, got.coordinator, ms)


def merge_pages(answers: dict[str, Body | ClusterError], limit: int) -> KeysResult:
    """The first `limit` keys out of the pages of all nodes. Raises the error of a node when none answered."""
    pages = [answer for answer in answers.values() if isinstance(answer, KeysFound)]
    silent = [name for name, answer in answers.items() if not isinstance(answer, KeysFound)]
    if not pages:
        raise next(answer for answer in answers.values() if isinstance(answer, ClusterError))
    page = first_keys(pages, limit)
    return KeysResult(page.keys, bool(page.after), silent, page.after)
