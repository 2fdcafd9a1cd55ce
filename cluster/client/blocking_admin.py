"""Questions about the cluster itself through the blocking client. One node's view, unless all are asked."""

from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError, DeadlinePassed

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster

POLL_S = 0.02
"""Between two rounds of `wait_ready`: a fraction of what starting a node takes."""


class BlockingAdmin:
    """Each method asks `node`, or the first that answers. `ask_all` asks every node directly, never through peers."""

    def __init__(self, cluster: "BlockingCluster") -> None:
        self._cluster = cluster

    def ask(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        """The answer to `what`; see `BlockingCluster.ask`."""
        return self._cluster.ask(node, what, arguments, timeout)

    def ask_all(
        self,
        nodes: list[str] | None,
        what: str,
        arguments: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """What each node answers, or its ClusterError; see `BlockingCluster.ask_all`."""
        return self._cluster.ask_all(nodes, what, arguments, timeout)

    def members(self, *, node: str | None = None) -> Any:
        """The membership table, by name."""
        return self.ask(node, "members")

    def matrix(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Each node's membership table, by observer; silent observers are left out."""
        answers = self.ask_all(None, "members", timeout=timeout)
        return {name: answer for name, answer in answers.items() if not isinstance(answer, ClusterError)}

    def status(self, *, node: str | None = None) -> Any:
        """The verdict and the state of each node."""
        return self.ask(node, "status")

    def ring(self, *, node: str | None = None) -> Any:
        """Partitions with owners and fallbacks."""
        return self.ask(node, "ring")

    def explain(self, key: str, *, node: str | None = None) -> Any:
        """Where a key lives and what each replica holds."""
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
        """Wait until each of `nodes` (all, for None) says that it is ready under `layout`; returns what they said.

        Raises DeadlinePassed, naming those that are not ready; a node that refuses or keeps silent is asked again.
        """
        names = list(self._cluster.addresses(nodes))
        answers: dict[str, Any] = {}
        deadline = monotonic() + timeout
        while True:
            waiting = [name for name in names if name not in answers]
            remaining = deadline - monotonic()
            if not waiting:
                return {name: answers[name] for name in names}
            if remaining <= 0:
                raise DeadlinePassed(f"not ready after {timeout:g} s: {', '.join(waiting)}", not_ready=waiting)
            said = self.ask_all(waiting, "ready", {"layout": layout}, min(remaining, 1.0))
            ready = {name: answer for name, answer in said.items() if is_ready(answer, layout)}
            answers |= ready
            if len(ready) < len(waiting):
                sleep(min(POLL_S, remaining))


def is_ready(answer: Any, layout: int) -> bool:
    """Whether the answer to `ready` says yes, and for this layout when it names one."""
    if isinstance(answer, dict):
        return bool(answer.get("ready")) and answer.get("layout", layout) == layout
    return answer is True
