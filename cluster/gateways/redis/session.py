"""One connection of a Redis client: requests in, replies out in the order of the requests, several under way between.

Commands of one pipeline overlap, since each waits for other nodes. What could notice does not: a command waits for
those before it that have a key in common with it, and one without keys (KEYS, PUBLISH, HELLO) for all of them, as what
follows waits for it. A connection that sends faster than it is served, or does not read its replies, is not read.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.env import Address
from cluster.errors import ClusterError, Failed, Maybe, QuorumMissing
from cluster.gateways.redis.glob import Pattern
from cluster.gateways.redis.resp import (
    OK,
    PROVEN_LIMITS,
    RESP2,
    UNPROVEN_LIMITS,
    ErrorReply,
    Push,
    Reply,
    RequestReader,
    RespError,
    encode,
)
from cluster.gateways.redis.table import RedisCommand
from cluster.gateways.session import OUTPUT_BYTES_MAX, GatewaySession
from cluster.ports import Outcome
from cluster.wire.topics import Message

if TYPE_CHECKING:
    from msgspec import Struct

    from cluster.gateways.redis.gateway import RedisGateway

CALLS_MAX = 64
"""Commands of one connection that are under way, or whose replies wait for those before them."""
REPLY_BYTES_MAX = 16 * 1024 * 1024
"""Of one command that gathers from many keys."""
WAITING_BYTES_MAX = 16 * 1024 * 1024
"""Replies that wait for a client that does not read. Many libraries send a whole pipeline first, and read only then: to
read nothing from them meanwhile would leave both sides waiting for each other."""
BROWSER_WORDS = (b"post", b"host:")
"""How a web page can make a browser speak to this port: the first line of its request, or what comes behind it."""
NOAUTH = ErrorReply("NOAUTH Authentication required. `dsectl env` prints the password.")


def refusal(error: ClusterError) -> ErrorReply:
    """An error as clients of Redis know them: the first word is the kind, and redis-py makes a class of some."""
    if isinstance(error, Maybe):
        return ErrorReply(f"MAYBE {error.message}: it may still take effect, read before you repeat it")
    if error.code == "wrong-type":
        return ErrorReply("WRONGTYPE Operation against a key holding the wrong kind of value")
    if isinstance(error, QuorumMissing):
        return ErrorReply(f"CLUSTERDOWN {error.message}")
    if error.definite and error.retryable:
        return ErrorReply(f"TRYAGAIN {error.message}")
    return ErrorReply(f"ERR {error.message}")


class Asking:
    """Whatever has this node carry something out."""

    __slots__ = ()

    session: "RedisSession"

    def fail(self, error: ClusterError | str) -> None:
        """End with an error."""
        raise NotImplementedError

    def ask(self, body: "Struct", then: Callable[[Any], None]) -> None:
        """Have this node carry out `body`; `then` gets the answer, and an error ends it."""

        def answered(outcome: Outcome) -> None:
            if isinstance(outcome, ClusterError):
                self.fail(outcome)
            else:
                then(outcome)

        self.session.gateway.ask(self.session, body, answered)


class RedisCall(Asking):
    """One command under way."""

    __slots__ = ("command", "keys", "output", "session", "words")

    def __init__(self, session: "RedisSession", words: list[bytes], command: RedisCommand | None) -> None:
        self.session = session
        self.words = words
        self.command = command
        self.keys: tuple[bytes, ...] = ()
        self.output: bytes | None = None
        """The encoded reply; None while there is none."""

    def done(self, output: bytes) -> None:
        """Answer with encoded bytes."""
        self.output = output
        self.session.finished(self)

    def ok(self) -> None:
        """Answer `OK`."""
        self.done(OK)

    def reply(self, value: Reply) -> None:
        """Answer."""
        self.done(encode(value, self.session.protocol))

    def fail(self, error: ClusterError | str) -> None:
        """Answer with an error; a text begins with its kind."""
        self.reply(refusal(error) if isinstance(error, ClusterError) else ErrorReply(error))


@dataclass(slots=True)
class ChannelSubscription:
    """One channel, or with `glob` one pattern, that a connection listens to: `topics` as subscription `number`."""

    name: str
    topics: str
    glob: Pattern | None = None
    number: int = 0


class RedisSession(GatewaySession):
    """See the module."""

    gateway: "RedisGateway"

    def __init__(self, gateway: "RedisGateway", number: int, peer: Address) -> None:
        super().__init__(gateway, number, peer)
        self.name = ""
        self.library: dict[str, str] = {}
        """What the client says of itself: `lib-name`, `lib-ver`."""
        self.protocol = RESP2
        self.last_command = ""
        self.channels: dict[str, ChannelSubscription] = {}
        self.patterns: dict[str, ChannelSubscription] = {}
        self.by_number: dict[int, ChannelSubscription] = {}
        self.numbers = 0
        """The last number that a subscription was given."""
        self._reader = RequestReader(UNPROVEN_LIMITS)
        self._calls: deque[RedisCall] = deque()
        self._next: RedisCall | None = None  # read, and not begun: something before it must end first
        self._under_way = 0
        self._busy: set[bytes] = set()  # their keys
        self._alone = False  # whether one of them lets no other begin
        self._behind_bytes = 0  # of messages that wait for the replies before them
        self._working = False

    def received(self, data: bytes) -> None:
        """Bytes came."""
        if not self._closing:
            self._reader.feed(data)
            self.work()

    def lost(self, reason: str) -> None:
        """The stream is over."""
        self._calls.clear()
        super().lost(reason)

    # -- what handlers do to their connection

    def prove(self) -> None:
        """The password was right."""
        super().prove()
        self._reader.limits = PROVEN_LIMITS

    def reset(self) -> None:
        """As a connection that has just been made: it has to prove itself again."""
        self.name, self.protocol = "", RESP2
        self._reader.limits = UNPROVEN_LIMITS
        self.unprove()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._calls and self._next is None

    @property
    def subscribed(self) -> int:
        """How many channels and patterns it listens to."""
        return len(self.channels) + len(self.patterns)

    # -- topics

    def push(self, body: "Struct", small: bool = False) -> bool:
        """A message for one of its subscriptions; behind the replies that it still waits for."""
        if self.ended or not isinstance(body, Message):
            return False
        listening = self.by_number.get(body.subscription)
        if listening is None:
            return True  # it has unsubscribed since
        if listening.glob is None:
            self.emit(Push(["message", listening.name, body.payload]))
        elif listening.glob.fullmatch(body.subject):
            self.emit(Push(["pmessage", listening.name, body.subject, body.payload]))
        return True

    def emit(self, value: Reply) -> None:
        """Send what answers no command of its own."""
        self._append(encode(value, self.protocol))
        waiting = self._out_bytes + self._behind_bytes
        if waiting > OUTPUT_BYTES_MAX:
            self.cut_off(waiting)
        else:
            self.gateway.mark(self)

    # -- requests

    def work(self) -> None:
        """Begin what can begin, then write what is answered; the one place where either happens."""
        if self._working:
            return
        self._working = True
        if len(self._calls) >= CALLS_MAX:  # all may have ended in one pass: what has been read already goes on now
            self._write()
        try:
            while self._may_read():
                call = self._next
                if call is None:
                    words = self._reader.next()
                    if words is None:
                        break
                    call = RedisCall(self, words, self.gateway.commands.get(words[0]) or self.gateway.find(words))
                self._next = None
                if not self._begin(call):
                    self._next = call
                    break
                if len(self._calls) >= CALLS_MAX:
                    self._write()
        except RespError as error:
            self._append(encode(ErrorReply(f"ERR {error}"), self.protocol))
            self._closing = True
        finally:
            self._working = False
        self._write()
        self.settle(reads=self._may_read() and self._next is None)

    def _may_read(self) -> bool:
        unread = self._writes_paused and self._out_bytes > WAITING_BYTES_MAX
        return not (self._closing or self._alone or unread or len(self._calls) >= CALLS_MAX)

    def _begin(self, call: RedisCall) -> bool:
        """Begin a call, unless it has to wait for others."""
        command, words = call.command, call.words
        error: ErrorReply | None = None
        if command is None or not command.accepts(len(words)):
            name = words[0].lower()
            if name in BROWSER_WORDS:
                self.gateway.host.record("redis.browser", "a browser spoke to the Redis gateway", peer=self.peer[0])
                self.abort()
                return True
            error = self.gateway.unknown(words) if command is None else wrong_arity(command.name)
        if not self.proven and (command is None or not command.open):
            error = NOAUTH
        if error is None and self.protocol == RESP2 and self.subscribed and not (command and command.in_subscribed):
            error = ErrorReply(
                f"ERR Can't execute '{words[0].decode(errors='replace').lower()}': only (P|S)SUBSCRIBE / "
                "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            )
        if error is None:
            assert command is not None
            keys = command.keys_of(words)
            if keys:
                if not self._busy.isdisjoint(keys):
                    return False
                self._busy.update(keys)
                call.keys = keys
            elif not command.any_time:
                if self._under_way:
                    return False
                self._alone = True
            self.last_command = command.name
            self.gateway.carried_out += 1
        self._calls.append(call)
        self._under_way += 1
        if error is not None:
            call.reply(error)
            return True
        try:
            command.handler(call)  # type: ignore[union-attr]
        except ClusterError as refused:
            call.fail(refused)
        return True

    def finished(self, call: RedisCall) -> None:
        """A call has its reply."""
        self._under_way -= 1
        if call.keys:
            self._busy.difference_update(call.keys)
        else:
            self._alone = False
        if not self._working:
            self.gateway.mark(self)

    # -- replies

    def _append(self, output: bytes) -> None:
        """Send what is no reply, behind the replies that are still to come."""
        if self._calls:
            call = RedisCall(self, [], None)
            call.output = output
            self._calls.append(call)
            self._behind_bytes += len(output)
        else:
            self.send(output)

    def _write(self) -> None:
        calls = self._calls
        while calls and calls[0].output is not None:
            call = calls.popleft()
            if not call.words:
                self._behind_bytes -= len(call.output or b"")
            self.send(call.output or b"")
        self.write()


def wrong_arity(name: str) -> ErrorReply:
    """Too few words, or too many."""
    return ErrorReply(f"ERR wrong number of arguments for '{name}' command")


def syntax_error() -> Failed:
    """What Redis says to words that it does not know."""
    return Failed("syntax error")
