"""What the nodes say of services: totals of the calls that each took in, and how each sees every endpoint.

Every node is asked directly, since each judges for itself. What is missing in an answer is as the defaults say, so that
nodes of another version are shown, too.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from cluster.client.blocking import BlockingCluster
from cluster.errors import BadMessage, ClusterError
from dsectl.snapshot.observer import COMMAND_ANSWER_S, ClusterObserver

EndpointState = Literal["ready", "draining", "ejected", "unreachable"]
SEVERITY: tuple[EndpointState, ...] = get_args(EndpointState)
"""States of an endpoint, the worst last."""


class CallTotals(Struct, frozen=True):
    """Since the node's boot: calls of one operation that it took in (`endpoint` is empty), or the attempts at one
    endpoint that it made for them."""

    service: str
    operation: str
    endpoint: str = ""
    version: int = 0
    calls: int = 0
    """All that ended, however."""
    failed: int = 0
    """Ended otherwise than by a reply, by a declared error, or by being shed."""
    declared: int = 0
    shed: int = 0
    retries: int = 0
    hedges: int = 0
    in_flight: int = 0
    latency: list[tuple[int, int]] = []
    """(bucket, count); see cluster/observe/latency.py."""


class ServiceStats(Struct, frozen=True):
    """One node's answer to `services-stats`; `uptime_s` is when it said so."""

    epoch: int
    uptime_s: float
    rows: list[CallTotals]


class EndpointEvidence(Struct, frozen=True):
    """What one caller knows of an endpoint."""

    in_flight: int = 0
    latency_ms: float | None = None
    failures_in_row: int = 0
    last_failure: str = ""
    ejections: int = 0
    back_in_s: float | None = None
    """When an ejected one is tried again."""


class EndpointView(Struct, frozen=True):
    """An endpoint as one caller sees it."""

    endpoint: str
    node: str
    version: int = 0
    state: EndpointState = "ready"
    reason: str = ""
    evidence: EndpointEvidence = EndpointEvidence()


class ServiceView(Struct, frozen=True):
    """A service as one caller sees it. `panic`: so many of its endpoints are ejected that all are used. `weights` are
    percents by version; none: every endpoint counts alike."""

    service: str
    endpoints: list[EndpointView]
    panic: bool = False
    weights: dict[str, float] = {}


@dataclass(frozen=True)
class EndpointSeen:
    """An endpoint as all callers that answer see it. `state` is the worst that one of them says, `by` who says it,
    `reason` why."""

    service: str
    endpoint: str
    version: int
    state: EndpointState
    reason: str
    by: tuple[str, ...]
    callers: int
    """How many were asked and answered."""

    @property
    def told(self) -> str:
        """The reason, and who says so when others see it otherwise."""
        if self.state == SEVERITY[0]:
            return ""
        agree = len(self.by) == self.callers
        return "; ".join(part for part in (self.reason, "" if agree else f"as {', '.join(self.by)} sees it") if part)


@dataclass(frozen=True)
class ServicesSnapshot:
    """The services as they were seen at `at` (monotonic seconds) and `wall` (Unix seconds). `lost` says why there is
    nothing to look at, `silent` why a node gave no answer."""

    cluster: str
    at: float
    wall: float
    lost: ClusterError | None = None
    stats: Mapping[str, ServiceStats] = field(default_factory=dict)
    views: Mapping[str, list[ServiceView]] = field(default_factory=dict)
    silent: Mapping[str, ClusterError] = field(default_factory=dict)

    def endpoints(self) -> list[EndpointSeen]:
        """All endpoints, by service and name."""
        seen: dict[tuple[str, str, int], dict[str, EndpointView]] = {}
        for caller, services in self.views.items():
            for service in services:
                for one in service.endpoints:
                    seen.setdefault((service.service, one.endpoint, one.version), {})[caller] = one
        found = []
        for (name, endpoint, version), views in sorted(seen.items()):
            worst = max((view.state for view in views.values()), key=SEVERITY.index)
            by = tuple(caller for caller, view in views.items() if view.state == worst)
            found.append(EndpointSeen(name, endpoint, version, worst, views[by[0]].reason, by, len(self.views)))
        return found

    def panics(self) -> dict[str, list[str]]:
        """The services of which too many endpoints are ejected, with the nodes that see it so."""
        found: dict[str, list[str]] = {}
        for caller, services in self.views.items():
            for one in services:
                if one.panic:
                    found.setdefault(one.service, []).append(caller)
        return found

    def weights(self) -> dict[str, dict[str, float]]:
        """The weights of versions, of the services that have any; all nodes have the same."""
        return {one.service: one.weights for services in self.views.values() for one in services if one.weights}


def service_views(answer: Any) -> list[ServiceView]:
    """A node's answer to `services`. Raises BadMessage."""
    try:
        return msgspec.convert(answer, list[ServiceView])
    except msgspec.ValidationError as error:
        raise BadMessage(f"invalid answer of a node: {error}") from None


def observe_services(
    client: BlockingCluster, *, answer_s: float = COMMAND_ANSWER_S, with_stats: bool = True
) -> ServicesSnapshot:
    """Ask all nodes; takes at most twice `answer_s`. A node whose answer is invalid is silent."""
    at = time.monotonic()
    limit = min(answer_s, client.timeout)
    answers: dict[str, dict[str, Any]] = {"services": client.ask_all(None, "services", timeout=limit)}
    answers["services-stats"] = client.ask_all(None, "services-stats", timeout=limit) if with_stats else {}
    views: dict[str, list[ServiceView]] = {}
    stats: dict[str, ServiceStats] = {}
    silent: dict[str, ClusterError] = {}
    for name, answer in answers["services"].items():
        said = answers["services-stats"].get(name)
        error = next((one for one in (answer, said) if isinstance(one, ClusterError)), None)
        try:
            if error is not None:
                raise error
            views[name] = service_views(answer)
            if with_stats:
                stats[name] = msgspec.convert(said, ServiceStats)
        except ClusterError as failed:
            silent[name] = failed
        except msgspec.ValidationError as invalid:
            silent[name] = BadMessage(f"invalid answer of a node: {invalid}")
    return ServicesSnapshot(client.location.name, at, time.time(), None, stats, views, silent)


class ServicesObserver(ClusterObserver[ServicesSnapshot]):
    """Looks at the services of one cluster again and again, and never raises for what is lost."""

    def look(self) -> ServicesSnapshot:
        """The services now."""
        try:
            _, client = self.open()
            return observe_services(client, answer_s=self.answer_s)
        except (ClusterError, OSError) as error:
            return ServicesSnapshot(self.cluster(), time.monotonic(), time.time(), self.lost(error))
