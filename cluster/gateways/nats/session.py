"""One connection of a NATS client: its publishes in their order, its subscriptions, and PONG as the barrier it is.

A message goes to topics as it is read, so the publishes of a connection keep their order. PONG follows once all before
it is done: subscriptions that every live node knows of, publishes that have their outcome. A publish that awaits an
answer waits for the subscriptions before it, too, or its answer could be published where the inbox is not known yet.

Some subjects are the server's own: `$JS.API.>` has no responders here, and at `$SYS.>` it says what it is.

What is wrong with one subject or message is said as a permissions violation: clients hand that to their program and go
on, while they take any other `-ERR` for the end of the connection.
"""

from functools import partial
from typing import TYPE_CHECKING

from cluster.env import Address, Link
from cluster.errors import ClusterError, LimitReached, ServiceError
from cluster.gateways.nats.monitor import Traffic, answer
from cluster.gateways.nats.protocol import (
    NO_RESPONDERS,
    Command,
    CommandReader,
    Connect,
    NatsError,
    PingCommand,
    Pub,
    Sub,
    Unsub,
    encode_headers,
    encode_message,
    parse_headers,
)
from cluster.gateways.session import OUTPUT_BYTES_MAX, GatewaySession
from cluster.messaging.subject import matches
from cluster.ports import Outcome
from cluster.wire.requests import Call, CallDone
from cluster.wire.topics import Message, Publish, Published, Subscribe, Unsubscribe

if TYPE_CHECKING:
    from msgspec import Struct

    from cluster.gateways.nats.gateway import NatsGateway

UNDER_WAY_MAX = 1024
"""Publishes and subscriptions without an outcome; then nothing more is read."""
SERVICE_S = 30.0
"""How long a call of a service may take: clients of NATS do not say how long they wait."""
LAME_DUCK_S = 0.5
"""Between the news that a node drains and the end of its connections, for clients that move by themselves."""
OWN_SUBJECTS = ("$JS.API.", "$SYS.")
OK, PING, PONG = b"+OK\r\n", b"PING\r\n", b"PONG\r\n"


class NatsSubscription:
    """One `SUB`: a subscription of topics under `number`."""

    __slots__ = ("delivered", "max", "number", "pattern", "queue", "sid")

    def __init__(self, sid: str, number: int, pattern: str, queue: str) -> None:
        self.sid = sid
        self.number = number
        self.pattern = pattern
        self.queue = queue
        self.delivered = 0
        self.max = 0
        """After so many messages it ends; 0: it does not."""


