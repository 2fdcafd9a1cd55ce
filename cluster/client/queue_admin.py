"""Queues as they are defined, and what is in them: their options, purges, and dead letters that go back."""

from __future__ import annotations

from typing import Any

from cluster.client.operation import (
    Gather,
    S,
    Steps,
    check_count,
    check_delay,
    check_name,
    check_seconds,
    check_text,
    check_timeout,
    operation,
)
from cluster.client.questions import LOOK_S, Questions, answer_of
from cluster.errors import Maybe, NotFound, Usage
from cluster.wire.admin import AdminQuery

LIST_QUEUES = "`dsectl queue list` lists the queues."
PURGE_AGAIN = "Purge it again when all nodes answer; what is sent until then goes, too."
REDRIVE_AGAIN = "Redrive it again: what was moved by then is not moved twice."


class QueueAdmin(Questions[S]):
    """What all nodes say of the queues, and changes that one of them has decided."""

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
        answers = {node: answer_of(outcome) for node, outcome in outcomes.items()}
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
        arguments = _options(name, visibility, max_receives, dead_letter, retention, delay, max_depth)
        if shards is not None:
            arguments["shards"] = check_count(shards, "shards", 1)
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
        arguments = _options(name, visibility, max_receives, dead_letter, retention, delay, max_depth)
        if len(arguments) == 1:
            raise Usage("nothing of the queue is to change", help="Name an option, as in `--visibility 1m`.")
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
        try:
            return (yield from self._acted("redrive-queue", arguments, timeout, LIST_QUEUES))
        except Maybe as error:
            raise Maybe(error.message, help=REDRIVE_AGAIN, **error.detail) from None


def _options(
    name: object,
    visibility: object,
    max_receives: object,
    dead_letter: object,
    retention: object,
    delay: object,
    max_depth: object,
) -> dict[str, Any]:
    """The name of a queue with those options that are given, as a node reads them. Raises Usage."""
    options = {
        "name": check_text(name, "a queue"),
        "visibility_s": check_seconds(visibility, "visibility"),
        "max_receives": None if max_receives is None else check_count(max_receives, "max_receives"),
        "dead_letter": check_name(dead_letter, "dead_letter"),
        "retention_s": check_seconds(retention, "retention"),
        "delay_s": check_delay(delay),
        "max_depth": None if max_depth is None else check_count(max_depth, "max_depth"),
    }
    return {option: value for option, value in options.items() if value is not None}
