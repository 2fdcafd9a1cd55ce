"""The OpenAPI 3.1 document of all that the gateway answers: the fixed routes, and each operation of each service."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, get_args

from msgspec import Struct
from msgspec import json as msgspec_json

from cluster.gateways.http.call import HttpCall
from cluster.gateways.http.describing import Description
from cluster.gateways.http.problems import WAITS, ProblemBody
from cluster.gateways.http.routes import COMMON, ETAG, HttpReply, HttpRoute
from cluster.gateways.http.services import ATTEMPTS, NODE, OPTIONS
from cluster.requests.description import openapi_parts

SCHEMAS: Final = "#/components/schemas/"
EVERY: Final = (400, 401, 403, 414, 431, 500, 503, 504)
"""Statuses of problems that any route may answer with."""
OF_SERVICES: Final = (404, 406, 413, 415)
HEADERS: Final = {
    ETAG: "The context, in quotation marks.",
    NODE: "The node that ran it.",
    ATTEMPTS: "How many endpoints were tried.",
}
REASONS: Final = {
    400: "The request is wrong: `path` names what.",
    401: "No password, or a wrong one.",
    403: "From a web page of another origin, or for another host.",
    404: "It does not exist.",
    406: "A stream of more than 1 MiB, without `Accept: application/jsonl`.",
    409: "What is there does not allow it: siblings at their limit, a value of another kind, a lease that has ended.",
    412: "If-Match is no ETag of this key.",
    413: "Over a limit.",
    414: "A target of more than 8 KiB.",
    415: "The body is not JSON.",
    422: "An error that the service declares.",
    429: "The queue is full.",
    431: "More than 64 headers, or 16 KiB of them.",
    500: "An error that nobody expected.",
    503: "Surely not done, and may go better soon: no quorum, no responders, overloaded.",
    504: "The time is over. Unless `definite` is true, it may have been done.",
}


class Health(Struct):
    """A node that takes requests."""

    node: str
    cluster: str


def health(call: HttpCall) -> None:
    """This node takes requests."""
    host = call.gateway.host
    call.json(Health(host.node, host.cluster))


def openapi(call: HttpCall) -> None:
    """The document; services are those that this node sees."""

    def described(found: dict[str, Description | None]) -> None:
        gateway = call.gateway
        server = f"http://{call.request.headers['host']}"
        call.json(document(gateway.table.routes, found, server, gateway.host.view.entry.n))

    call.gateway.descriptions.find(call.session, described)


def document(
    routes: Iterable[HttpRoute], services: Mapping[str, Description | None], server: str, copies: int
) -> dict[str, Any]:
    """The document. `services`: None where no node says what it is. `copies`: of each key. Pure."""
    shown = [route for route in routes if route.shown]
    paths: dict[str, dict[str, Any]] = {}
    types = [one for route in shown for reply in route.replies.values() for one in _types(reply)]
    schemas = dict(msgspec_json.schema_components([ProblemBody, *types], ref_template=f"{SCHEMAS}{{name}}")[1])
    silent = []
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _route(route, copies)
    for name, description in services.items():
        if description is None:
            silent.append(name)
            continue
        operations, its_schemas = openapi_parts(description)
        for methods in operations.values():
            operation = methods["post"]
            operation["parameters"] = [one.describe(copies) for one in (*OPTIONS, *COMMON)]
            operation["responses"]["200"]["headers"] = {title: _header(title) for title in (NODE, ATTEMPTS)}
            operation["responses"] |= _problems(OF_SERVICES)
        paths |= operations
        schemas |= its_schemas
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dsectl",
            "version": "1",
            "description": "Services, keys and queues of one cluster. An error that is `definite` did nothing.",
            **({"x-services-not-described": silent} if silent else {}),
        },
        "servers": [{"url": server}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {f"Problem{status}": _problem(status) for status in REASONS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _types(reply: HttpReply) -> list[type[Struct]]:
    options = get_args(reply.type) or (reply.type,)
    return [one for one in options if isinstance(one, type) and issubclass(one, Struct)]


def _route(route: HttpRoute, copies: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": route.id,
        "summary": route.summary,
        "tags": [route.id.partition(".")[0]],
        "parameters": [one.describe(copies) for one in (*route.parameters, *COMMON)],
        "responses": {str(status): _reply(reply) for status, reply in route.replies.items()}
        | _problems(route.problems),
    }
    if route.open:
        described["security"] = []
    if route.body:
        described["requestBody"] = {"description": route.body, "content": {"application/octet-stream": {}}}
    return described


def _reply(reply: HttpReply) -> dict[str, Any]:
    types = [{"$ref": f"{SCHEMAS}{one.__name__}"} for one in _types(reply)]
    content: dict[str, Any] = {}
    if types:
        content["application/json"] = {"schema": types[0] if len(types) == 1 else {"anyOf": types}}
    if type(None) in get_args(reply.type):
        content["application/octet-stream"] = {}
    return {
        "description": reply.summary,
        **({"content": content} if content else {}),
        **({"headers": {name: _header(name) for name in reply.headers}} if reply.headers else {}),
    }


def _header(name: str) -> dict[str, Any]:
    return {"description": HEADERS[name], "schema": {"type": "string"}}


def _problems(statuses: Iterable[int]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in (*statuses, *EVERY)}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": f"{SCHEMAS}{ProblemBody.__name__}"}
    described = {"description": REASONS[status], "content": {"application/problem+json": {"schema": schema}}}
    if HTTPStatus(status) in WAITS:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described


ROUTES: Final = (
    HttpRoute(
        "GET", "/openapi.json", openapi, "openapi", "This document.",
        replies={200: HttpReply("The document.", dict[str, Any])}, readonly=True,
    ),
    HttpRoute(
        "GET", "/health", health, "health", "Whether the node takes requests; without a password.",
        replies={200: HttpReply("It does.", Health)}, open=True, readonly=True,
    ),
)  # fmt: skip
