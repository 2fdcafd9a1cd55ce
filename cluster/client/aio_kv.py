"""The key-value store through the asyncio client."""

# ruff: noqa: ASYNC109 - a timeout given here travels to the node as the deadline of the request

from time import monotonic
from typing import TYPE_CHECKING

from cluster.client.contexts import Contexts
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
from cluster.versions.context import open_token
from cluster.wire.kv import Get, Got, Keys, Put, PutDone

if TYPE_CHECKING:
    from cluster.client.aio_session import AioSession


class Kv:
    """Reads and writes. Remembers the context of each key read or written, and writes with it."""

    def __init__(self, client: "AioSession") -> None:
        self._client = client
        self._contexts = Contexts()
        self._operations = operation_ids()

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        context: str | None = None,
        blind: bool = False,
        w: int = 0,
        strict: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Write `value`; it replaces what `context` covers (a token; else what this session knows of the key).

        `blind` uses no context: the value is concurrent with all others. `w` 0 means the cluster's; `strict` counts
        owners only. Raises Maybe when the write may still appear.
        """
        check_value(value)
        return await self._write(Put(key, value, next(self._operations), w=w, strict=strict), context, blind, timeout)

    async def delete(
        self,
        key: str,
        *,
        context: str | None = None,
        blind: bool = False,
        w: int = 0,
        strict: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Delete what `context` covers, as `put` does with a value."""
        body = Put(key, b"", next(self._operations), deleted=True, w=w, strict=strict)
        return await self._write(body, context, blind, timeout)

    async def get(
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
            got = expect(Got, await self._client.call(Get(key, r, strict, only is not None), timeout, key, only))
        if only is None:  # one node may know less than this session
            self._contexts.remember(key, got.context)
        return get_result(key, got, monotonic() - began)

    async def keys(
        self, prefix: str = "", *, limit: int = KEYS_MAX, after: str = "", timeout: float | None = None
    ) -> KeysResult:
        """Live keys with a prefix, behind `after`, in order; asked of all nodes."""
        return merge_pages(await self._client.gather(None, Keys(prefix, after, limit), timeout), limit)

    async def _write(self, body: Put, context: str | None, blind: bool, timeout: float | None) -> PutResult:
        key = body.key
        check_key(key)
        began = monotonic()
        if context is not None:
            body.context = open_token(key, context)
        elif not blind:
            body.context = self._contexts.recall(key)
        with tell_key(key, "no"):
            done = expect(PutDone, await self._client.call(body, timeout, key))
        self._contexts.remember(key, done.context)
        return put_result(key, done, monotonic() - began)
