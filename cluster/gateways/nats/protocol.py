"""The client protocol of NATS, read without a socket: lines that end in CRLF, some of which announce a payload.

https://docs.nats.io/reference/reference-protocols/nats-protocol says what they are. `CommandReader` is fed bytes and
gives commands; the limits on them hold before anything is kept, so that a client that has not proven itself costs a
line at most. Headers are a block as in HTTP: `parse_headers` and `encode_headers` go between it and the text by text
that topics have; a name that comes several times has its values below each other.
"""

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from cluster.limits import HEADER_BYTES_MAX, VALUE_BYTES_MAX

LINE_BYTES_MAX = 4096
"""As in nats-server: of a command without its payload."""
HEADER_BLOCK_BYTES_MAX = 2 * HEADER_BYTES_MAX
"""Of headers as they come; topics count the text alone."""
HEADERS_BEGIN: Final = b"NATS/1.0"
CRLF: Final = b"\r\n"
NO_RESPONDERS: Final = b"NATS/1.0 503\r\n\r\n"


class NatsError(Exception):
    """What ends the connection: the text is that of nats-server's `-ERR`, which clients know."""


class Connect(Struct, gc=False):
    """What a client says of itself, and its password as `auth_token` or `pass`."""

    verbose: bool = False
    echo: bool = True
    headers: bool = False
    no_responders: bool = False
    protocol: int = 0
    name: str | None = None
    lang: str | None = None
    version: str | None = None
    auth_token: str | None = None
    user: str | None = None
    password: str | None = msgspec.field(default=None, name="pass")


class Pub(Struct, gc=False):
    """A message; `headers` is the block as it came, empty for none."""

    subject: str
    reply: str
    headers: bytes
    payload: bytes


class Sub(Struct, gc=False):
    """Deliver what matches under the number `sid`, which is the client's own text."""

    subject: str
    queue: str
    sid: str


class Unsub(Struct, gc=False):
    """End it, or (above 0) end it once so many messages were delivered."""

    sid: str
    max: int


class PingCommand(Struct, gc=False):
    """Answer once all before it is done."""


class PongCommand(Struct, gc=False):
    """An answer to a PING of ours."""


Command: TypeAlias = Connect | Pub | Sub | Unsub | PingCommand | PongCommand

UNKNOWN = "Unknown Protocol Operation"
PARSER = "Parser Error"
_PING, _PONG = PingCommand(), PongCommand()
_decode_connect = msgspec.json.Decoder(Connect, strict=False).decode


class CommandReader:
    """Bytes to commands. Raises NatsError, after which it must not be used."""

    def __init__(self) -> None:
        self.proven = False
        """Whether payloads are taken."""
        self._data = b""
        self._at = 0
        self._waiting: tuple[str, str, int, int] | None = None  # of a PUB: subject, reply, bytes of headers, and of all

    def feed(self, data: bytes) -> None:
        """More bytes."""
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def next(self) -> Command | None:
        """The next command, if it is whole. Raises NatsError."""
        if self._waiting is not None:
            return self._payload()
        while True:
            end = self._data.find(b"\n", self._at)
            if end < 0:
                if len(self._data) - self._at > LINE_BYTES_MAX:
                    raise NatsError("Maximum Control Line Exceeded")
                return None
            if end - self._at > LINE_BYTES_MAX:
                raise NatsError("Maximum Control Line Exceeded")
            line, self._at = self._data[self._at : end].rstrip(b"\r"), end + 1
            if not line:
                continue
            name, _, rest = line.partition(b" ")
            read = _READERS.get(name) or _READERS.get(name.upper())
            if read is None:
                if line[:4].upper() in (b"+OK", b"-ERR", b"INFO"):
                    continue  # nats-server takes what only servers say
                raise NatsError(UNKNOWN)
            try:
                command: Command | tuple[str, str, int, int] = read(rest)
            except (ValueError, RecursionError):  # of JSON, too, that cannot be read, or is nested too deeply
                raise NatsError(PARSER) from None
            if not isinstance(command, tuple):
                return command
            if not self.proven:
                raise NatsError("Authorization Violation")
            _, _, headers, size = command
            if size > VALUE_BYTES_MAX + headers or headers > HEADER_BLOCK_BYTES_MAX:
                raise NatsError("Maximum Payload Violation")
            self._waiting = command
            return self._payload()

    def _payload(self) -> Pub | None:
        assert self._waiting is not None
        subject, reply, headers, size = self._waiting
        data, at = self._data, self._at
        end = at + size
        if len(data) < end + 2:
            return None
        if data[end : end + 2] != CRLF:
            raise NatsError(PARSER)
        self._waiting, self._at = None, end + 2
        return Pub(subject, reply, data[at : at + headers], data[at + headers : end])


