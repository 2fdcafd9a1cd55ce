"""Services over HTTP: an operation is a POST of its JSON, whichever node has it."""

import re
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from cluster.errors import ClusterError, NotFound, ServiceError, Usage
from cluster.gateways.http.call import JSON, HttpCall
from cluster.gateways.http.parameters import HEADER, PATH, PRINTABLE, PRINTABLE_FORM, Parameter
from cluster.gateways.http.problems import HttpProblem, of_cluster
from cluster.gateways.http.routes import HttpReply, HttpRoute
from cluster.limits import NAME_BYTES_MAX, VALUE_BYTES_MAX
from cluster.requests.declared import error_message
from cluster.requests.description import JSON_LINES
from cluster.wire.requests import Call, CallDone

NODE, ENDPOINT, VERSION, ATTEMPTS = "Dsectl-Node", "Dsectl-Endpoint", "Dsectl-Version", "Dsectl-Attempts"
LOW: Final = "low"
ROWS: Final = {"Content-Type": JSON_LINES, "Cache-Control": "no-store"}
"""Of the replies of an operation that streams, one a line."""
_CONTENT_TYPE: Final = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)
_PLACE: Final = re.compile(r"\brequest((?:\.[^\s.:\[]+|\[[^\]]*\])*)")
"""How a service names the field that is wrong."""


class ServiceLine(Struct):
    """A service: its versions, and how many of its endpoints can be called, as this node sees them."""

    service: str
    versions: list[int]
    ready: int
    endpoints: int


class Services(Struct):
    """All services."""

    services: list[ServiceLine]


def call_service(call: HttpCall) -> None:
    """Call an operation."""
    values, request = call.values, call.request
    if request.body:
        given = request.headers.get("content-type", "application/json")
        if not _CONTENT_TYPE.fullmatch(given):
            raise HttpProblem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", f"the body is JSON, not {given[:64]}",
                help="Send `Content-Type: application/json`; `curl --json` does.",
            )  # fmt: skip
    service, only = values["service"], values[ONLY.name]
    endpoints = call.gateway.host.registry.endpoints(service) if only else ()
    if only and not any(only in (one.name, one.node) for one in endpoints):
        raise NotFound(f"{service} has no endpoint {only}")
    rows = JSON_LINES in request.headers.get("accept", "")
    body = Call(
        service, values["operation"], request.body or b"{}", values[KEY.name], only=only,
        version=values[VERSION], priority=int(values[PRIORITY.name] == LOW),
        hedge=values[HEDGE.name], stream=True,
    )  # fmt: skip

    def more(part: bytes) -> None:
        if not call.is_over:
            call.session.send_part(HTTPStatus.OK, ROWS, part)

    def called(outcome: CallDone | ClusterError) -> None:
        if call.is_over:
            return
        waits_for = call.session.waits_for
        if call.session.has_begun:
            _end(call, outcome)
        elif waits_for is not None and waits_for.is_too_long:
            what = f"the rows have more than {VALUE_BYTES_MAX} bytes"
            help = f"With `Accept: {JSON_LINES}` they are sent as they are made."
            call.fail(HttpProblem(HTTPStatus.NOT_ACCEPTABLE, "not-acceptable", what, definite=False, help=help))
        elif isinstance(outcome, Usage):
            place = _PLACE.search(outcome.message)
            call.fail(of_cluster(outcome, path=f"${place[1]}" if place else ""))
        elif isinstance(outcome, ClusterError):
            call.fail(outcome)
        else:
            _answer(call, outcome)

    call.attempt(body, called, on_part=more if rows else None)


def _end(call: HttpCall, outcome: CallDone | ClusterError) -> None:
    """The last rows; an error leaves the body without its end, so that its client does not take it for whole."""
    whole = isinstance(outcome, CallDone) and not outcome.error
    if isinstance(outcome, CallDone) and whole:
        call.session.send_part(HTTPStatus.OK, ROWS, outcome.payload)
    call.session.end_parts(whole=whole)


def _answer(call: HttpCall, done: CallDone) -> None:
    headers = {NODE: done.node, ATTEMPTS: str(done.attempts)}
    if done.endpoint:
        headers[ENDPOINT] = done.endpoint
    if done.version:
        headers[VERSION] = str(done.version)
    if not done.error:
        call.reply(HTTPStatus.OK, (JSON if done.replies is None else ROWS) | headers, done.payload)
        return
    message, fields = error_message(done.payload)
    call.fail(
        HttpProblem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            ServiceError.code,
            message or done.error,
            definite=ServiceError.definite,
            help=f"The service declares this error: {done.error}.",
            headers=headers,
            error=done.error,
            fields=fields,
        )
    )


def list_services(call: HttpCall) -> None:
    """All services, as this node sees them."""
    registry = call.gateway.host.registry
    found = []
    for name in registry.services():
        endpoints = registry.endpoints(name)
        versions = sorted({one.version for one in endpoints})
        found.append(ServiceLine(name, versions, sum(one.state == "ready" for one in endpoints), len(endpoints)))
    call.json(Services(found))


KEY: Final = Parameter(
    "Dsectl-Key", HEADER, "Calls with the same key go to the same endpoint, as long as it is well.", default="",
    bytes_max=256, pattern=PRINTABLE, form=PRINTABLE_FORM,
)  # fmt: skip
ONLY: Final = Parameter(
    "Dsectl-Only",
    HEADER,
    "This node, or endpoint, and no other.",
    default="",
    bytes_max=64,
    pattern="^[a-z0-9/-]+$",
    form="the name of a node or endpoint, as n2 or n2/1",
)
PRIORITY: Final = Parameter(
    "Dsectl-Priority", HEADER, "What is low is shed first.", default="normal", values=("normal", LOW)
)
HEDGE: Final = Parameter(
    "Dsectl-Hedge", HEADER, "Have a slow call of a readonly operation made at a second endpoint, too.", "boolean",
    default=False,
)  # fmt: skip
OF_VERSION: Final = Parameter(
    VERSION, HEADER, "This version of the service alone; 0: any.", "integer", default=0, low=0, high=2**31 - 1
)
OPTIONS: Final = (KEY, PRIORITY, OF_VERSION, ONLY, HEDGE)
"""What a call of any operation may say."""
ROUTES: Final = (
    HttpRoute(
        "POST", "/services/{service}/{operation}", call_service, "services.call", "Call an operation of a service.",
        (Parameter("service", PATH, "The name of the service.", bytes_max=NAME_BYTES_MAX),
         Parameter("operation", PATH, "The name of the operation.", bytes_max=NAME_BYTES_MAX), *OPTIONS),
        shown=False,
    ),
    HttpRoute(
        "GET", "/services", list_services, "services.list", "List the services.",
        replies={200: HttpReply("The services, as this node sees them.", Services)}, readonly=True,
    ),
)  # fmt: skip
