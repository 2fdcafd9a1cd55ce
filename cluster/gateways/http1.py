"""HTTP/1.1 for gateways: requests as they arrive, cut anywhere, and responses. No socket is touched here but through
the session, and nothing is said of what the requests mean.

httptools (llhttp) reads, strictly: two lengths, a bare line feed or a folded header end the connection. What it reads
is bounded here, each limit as soon as it is known to be passed. The requests of one connection are carried out one
after the other; while one is under way, the next is read and no more. A web page must not be able to speak to a
gateway, so a `Host` that is not this machine's and an `Origin` that is not the gateway's own are refused (RFC 9110
section 7.2; the second is what browsers send along). RFC 9112.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

import httptools
from msgspec import Struct

from cluster.env import Address
from cluster.gateways.listening import ListeningGateway
from cluster.gateways.session import GatewayRequest, GatewaySession

PIPELINED_MAX: Final = 32
"""Requests that came in one piece; hardly any client sends the next before the answer to the last."""
UNPROVEN_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of the bodies that all connections together send before any of them has proven who it is: a signature covers the
body, so it is checked last."""
READ_AHEAD_BYTES: Final = 64 * 1024
"""Of the next body, while a request is under way. Reading on shows the end of a client that no longer waits."""
LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
BODILESS: Final = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))
"""Statuses that no body follows, nor its length: a client would wait for it (RFC 9110 section 6.4.1)."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one request may have."""

    body_bytes: int
    target_bytes: int = 8 * 1024
    header_bytes: int = 16 * 1024
    headers: int = 64


class HttpError(Exception):
    """A request that cannot be read on: answered with `status`, and the connection is closed."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(slots=True)
class HttpRequest:
    """One request. Names of headers are in lower case; repeated ones are joined with commas (RFC 9110 section 5.3)."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    takes_chunks: bool = True
    """Whether a body may be sent whose length is not known before: not to HTTP/1.0."""

    @property
    def path(self) -> str:
        """The target without its query, as it was sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the question mark, as it was sent."""
        return self.target.partition("?")[2]


class HttpReader:
    """The requests of one connection: `feed` what came, then take requests with `next` until there are none."""

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._ready: deque[HttpRequest] = deque()
        self._error: HttpError | None = None
        self.awaits_continue = False
        """Whether the client sends the body only once it is told to."""
        self.held = 0
        """Bytes of the bodies that wait here."""
        self._unfinished_bytes = 0  # of a head, or of what goes round a body, that the parser keeps to itself
        self._got_on = False
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = self._header_count = 0
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._in_head = True

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a client that waits for an answer: a request, or a large part of one."""
        return bool(self._ready) or self._error is not None or self.held > READ_AHEAD_BYTES

    def feed(self, data: bytes) -> None:
        """More bytes. What is wrong with them comes out of `next`, behind the requests before it."""
        if self._error is not None:
            return
        self._got_on = False
        try:
            rest = self._parse(data)
            while rest:
                rest = self._parse(rest)
            self._unfinished_bytes = 0 if self._got_on else self._unfinished_bytes + len(data)
            if self._unfinished_bytes > self.limits.header_bytes + self.limits.target_bytes:
                self._head_too_long()
        except HttpError as error:
            self._error = error
        except httptools.HttpParserCallbackError as error:  # ours, from within
            cause = error.__context__
            self._error = cause if isinstance(cause, HttpError) else HttpError(HTTPStatus.BAD_REQUEST, str(error))
        except httptools.HttpParserError as error:
            self._error = HttpError(HTTPStatus.BAD_REQUEST, f"not a request of HTTP/1.1: {error}")

    def _parse(self, data: bytes) -> bytes:
        """Parse it; returns what is to be parsed next. An Upgrade is ignored (RFC 9110 section 7.8), but the parser
        stops behind such a head, before the body: a new one is given the head without the Upgrade."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            method, version = self._parser.get_method().decode("ascii"), self._parser.get_http_version()
            lines = [f"{method} {self._target.decode('latin-1')} HTTP/{version}"]
            lines += [f"{name}: {value}" for name, value in self._headers.items() if name != "upgrade"]
            self._parser = httptools.HttpRequestParser(self)
            self._begin()
            return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + data[stopped.args[0] :]
        return b""

    def next(self) -> HttpRequest | None:
        """The next whole request; None until more is fed. Raises HttpError, for good."""
        if self._ready:
            request = self._ready.popleft()
            self.held -= len(request.body)
            return request
        if self._error is not None:
            raise self._error
        return None

    # -- called by the parser

    def on_url(self, part: bytes) -> None:
        """A part of the target."""
        self._target += part
        if len(self._target) > self.limits.target_bytes:
            raise HttpError(HTTPStatus.REQUEST_URI_TOO_LONG, f"a target has at most {self.limits.target_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, whole."""
        self._header_bytes += len(name) + len(value)
        self._header_count += 1
        if self._header_bytes > self.limits.header_bytes or self._header_count > self.limits.headers:
            self._head_too_long()
        if not self._in_head:
            raise HttpError(HTTPStatus.BAD_REQUEST, "headers behind a body are not read here")
        title, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        there = self._headers.get(title)
        if there is not None and title == "host":
            raise HttpError(HTTPStatus.BAD_REQUEST, "a request has one Host")
        self._headers[title] = text if there is None else f"{there},{text}"

    def on_headers_complete(self) -> None:
        """The body comes next."""
        self._in_head = False
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            raise HttpError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 and 1.0 are spoken here")
        if self._parser.get_method() == b"CONNECT":
            raise HttpError(HTTPStatus.NOT_IMPLEMENTED, "no other protocol is spoken here")
        if self._headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise HttpError(HTTPStatus.NOT_IMPLEMENTED, "no transfer coding but chunked is read here")
        length = self._headers.get("content-length", "0")
        if int(length) > self.limits.body_bytes:
            self._too_long()
        expects = self._headers.get("expect", "").lower() == "100-continue"
        self.awaits_continue = expects and self._parser.get_http_version() == "1.1"

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self.awaits_continue, self._got_on = False, True
        self._body_bytes += len(part)
        self.held += len(part)
        if self._body_bytes > self.limits.body_bytes:
            self._too_long()
        self._chunks.append(part)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._parser.should_upgrade():
            return  # it stopped behind the head
        if len(self._ready) >= PIPELINED_MAX:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"at most {PIPELINED_MAX} requests come before the answers to them")
        self.awaits_continue, self._got_on = False, True
        self._ready.append(
            HttpRequest(
                self._parser.get_method().decode("ascii"),
                self._target.decode("latin-1"),
                self._headers,
                b"".join(self._chunks),
                self._parser.should_keep_alive(),
                self._parser.get_http_version() == "1.1",
            )
        )
        self._begin()

    def _head_too_long(self) -> None:
        what = f"a request has at most {self.limits.headers} headers of {self.limits.header_bytes} bytes together"
        raise HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, what)

    def _too_long(self) -> None:
        raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {self.limits.body_bytes} bytes")