def _pub(rest: bytes) -> tuple[str, str, int, int]:
    words = rest.split()
    if not 2 <= len(words) <= 3:
        raise ValueError("PUB subject [reply] size")
    return words[0].decode(), words[1].decode() if len(words) == 3 else "", 0, _size(words[-1])


def _hpub(rest: bytes) -> tuple[str, str, int, int]:
    words = rest.split()
    if not 3 <= len(words) <= 4:
        raise ValueError("HPUB subject [reply] header-size size")
    headers, size = _size(words[-2]), _size(words[-1])
    if headers > size:
        raise ValueError("more headers than all")
    return words[0].decode(), words[1].decode() if len(words) == 4 else "", headers, size


def _sub(rest: bytes) -> Sub:
    words = rest.decode().split()
    if not 2 <= len(words) <= 3:
        raise ValueError("SUB subject [queue] sid")
    return Sub(words[0], words[1] if len(words) == 3 else "", words[-1])


def _unsub(rest: bytes) -> Unsub:
    words = rest.decode().split()
    if not 1 <= len(words) <= 2:
        raise ValueError("UNSUB sid [max]")
    return Unsub(words[0], _size(words[1].encode()) if len(words) == 2 else 0)


def _size(word: bytes) -> int:
    if not word.isdigit() or len(word) > 9:
        raise ValueError("no size")
    return int(word)


_READERS: Final[dict[bytes, Any]] = {
    b"PUB": _pub,
    b"HPUB": _hpub,
    b"SUB": _sub,
    b"UNSUB": _unsub,
    b"CONNECT": _decode_connect,
    b"PING": lambda rest: _PING,
    b"PONG": lambda rest: _PONG,
}


def parse_headers(block: bytes) -> dict[str, str]:
    """The headers of a message. Raises NatsError for what is none."""
    lines = block.split(CRLF)
    if not lines[0].startswith(HEADERS_BEGIN) or lines[-2:] != [b"", b""]:
        raise NatsError(PARSER)
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(b":")
        if not name or not colon:
            raise NatsError(PARSER)
        text, before = value.decode(errors="replace").strip(), headers.get(name.decode(errors="replace"))
        headers[name.decode(errors="replace")] = text if before is None else f"{before}\n{text}"
    return headers


def encode_headers(headers: dict[str, str]) -> bytes:
    """Text by text as a block. What would break its lines is left out: topics take any text."""
    lines = [HEADERS_BEGIN]
    for name, value in headers.items():
        if name and name.isprintable() and ":" not in name:
            lines += [f"{name}: {line}".encode(errors="replace") for line in value.splitlines() or [""]]
    return b"\r\n".join([*lines, b"", b""])


def encode_message(subject: str, sid: str, reply: str, headers: bytes, payload: bytes) -> bytes:
    """MSG, or with headers HMSG."""
    to = f"{subject} {sid} {reply} " if reply else f"{subject} {sid} "
    if headers:
        size = len(headers)
        return b"HMSG %b%d %d\r\n%b%b\r\n" % (to.encode(), size, size + len(payload), headers, payload)
    return b"MSG %b%d\r\n%b\r\n" % (to.encode(), len(payload), payload)
