"""Questions about the cluster itself, off every hot path. One node's view, unless all are asked.

`ask_all` asks every node directly and at once, never through peers: a silent node costs the others nothing, and an
error takes its place. The connections stay, so that a live view asks again and again without a handshake for each look.
"""

from __future__ import annotations

from typing import Any

from cluster.client.operation import (
    Family,
    Gather,
    S,
    Send,
    Steps,
    check_count,
    check_delay,
    check_name,
    check_nodes,
    check_seconds,
    check_text,
    check_timeout,
    operation,
)
from cluster.errors import AlreadyExists, BadMessage, ClusterError, Maybe, NotFound, Unreachable, Usage
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Body, trace_id

DEPTH_MAX = 32
LIST_SERVICES = "`dsectl services` lists services and their versions."
LIST_QUEUES = "`dsectl queue list` lists the queues."
PURGE_AGAIN = "Purge it again when all nodes answer; what is sent until then goes, too."
LOOK_S = 1.0
"""So long a node is given to say which chain it has, before a change is asked of the others; or what is in the queues
that it keeps."""


class Questions(Family[S]):
    """Anything, asked of one node or of all."""

    @operation
    def ask(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None, timeout: float | None = None
    ) -> Steps[Any]:
        """The answer of `node` (of any, for None) to the question `what`. Raises what the node answers with."""
        ask = AdminQuery(check_text(what, "a question"), _arguments(arguments))
        answer = _value((yield Send(ask, check_timeout(timeout), None, check_name(node, "a node"))))
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    @operation
    def ask_all(
        self,
        nodes: list[str] | None,
        what: str,
        arguments: dict[str, Any] | None = None,
        timeout: float | None = None,
        *,
        each: dict[str, dict[str, Any]] | None = None,
    ) -> Steps[dict[str, Any]]:
        """What each of `nodes` (all, for None) answers, or the ClusterError why it did not. `each`: arguments for those
        that have their own, by name. Raises NotFound for an unknown node."""
        check_text(what, "a question")
        common, location = _arguments(arguments), self._session.location
        own = {name: _arguments(given) for name, given in _arguments(each).items()}
        bodies: dict[str, Body] = {
            name: AdminQuery(what, own.get(name, common)) for name in check_nodes(nodes, location.nodes, location.name)
        }
        outcomes = yield Gather(bodies, check_timeout(timeout))
        return {name: _value(outcome) for name, outcome in outcomes.items()}


