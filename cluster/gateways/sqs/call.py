"""One action of SQS under way: what its client asks for, and the answer. Actions are in `queues` and `messages`."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import DecodeError, Struct, ValidationError, json

from cluster.errors import ClusterError
from cluster.gateways.http1 import HttpRequest
from cluster.gateways.listening import OPERATION_S
from cluster.gateways.sqs.attributes import ACCOUNT
from cluster.gateways.sqs.errors import SqsError, of_cluster

if TYPE_CHECKING:
    from cluster.gateways.sqs.gateway import SqsSession

JSON: Final = {"Content-Type": "application/x-amz-json-1.0"}
NOTHING: Final[dict[str, object]] = {}

R = TypeVar("R", bound=Struct)


class SqsCall:
    """One action under way, of a request that has been proven."""

    def __init__(self, session: "SqsSession", request: HttpRequest, region: str) -> None:
        self.session = session
        self.request = request
        self.host = session.gateway.host
        self.region = region

    @property
    def is_over(self) -> bool:
        """Whether it has been answered, or its client has gone: of several parts the first error answers."""
        return self.session.current is not self.request

    def read(self, type: type[R]) -> R:
        """The request. Raises SqsError."""
        try:
            return json.decode(self.request.body or b"{}", type=type, strict=False)
        except ValidationError as error:
            kind = "MissingParameter" if "missing required field" in str(error) else "InvalidParameterValue"
            raise SqsError(kind, str(error)) from None
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SqsError("SerializationException", f"the request is not JSON: {error}") from None

    def reply(self, body: object = NOTHING, headers: dict[str, str] | None = None) -> None:
        """Answer."""
        if not self.is_over:
            self.session.respond(HTTPStatus.OK, JSON | (headers or {}), json.encode(body))

    def fail(self, error: SqsError | ClusterError) -> None:
        """Answer with an error."""
        if not self.is_over:
            self.session.fail(of_cluster(error) if isinstance(error, ClusterError) else error)

    def ask(self, body: Struct, then: Callable[[Any], None], limit_s: float = OPERATION_S) -> None:
        """Have the node carry it out; an error ends the action."""
        self.session.carry_out(body, partial(self.answered, then), limit_s)

    def ask_node(self, what: str, arguments: dict[str, Any], then: Callable[[Any], None]) -> None:
        """Ask this node an admin query; an error ends the action."""
        self.session.gateway.ask_node(self.session, what, arguments, partial(self.answered, then))

    def ask_all(self, what: str, arguments: dict[str, Any], then: Callable[[dict[str, Any]], None]) -> None:
        """Ask all live nodes an admin query: `then` gets, by node, what those say that do in time."""
        self.session.gateway.ask_all(self.session, what, arguments, partial(self.answered, then))

    def answered(self, then: Callable[[Any], None], outcome: Any) -> None:
        """Go on with an answer, or end with an error."""
        if isinstance(outcome, ClusterError):
            self.fail(outcome)
            return
        try:
            then(outcome)
        except SqsError as error:
            self.fail(error)

    def name_of(self, url: str) -> str:
        """The queue that a URL, or a name alone, means. Raises SqsError."""
        name = url.rstrip("/").rpartition("/")[2]
        if name not in self.host.queues():
            raise SqsError("QueueDoesNotExist", f"no queue {name[:80]!r}: `dsectl queue list` lists the queues")
        return name

    def url_of(self, name: str) -> str:
        """Of a queue, by the Host that the client named."""
        return f"http://{self.request.headers['host']}/{ACCOUNT}/{name}"
