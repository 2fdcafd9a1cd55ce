"""Questions about the cluster itself through the blocking client. One node's view, unless all are asked."""

from typing import TYPE_CHECKING, Any

from cluster.client.gather import answer_value
from cluster.errors import ClusterError, DeadlinePassed, HandshakeRefused
from cluster.wire.admin import Ask

if TYPE_CHECKING:
    from cluster.client.blocking_session import BlockingSession

REDIAL_S = 0.02
"""How often `wait_ready` dials a node that is not there yet: a fraction of what starting one takes."""


class BlockingAdmin:
    """Each method asks `node`, or the first that answers. `ask_all` asks every node directly, never through peers."""

    def __init__(self, cluster: "BlockingSession") -> None:
        self._cluster = cluster

    def ask(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        """The answer to `what`; see `BlockingSession.ask`."""
        return self._cluster.ask(node, what, arguments, timeout)

    def ask_all(
        self,
        nodes: list[str] | None,
        what: str,
        arguments: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """What each node answers, or its ClusterError; see `BlockingSession.ask_all`."""
        return self._cluster.ask_all(nodes, what, arguments, timeout)

    def members(self, *, node: str | None = None) -> Any:
        """The membership table, by name."""
        return self.ask(node, "members")

    def matrix(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Each node's membership table, by observer; silent observers are left out."""
        answers = self.ask_all(None, "members", timeout=timeout)
        return {name: answer for name, answer in answers.items() if not isinstance(answer, ClusterError)}

    def status(self, *, node: str | None = None) -> Any:
        """The node's own state."""
        return self.ask(node, "status")

    def ring(self, *, node: str | None = None) -> Any:
        """Partitions with owners and fallbacks."""
        return self.ask(node, "ring")

    def explain(self, key: str, *, node: str | None = None) -> Any:
        """Where a key lives and what the node holds of it."""
        return self.ask(node, "explain", {"key": key})

    def events(self, *, node: str | None = None, **filters: Any) -> Any:
        """Decisions that nodes recorded; `filters` are since, kind, key, limit."""
        return self.ask(node, "events", filters)

    def health(self, *, node: str | None = None) -> Any:
        """Whether a node is healthy, with reasons."""
        return self.ask(node, "health")

    def hints(self, *, node: str | None = None) -> Any:
        """Copies that wait for an owner to return."""
        return self.ask(node, "hints")

    def patterns(self, *, node: str | None = None) -> Any:
        """The patterns that somebody listens to, with the number of subscribers."""
        return self.ask(node, "patterns")

    def services(self, *, node: str | None = None) -> Any:
        """Services and their endpoints."""
        return self.ask(node, "services")

    def describe(self, service: str, *, node: str | None = None) -> Any:
        """The operations and schemas of a service."""
        return self.ask(node, "describe", {"service": service})

    def metrics(self, *, node: str | None = None) -> Any:
        """Counters of one node."""
        return self.ask(node, "metrics")

    def wait_ready(self, nodes: list[str] | None, layout: int, timeout: float) -> dict[str, Any]:
        """Wait until each of `nodes` (all, for None) says that it has heard the others and runs `layout`.

        Returns what they said. A node keeps its answer back until it is so; one out of reach is dialled again.
        Raises DeadlinePassed, naming those that are not ready (also in the detail `not_ready`).
        """
        outcomes = self._cluster.gather(nodes, Ask("ready", {"layout": layout}), timeout, REDIAL_S)
        said = {name: answer_value(outcome) for name, outcome in outcomes.items()}
        waiting = {name: answer for name, answer in said.items() if isinstance(answer, ClusterError)}
        for error in waiting.values():
            if isinstance(error, HandshakeRefused):  # it will not get better
                raise error
        if waiting:
            reasons = "; ".join(error.message for error in waiting.values())
            raise DeadlinePassed(f"not ready after {timeout:g} s: {reasons}", not_ready=list(waiting))
        return said
