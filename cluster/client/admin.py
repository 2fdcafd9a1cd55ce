"""What a node says of itself and of the cluster, and the definitions of buckets, queues and weights."""

from __future__ import annotations

from typing import Any

from cluster.client.operation import Gather, S, Steps, check_count, check_seconds, check_text, check_timeout, operation
from cluster.client.queue_admin import QueueAdmin
from cluster.errors import NotFound, Usage
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import trace_id

LIST_SERVICES = "`dsectl services` lists services and their versions."


class Admin(QueueAdmin[S]):
    """Each method asks `node`, or the first that answers."""

    @operation
    def members(self, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """The membership table, by name."""
        return (yield from self._table(node, "members"))

    @operation
    def matrix(self, *, timeout: float | None = None) -> Steps[dict[str, Any]]:
        """Each node's membership table, by observer; silent observers are left out."""
        bodies = dict.fromkeys(self._session.location.nodes, AdminQuery("members"))
        outcomes = yield Gather(bodies, check_timeout(timeout))
        return {name: outcome.value for name, outcome in outcomes.items() if isinstance(outcome, AdminAnswer)}

    @operation
    def status(self, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """The node's own state."""
        return (yield from self._table(node, "status"))

    @operation
    def ring(self, *, node: str | None = None) -> Steps[list[dict[str, Any]]]:
        """Partitions with owners and fallbacks."""
        return (yield from self._list(node, "ring"))

    @operation
    def explain(self, key: str, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """Where a key lives and what the node holds of it."""
        return (yield from self._table(node, "explain", {"key": check_text(key, "a key")}))

    @operation
    def events(self, /, *, node: str | None = None, **filters: Any) -> Steps[list[dict[str, Any]]]:
        """Decisions that the node recorded; `filters` are since, kind, key, limit."""
        return (yield from self._list(node, "events", filters))

    @operation
    def trace(self, trace: str) -> Steps[list[dict[str, Any]]]:
        """What the operation with this traceparent did at each node that answers: steps in the order of their times.
        Nodes keep their last few thousand."""
        question = AdminQuery("trace", {"id": trace_id(check_text(trace, "a trace")) or trace})
        outcomes = yield Gather(dict.fromkeys(self._session.location.nodes, question), None)
        steps = [step for outcome in outcomes.values() if isinstance(outcome, AdminAnswer) for step in outcome.value]
        return sorted(steps, key=lambda step: float(step["unix_s"]))

    @operation
    def health(self, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """Whether the node is healthy, with reasons."""
        return (yield from self._table(node, "health"))

    @operation
    def hints(self, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """Copies that wait at the node for an owner to return."""
        return (yield from self._table(node, "hints"))

    @operation
    def patterns(self, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """The patterns that somebody listens to, with the number of subscribers."""
        return (yield from self._table(node, "patterns"))

    @operation
    def subscriptions(self, *, node: str | None = None) -> Steps[list[dict[str, Any]]]:
        """The subscriptions of the clients of a node, each with how many messages it was sent and has missed."""
        return (yield from self._list(node, "subscriptions"))

    @operation
    def services(self, *, node: str | None = None) -> Steps[list[dict[str, Any]]]:
        """Services and their endpoints."""
        return (yield from self._list(node, "services"))

    @operation
    def service_stats(self, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """What became of the calls that clients brought to a node since its boot: a row an operation, and one for the
        attempts at each endpoint, whose latencies are counted in the buckets of `cluster.observe.latency`."""
        return (yield from self._table(node, "services-stats"))

    @operation
    def weigh_service(
        self, service: str, weights: dict[int, float] | None = None, *, timeout: float | None = None
    ) -> Steps[dict[str, Any]]:
        """Share the calls of a service by its versions, in percent; None: evenly by endpoint. Versions without a weight
        share what is left. Returns the weights, the versions that nobody offers yet (`absent`), and as `create_bucket`
        the nodes that have not taken it over (`late`). Raises NotFound for an unknown service, Usage for weights that
        cannot be, and as `create_bucket`."""
        if weights is not None and not isinstance(weights, dict):
            raise Usage("weights are a dict: percent by version")
        shares: dict[str, float] = {}
        for version, share in (weights or {}).items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 100:
                raise Usage(f"the weight of version {version!r} is a number from 0 to 100, in percent")
            shares[str(check_count(version, "version", 1))] = float(share)
        arguments = {"service": check_text(service, "a service"), "weights": shares}
        return (yield from self._decided("weigh-service", arguments, timeout, LIST_SERVICES))

    @operation
    def describe(self, service: str, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """The operations and schemas of a service."""
        return (yield from self._table(node, "describe", {"service": check_text(service, "a service")}))

    @operation
    def buckets(self, *, node: str | None = None) -> Steps[list[dict[str, Any]]]:
        """The buckets that are defined, in the order of their names."""
        return (yield from self._list(node, "buckets"))

    @operation
    def bucket(self, name: str, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """One bucket. Raises NotFound."""
        try:
            return (yield from self._table(node, "buckets", {"name": check_text(name, "a bucket")}))
        except NotFound as error:
            raise NotFound(error.message, help="`dsectl bucket list` lists the buckets.") from None

    @operation
    def create_bucket(
        self,
        name: str,
        *,
        resolver: str = "siblings",
        r: int = 0,
        w: int = 0,
        ttl: float | None = None,
        timeout: float | None = None,
    ) -> Steps[dict[str, Any]]:
        """Define a bucket; 0 for `r` and `w` is the cluster's, `ttl` in seconds. Returns it once all live members have
        it, with those that do not yet (`late`). One that is defined so already is no error.

        Raises Usage where keys of that name exist, AlreadyExists for a bucket with other options, QuorumMissing without
        a majority of the members, Maybe when it may still be decided.
        """
        arguments = {
            "name": check_text(name, "a bucket"),
            "resolver": check_text(resolver, "a resolver"),
            "r": check_count(r, "r"),
            "w": check_count(w, "w"),
            "ttl_s": check_seconds(ttl, "ttl") or 0.0,
        }
        help = f"`dsectl bucket list` shows those that are there, `dsectl keys {name}/` the keys of this name."
        return (yield from self._decided("create-bucket", arguments, timeout, help))

    @operation
    def empty_bucket(self, name: str, *, timeout: float | None = None) -> Steps[dict[str, Any]]:
        """End at once all that an lww bucket holds: one entry of the chain, however many keys there are. Returns once
        all live members have it, with those that do not yet (`late`). Raises NotFound, Usage for a bucket that keeps
        siblings, and as `create_bucket`."""
        help = "`dsectl bucket list` shows the buckets; `dsectl delete` deletes a key of one that keeps siblings."
        return (yield from self._decided("empty-bucket", {"name": check_text(name, "a bucket")}, timeout, help))

    @operation
    def metrics(self, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """Counters of one node."""
        return (yield from self._table(node, "metrics"))
