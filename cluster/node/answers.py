"""What a node tells of itself when it is asked: JSON-like values, off every hot path.

Each answer is this node's own view and says nothing for others; whoever wants the cluster's asks every node.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cluster.errors import ClusterError, NotFound, Usage
from cluster.kv.reads import check_key
from cluster.layout import PARTITIONS, partition_of, token
from cluster.node.buckets import BucketChanges
from cluster.node.definitions import Definitions
from cluster.node.explained import told_row
from cluster.node.queues import QueueDefinitions
from cluster.node.ready import Ready
from cluster.node.vitals import problems, vitals
from cluster.node.weights import ServiceWeights
from cluster.ports import Inbound
from cluster.queues.explained import told_message
from cluster.replication.mergeable import TABLE_KV
from cluster.wire.admin import AdminAnswer, AdminQuery, read_arguments

if TYPE_CHECKING:
    from cluster.node.node import Node

EVENTS_MAX = 1000
Arguments = dict[str, Any]


class EventQuery(Struct):
    """Which events: see `Events.since`."""

    since: str | float | None = None
    kind: str | None = None
    key: str | None = None
    limit: int = EVENTS_MAX


class Answers:
    """The questions of `AdminQuery`, by name."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        definitions = Definitions(node)
        self.buckets = BucketChanges(node, definitions)
        queues = QueueDefinitions(node, definitions)
        self._waiting: dict[str, Callable[[Arguments, Inbound], None]] = {
            "ready": Ready(node).answer,
            "drain": node.drain.drain,
            "change": node.layouts.change,
            "create-bucket": self.buckets.create,
            "empty-bucket": self.buckets.empty_for,
            "weigh-service": ServiceWeights(node, definitions).weigh,
            "create-queue": queues.create,
            "alter-queue": queues.alter,
            "delete-queue": queues.delete,
            "bind-queue": queues.bind,
            "unbind-queue": partial(queues.bind, bound=False),
            "purge-queue": node.queues.purging.answer,
            "redrive-queue": node.queues.redriving.answer,
        }
        """Those that are answered when something is so."""
        self._questions: dict[str, Callable[[Arguments], Any]] = {
            "status": self.status,
            "members": self.members,
            "ring": self.ring,
            "explain": self.explain,
            "explain-message": lambda arguments: told_message(node.queues.context, str(arguments.get("id", ""))),
            "events": self.events,
            "trace": lambda arguments: node.steps.of(str(arguments.get("id", ""))),
            "health": self.health,
            "hints": self.hints,
            "layout": lambda arguments: node.layouts.status(),
            "buckets": self.buckets.defined,
            "queues": queues.defined,
            "changes": lambda arguments: node.layouts.changes(),
            "repair": lambda arguments: node.replication.repair_status(),
            "compare": lambda arguments: node.replication.antientropy.hurry(),
            "accept-loss": lambda arguments: node.replication.completing.accept_loss(),
            "faults": self.faults,
            "reload-faults": self.reload_faults,
            "undrain": node.drain.undrain,
            "services": lambda arguments: node.requests.services(),
            "services-stats": self.services_stats,
            "describe": lambda arguments: node.requests.describe(
                str(arguments.get("service", "")), int(arguments.get("version", 0))
            ),
            "patterns": lambda arguments: node.topics.patterns(),
            "subscriptions": lambda arguments: node.topics.subscribers(),
            "metrics": self.metrics,
            "vitals": lambda arguments: vitals(node, arguments),
            "ping": lambda arguments: None,  # a client asks whether this process runs at all
        }

    def answer(self, inbound: Inbound) -> None:
        """Handle a question."""
        ask = inbound.body
        assert isinstance(ask, AdminQuery)
        question = self._questions.get(ask.what)
        try:
            if question is not None:
                inbound.reply(AdminAnswer(question(ask.arguments)))
            elif ask.what in self._waiting:
                self._waiting[ask.what](ask.arguments, inbound)
            else:
                inbound.fail(NotFound(f"unknown query {ask.what!r}"))
        except ClusterError as error:
            inbound.fail(error)

    def status(self, arguments: Arguments) -> Any:
        """Identity, voting status and a few counters."""
        node = self.node
        status = node.replication.context.status
        return {
            "name": node.member.name,
            "id": node.boot.id,
            "epoch": node.boot.epoch,
            "zone": node.member.zone,
            "port": node.member.port,
            "state": status.state(),
            "reason": "; ".join(node.replication.not_voting()),
            "recovering": sorted(status.recovering),
            "may_hold_hints": list(status.may_hold_hints),
            "layout": node.view.number,
            "alive": node.membership.alive(),
            "full": node.store.full,
            "draining": node.drain.draining,
            "hints": sum(node.replication.context.hints.by_target().values()),
            "uptime_s": round(node.env.clock.now() - node.started_at, 3),
            "gateways": {name: gateway.status() for name, gateway in node.gateways.items()},
            "durability": node.settings.storage.durability.value,
            "storage": node.store.status(),
            "store": node.settings.storage.tables.value,
            "faults_generation": node.faults.generation,
            "stalls": node.stall.count,
        }

    def members(self, arguments: Arguments) -> Any:
        """This node's membership table."""
        table = self.node.membership.table()
        return {
            name: {
                "state": view.state,
                "incarnation": [view.epoch, view.refutations],
                "zone": view.zone,
                "address": "{}:{}".format(*view.address),
                "id": view.id,
            }
            for name, view in table.items()
        }

    def ring(self, arguments: Arguments) -> Any:
        """Owners and fallbacks of every partition, and during a change of members the owners to come."""
        view = self.node.replication.context.view
        rows: list[dict[str, Any]] = [
            {"partition": partition, "owners": view.owners(partition), "fallbacks": view.fallbacks(partition)}
            for partition in range(PARTITIONS)
        ]
        if view.moving:
            for partition, row in enumerate(rows):
                row["coming"] = view.coming(partition)
        return rows

    def explain(self, arguments: Arguments) -> Any:
        """What this node knows of a key: where it belongs, what is held here, whose hints wait here."""
        key = arguments.get("key")
        if not isinstance(key, str) or not key:
            raise Usage("explain needs a key")
        check_key(key)
        node, context = self.node, self.node.replication.context
        partition = partition_of(key)
        blob = context.store.logged(TABLE_KV, partition, key)
        held = None if blob is None else told_row(blob, node.buckets.base_of(key), node.env.clock.wall())
        return {
            "bucket": self.buckets.told_of(key),
            "partition": partition,
            "token": f"{token(key):016x}",
            "owners": list(context.view.owners(partition)),
            "fallbacks": list(context.view.fallbacks(partition)),
            "held": held,
            "hints_for": context.hints.for_key(TABLE_KV, partition, key),
            "voting": context.status.votes(partition),
            "steps": self.node.events.since(key=key, limit=20),
        }

    def events(self, arguments: Arguments) -> Any:
        """The decisions that this node has taken, filtered."""
        query = read_arguments(arguments, EventQuery)
        return self.node.events.since(query.since, query.kind, query.key, min(query.limit, EVENTS_MAX))

    def health(self, arguments: Arguments) -> Any:
        """Whether this node is well, and if not, why."""
        node = self.node
        reasons = problems(node, node.replication.not_voting())
        return {
            "healthy": not reasons,
            "reasons": reasons,
            "services": node.requests.not_ready(),
            "may_have_lost": node.replication.completing.losses,
            "draining": node.drain.draining,  # as it was told to: it is well
        }

    def services_stats(self, arguments: Arguments) -> Any:
        """What became of the calls that clients brought to this node, since its boot: whoever asks twice takes the
        difference. Rows without an endpoint are of whole calls, the others of single attempts."""
        node = self.node
        return {
            "epoch": node.boot.epoch,
            "uptime_s": round(node.env.clock.now() - node.started_at, 6),
            "rows": node.requests.router.figures(),
        }

    def hints(self, arguments: Arguments) -> Any:
        """The copies that wait here for other owners."""
        by_target = self.node.replication.context.hints.by_target()
        return {"pending": sum(by_target.values()), "by_target": by_target}

    def faults(self, arguments: Arguments) -> Any:
        """How often each fault touched something here."""
        return {"generation": self.node.faults.generation, "receipts": self.node.faults.receipts()}

    def reload_faults(self, arguments: Arguments) -> Any:
        """The fault rules changed: read them again."""
        self.node.reload_faults()
        return {"generation": self.node.faults.generation}

    def metrics(self, arguments: Arguments) -> Any:
        """A few counters, and how many keys this node holds as an owner."""
        node = self.node
        return {
            "keys": sum(node.store.count(TABLE_KV, partition) for partition in node.view.my_partitions()),
            "topics_published": node.topics.published,
            "topics_delivered": node.topics.delivered,
            "topics_dropped": node.topics.dropped,
            "requests_in_flight": node.rpc.in_flight(),
            "requests_running": node.requests.server.running,
            "requests_shed": node.requests.server.shed,
            "requests_expired": node.rpc.expired + node.replication.replica.expired,
            "events": node.events.count,
        }