def web_refusal(headers: Mapping[str, str], own: str) -> str:
    """Why a request is refused that a web page may have made its browser send; empty when it is none. `own` is the host
    that this node listens on."""
    host = headers.get("host", "").lower()
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name not in LOOPBACK and name != own:
        return f"the Host {host[:64]!r} is not this machine: use 127.0.0.1, as `dsectl env` prints it"
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
        return "requests of web pages are refused here"
    return ""


@lru_cache(1)
def _date(wall_s: int) -> str:
    return formatdate(wall_s, usegmt=True)


def encode_response(
    status: HTTPStatus,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    wall_s: float,
    keep_alive: bool,
    head: bool = False,
) -> bytes:
    """A response with its length, its date, and whether the connection goes on. `head`: the body is not sent along.
    Without a body it comes later, in chunks, or until the connection ends where that does not go on."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Date: {_date(int(wall_s))}"]
    if body is None:
        lines += ["Transfer-Encoding: chunked"] if keep_alive else []
    elif status not in BODILESS:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {' '.join(value.splitlines())}" for name, value in headers.items()]
    lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
    encoded = "\r\n".join([*lines, "\r\n"]).encode("latin-1", "backslashreplace")
    return encoded if body is None or head or status in BODILESS else encoded + body


class HttpSession(GatewaySession):
    """One connection. A protocol adds `handle`, which begins a request, and answers it with `respond`, once."""

    def __init__(self, gateway: ListeningGateway[Any], number: int, peer: Address, limits: HttpLimits) -> None:
        super().__init__(gateway, number, peer)
        self.reader = HttpReader(limits)
        self.current: HttpRequest | None = None
        """The request that is under way."""
        self.waits_for: GatewayRequest | None = None
        """What the node carries out for it; called off when the client goes away."""
        self._only_waits = True
        self._chunked: bool | None = None  # whether the body that is under way is sent in chunks; None: none is
        self._taken = 0  # bytes of parts that were sent on, and for which no credit has been given
        self._working = False

    # -- what a protocol adds

    def handle(self, request: HttpRequest) -> None:
        """Begin a request."""
        raise NotImplementedError

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer what never became a request of the protocol."""
        self.respond(status, {"Content-Type": "text/plain; charset=utf-8"}, f"{reason}\n".encode())

    def called_off(self) -> None:
        """Answer a request that only waited for something, since the node drains."""
        raise NotImplementedError

    # -- for it

    def carry_out(
        self,
        body: Struct,
        then: Callable[[Any], None],
        limit_s: float,
        *,
        trace: str = "",
        only_waits: bool = True,
        on_part: Callable[[bytes], None] | None = None,
    ) -> None:
        """Have the node carry out what answers the request under way; see `ListeningGateway.ask`. `then` is called also
        when the client has gone: see `ended`. `only_waits`: a node that drains may call it off, if nothing has come.
        `on_part` is called with what `send_part` may send."""
        request = self.current
        waits_for = self.gateway.ask(self, body, then, limit_s, trace, on_part)
        if self.current is request:
            self.waits_for, self._only_waits = waits_for, only_waits

    def respond(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes) -> None:
        """Answer the request that is under way."""
        request, self.current, self.waits_for = self.current, None, None
        keep_alive = request is not None and request.keep_alive and not self.gateway.draining and not self._closing
        wall_s = self.gateway.host.clock.wall()
        head = request is not None and request.method == "HEAD"
        self.send(encode_response(status, headers, body, wall_s=wall_s, keep_alive=keep_alive, head=head))
        if not keep_alive:
            self.close()
        if not self._working:
            self.gateway.mark(self)

    @property
    def has_begun(self) -> bool:
        """Whether a body is under way, so that neither status nor headers can be said any more."""
        return self._chunked is not None

    def send_part(self, status: HTTPStatus, headers: Mapping[str, str], part: bytes) -> None:
        """Send a part of a body whose length is not known; the first goes with status and headers. Whoever makes the
        parts gets credit for those that the client reads."""
        request = self.current
        if request is None:
            return
        if self._chunked is None:
            self._chunked = request.keep_alive and request.takes_chunks
            wall_s = self.gateway.host.clock.wall()
            self.send(encode_response(status, headers, None, wall_s=wall_s, keep_alive=self._chunked))
        if part:
            self.send(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)
            self._taken += len(part)
        self.gateway.mark(self)

    def end_parts(self, *, whole: bool = True) -> None:
        """That was all of the body. One that is not whole has no last chunk, or without chunks a broken connection: its
        client has the parts that were sent, and sees that others are missing."""
        if not whole and not self._chunked:
            self.abort()
            return
        if whole and self._chunked:
            self.send(b"0\r\n\r\n")
        if not whole or not self._chunked or self.gateway.draining:
            self.close()
        self.current, self.waits_for, self._chunked, self._taken = None, None, None, 0
        self.gateway.mark(self)

    # -- GatewaySession

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self.current is None

    def received(self, data: bytes) -> None:
        """Bytes came."""
        if self._closing:
            return
        self.reader.feed(data)
        if not self.proven and self.reader.held and self._too_much_unproven():
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too much is being sent without a proof: try again")
        if self.reader.awaits_continue and self.current is None:
            self.reader.awaits_continue = False
            self.send(CONTINUE)
        self.work()

    def _too_much_unproven(self) -> bool:
        held: int = sum(one.reader.held for one in self.gateway.sessions if not one.proven)
        return held > UNPROVEN_BYTES_MAX

    def work(self) -> None:
        """Begin what can begin, then write what is answered."""
        if self._working:
            return
        self._working = True
        try:
            while self._may_begin():
                request = self.reader.next()
                if request is None:
                    break
                self._begin(request)
        except HttpError as error:
            self.refuse(error.status, error.reason)
        finally:
            self._working = False
        self.write()
        if self._taken and not self._writes_paused and self.waits_for is not None:
            taken, self._taken = self._taken, 0
            self.waits_for.credit(taken)
        ahead = self.current is not None and self.reader.is_full
        self.settle(reads=not self._closing and not self._writes_paused and not ahead)

    def _may_begin(self) -> bool:
        return self.current is None and not self._closing and not self._writes_paused

    def _begin(self, request: HttpRequest) -> None:
        self.current = request
        host = self.gateway.host
        refusal = web_refusal(request.headers, host.address)
        if refusal:
            host.record(f"{self.gateway.name}.browser", refusal, peer=self.peer[0])
            self.close()
            self.refuse(HTTPStatus.FORBIDDEN, refusal)
        else:
            self.handle(request)

    def drain(self) -> None:
        """The node wants to let go of it: what only waits is called off."""
        super().drain()
        if self.waits_for is not None and self._only_waits and self.waits_for.cancel():
            self.called_off()

    def lost(self, reason: str) -> None:
        """The stream is over."""
        waits_for, self.waits_for, self.current = self.waits_for, None, None
        super().lost(reason)
        if waits_for is not None:
            waits_for.cancel()
