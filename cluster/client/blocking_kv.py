"""The key-value store through the blocking client."""

from time import monotonic
from typing import TYPE_CHECKING

from cluster.client.operations import operation_ids
from cluster.client.results import (
    GetResult,
    KeysResult,
    PutResult,
    check_key,
    check_value,
    expect,
    get_result,
    put_result,
    tell_key,
)
from cluster.client.scan import KEYS_MAX, merge_pages
from cluster.errors import ClusterError
from cluster.versions.context import open_token
from cluster.wire.kv import Get, Got, Keys, Put, PutDone

if TYPE_CHECKING:
    from cluster.client.blocking_session import BlockingSession


class BlockingKv:
    """Reads and writes. Remembers the context of each key read or written, and writes with it."""

    def __init__(self, cluster: "BlockingSession") -> None:
        self._cluster = cluster
        self._contexts = cluster.contexts
        self._operations = operation_ids()

    def put(
        self,
        key: str,
        value: bytes,
        *,
        context: str | None = None,
        blind: bool = False,
        read_first: bool = False,
        w: int = 0,
        strict: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Write `value`; it replaces what `context` covers (a token; else what this session knows of the key).

        `blind` uses no context: the value is concurrent with all others. `read_first` reads the context when the
        session knows none. `w` 0 means the cluster's; `strict` counts owners only. Raises Maybe when the write may
        still appear.
        """
        check_value(value)
        body = Put(key, value, next(self._operations), w=w, strict=strict)
        return self._write(body, context, blind, read_first, timeout)

    def delete(
        self,
        key: str,
        *,
        context: str | None = None,
        blind: bool = False,
        read_first: bool = False,
        w: int = 0,
        strict: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Delete what `context` covers, as `put` does with a value."""
        body = Put(key, b"", next(self._operations), deleted=True, w=w, strict=strict)
        return self._write(body, context, blind, read_first, timeout)

    def get(
        self,
        key: str,
        *,
        r: int = 0,
        strict: bool = False,
        only: str | None = None,
        timeout: float | None = None,
    ) -> GetResult:
        """Read `key`; a missing one has no siblings. `only`: what this node holds, without asking others."""
        check_key(key)
        began = monotonic()
        with tell_key(key):
            got = expect(Got, self._cluster.call(Get(key, r, strict, only is not None), timeout, only))
        if only is None:  # one node may know less than this session
            self._contexts.remember(key, got.context)
        return get_result(key, got, monotonic() - began)

    def keys(
        self, prefix: str = "", *, limit: int = KEYS_MAX, after: str = "", timeout: float | None = None
    ) -> KeysResult:
        """Live keys with a prefix, behind `after`, in order; asked of all nodes."""
        return merge_pages(self._cluster.gather(None, Keys(prefix, after, limit), timeout), limit)

    def _write(self, body: Put, context: str | None, blind: bool, read_first: bool, timeout: float | None) -> PutResult:
        key = body.key
        check_key(key)
        began = monotonic()
        limit = self._cluster.timeout if timeout is None else timeout
        if context is not None:
            body.context = open_token(key, context)
        elif not blind:
            body.context = self._contexts.recall(key)
            if body.context is None and read_first:
                body.context = self._read_context(key, limit / 2)
        with tell_key(key, "no"):
            done = expect(PutDone, self._cluster.call(body, began + limit - monotonic()))
        self._contexts.remember(key, done.context)
        return put_result(key, done, monotonic() - began)

    def _read_context(self, key: str, timeout: float) -> bytes | None:
        """The context to write with: of a read, however partial; none when nothing answers, since a write may succeed
        where a read cannot."""
        try:
            self.get(key, timeout=timeout)
        except ClusterError:
            return None
        return self._contexts.recall(key)
