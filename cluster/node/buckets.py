"""Definitions of buckets: what a node does when it is asked for one, from the look at what is there to the last member
that has taken the entry over.

A bucket may change what the bytes of a key are, so none is defined over keys that exist. All live members are asked;
what those that are not alive hold is not known. A write that crosses the entry on its way keeps its bytes: a node reads
both kinds under each key.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from cluster.chain.bucket import SIBLINGS, Bucket
from cluster.chain.entry import ChainEntry, with_bucket
from cluster.errors import ClusterError, NotFound, NotYet, Usage
from cluster.ports import Inbound, Outcome
from cluster.wire.admin import AdminAnswer, read_arguments
from cluster.wire.kv import Keys, KeysFound

if TYPE_CHECKING:
    from cluster.node.node import Node

LOOK_S: Final = 0.02
LOOKS_S: Final = 1.0
"""So long a member is given to say whether it holds keys of the name; who says nothing is not waited for."""
ANSWER_S: Final = 0.1
"""So long before its deadline a wait ends, so that what was decided still arrives, with who has not taken it over."""


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

    def __init__(self, node: "Node") -> None:
        self._node = node

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
        bucket = Bucket(query.resolver, query.r, query.w, query.ttl_s)
        change = partial(with_bucket, name=query.name, bucket=bucket)
        entry = self._node.layouts.chain.entry
        if change(entry) is entry:
            self._propose(change, query, inbound)
            return

        def looked(found: list[str]) -> None:
            if found and query.name not in self._node.layouts.chain.entry.buckets:
                inbound.fail(Usage(f"there are keys under {query.name}/ already, such as {found[0]!r}"))
            else:
                self._propose(change, query, inbound)

        self._look(f"{query.name}/", inbound.deadline, looked)

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
        node.kv.list_keys(prefix, "", 1, ends_at, listed)

    def _propose(self, change: Callable[[ChainEntry], ChainEntry], query: BucketQuery, inbound: Inbound) -> None:
        node = self._node

        def decided(outcome: ChainEntry | ClusterError) -> None:
            if isinstance(outcome, ChainEntry):
                self._wait(outcome.slot, query.name, inbound)
            elif isinstance(outcome, NotYet) and node.env.clock.now() < inbound.deadline - 2 * ANSWER_S:
                node.env.clock.call_later(LOOK_S, self._propose, change, query, inbound)  # another one is under way
            else:
                inbound.fail(outcome)

        node.layouts.chain.propose(change, inbound.deadline - ANSWER_S, decided, query.id)

    def _wait(self, slot: int, name: str, inbound: Inbound) -> None:
        """Until all live members have the entry of this slot."""
        node = self._node
        has = {member for member, progress in node.layouts.all_progress().items() if progress.slot >= slot}
        alive = node.membership.alive()
        if all(member in has for member in alive) or node.env.clock.now() >= inbound.deadline - ANSWER_S:
            entry = node.layouts.chain.entry
            late = [member for member in node.view.members if member not in has]
            inbound.reply(AdminAnswer({**self._told(name, entry.buckets[name]), "slot": slot, "late": late}))
        elif not inbound.link.ended:
            node.env.clock.call_later(LOOK_S, self._wait, slot, name, inbound)

    def _told(self, name: str, bucket: Bucket) -> dict[str, Any]:
        layout = self._node.view.entry
        return {
            "bucket": name,
            "resolver": bucket.resolver,
            "r": bucket.r or layout.r,
            "w": bucket.w or layout.w,
            "ttl_s": bucket.ttl_s or None,
        }
