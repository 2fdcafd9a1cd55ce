"""One request of HTTP under way: its parameters, what its handler has the node do, and the answer."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, json

from cluster.errors import ClusterError
from cluster.gateways.http.problems import HttpProblem, of_cluster
from cluster.gateways.http.routes import REQUEST_TIMEOUT, TRACEPARENT
from cluster.gateways.http1 import HttpRequest
from cluster.wire.frames import trace_id

if TYPE_CHECKING:
    from cluster.gateways.http.gateway import HttpApiSession, HttpGateway

JSON: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}
BYTES: Final = {"Content-Type": "application/octet-stream", "Cache-Control": "no-store"}
SAMPLED: Final = 1
"""The flag of a traceparent whose operation is to be recorded."""


class Base64(Struct):
    """Bytes that are not text."""

    base64: str


Value = str | Base64
"""A value in JSON."""


def as_value(data: bytes) -> Value:
    """A value as JSON has it: text, or base64 where it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Base64(b64encode(data).decode())


class HttpCall:
    """One request under way, of a client that has given the password. `values` are its parameters, by name."""

    __slots__ = ("gateway", "request", "session", "values")

    def __init__(self, session: "HttpApiSession", request: HttpRequest, values: dict[str, Any]) -> None:
        self.session = session
        self.gateway: HttpGateway = session.gateway
        self.request = request
        self.values = values

    @property
    def is_over(self) -> bool:
        """Whether it has been answered, or its client has gone."""
        return self.session.current is not self.request

    @property
    def limit_s(self) -> float:
        """How long it may take."""
        return float(self.values[REQUEST_TIMEOUT.name])

    @property
    def trace(self) -> str:
        """The traceparent to go on with; empty where there is none, or it is not sampled: a bad one is as none."""
        given: str = self.values[TRACEPARENT.name] or ""
        return given if trace_id(given) and int(given[-2:], 16) & SAMPLED else ""

    def ask(
        self, body: Struct, then: Callable[[Any], None], limit_s: float | None = None, *, only_waits: bool = False
    ) -> None:
        """Have the node carry it out; an error ends the request."""
        self.attempt(body, partial(self.answered, then), limit_s, only_waits=only_waits)

    def attempt(
        self,
        body: Struct,
        then: Callable[[Any], None],
        limit_s: float | None = None,
        *,
        only_waits: bool = False,
        on_part: Callable[[bytes], None] | None = None,
    ) -> None:
        """Have the node carry it out; `then` gets the answer or the error. See `HttpSession.carry_out`."""
        seconds = self.limit_s if limit_s is None else limit_s
        self.session.carry_out(body, then, seconds, trace=self.trace, only_waits=only_waits, on_part=on_part)

    def answered(self, then: Callable[[Any], None], outcome: Any) -> None:
        """Go on with an answer, or end with an error."""
        if isinstance(outcome, ClusterError):
            self.fail(outcome)
            return
        try:
            then(outcome)
        except (HttpProblem, ClusterError) as error:
            self.fail(error)

    def reply(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes) -> None:
        """Answer."""
        if not self.is_over:
            self.session.respond(status, headers, body)

    def json(self, body: object, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> None:
        """Answer with JSON."""
        self.reply(status, JSON | headers if headers else JSON, json.encode(body))

    def fail(self, error: HttpProblem | ClusterError) -> None:
        """Answer with an error."""
        if not self.is_over:
            self.session.fail(of_cluster(error) if isinstance(error, ClusterError) else error)
