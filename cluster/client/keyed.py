"""How one key is read or written for a session: contexts, the read before a write, retries, and what a `maybe` says.

Shared by the families of operations on a key. Context tokens are made and opened here, at the edge, and nowhere on the
way; what they hold is opaque to a client.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, TypeVar

from msgspec import Struct

from cluster.client.operation import (
    Family,
    S,
    Send,
    Steps,
    check_count,
    check_flag,
    check_name,
    check_text,
    check_timeout,
    expect,
)
from cluster.errors import BadContext, ClusterError, Maybe, TooLarge, Usage
from cluster.layout.partition import partition_of
from cluster.limits import KEY_BYTES_MAX, REPLICAS_MAX
from cluster.versions.context import encode_clock, make_token, open_token
from cluster.wire.frames import trace_id
from cluster.wire.kv import Get, Got, Put, PutDone, Update, Updated

CONTEXTS_MAX = 10_000
NOTHING = encode_clock({})
Done = TypeVar("Done", PutDone, Updated)


class GetResult(Struct, frozen=True):
    """A read. `siblings` are all values; `value` is the only one, None when there is none or more than one. `kind` is
    empty for versioned values, else `value`, `counter` or `set`: what is there merges by itself. It ends at
    `expires_ms`, since 1970; 0: never."""

    key: str
    value: bytes | None
    siblings: list[bytes]
    context: str
    answered: int
    repaired: int
    degraded: bool
    coordinator: str
    ms: float
    kind: str = ""
    expires_ms: int = 0

    @property
    def found(self) -> bool:
        """Whether the key holds any value."""
        return bool(self.siblings)


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


class Keyed(Family[S]):
    """Reads and writes of one key."""

    def _read(
        self,
        key: str,
        r: int,
        strict: bool,
        only: str | None,
        timeout: float | None,
        trace: str,
        cell: bool = False,
    ) -> Steps[GetResult]:
        local = check_name(only, "`only`") is not None
        body = Get(check_key(key), check_count(r, "r", 0, REPLICAS_MAX), check_flag(strict, "strict"), local, cell=cell)
        began = monotonic()
        try:
            got = expect(Got, (yield Send(body, check_timeout(timeout), key, only, check_trace(trace))))
        except ClusterError as error:
            error.detail.setdefault("key", key)
            raise
        if not local:  # one node may know less than this session
            self._session.contexts.remember(key, got.context)
        return get_result(key, got, monotonic() - began)

    def _read_before(self, key: str, timeout: float | None, trace: str) -> Steps[tuple[GetResult | None, float]]:
        """What a write is to replace, however partial; nothing without any answer, since a write may succeed where a
        read cannot. Half of the time is for this; the rest is returned, too."""
        began, limit = monotonic(), self._session.timeout if timeout is None else timeout
        try:
            found = yield from self._read(key, 0, False, None, limit / 2, trace, cell=True)
        except ClusterError:
            found = None
        return found, max(0.001, began + limit - monotonic())

    def _send(self, body: Put | Update, kind: type[Done], limit: float | None, trace: str) -> Steps[Done]:
        """Send a write with what it is by now, and remember what the session has seen with it."""
        session, key = self._session, body.key
        body.operation = body.operation or session.operation_id()
        try:
            done = expect(kind, (yield Send(body, limit, key, None, check_trace(trace))))
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
        return done

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


def check_write(body: Put | Update) -> None:
    """Raise Usage for options of a write that no node takes."""
    if type(body.w) is not int or not 0 <= body.w <= REPLICAS_MAX:
        check_count(body.w, "w", 0, REPLICAS_MAX)
    if type(body.strict) is not bool:
        check_flag(body.strict, "strict")


def check_context(key: str, context: Any) -> bytes:
    """The context of a token. Raises BadContext."""
    if not isinstance(context, str):
        raise BadContext(f"a context is a token (str), not {type(context).__name__}")
    return open_token(key, context)


def confirmed(key: str, operation: str, done: PutDone | Updated, token: str, ms: float) -> None:
    """Raise Maybe, with the fields of the result in its detail, when that is how a write ended."""
    if done.outcome != "maybe":
        return
    known = f"has {done.acks} acknowledgements, too few," if done.acks else f"by {done.coordinator} is not confirmed,"
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


def get_result(key: str, got: Got, seconds: float) -> GetResult:
    """The result of a read."""
    value = got.siblings[0] if len(got.siblings) == 1 and got.kind != "set" else None
    return GetResult(
        key,
        value,
        got.siblings,
        make_token(key, got.context),
        got.answered,
        got.repaired,
        got.degraded,
        got.coordinator,
        round(seconds * 1000, 3),
        got.kind,
        got.expires_ms,
    )
