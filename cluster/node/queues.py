"""The queues of a node: how they are put together, and what it answers when one is to be created, deleted, bound or
listed. What is in them is the affair of `cluster.queues`.

A queue holds nothing when it is created, since its id is new; so unlike with buckets nobody has to look for what is
there.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from cluster.chain.entry import with_binding, with_options, with_queue, without_queue
from cluster.chain.queue import RETENTION_S, SHARDS, VISIBILITY_S, Queue
from cluster.errors import NotFound
from cluster.messaging.subject import split_pattern
from cluster.node.definitions import Definitions, answering
from cluster.ports import Inbound
from cluster.queues.context import QueueContext
from cluster.queues.node import NodeQueues
from cluster.queues.rows import partition_of_shard
from cluster.queues.steps import ItemSteps
from cluster.wire.admin import read_arguments

if TYPE_CHECKING:
    from cluster.node.node import Node


def make_queues(node: "Node") -> NodeQueues:
    """The queues of a node that has its store and its replication."""
    context = QueueContext(
        replication=node.replication.context,
        writer=node.replication.writer,
        reader=node.replication.reader,
        defined=node.defined,
        shards=node.shards,
        tick=node.tick,
        id=node.boot.id,
        epoch=node.boot.epoch,
        wall_s=node.peer_clocks.wall_s,
        ahead_s=lambda: node.peer_clocks.ahead_s,
        is_draining=lambda name: node.requests.registry.is_draining(name),
        record=node.events.record,
        steps=ItemSteps(node.env.clock.wall),
    )
    return NodeQueues(context)


class QueueOptions(Struct, forbid_unknown_fields=True):
    """The queue to create; `id` names the change."""

    name: str
    shards: int = SHARDS
    visibility_s: float = VISIBILITY_S
    max_receives: int = 0
    dead_letter: str = ""
    retention_s: float = RETENTION_S
    delay_s: float = 0.0
    wait_s: float = 0.0
    max_depth: int = 0
    id: str = ""


class QueueChange(Struct, forbid_unknown_fields=True):
    """The queue, and the options that change; `id` names the change."""

    name: str
    visibility_s: float | UnsetType = UNSET
    max_receives: int | UnsetType = UNSET
    dead_letter: str | UnsetType = UNSET
    retention_s: float | UnsetType = UNSET
    delay_s: float | UnsetType = UNSET
    wait_s: float | UnsetType = UNSET
    max_depth: int | UnsetType = UNSET
    id: str = ""


class QueueNamed(Struct):
    """The queue to delete; `id` names the change."""

    name: str
    id: str = ""


class QueueBinding(Struct):
    """The queue, and the pattern of the subjects that it takes; `id` names the change."""

    name: str
    pattern: str
    id: str = ""


class QueueDefinitions:
    """One node's answers about which queues there are."""

    def __init__(self, node: "Node", definitions: Definitions) -> None:
        self._node = node
        self._definitions = definitions

    def defined(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The queues that are defined, as this node has them: `name` alone, if that is given. Raises NotFound. `owners`
        are those of each shard; `held` is what this node says of the shards that it owns, by queue and shard."""
        entry, name = self._node.layouts.chain.entry, arguments.get("name")
        if name is not None and name not in entry.queues:
            raise NotFound(f"no queue {name!r}")
        queues = {one: queue for one, queue in entry.queues.items() if name in (None, one)}
        held = {one: self._node.queues.stats(one) for one in queues if one in self._node.defined.by_name}
        owners = {
            one: [self._node.view.owners(partition_of_shard(queue.id, shard)) for shard in range(queue.shards)]
            for one, queue in queues.items()
        }
        told = [_told(one, queue) for one, queue in queues.items()]
        return {"slot": entry.slot, "queues": told, "owners": owners, "held": held}

    def create(self, arguments: dict[str, Any], inbound: Inbound) -> None:
        """Define a queue. Raises Usage, NotFound for a dead-letter queue that is none, or AlreadyExists."""
        query = read_arguments(arguments, QueueOptions)
        options = {name: value for name, value in asdict(query).items() if name not in ("name", "id")}
        change = partial(with_queue, name=query.name, queue=Queue(1, **options))  # its id comes with the entry
        done = answering(inbound, lambda entry: _told(query.name, entry.queues[query.name]))
        self._definitions.decide(change, query.id, inbound.deadline, done)

    def alter(self, arguments: dict[str, Any], inbound: Inbound) -> None:
        """Change options of a queue, for what is sent and received from then on. Raises as `create`."""
        query = read_arguments(arguments, QueueChange)
        options = {name: one for name, one in asdict(query).items() if name not in ("name", "id") and one is not UNSET}
        done = answering(inbound, lambda entry: _told(query.name, entry.queues[query.name]))
        self._definitions.decide(
            partial(with_options, name=query.name, options=options), query.id, inbound.deadline, done
        )

    def delete(self, arguments: dict[str, Any], inbound: Inbound) -> None:
        """End a queue, with all that is in it. Raises NotFound, or Usage where it takes dead letters of another."""
        query = read_arguments(arguments, QueueNamed)
        done = answering(inbound, lambda entry: {"name": query.name})
        self._definitions.decide(partial(without_queue, name=query.name), query.id, inbound.deadline, done)

    def bind(self, arguments: dict[str, Any], inbound: Inbound, *, bound: bool = True) -> None:
        """Send what is published to matching subjects to a queue, too, or send it no more. Raises NotFound or Usage."""
        query = read_arguments(arguments, QueueBinding)
        split_pattern(query.pattern)
        change = partial(with_binding, name=query.name, pattern=query.pattern, bound=bound)
        done = answering(inbound, lambda entry: _told(query.name, entry.queues[query.name]))
        self._definitions.decide(change, query.id, inbound.deadline, done)


def _told(name: str, queue: Queue) -> dict[str, Any]:
    return {
        "name": name,
        **asdict(queue),
        "max_receives": queue.max_receives or None,
        "dead_letter": queue.dead_letter or None,
        "max_depth": queue.max_depth or None,
        "patterns": list(queue.patterns),
    }
