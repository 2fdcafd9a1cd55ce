"""Definitions of buckets: what a node does when it is asked for one, from the look at what is there to the entry.

A bucket may change what the bytes of a key are, so none is defined over keys that exist. All live members are asked;
what those that are not alive hold is not known. A write that crosses the entry on its way keeps its bytes: a node reads
both kinds under each key.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from cluster.chain.bucket import SIBLINGS, Bucket, bucket_name
from cluster.chain.entry import ChainEntry, with_bucket, with_emptied
from cluster.errors import ClusterError, NotFound, Usage
from cluster.node.definitions import ANSWER_S, Decided, Definitions, answering
from cluster.observe.rfc3339 import format_time
from cluster.ports import Inbound, Outcome
from cluster.versions import wall_of
from cluster.wire.admin import read_arguments
from cluster.wire.kv import Keys, KeysFound

if TYPE_CHECKING:
    from cluster.node.node import Node

LOOKS_S: Final = 1.0
"""So long a member is given to say whether it holds keys of the name; who says nothing is not waited for."""


class BucketQuery(Struct):
    """The bucket to define; `id` names the change, which is made once, however often and wherever it is asked for."""

    name: str
    resolver: str = SIBLINGS
    r: int = 0
    w: int = 0
    ttl_s: float = 0.0
    id: str = ""


class BucketChanges:
    """One node's answers about buckets."""

    def __init__(self, node: "Node", definitions: Definitions) -> None:
        self._node = node
        self._definitions = definitions

    def defined(self, arguments: Mapping[str, Any]) -> Any:
        """The buckets that are defined, as this node has them: of `name` alone, if that is given. Raises NotFound."""
        buckets = self._node.layouts.chain.entry.buckets
        name = arguments.get("name")
        if name is None:
            return [self._told(one, bucket) for one, bucket in buckets.items()]
        if name not in buckets:
            raise NotFound(f"no bucket {name!r}")
        return self._told(name, buckets[name])

    def create(self, arguments: dict[str, Any], inbound: Inbound) -> None:
        """Define a bucket, and answer once all live members have it, with those that do not (`late`). Raises Usage or
        AlreadyExists for one that cannot be."""
        query = read_arguments(arguments, BucketQuery)
        name, bucket = query.name, Bucket(query.resolver, query.r, query.w, query.ttl_s)
        chain = self._node.layouts.chain

        def change(entry: ChainEntry) -> ChainEntry:
            return with_bucket(entry, name, bucket)

        def looked(found: list[str]) -> None:
            if found and name not in chain.entry.buckets:
                inbound.fail(Usage(f"there are keys under {name}/ already, such as {found[0]!r}"))
            else:
                done = answering(inbound, lambda entry: self._told(name, entry.buckets[name]))
                self._definitions.decide(change, query.id, inbound.deadline, done)

        if change(chain.entry) is chain.entry:
            looked([])
        else:
            self._look(f"{name}/", inbound.deadline, looked)

    def empty(self, name: str, deadline: float, done: Decided, change_id: str = "") -> None:
        """End at once all that an lww bucket holds; `done` once all live members have taken that over. Its stamp is
        above all that live members have given, so that what any of them acknowledged before is gone."""
        node, clock = self._node, self._node.kv.clock

        def stamped(newest: int) -> None:
            wall_s = node.env.clock.wall()
            try:
                node.peer_clocks.check()  # a stamp of the future would end what is written until then
            except ClusterError as error:
                done(error, [])
                return
            clock.observe(newest, wall_s)
            change = partial(with_emptied, name=name, stamp=clock.tick(wall_s))
            self._definitions.decide(change, change_id, deadline, done)

        try:
            with_emptied(node.layouts.chain.entry, name, 0)
        except ClusterError as error:
            done(error, [])
            return
        peers = [member for member in node.membership.alive() if member != node.member.name]
        node.peer_clocks.ask(peers, min(deadline - ANSWER_S, node.env.clock.now() + LOOKS_S), stamped)

    def empty_for(self, arguments: dict[str, Any], inbound: Inbound) -> None:
        """The same, for an admin query."""
        query = read_arguments(arguments, BucketQuery)
        done = answering(inbound, lambda entry: {"bucket": query.name})
        self.empty(query.name, inbound.deadline, done, query.id)

    def _look(self, prefix: str, deadline: float, done: Callable[[list[str]], None]) -> None:
        """Ask all live members for a key with this prefix."""
        node = self._node
        others = [name for name in node.membership.alive() if name != node.member.name]
        waiting = dict.fromkeys([*others, node.member.name])
        found: list[str] = []

        def answered(name: str, keys: list[str]) -> None:
            found.extend(keys)
            del waiting[name]
            if not waiting:
                done(found)

        def told(name: str, outcome: Outcome) -> None:
            answered(name, outcome.keys if type(outcome) is KeysFound else [])

        def listed(keys: list[str], after: str, error: ClusterError | None) -> None:
            answered(node.member.name, keys)

        ends_at = min(deadline - ANSWER_S, node.env.clock.now() + LOOKS_S)
        if others:
            node.rpc.request(others, Keys(prefix, "", 1), ends_at, told)
        node.kv.reading.list_keys(prefix, "", 1, ends_at, listed)

    def told_of(self, key: str) -> dict[str, Any]:
        """The bucket that a key belongs to; its name is empty for the default one."""
        buckets = self._node.buckets
        return self._told(bucket_name(key, buckets.defined), buckets.of(key))

    def _told(self, name: str, bucket: Bucket) -> dict[str, Any]:
        layout = self._node.view.entry
        return {
            "bucket": name,
            "resolver": bucket.resolver,
            "r": bucket.r or layout.r,
            "w": bucket.w or layout.w,
            "ttl_s": bucket.ttl_s or None,
            "emptied": format_time(wall_of(bucket.emptied)) if bucket.emptied else None,
        }
