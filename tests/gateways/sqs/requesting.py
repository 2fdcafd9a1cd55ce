"""The client's side of HTTP and of signatures, for tests that have no library of AWS."""

import hmac
from hashlib import sha256
from http import HTTPStatus
from typing import Any

import httptools
from msgspec import json

from cluster.gateways.http1 import HttpRequest
from cluster.gateways.sqs.signature import canonical

HOST = "127.0.0.1:9"
DAY, TIME, REGION = "20260301", "20260301T120000Z", "us-east-1"


def signed(request: HttpRequest, secret: str, service: str = "sqs") -> HttpRequest:
    """The request with the headers of a signature."""
    request.headers["x-amz-date"] = TIME
    names = sorted(request.headers)
    scope = f"{DAY}/{REGION}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{TIME}\n{scope}\n{sha256(canonical(request, names)).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (DAY, REGION, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = hmac.new(key, text.encode(), sha256).hexdigest()
    request.headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=me/{scope}, SignedHeaders={';'.join(names)}, Signature={proof}"
    )
    return request


def encoded(action: str, body: object, secret: str, **headers: str) -> bytes:
    """A signed request for an action of SQS, as it is sent. Bytes are a body as it is, anything else is JSON."""
    data = body if isinstance(body, bytes) else json.encode(body)
    head = {"host": HOST, "x-amz-target": f"AmazonSQS.{action}", **headers}
    request = signed(HttpRequest("POST", "/", head, data, True), secret)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(["POST / HTTP/1.1", *lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


class Response:
    """A response, read by the other half of httptools; `whole` once it is."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.data = b""
        self.whole = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """More of it."""
        assert not self.whole, data
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, part: bytes) -> None:
        self.data += part

    def on_message_complete(self) -> None:
        self.whole = True

    @property
    def status(self) -> HTTPStatus:
        """Its status."""
        return HTTPStatus(self._parser.get_status_code())

    @property
    def json(self) -> Any:
        """Its body."""
        return json.decode(self.data)

    @property
    def error(self) -> str:
        """The code by which programs catch it."""
        assert self.status != HTTPStatus.OK, self.data
        assert self.json["message"] and "#" in self.json["__type"]
        return self.headers["x-amzn-query-error"]
