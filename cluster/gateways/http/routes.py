"""Routes: which handler a method and a path have, and what OpenAPI says of them. `table` joins those of all parts."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from cluster.gateways.http.parameters import HEADER, Parameter
from cluster.gateways.http.problems import HttpProblem

if TYPE_CHECKING:
    from cluster.gateways.http.call import HttpCall

TIMEOUT_MIN_S, TIMEOUT_MAX_S = 0.001, 3600
REQUEST_TIMEOUT: Final = Parameter(
    "Request-Timeout",
    HEADER,
    "Seconds that the request may take.",
    "number",
    default=5,
    low=TIMEOUT_MIN_S,
    high=TIMEOUT_MAX_S,
)
TRACEPARENT: Final = Parameter("traceparent", HEADER, "W3C Trace Context; if sampled, nodes keep their steps.")
COMMON: Final = (REQUEST_TIMEOUT, TRACEPARENT)
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
ETAG: Final = "ETag"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer that is no problem: a Struct as JSON, or bytes (`type` None)."""

    summary: str
    type: Any = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One method of one path. `body`: of the request; empty for none. `problems`: statuses beyond those that all
    routes may have."""

    method: str
    path: str
    handler: "Callable[[HttpCall], None]"
    id: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    body: str = ""
    replies: dict[int, HttpReply] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    open: bool = False
    """Whether it needs no password."""
    readonly: bool = False
    """Whether HEAD is answered, too."""
    shown: bool = True
    """Whether OpenAPI describes it; the operations of services are described one by one."""


class RouteTable:
    """All routes, found by method and path."""

    def __init__(self, routes: Iterable[HttpRoute]) -> None:
        self.routes = tuple(routes)
        self._paths: dict[str, dict[str, HttpRoute]] = {}
        for route in self.routes:
            self._paths.setdefault(route.path, {})[route.method] = route
        self._patterns: dict[str, list[tuple[re.Pattern[str], dict[str, HttpRoute]]]] = {}  # by first segment
        for path, methods in self._paths.items():
            named = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.replace(".", r"\."))
            pattern = re.compile(named.replace("<key>[^/]+", "<key>.+"))  # a key may have slashes in it
            self._patterns.setdefault(path.split("/")[1], []).append((pattern, methods))

    def find(self, method: str, path: str) -> tuple[HttpRoute, dict[str, str]]:
        """The route, and the parts of the path by name, as they were sent. Raises HttpProblem."""
        methods, parts = self._match(path)
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None or (method == "HEAD" and not route.readonly):
            allowed = allow(methods.values())
            raise HttpProblem(
                HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", f"{method} is not for this path: {allowed}",
                help="`/openapi.json` describes every request.", headers={"Allow": allowed},
            )  # fmt: skip
        return route, parts

    def allowed(self, path: str) -> str:
        """The methods of a path. Raises HttpProblem."""
        return allow(self._match(path)[0].values())

    def _match(self, path: str) -> tuple[dict[str, HttpRoute], dict[str, str]]:
        for pattern, methods in self._patterns.get(path.split("/", 2)[1] if path[:1] == "/" else "", ()):
            if match := pattern.fullmatch(path):
                return methods, match.groupdict()
        raise HttpProblem(
            HTTPStatus.NOT_FOUND, "not-found", f"there is nothing at {path[:64]}", help="`/openapi.json` has all paths."
        )


def allow(routes: Iterable[HttpRoute]) -> str:
    """The methods that a path has."""
    found = [route.method for route in routes]
    if any(route.readonly for route in routes):
        found.append("HEAD")
    return ", ".join(found)
