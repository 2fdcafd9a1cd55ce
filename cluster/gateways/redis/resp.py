"""The Redis protocol without a socket: requests as they arrive, cut anywhere, and replies in RESP2 or RESP3.

A request is an array of bulk strings, or one line of words (*inline*, as typed into telnet). The reader holds what was
sent and not yet asked for, and nothing for what was only announced: `*500000000` is refused by its number. Every limit
is checked when a length is read, before what it announces. https://redis.io/docs/latest/develop/reference/protocol-spec
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cluster.limits import FRAME_BYTES_MAX, VALUE_BYTES_MAX

HEADER_BYTES_MAX = 32
"""Of a line that announces a length: a sign, the digits of the longest one, and more than a line end."""
CR, LF, ARRAY, BULK = 13, 10, 42, 36
ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "a": b"\a"}


class RespError(Exception):
    """The stream cannot be read on: answered, and then the connection is closed."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may have."""

    words: int
    word_bytes: int
    request_bytes: int
    line_bytes: int
    """Of an inline request."""


UNPROVEN_LIMITS = RequestLimits(words=10, word_bytes=1024, request_bytes=4096, line_bytes=4096)
"""Before the password: enough for `HELLO 3 AUTH default PASSWORD SETNAME name`."""
PROVEN_LIMITS = RequestLimits(
    words=16 * 1024, word_bytes=VALUE_BYTES_MAX, request_bytes=FRAME_BYTES_MAX, line_bytes=64 * 1024
)


class RequestReader:
    """The requests of one connection: `feed` what came, then take requests with `next` until there are none."""

    __slots__ = ("_buffer", "_chunks", "_held", "_left", "_need", "_pos", "_size", "_words", "limits")

    def __init__(self, limits: RequestLimits) -> None:
        self.limits = limits
        """May be replaced between two requests."""
        self._buffer = b""
        self._pos = 0
        self._words: list[bytes] = []  # of the request that is being read
        self._left = 0  # how many more it has
        self._size = 0  # their bytes so far
        self._need = 0  # bytes of the word that is being read and its line end, once more than the buffer has
        self._chunks: list[bytes] = []  # of that word: joined once, however many there are
        self._held = 0

    def feed(self, data: bytes) -> None:
        """More bytes."""
        if self._need:
            self._chunks.append(data)
            self._held += len(data)
            if self._held < self._need:
                return
            data = b"".join(self._chunks)
            self._chunks, self._held, self._need = [], 0, 0
        elif self._pos < len(self._buffer):
            data = self._buffer[self._pos :] + data
        self._buffer, self._pos = data, 0

    def next(self) -> list[bytes] | None:
        """The next whole request, at least one word; None until more is fed. Raises RespError, for good."""
        buffer, limits = self._buffer, self.limits
        while not self._left:
            if self._pos >= len(buffer):
                return None
            if buffer[self._pos] != ARRAY:
                words = self._inline()
                if words is None or words:
                    return words
                continue  # an empty line is nothing
            count = self._length("multibulk length")
            if count is None:
                return None
            if count > limits.words:
                raise RespError(f"Protocol error: invalid multibulk length: a request has at most {limits.words} words")
            self._left, self._size, self._words = max(count, 0), 0, []
        while self._left:
            pos = self._pos
            if pos >= len(buffer):
                return None
            if buffer[pos] != BULK:
                raise RespError(f"Protocol error: expected '$', got {chr(buffer[pos])!r}")
            length = self._length("bulk length")
            if length is None:
                return None
            if not 0 <= length <= limits.word_bytes:
                raise RespError(f"Protocol error: invalid bulk length: at most {limits.word_bytes} bytes")
            if self._size + length > limits.request_bytes:
                raise RespError(f"Protocol error: a request has at most {limits.request_bytes} bytes")
            end = self._pos + length
            if end + 2 > len(buffer):
                # The line with the length is read again with the whole word, which is simpler than a state for it.
                self._chunks, self._held, self._need = [buffer[pos:]], len(buffer) - pos, end + 2 - pos
                self._buffer, self._pos = b"", 0
                return None
            if buffer[end] != CR or buffer[end + 1] != LF:
                raise RespError("Protocol error: a bulk string is longer than it said")
            self._words.append(buffer[self._pos : end])
            self._size += length
            self._left -= 1
            self._pos = end + 2
        return self._words

    def _length(self, what: str) -> int | None:
        """The number on the line that begins here, and go behind it; None while the line is not whole."""
        begin, buffer = self._pos, self._buffer
        end = buffer.find(b"\r\n", begin, begin + HEADER_BYTES_MAX)
        if end < 0:
            if len(buffer) - begin >= HEADER_BYTES_MAX:
                raise RespError(f"Protocol error: invalid {what}")
            return None
        digits = buffer[begin + 1 : end]
        if not digits.isdigit() and digits != b"-1":
            raise RespError(f"Protocol error: invalid {what}")
        self._pos = end + 2
        return int(digits)

    def _inline(self) -> list[bytes] | None:
        begin, most = self._pos, self.limits.line_bytes
        end = self._buffer.find(b"\n", begin, begin + most)
        if end < 0:
            if len(self._buffer) - begin >= most:
                raise RespError("Protocol error: too big inline request")
            return None
        self._pos = end + 1
        words = split_line(self._buffer[begin:end].rstrip(b"\r"))
        if len(words) > self.limits.words:
            raise RespError(f"Protocol error: a request has at most {self.limits.words} words")
        return words


