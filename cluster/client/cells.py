"""Counters and sets: increments, additions and removals that are merged, so that none of them replaces another.

A removal takes what its session has seen: a session that never saw the key reads it first. Nothing here needs a read by
the client to be counted or added; the coordinator reads, and says what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any

from msgspec import Struct

from cluster.client.keyed import Keyed, check_context, check_key, check_write, confirmed, first_attempt
from cluster.client.operation import S, Steps, check_bytes, check_timeout, operation
from cluster.errors import ClusterError, TooLarge, Usage, WrongType
from cluster.limits import COUNTER_MAX, ITEM_BYTES_MAX, UPDATE_ITEMS_MAX
from cluster.versions.context import CELL_FRONT, make_token
from cluster.wire.kv import AddItems, Increment, KvOperation, Remove, RemoveItems, Update, Updated


class CountResult(Struct, frozen=True):
    """An increment that is `ok` or `ok-sloppy`: `value` is the number after it, as far as its coordinator could read.
    `degraded`: increments made elsewhere may be missing in it; none is lost."""

    key: str
    value: int
    outcome: str
    coordinator: str
    acks: int
    hints: int
    context: str
    durability: str
    degraded: bool
    ms: float


class ChangeResult(Struct, frozen=True):
    """A change of a set that is `ok` or `ok-sloppy`: `changed` items are new, or gone, as far as its coordinator could
    read."""

    key: str
    changed: int
    outcome: str
    coordinator: str
    acks: int
    hints: int
    context: str
    durability: str
    degraded: bool
    ms: float


class MembersResult(Struct, frozen=True):
    """The items of a set, sorted; none for a key that is not there."""

    key: str
    items: list[bytes]
    context: str
    answered: int
    repaired: int
    degraded: bool
    coordinator: str
    ms: float


class Cells(Keyed[S]):
    """What merges."""

    @operation
    def incr(
        self,
        key: str,
        by: int = 1,
        *,
        w: int = 0,
        strict: bool = False,
        retry: ClusterError | None = None,
        trace: str = "",
        timeout: float | None = None,
    ) -> Steps[CountResult]:
        """Add `by` to the counter. Raises WrongType where the key holds something else, and Maybe when it may be
        counted: `retry` is such a Maybe of the same increment, whose coordinator counts it once."""
        return (yield from self._count(key, by, w, strict, retry, trace, timeout))

    @operation
    def decr(
        self,
        key: str,
        by: int = 1,
        *,
        w: int = 0,
        strict: bool = False,
        retry: ClusterError | None = None,
        trace: str = "",
        timeout: float | None = None,
    ) -> Steps[CountResult]:
        """Take `by` from the counter, as `incr` adds."""
        return (yield from self._count(key, -check_number(by), w, strict, retry, trace, timeout))

    @operation
    def sadd(
        self,
        key: str,
        items: Iterable[bytes],
        *,
        w: int = 0,
        strict: bool = False,
        retry: ClusterError | None = None,
        trace: str = "",
        timeout: float | None = None,
    ) -> Steps[ChangeResult]:
        """Add items to the set. `retry` as of `incr`."""
        body = Update(check_key(key), "", AddItems(check_items(items)), w=w, strict=strict)
        return (yield from self._change(body, None, retry, trace, timeout))

    @operation
    def srem(
        self,
        key: str,
        items: Iterable[bytes],
        *,
        context: str | None = None,
        w: int = 0,
        strict: bool = False,
        retry: ClusterError | None = None,
        trace: str = "",
        timeout: float | None = None,
    ) -> Steps[ChangeResult]:
        """Remove from the set what `context` covers of these items (a token; else what this session has seen of the
        key). What was added meanwhile stays. `retry` as of `incr`."""
        key, removed = check_key(key), check_items(items)
        body = Update(key, "", RemoveItems(removed), w=w, strict=strict)
        return (yield from self._change(body, context, retry, trace, timeout))

    @operation
    def smembers(
        self,
        key: str,
        *,
        r: int = 0,
        strict: bool = False,
        only: str | None = None,
        trace: str = "",
        timeout: float | None = None,
    ) -> Steps[MembersResult]:
        """Read the items of a set. The options are those of `get`."""
        found = yield from self._read(key, r, strict, only, timeout, trace, cell=True)
        if found.siblings and found.kind != "set":
            there = f"a {found.kind}" if found.kind else "a value"
            raise WrongType(f"{key!r} is {there}, not a set: `dsectl get` reads it", key=key)
        items = [bytes(item) for item in found.siblings]
        return MembersResult(
            key,
            items,
            found.context,
            found.answered,
            found.repaired,
            found.degraded,
            found.coordinator,
            found.ms,
        )

    def _count(
        self,
        key: str,
        by: int,
        w: int,
        strict: bool,
        retry: ClusterError | None,
        trace: str,
        timeout: float | None,
    ) -> Steps[CountResult]:
        body = Update(check_key(key), "", Increment(check_number(by)), w=w, strict=strict)
        done, token, ms = yield from self._update(body, retry, trace, timeout)
        return CountResult(
            key,
            int(done.value or b"0"),
            done.outcome,
            done.coordinator,
            done.acks,
            done.hints,
            token,
            done.durability,
            done.degraded,
            ms,
        )

    def _change(
        self, body: Update, context: str | None, retry: ClusterError | None, trace: str, timeout: float | None
    ) -> Steps[ChangeResult]:
        key, contexts = body.key, self._session.contexts
        limit = None if timeout is None else check_timeout(timeout)
        if context is not None:
            body.context = check_context(key, context)
        elif isinstance(body.change, RemoveItems):
            seen = contexts.recall(key)
            if retry is None and not (seen or b"").startswith(CELL_FRONT):
                _, limit = yield from self._read_before(key, limit, trace)
                seen = contexts.recall(key)
            body.context = seen
        done, token, ms = yield from self._update(body, retry, trace, limit)
        return ChangeResult(
            key,
            done.changed,
            done.outcome,
            done.coordinator,
            done.acks,
            done.hints,
            token,
            done.durability,
            done.degraded,
            ms,
        )

    def _update(
        self, body: Update, retry: ClusterError | None, trace: str, timeout: float | None
    ) -> Steps[tuple[Updated, str, float]]:
        """Send an update: how it ended, the context, and how many milliseconds it took."""
        check_write(body)
        limit, began = None if timeout is None else check_timeout(timeout), monotonic()
        if retry is not None:
            body.operation, body.coordinator = first_attempt(retry, body.key)
        done = yield from self._send(body, Updated, limit, trace)
        token = make_token(body.key, done.context) if done.context else ""
        ms = round((monotonic() - began) * 1000, 3)
        confirmed(body.key, body.operation, done, token, ms)
        return done, token, ms

    def _remove(
        self, key: str, context: bytes | None, w: int, strict: bool, trace: str, timeout: float | None
    ) -> Steps[tuple[Updated, str, float]]:
        """Delete a counter or set, of which `context` has been seen."""
        change: KvOperation = Remove()
        return (yield from self._update(Update(key, "", change, context, w, strict), None, trace, timeout))


def check_number(number: Any) -> int:
    """`number`; raises Usage for what is not an integer of 64 bits."""
    if type(number) is not int or abs(number) > COUNTER_MAX:
        raise Usage(f"a counter counts whole numbers of 64 bits, not {number!r}")
    return int(number)


def check_items(items: Any) -> list[bytes]:
    """The items as a list; raises Usage or TooLarge for what no set takes."""
    if isinstance(items, bytes | str):
        raise Usage("items are a list of bytes, not one text", help='For one item: `sadd(key, [b"item"])`.')
    if not isinstance(items, Iterable):
        raise Usage(f"items are a list of bytes, not {type(items).__name__}")
    found = [check_bytes(item, "an item") for item in items]
    if not found:
        raise Usage("at least one item is needed")
    if len(found) > UPDATE_ITEMS_MAX:
        raise TooLarge(f"{len(found)} items at a time; {UPDATE_ITEMS_MAX} are allowed")
    if (longest := max(map(len, found))) > ITEM_BYTES_MAX:
        raise TooLarge(f"an item has {longest} bytes; {ITEM_BYTES_MAX} are allowed")
    return found