class Admin(Questions[S]):
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
        return (yield from self._list(node, "events", _arguments(filters)))

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
    def queues(self, *, timeout: float | None = None) -> Steps[list[dict[str, Any]]]:
        """The queues that are defined, in the order of their names, each with what is in it: see `queue`."""
        return (yield from self._queues({}, timeout))

    @operation
    def queue(self, name: str, *, timeout: float | None = None) -> Steps[dict[str, Any]]:
        """One queue: its options, and what the nodes that answer say of it. `depth` counts its messages, of which
        `in_flight` are leased; `oldest_s` is the age of the oldest. `redelivered` and `dead` (moved to the dead-letter
        queue) count since the nodes booted. `shards_unknown` are in none of these numbers. Raises NotFound."""
        try:
            [found] = yield from self._queues({"name": check_text(name, "a queue")}, timeout)
        except NotFound as error:
            raise NotFound(error.message, help=LIST_QUEUES) from None
        return found

    def _queues(self, arguments: dict[str, Any], timeout: float | None) -> Steps[list[dict[str, Any]]]:
        """Every node says what it holds of shards that it owns; the definitions are those of the newest chain."""
        from cluster.queues.figures import figures

        query = AdminQuery("queues", arguments)
        limit = check_timeout(timeout) or min(LOOK_S, self._session.timeout)
        outcomes = yield Gather(dict.fromkeys(self._session.location.nodes, query), limit)
        answers = {node: _value(outcome) for node, outcome in outcomes.items()}
        found = {node: answer for node, answer in answers.items() if isinstance(answer, dict)}
        if not found:
            errors = list(answers.values())
            raise next((error for error in errors if isinstance(error, NotFound)), errors[0])
        newest = max(found.values(), key=lambda answer: int(answer["slot"]))
        told = [{**one, **figures(one["name"], one["shards"], found)} for one in newest["queues"]]
        for one in told:
            for shard, owners in zip(one["by_shard"], newest["owners"][one["name"]], strict=True):
                shard["owners"] = owners
        return told

    @operation
    def create_queue(
        self,
        name: str,
        *,
        shards: int | None = None,
        visibility: float | None = None,
        max_receives: int | None = None,
        dead_letter: str | None = None,
        retention: float | None = None,
        delay: float | None = None,
        max_depth: int | None = None,
        timeout: float | None = None,
    ) -> Steps[dict[str, Any]]:
        """Define a queue. `visibility` of a lease, `retention` and `delay` in seconds; after `max_receives` deliveries
        a message goes to the queue `dead_letter`; None: as docs/queues.md says. Returns it once all live members have
        it, with those that do not yet (`late`). One that is defined so already is no error. Raises NotFound for a
        dead-letter queue that is none, and as `create_bucket`."""
        options = {
            "shards": None if shards is None else check_count(shards, "shards", 1),
            "visibility_s": check_seconds(visibility, "visibility"),
            "max_receives": None if max_receives is None else check_count(max_receives, "max_receives"),
            "dead_letter": check_name(dead_letter, "dead_letter"),
            "retention_s": check_seconds(retention, "retention"),
            "delay_s": check_delay(delay),
            "max_depth": None if max_depth is None else check_count(max_depth, "max_depth"),
        }
        arguments = {option: value for option, value in options.items() if value is not None}
        arguments["name"] = check_text(name, "a queue")
        return (yield from self._decided("create-queue", arguments, timeout, LIST_QUEUES))

    @operation
    def alter_queue(
        self,
        name: str,
        *,
        visibility: float | None = None,
        max_receives: int | None = None,
        dead_letter: str | None = None,
        retention: float | None = None,
        delay: float | None = None,
        max_depth: int | None = None,
        timeout: float | None = None,
    ) -> Steps[dict[str, Any]]:
        """Change options of a queue, for what is sent and received from then on; None: as it is. 0 is no end of
        `max_receives` and `max_depth`, and "" no queue for dead letters. Returns and raises as `create_queue`, and
        Usage where nothing is to change."""
        options = {
            "visibility_s": check_seconds(visibility, "visibility"),
            "max_receives": None if max_receives is None else check_count(max_receives, "max_receives"),
            "dead_letter": check_name(dead_letter, "dead_letter"),
            "retention_s": check_seconds(retention, "retention"),
            "delay_s": check_delay(delay),
            "max_depth": None if max_depth is None else check_count(max_depth, "max_depth"),
        }
        arguments = {option: value for option, value in options.items() if value is not None}
        if not arguments:
            raise Usage("nothing of the queue is to change", help="Name an option, as in `--visibility 1m`.")
        arguments["name"] = check_text(name, "a queue")
        return (yield from self._decided("alter-queue", arguments, timeout, LIST_QUEUES))

    @operation
    def delete_queue(self, name: str, *, timeout: float | None = None) -> Steps[dict[str, Any]]:
        """End a queue with all that is in it. Raises NotFound, Usage where another queue sends its dead letters there,
        and as `create_bucket`."""
        arguments = {"name": check_text(name, "a queue")}
        return (yield from self._decided("delete-queue", arguments, timeout, LIST_QUEUES))

    @operation
    def bind_queue(self, name: str, pattern: str, *, timeout: float | None = None) -> Steps[dict[str, Any]]:
        """Send to a queue what is published to subjects that match, from then on. Raises as `create_queue`."""
        arguments = {"name": check_text(name, "a queue"), "pattern": check_text(pattern, "a pattern")}
        return (yield from self._decided("bind-queue", arguments, timeout, LIST_QUEUES))

    @operation
    def unbind_queue(self, name: str, pattern: str, *, timeout: float | None = None) -> Steps[dict[str, Any]]:
        """Send it no more. Raises NotFound for a pattern that the queue is not bound to, and as `create_queue`."""
        arguments = {"name": check_text(name, "a queue"), "pattern": check_text(pattern, "a pattern")}
        return (yield from self._decided("unbind-queue", arguments, timeout, LIST_QUEUES))

    @operation
    def purge_queue(self, name: str, *, timeout: float | None = None) -> Steps[dict[str, Any]]:
        """Delete all messages of a queue, also those that are leased; how many, in `purged`. Raises NotFound, Maybe
        when some may stay."""
        try:
            return (yield from self._acted("purge-queue", {"name": check_text(name, "a queue")}, timeout, LIST_QUEUES))
        except Maybe as error:
            raise Maybe(error.message, help=PURGE_AGAIN, **error.detail) from None

    @operation
    def redrive_queue(
        self, name: str, *, to: str | None = None, limit: int = 0, timeout: float | None = None
    ) -> Steps[dict[str, Any]]:
        """Move dead letters from the queue `name` to the queue `to` (None: each to where it came from), at most `limit`
        of them (0: all). `moved` says how many, `left` whether others are left. Raises NotFound, and Usage for one that
        did not come as a dead letter."""
        arguments = {
            "name": check_text(name, "a queue"),
            "to": check_name(to, "`to`") or "",
            "limit": check_count(limit, "limit"),
        }
        return (yield from self._acted("redrive-queue", arguments, timeout, LIST_QUEUES))

    @operation
    def metrics(self, *, node: str | None = None) -> Steps[dict[str, Any]]:
        """Counters of one node."""
        return (yield from self._table(node, "metrics"))

    def _decided(self, what: str, arguments: dict[str, Any], timeout: float | None, help: str) -> Steps[dict[str, Any]]:
        """Have a node decide a change of the chain: the next one if it does not answer or reaches too few. The id makes
        that harmless: a node that finds it in the chain answers with what was decided."""
        query = AdminQuery(what, {**arguments, "id": self._session.operation_id()})
        left = check_timeout(timeout) or self._session.timeout
        unknown: ClusterError | None = None
        error: ClusterError = Unreachable("no node answers")
        for name in (yield from self._newest(left)):
            left /= 2  # half of the time for each: however many are asked, it is not exceeded
            try:
                answer: dict[str, Any] = _value((yield Send(query, left, None, name)))
                return answer
            except (Usage, AlreadyExists, NotFound) as refused:  # the same at every node that has the same chain
                if unknown is None:
                    raise type(refused)(refused.message, help=help) from None
            except ClusterError as failed:
                error = failed
                unknown = unknown if failed.definite else failed
        raise unknown or error

    def _acted(self, what: str, arguments: dict[str, Any], timeout: float | None, help: str) -> Steps[dict[str, Any]]:
        """Have one node do what is not to be done twice, the one that knows most."""
        left = check_timeout(timeout) or self._session.timeout
        node = (yield from self._newest(left))[0]
        try:
            answer: dict[str, Any] | ClusterError = _value((yield Send(AdminQuery(what, arguments), left, None, node)))
        except NotFound as refused:
            raise NotFound(refused.message, help=help) from None
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    def _newest(self, timeout_s: float) -> Steps[list[str]]:
        """The nodes that answer, those with the newest chain, and of those the ones that see most others, first. Raises
        Unreachable where none does."""
        states = yield Gather(dict.fromkeys(self._session.location.nodes, AdminQuery("layout")), min(LOOK_S, timeout_s))
        found = {name: state.value for name, state in states.items() if isinstance(state, AdminAnswer)}
        if not found:
            raise Unreachable(f"no node of cluster {self._session.location.name!r} answers")
        return sorted(found, key=lambda name: [-found[name].get(part, 0) for part in ("number", "slot", "alive")])

    def _table(self, node: str | None, what: str, arguments: dict[str, Any] | None = None) -> Steps[dict[str, Any]]:
        answer = yield from self._query(node, what, arguments)
        if not isinstance(answer, dict):
            raise BadMessage(f"expected an object in reply to {what}, got {type(answer).__name__}")
        return answer

    def _list(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None
    ) -> Steps[list[dict[str, Any]]]:
        answer = yield from self._query(node, what, arguments)
        if not isinstance(answer, list):
            raise BadMessage(f"expected a list in reply to {what}, got {type(answer).__name__}")
        return answer

    def _query(self, node: str | None, what: str, arguments: dict[str, Any] | None) -> Steps[Any]:
        answer = _value((yield Send(AdminQuery(what, arguments or {}), None, None, check_name(node, "a node"))))
        if isinstance(answer, ClusterError):
            raise answer
        return answer


def _arguments(arguments: object) -> dict[str, Any]:
    if arguments is None:
        return {}
    if not isinstance(arguments, dict) or not all(isinstance(name, str) for name in arguments):
        raise Usage("arguments are a dict with names as keys")
    if not _is_shallow(arguments, DEPTH_MAX):
        raise Usage(f"arguments are nested deeper than {DEPTH_MAX}")
    return arguments


def _is_shallow(value: object, depth: int) -> bool:
    """Whether a node can read it: its reader gives up on deep nesting, and the connection with it."""
    if isinstance(value, dict):
        return depth > 0 and all(_is_shallow(inner, depth - 1) for inner in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return depth > 0 and all(_is_shallow(inner, depth - 1) for inner in value)
    return True


def _value(outcome: Body | ClusterError) -> Any:
    """The value in an answer to an Ask; an error stays one."""
    if isinstance(outcome, AdminAnswer):
        return outcome.value
    if isinstance(outcome, ClusterError):
        return outcome
    return BadMessage(f"unexpected {type(outcome).__name__} in reply to an admin query")
