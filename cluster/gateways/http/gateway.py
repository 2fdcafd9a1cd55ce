"""One node's HTTP gateway: asks each request for the password, finds its route, reads its parameters, and answers.

A connection counts as proven from its first request with the password on; each request is checked all the same.
"""

from base64 import b64decode
from http import HTTPStatus
from typing import ClassVar, Final

from cluster.env import Address
from cluster.errors import ClusterError
from cluster.gateways.host import GatewayHost, GatewayPorts
from cluster.gateways.http import kv, openapi, queues, services
from cluster.gateways.http.call import HttpCall
from cluster.gateways.http.describing import Descriptions
from cluster.gateways.http.parameters import HEADER, read_all
from cluster.gateways.http.problems import STATUSES, HttpProblem, of_cluster
from cluster.gateways.http.routes import COMMON, IDEMPOTENCY_KEY, HttpRoute, RouteTable
from cluster.gateways.http1 import HttpLimits, HttpRequest, HttpSession, encode_response
from cluster.gateways.listening import ListeningGateway
from cluster.limits import VALUE_BYTES_MAX

LIMITS: Final = HttpLimits(body_bytes=VALUE_BYTES_MAX)
CHALLENGE: Final = 'Bearer realm="dsectl", Basic realm="dsectl", charset="UTF-8"'
TABLE: Final = RouteTable((*services.ROUTES, *kv.ROUTES, *queues.ROUTES, *openapi.ROUTES))
NOT_KEYED: Final = (
    "calls and writes with an Idempotency-Key are not offered: nothing here remembers keys across the death of a node; "
    "messages of queues take one"
)
CODES: Final = {status: code for code, status in reversed(STATUSES.items())}
"""What a request that could not be read is called, by its status."""


class HttpApiSession(HttpSession):
    """One connection of a client."""

    gateway: "HttpGateway"

    def handle(self, request: HttpRequest) -> None:
        """Begin a request."""
        try:
            if request.method == "OPTIONS":
                self._prove(request)
                allowed = {} if request.target == "*" else {"Allow": TABLE.allowed(request.path)}
                self.respond(HTTPStatus.NO_CONTENT, allowed, b"")
                return
            try:
                route, parts = TABLE.find(request.method, request.path)
            except HttpProblem:
                self._prove(request)  # without the password nobody learns which paths there are
                raise
            if not route.open:
                self._prove(request)
            self._check(route, request)
            values = read_all((*route.parameters, *COMMON), parts, request.query, request.headers)
            route.handler(HttpCall(self, request, values))
        except HttpProblem as problem:
            self.fail(problem)
        except ClusterError as error:
            self.fail(of_cluster(error))

    def _prove(self, request: HttpRequest) -> None:
        """Raise HttpProblem unless the request carries the password."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        password = given.strip().encode("latin-1", "replace")
        if scheme.lower() == "basic":
            try:
                password = b64decode(password, validate=True).partition(b":")[2]
            except ValueError:
                password = b""
        elif scheme.lower() != "bearer":
            password = b""
        if not self.gateway.check_password(password):
            what = "the password is wrong" if scheme else "the request has no password"
            raise HttpProblem(
                HTTPStatus.UNAUTHORIZED, "unauthorized", what, headers={"WWW-Authenticate": CHALLENGE},
                help="`dsectl env` prints it: send `Authorization: Bearer PASSWORD`, or Basic with any user.",
            )  # fmt: skip
        if not self.proven:
            self.prove()

    def _check(self, route: HttpRoute, request: HttpRequest) -> None:
        """Raise HttpProblem for a header that asks for what cannot be promised: else it would be ignored."""
        headers = request.headers
        keyed = any(one.name == IDEMPOTENCY_KEY and one.place == HEADER for one in route.parameters)
        if IDEMPOTENCY_KEY.lower() in headers and not keyed:
            raise HttpProblem(HTTPStatus.NOT_IMPLEMENTED, "not-offered", NOT_KEYED)
        if not route.readonly and "if-none-match" in headers:
            what = "a write cannot depend on the absence of a value: two writers may both see none"
            raise HttpProblem(HTTPStatus.NOT_IMPLEMENTED, "not-offered", what)

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer what never became a request."""
        self.fail(HttpProblem(status, CODES.get(status, "usage"), reason))

    def called_off(self) -> None:
        """Nothing was received."""
        self.respond(HTTPStatus.OK, *queues.NOTHING)

    def fail(self, problem: HttpProblem) -> None:
        """Answer the request under way with an error."""
        self.respond(problem.status, problem.headers(), problem.body())


class HttpGateway(ListeningGateway[HttpApiSession]):
    """See the module."""

    name: ClassVar[str] = "http"

    def __init__(self, host: GatewayHost, ports: GatewayPorts) -> None:
        super().__init__(host, ports)
        self.table = TABLE
        self.descriptions = Descriptions(self)

    @property
    def full(self) -> bytes:  # type: ignore[override]
        """Sent to a connection for which there is no place."""
        problem = HttpProblem(
            HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "this node has all the clients that it takes",
            help="Use another node, or keep fewer connections open.",
        )  # fmt: skip
        wall_s = self.host.clock.wall()
        return encode_response(problem.status, problem.headers(), problem.body(), wall_s=wall_s, keep_alive=False)

    def make_session(self, number: int, peer: Address) -> HttpApiSession:
        """A connection was accepted."""
        return HttpApiSession(self, number, peer, LIMITS)
