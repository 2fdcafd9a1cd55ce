"""Errors as HTTP has them: a status for each code, and a body by RFC 9457 that also says whether it is definite.

A definite error says that nothing was done, so repeating it is safe; one that is not says that it may have been.
"""

from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct, json

from cluster.errors import ClusterError

PROBLEM: Final = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
RETRY_AFTER_S: Final = 1
"""What a client is asked to wait before it repeats what may go better soon: elections, gossip and queues take less."""

STATUSES: Final = {
    "usage": HTTPStatus.BAD_REQUEST,
    "bad-context": HTTPStatus.PRECONDITION_FAILED,
    "too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "forbidden": HTTPStatus.FORBIDDEN,
    "not-found": HTTPStatus.NOT_FOUND,
    "exists": HTTPStatus.CONFLICT,
    "wrong-type": HTTPStatus.CONFLICT,
    "siblings": HTTPStatus.CONFLICT,
    "clock-full": HTTPStatus.CONFLICT,
    "lease-lost": HTTPStatus.CONFLICT,
    "queue-full": HTTPStatus.TOO_MANY_REQUESTS,
    "limit": HTTPStatus.SERVICE_UNAVAILABLE,
    "stale-layout": HTTPStatus.SERVICE_UNAVAILABLE,
    "unreachable": HTTPStatus.SERVICE_UNAVAILABLE,
    "no-quorum": HTTPStatus.SERVICE_UNAVAILABLE,
    "not-yet": HTTPStatus.SERVICE_UNAVAILABLE,
    "wrong-clock": HTTPStatus.SERVICE_UNAVAILABLE,
    "no-responders": HTTPStatus.SERVICE_UNAVAILABLE,
    "overloaded": HTTPStatus.SERVICE_UNAVAILABLE,
    "storage-full": HTTPStatus.SERVICE_UNAVAILABLE,
    "deadline": HTTPStatus.GATEWAY_TIMEOUT,
    "maybe": HTTPStatus.GATEWAY_TIMEOUT,
}
"""By code of an error; any other is 500."""
WAITS: Final = frozenset((HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE))
"""Statuses that come with Retry-After."""
HELP: Final = {
    "usage": "`/openapi.json` describes every request.",
    "not-found": "`GET /services` and `GET /kv` list services and keys, `dsectl queue list` the queues.",
    "too-large": "docs/limits.md has the limits: 1 KiB a key, 1 MiB a value, message or request.",
    "bad-context": "If-Match is the ETag of an answer to GET, PUT or DELETE of the same key.",
    "siblings": "GET the key, and PUT the merged value with its ETag as If-Match: that replaces the siblings.",
    "deadline": "Allow more time with the header Request-Timeout, in seconds.",
    "wrong-type": "DELETE the key, whatever it holds, or use a client that has counters and sets.",
    "lease-lost": "The message is delivered again; DELETE of its receipt works all the same.",
}
"""What helps a client of HTTP, where the error itself names options of the command line."""


class ProblemBody(Struct, omit_defaults=True):
    """RFC 9457, with what our errors have beyond it. `path` names the field or parameter that is wrong, as in `$.item`
    or `query.limit`; `error` and `fields` are the name and the fields of an error that the service declares."""

    title: str
    status: int
    detail: str
    code: str
    definite: bool
    help: str = ""
    path: str = ""
    error: str = ""
    fields: Any = None
    type: str = "about:blank"


class HttpProblem(Exception):
    """Answers a request with an error. `details` are the further fields of its body."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        definite: bool = True,
        help: str = "",
        headers: dict[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self._body = ProblemBody(status.phrase, status.value, message, code, definite, help, **details)
        self._headers = headers

    def headers(self) -> dict[str, str]:
        """What stands beside the body."""
        found = dict(PROBLEM)
        if self.status in WAITS:
            found["Retry-After"] = str(RETRY_AFTER_S)
        return found | (self._headers or {})

    def body(self) -> bytes:
        """The JSON of the answer."""
        return json.encode(self._body)


def invalid(path: str, message: str) -> HttpProblem:
    """A request that cannot be, since what `path` names is wrong."""
    return HttpProblem(HTTPStatus.BAD_REQUEST, "usage", f"{path}: {message}", help=HELP["usage"], path=path)


def of_cluster(error: ClusterError, **details: Any) -> HttpProblem:
    """The same as HTTP says it."""
    status = STATUSES.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    help = error.own_help or HELP.get(error.code, error.help)
    return HttpProblem(status, error.code, error.message, definite=error.definite, help=help, **details)