def split_line(line: bytes) -> list[bytes]:
    """The words of an inline request, quoted as in redis-cli. Raises RespError for quotes that do not match."""
    words: list[bytes] = []
    pos, size = 0, len(line)
    while True:
        while pos < size and line[pos : pos + 1].isspace():
            pos += 1
        if pos >= size:
            return words
        word, quote = bytearray(), b""
        while pos < size:
            char = line[pos : pos + 1]
            if quote:
                if char == b"\\" and quote == b'"' and pos + 1 < size:
                    escape = line[pos + 1 : pos + 2].decode("latin-1")
                    code = line[pos + 2 : pos + 4]
                    if (
                        escape == "x"
                        and len(code) == 2
                        and all(chr(digit) in "0123456789abcdefABCDEF" for digit in code)
                    ):
                        word.append(int(code, 16))
                        pos += 2
                    else:
                        word += ESCAPES.get(escape, escape.encode("latin-1"))
                    pos += 1
                elif char == b"\\" and line[pos + 1 : pos + 2] == b"'":
                    word += b"'"
                    pos += 1
                elif char == quote:
                    pos += 1
                    if pos < size and not line[pos : pos + 1].isspace():
                        raise RespError("Protocol error: unbalanced quotes in request")
                    quote = b""
                    break
                else:
                    word += char
            elif char.isspace():
                break
            elif char in (b'"', b"'"):
                quote = char
            else:
                word += char
            pos += 1
        if quote:
            raise RespError("Protocol error: unbalanced quotes in request")
        words.append(bytes(word))


# -- replies


class Simple(str):
    """A reply that is a status, `+OK`."""

    __slots__ = ()


class Members(list["Reply"]):
    """An unordered collection: a set in RESP3, an array in RESP2."""


class Push(list["Reply"]):
    """Sent without being asked for: a push in RESP3, an array in RESP2."""


class ErrorReply(str):
    """An error, whose first word is its kind: `ERR`, `WRONGTYPE`, `MAYBE`."""

    __slots__ = ()


Reply: TypeAlias = "bool | int | str | bytes | Iterable[Reply] | Mapping[str, Reply] | None"

OK = b"+OK\r\n"
RESP2, RESP3 = 2, 3


def encode(value: Reply, protocol: int) -> bytes:
    """One reply."""
    match value:
        case None:
            return b"_\r\n" if protocol == RESP3 else b"$-1\r\n"
        case bool():
            return (b"#t\r\n" if value else b"#f\r\n") if protocol == RESP3 else b":%d\r\n" % value
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case Simple():
            return b"+%b\r\n" % _line(value)
        case ErrorReply():
            return b"-%b\r\n" % _line(value)
        case str():
            data = value.encode()
            return b"$%d\r\n%b\r\n" % (len(data), data)
        case Mapping():
            pairs = [encode(part, protocol) for pair in value.items() for part in pair]
            head = b"%%%d\r\n" % len(value) if protocol == RESP3 else b"*%d\r\n" % len(pairs)
            return head + b"".join(pairs)
        case _:
            items = [encode(item, protocol) for item in value]
            mark = b"*"
            if protocol == RESP3:
                mark = b"~" if isinstance(value, Members) else b">" if isinstance(value, Push) else b"*"
            return b"%b%d\r\n" % (mark, len(items)) + b"".join(items)


def _line(text: str) -> bytes:
    """What stands on one line, whatever was quoted in it."""
    return " ".join(text.splitlines()).encode(errors="backslashreplace")