class NatsSession(GatewaySession):
    """See the module."""

    gateway: "NatsGateway"

    def __init__(self, gateway: "NatsGateway", number: int, peer: Address) -> None:
        super().__init__(gateway, number, peer)
        self.options = Connect()
        self.subscriptions: dict[str, NatsSubscription] = {}
        self.pings = 0
        """How many of ours it has not answered."""
        self.traffic = Traffic()
        self._by_number: dict[int, NatsSubscription] = {}
        self._numbers = 0
        self._reader = CommandReader()
        self._next: Command | None = None  # read, and not begun: what is before it must end first
        self._subscribing = 0  # subscriptions that not all nodes know of yet
        self._publishing = 0  # publishes without an outcome
        self._calling = 0  # services that have not answered
        self._own = False  # whether what is delivered now is what this connection publishes
        self._lame = False
        self._working = False

    # -- the connection

    def connected(self, link: Link) -> None:
        """The stream is open: say who this is."""
        super().connected(link)
        self.send_info()
        self.write()

    def received(self, data: bytes) -> None:
        """Bytes came."""
        if not self._closing:
            self._reader.feed(data)
            self.work()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self._subscribing or self._publishing or self._calling or self._lame) and self._next is None

    def lost(self, reason: str) -> None:
        """The stream is over."""
        super().lost(reason)
        self.gateway.behind.pop(self, None)
        self.gateway.traffic.add(self.traffic)

    def write(self) -> None:
        """Give the link what waits, if the client reads."""
        super().write()
        if not self._out_bytes and self.gateway.behind:
            self.gateway.behind.pop(self, None)

    def drain(self) -> None:
        """Say that this node goes, and end the connection a little later."""

        def end() -> None:
            self._lame = False
            self.gateway.mark(self)

        self._lame = True
        self.gateway.host.clock.call_later(LAME_DUCK_S, end)
        self.send_info()
        self.gateway.mark(self)

    def send_info(self) -> None:
        """What this node is, and where the others are."""
        self.send(self.gateway.info(self))

    def ping(self) -> None:
        """See whether it still lives; end it when it has not answered the last two."""
        if self.pings >= 2:
            self._end("Stale Connection")
        else:
            self.pings += 1
            self.send(PING)
        self.gateway.mark(self)

    # -- topics

    def push(self, body: "Struct", small: bool = False) -> bool:
        """A message for one of its subscriptions."""
        if self.ended or not isinstance(body, Message):
            return False
        to = self._by_number.get(body.subscription)
        if to is None:
            return True  # it has unsubscribed since
        if self._own and not self.options.echo:
            return not to.queue  # of its group, another member shall get it
        block = encode_headers(body.headers) if body.headers and self.options.headers else b""
        self._deliver(to, body.subject, body.reply, block, body.payload)
        return True

    def _deliver(self, to: NatsSubscription, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        self.send(encode_message(subject, to.sid, reply, headers, payload))
        self.traffic.out_msgs += 1
        self.traffic.out_bytes += len(headers) + len(payload)
        to.delivered += 1
        if to.delivered == to.max:
            self._unsubscribe(to)
        if self._out_bytes > OUTPUT_BYTES_MAX and not self.gateway.has_room(self, self._out_bytes):
            self.gateway.slow += 1
            self.cut_off(self._out_bytes)
        elif not self._working:
            self.gateway.mark(self)

    # -- commands

    def work(self) -> None:
        """Carry out what can be, then write; the one place where either happens."""
        if self._working:
            return
        self._working = True
        try:
            while not self._closing:
                command = self._next or self._reader.next()
                if command is None:
                    break
                self._next = None
                if not self._begin(command):
                    self._next = command
                    break
        except NatsError as error:
            self._end(str(error))
        finally:
            self._working = False
        self.write()
        self.settle(reads=self._next is None and not self._closing)

    def _begin(self, command: Command) -> bool:
        """Carry it out, unless it has to wait for what is before it. Raises NatsError."""
        if isinstance(command, Pub):
            if self._publishing >= UNDER_WAY_MAX or (command.reply and self._subscribing):
                return False
            self._publish(command)
        elif isinstance(command, Connect):
            self._connect(command)
        elif not self.proven:
            raise NatsError("Authorization Violation")
        elif isinstance(command, Sub):
            if self._subscribing >= UNDER_WAY_MAX:
                return False
            self._subscribe(command)
        elif isinstance(command, Unsub):
            to = self.subscriptions.get(command.sid)
            if to is not None and command.max > to.delivered:
                to.max = command.max
            elif to is not None:
                self._unsubscribe(to)
            self._acknowledge()
        elif isinstance(command, PingCommand):
            if self._subscribing or self._publishing:
                return False
            self.send(PONG)
        else:
            self.pings = 0
        return True

    def _connect(self, options: Connect) -> None:
        given = options.auth_token or options.password
        if given is not None and self.gateway.check_password(given.encode()):
            self._reader.proven = True
            self.prove()
        elif given is not None or not self.proven:
            raise NatsError("Authorization Violation")
        self.options = options
        self._acknowledge()

    def _publish(self, command: Pub) -> None:
        headers: dict[str, str] | None = None
        self.traffic.in_msgs += 1
        self.traffic.in_bytes += len(command.headers) + len(command.payload)
        if command.headers:
            headers = parse_headers(command.headers) or None
        self._publishing += 1
        self._own = True
        if command.subject.startswith(OWN_SUBJECTS):
            said = answer(self.gateway, command.subject) if command.reply else None
            if said is not None:
                self.gateway.ask(self, Publish(command.reply, said), lambda published: None)
            self._published(command, Published("", said is not None, []))  # nobody listens to the server's own subjects
        else:
            body = Publish(command.subject, command.payload, "", headers, command.reply)
            self.gateway.ask(self, body, partial(self._published, command))
        self._own = False

    def _published(self, command: Pub, outcome: Outcome) -> None:
        self._publishing -= 1
        if not isinstance(outcome, Published):
            assert isinstance(outcome, ClusterError)
            self._refuse("Publish", command.subject, outcome)
        else:
            self._acknowledge()
            if command.reply:
                self._answer(command, outcome)
        self._go_on()

    def _answer(self, command: Pub, published: Published) -> None:
        """A message that awaits an answer was published: call the service that it names; without one, and without
        anybody who listens, say so to who waits."""
        service, _, operation = command.subject.rpartition(".")
        if service and self.gateway.host.offers(service):
            self._calling += 1
            call = Call(service, operation, command.payload or b"{}")
            self.gateway.ask(self, call, partial(self._called, command.reply), SERVICE_S)
        elif not published.subscribers and not published.queues and self.options.no_responders:
            for to in list(self.subscriptions.values()):
                if matches(to.pattern, command.reply):
                    self._deliver(to, command.reply, "", NO_RESPONDERS, b"")

    def _called(self, reply: str, outcome: Outcome) -> None:
        """A service answered: its JSON, or its error in the headers that NATS' services have for it."""
        self._calling -= 1
        if isinstance(outcome, CallDone):
            headers = {"Dsectl-Node": outcome.node}
            if outcome.error:  # the payload is its fields
                headers |= {"Nats-Service-Error": outcome.error, "Nats-Service-Error-Code": ServiceError.code}
            answer = Publish(reply, outcome.payload, "", headers)
        else:
            assert isinstance(outcome, ClusterError)
            answer = Publish(
                reply, b"", "", {"Nats-Service-Error": outcome.message, "Nats-Service-Error-Code": outcome.code}
            )
        self.gateway.ask(self, answer, lambda published: None)
        self._go_on()

    def _subscribe(self, command: Sub) -> None:
        if command.sid in self.subscriptions:
            self._acknowledge()  # as nats-server: the first one stays
            return
        self._numbers += 1
        to = self.subscriptions[command.sid] = NatsSubscription(
            command.sid, self._numbers, command.subject, command.queue
        )
        self._by_number[to.number] = to
        self._subscribing += 1

        def answered(outcome: Outcome) -> None:
            self._subscribing -= 1
            if not isinstance(outcome, ClusterError):
                self._acknowledge()
            else:
                self.subscriptions.pop(to.sid, None)
                self._by_number.pop(to.number, None)
                if isinstance(outcome, LimitReached):
                    self._end("maximum subscriptions exceeded")
                elif "" in command.subject.split("."):
                    self.send(b"-ERR 'Invalid Subject'\r\n")  # as in nats-server, which stays, while clients go
                else:
                    self._refuse("Subscription", command.subject, outcome)
            self._go_on()

        self.gateway.ask(self, Subscribe(to.number, command.subject, command.queue), answered)

    def _unsubscribe(self, to: NatsSubscription) -> None:
        del self.subscriptions[to.sid], self._by_number[to.number]
        self.gateway.ask(self, Unsubscribe(to.number), lambda outcome: None)

    # -- answers

    def _acknowledge(self) -> None:
        if self.options.verbose:
            self.send(OK)

    def _refuse(self, what: str, subject: str, error: ClusterError) -> None:
        """One command was refused, and the connection goes on."""
        reason = " ".join(error.message.split()).replace("'", '"')
        self.send(f"-ERR 'Permissions Violation for {what} to \"{subject}\": {reason}'\r\n".encode(errors="replace"))

    def _end(self, reason: str) -> None:
        """Say why, and end the connection."""
        self.send(f"-ERR '{reason}'\r\n".encode())
        self._next = None
        self.close()

    def _go_on(self) -> None:
        """Something ended: write its answer and go on with what waited for it, at the end of this pass."""
        if not self._working:
            self.gateway.mark(self)
