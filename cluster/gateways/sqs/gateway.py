"""One node's SQS gateway: proves each request by its signature, finds its action, and answers.

A connection counts as proven from its first request with a good signature on; each request is checked all the same.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Final

from cluster.env import Address
from cluster.errors import ClusterError
from cluster.gateways.host import GatewayHost, GatewayPorts
from cluster.gateways.http1 import HttpLimits, HttpRequest, HttpSession, encode_response
from cluster.gateways.listening import ListeningGateway
from cluster.gateways.sqs.actions import ACTIONS, UNSUPPORTED
from cluster.gateways.sqs.call import JSON, SqsCall
from cluster.gateways.sqs.errors import SqsError, of_cluster
from cluster.gateways.sqs.signature import BadSignature, Verifier
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.handshake import LANE_CONTROL

LIMITS: Final = HttpLimits(body_bytes=4 * 1024 * 1024)
"""A message of 1 MiB, of which most characters need an escape in JSON."""
TARGET: Final = "AmazonSQS."
COUNT_S: Final = 1.0
"""For the nodes to say how many messages they hold."""


class SqsSession(HttpSession):
    """One connection of a client."""

    gateway: "SqsGateway"

    def handle(self, request: HttpRequest) -> None:
        """Begin a request."""
        try:
            if request.method != "POST":
                self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "SQS is spoken here: requests are POST")
                return
            signer = self.gateway.verifier.check(request)
            if not self.proven:
                self.prove()
            target = request.headers.get("x-amz-target", "")
            action = ACTIONS.get(target.removeprefix(TARGET)) if target.startswith(TARGET) else None
            if action is None:
                raise _unknown(target, request.body)
            action(SqsCall(self, request, signer.region))
        except BadSignature as error:
            self.fail(SqsError(error.code, str(error), HTTPStatus.FORBIDDEN))
        except SqsError as error:
            self.fail(error)
        except ClusterError as error:
            self.fail(of_cluster(error))

    def called_off(self) -> None:
        """Nothing was received."""
        self.respond(HTTPStatus.OK, JSON, b"{}")

    def fail(self, error: SqsError) -> None:
        """Answer the request under way with an error."""
        self.respond(error.status, JSON | error.headers(), error.body())


def _unknown(target: str, body: bytes) -> SqsError:
    name = target.removeprefix(TARGET)[:64]
    if name in UNSUPPORTED:
        return SqsError("UnsupportedOperation", f"{name} is not offered: {UNSUPPORTED[name]}")
    if not name and (body.startswith(b"Action=") or b"&Action=" in body[:4096]):
        return SqsError("InvalidAction", "the query protocol is not spoken here: use boto3 1.28.82 or newer")
    return SqsError("InvalidAction", f"no action {name!r}" if name else "no action is named by X-Amz-Target")


class SqsGateway(ListeningGateway[SqsSession]):
    """See the module."""

    name: ClassVar[str] = "sqs"

    def __init__(self, host: GatewayHost, ports: GatewayPorts) -> None:
        super().__init__(host, ports)
        self.verifier = Verifier(host.password, "sqs")

    @property
    def full(self) -> bytes:  # type: ignore[override]
        """Sent to a connection for which there is no place."""
        reason = "this node has all the clients that it takes"
        error = SqsError("ServiceUnavailable", reason, HTTPStatus.SERVICE_UNAVAILABLE)
        wall_s = self.host.clock.wall()
        head: dict[str, Any] = JSON | error.headers()
        return encode_response(error.status, head, error.body(), wall_s=wall_s, keep_alive=False)

    def make_session(self, number: int, peer: Address) -> SqsSession:
        """A connection was accepted."""
        return SqsSession(self, number, peer, LIMITS)

    # -- what only admin queries answer

    def ask_all(
        self, session: SqsSession, what: str, arguments: dict[str, Any], then: Callable[[dict[str, Any]], None]
    ) -> None:
        """Have all live nodes answer one: `then` gets, by node, what those say that do in time."""
        others = [name for name in self.host.alive() if name != self.host.node]
        said: dict[str, Any] = {}
        left = 1 + len(others)

        def heard(name: str, outcome: Any) -> None:
            nonlocal left
            left -= 1
            if not isinstance(outcome, ClusterError):
                said[name] = outcome.value if isinstance(outcome, AdminAnswer) else outcome
            if not left:
                then(said)

        if others:
            deadline = self.host.clock.now() + COUNT_S
            query = AdminQuery(what, arguments)
            self.host.messenger.request(others, query, deadline, heard, LANE_CONTROL)
        self.ask_node(session, what, arguments, partial(heard, self.host.node), COUNT_S)
