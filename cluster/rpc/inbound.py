"""The receiving side of calls: frames of one connection, given to whom they concern.

The sender's role decides which handlers it reaches (see `cluster.wire.rights`). What is past its deadline on the
sender's clock is dropped: its sender has given up, and executing it could only surprise. What is well-formed and wrong
refuses only itself; what is no frame at all ends the connection.
"""

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from cluster import ports
from cluster.env import Clock
from cluster.errors import BadMessage, ClusterError, Maybe, StaleLayout, Usage
from cluster.ports import Done
from cluster.transport import Connection
from cluster.wire.frames import (
    Cancel,
    Credit,
    Failure,
    Frame,
    FrameReader,
    Invalid,
    OneWay,
    OneWays,
    Part,
    Reply,
    Request,
    Stamp,
)
from cluster.wire.parts import Window
from cluster.wire.rights import PLACED, ROLE_NODE, forbidden

ONE_WAY_S = 3600.0
"""What a one-way message without a deadline is given: in practice, all the time there is."""
PROCEED, HOLD, STALE = "proceed", "hold", "stale"

Handler = Callable[[ports.Inbound], None]


class InboundReceiver(Protocol):
    """What a session needs of rpc."""

    layout: int
    expired: int

    def handlers_of(self, role: str) -> dict[type, Handler]:
        """By type of message, for senders of this role."""

    @property
    def answered(self) -> Callable[[int, str], Done | None]:
        """`(id, peer)`: whom to give an answer to."""

    def on_fault(self, peer: str, what: str, error: ClusterError) -> None:
        """A one-way message could not be carried out, and its sender cannot be told."""

    def on_part(self, id: int, peer: str, data: bytes) -> None:
        """A part of an answer came."""

    @property
    def on_answer(self) -> Callable[[str], None]:
        """Called with the peer when bytes came on a connection that was dialled from here."""

    def refused_as_stale(self, id: int, peer: str, holds: int) -> bool:
        """A peer holds a newer layout than the call was routed by. Whether the call waits for that one."""

    def check_layout(self, inbound: "InboundMessage", number: int, handler: Handler) -> str:
        """What is to be done with a placed message that carries another layout number than this node's."""


class InboundSession:
    """What came on one proven connection, and what is still to be answered on it."""

    __slots__ = (
        "_clock", "_handlers", "_reader", "_receiver", "_slice", "answers", "cancels", "connection", "peer", "role",
        "sender", "windows",
    )  # fmt: skip

    def __init__(self, receiver: InboundReceiver, clock: Clock, connection: Connection) -> None:
        peer = connection.peer
        assert peer is not None
        self.connection = connection
        self.peer = peer.name
        self.role = peer.role
        self.sender = peer.name if peer.role == ROLE_NODE else ""
        self.cancels: dict[int, Callable[[], None]] = {}
        self.windows: dict[int, tuple[Window, Callable[[int], None]]] = {}
        """Of the answers that have parts, and whom to give the credit to."""
        self.answers: ports.AnswerTaker | None = None
        """Of who calls on this connection, although the other side has dialled it: a worker's host."""
        self._receiver = receiver
        self._clock = clock
        self._reader = FrameReader()
        self._slice = connection.end.settings.slice_messages  # see `OutputTick`
        self._handlers = receiver.handlers_of(peer.role)
        connection.on_close.append(self._closed)

    def take(self, data: bytes) -> None:
        """Bytes came. The hot path: one look-up for the kind of frame, one for the handler."""
        receiver, handlers, connection = self._receiver, self._handlers, self.connection
        clock = connection.clock
        now = sent = self._clock.now()
        if connection.target:
            receiver.on_answer(connection.target)
        taken = 0
        for frame in self._reader.serve(data):
            if taken >= self._slice:
                taken = 0
                connection.end.outbox.end_early()
            taken += 1
            kind = type(frame)
            if kind is Reply:
                if self.sender:
                    done = receiver.answered(frame.id, self.peer)  # type: ignore[union-attr]
                    if done is not None:
                        done(self.peer, frame.body)  # type: ignore[union-attr]
                elif self.answers is not None:
                    self.answers.answered(frame.id, frame.body)  # type: ignore[union-attr]
            elif kind is Request:
                self._request(frame, frame.deadline + clock.offset, sent, now)  # type: ignore[arg-type, union-attr]
            elif kind is OneWay or kind is OneWays:
                bodies = (frame.body,) if kind is OneWay else frame.bodies  # type: ignore[union-attr]
                taken += len(bodies) - 1
                deadline = frame.deadline  # type: ignore[union-attr]
                if deadline and (deadline := deadline + clock.offset) <= now:
                    receiver.expired += len(bodies)
                    continue
                for body in bodies:
                    handler = handlers.get(type(body))
                    if handler is None:
                        continue
                    try:
                        handler(InboundMessage(self, 0, body, deadline or sent + ONE_WAY_S, sent))
                    except ClusterError as error:
                        receiver.on_fault(self.peer, type(body).__name__, error)
            elif kind is Stamp:
                taken -= 1
                sent = frame.at if clock.same else clock.stamped(frame.at, now)  # type: ignore[union-attr]
            else:
                self._rare(frame)
        if self._reader.broken is not None:
            connection.refuse(self._reader.broken)

    def _request(self, frame: Request, deadline: float, sent: float, now: float) -> None:
        body = frame.body
        handler = self._handlers.get(type(body))
        inbound = InboundMessage(self, frame.id, body, deadline, sent)
        if frame.trace:
            inbound.trace = frame.trace
        if deadline <= now:
            self._receiver.expired += 1
            return
        if handler is None:
            refusal = forbidden(type(body), self.role)
            inbound.fail(refusal or BadMessage(f"this node does not answer {type(body).__name__}"))
            return
        ours, verdict = self._receiver.layout, PROCEED
        if frame.layout and frame.layout != ours and type(body) in PLACED:
            verdict = self._receiver.check_layout(inbound, frame.layout, handler)
        if verdict == PROCEED:
            try:
                handler(inbound)
            except ClusterError as error:  # one message that cannot be carried out holds up nothing else
                inbound.fail(error)
        elif verdict == STALE:
            what = f"the sender routed by layout {frame.layout}, this node holds {ours}"
            inbound.fail(StaleLayout(what, layout=ours if frame.layout < ours else 0))

    def _rare(self, frame: Frame | Invalid) -> None:
        receiver = self._receiver
        if isinstance(frame, Failure):
            stale = frame.code == StaleLayout.code and self.sender
            if stale and receiver.refused_as_stale(frame.id, self.peer, frame.layout):
                return
            done = receiver.answered(frame.id, self.peer) if self.sender else None
            if done is not None:
                done(self.peer, frame.to_error())
            elif self.answers is not None:
                self.answers.answered(frame.id, frame.to_error())
        elif isinstance(frame, Part):
            if self.sender:
                receiver.on_part(frame.id, self.peer, frame.data)
            elif self.answers is not None:
                self.answers.part(frame.id, frame.data)
        elif isinstance(frame, Credit):
            found = self.windows.get(frame.id)
            if found is not None:  # else it was answered meanwhile
                window, on_credit = found
                try:
                    window.give(frame.count)
                except BadMessage as error:
                    self.connection.refuse(error)
                else:
                    on_credit(frame.count)
        elif isinstance(frame, Cancel):
            self.windows.pop(frame.id, None)
            cancel = self.cancels.pop(frame.id, None)
            if cancel is not None:
                cancel()
        elif isinstance(frame, Invalid):
            if frame.kind == 1:
                self.connection.send(Failure(frame.id, Usage.code, f"invalid message: {frame.message}"))
            elif frame.kind in (2, 3) and self.sender:
                done = receiver.answered(frame.id, self.peer)
                if done is not None:
                    done(self.peer, Maybe(f"{self.peer} sent an invalid answer: {frame.message}"))
            elif frame.kind in (2, 3) and self.answers is not None:
                self.answers.answered(frame.id, Maybe(f"a {self.role} sent an invalid answer: {frame.message}"))

    def _closed(self) -> None:
        self.windows.clear()
        cancels, self.cancels = self.cancels, {}
        for function in cancels.values():
            function()


class InboundMessage:
    """One request, or one-way message, that arrived; see `ports.Inbound`. `arrived` is when it was sent: what it spent
    on the way, in a stopped process' socket above all, is gone from its time."""

    __slots__ = ("_session", "arrived", "body", "deadline", "id", "trace")

    def __init__(self, session: InboundSession, id: int, body: Any, deadline: float, arrived: float) -> None:
        self._session = session
        self.id = id  # 0: one way, wants no answer
        self.body = body
        self.deadline = deadline
        self.arrived = arrived
        self.trace = ""

    @property
    def link(self) -> Connection:
        """Where it came from."""
        return self._session.connection

    def answers_to(self, answers: ports.AnswerTaker) -> None:
        """Give what answers requests on this connection to `answers`, from now on."""
        self._session.answers = answers

    @property
    def sender(self) -> str:
        """The node that sent it; empty for whoever is not a node, whatever it calls itself."""
        return self._session.sender

    @property
    def role(self) -> str:
        """The role that the sender has proven."""
        return self._session.role

    def sender_time(self, at: float) -> float:
        """A local time, on the sender's clock."""
        return at - self._session.connection.clock.offset

    def push(self, body: Struct) -> bool:
        """Send a one-way message back; False when it is dropped."""
        return self._session.connection.send(OneWay(body))  # type: ignore[arg-type]

    def reply(self, body: Any) -> None:
        """Answer."""
        if self.id:
            session = self._session
            if session.cancels:
                session.cancels.pop(self.id, None)
            if session.windows:
                session.windows.pop(self.id, None)
            session.connection.send(Reply(self.id, body))

    def fail(self, error: ClusterError) -> None:
        """Answer with an error; its code travels, and the other side finds the class again."""
        if self.id:
            session = self._session
            session.cancels.pop(self.id, None)
            session.windows.pop(self.id, None)
            layout = error.detail.get("layout", 0)
            session.connection.send(Failure(self.id, error.code, error.message, layout, error.own_help))

    def on_credit(self, function: Callable[[int], None]) -> None:
        """The answer will have parts."""
        if self.id and not self._session.connection.ended:
            self._session.windows[self.id] = (Window(), function)

    def part(self, data: bytes) -> bool:
        """A part of the answer; False when it is lost."""
        session = self._session
        found = session.windows.get(self.id)
        if found is None:
            return False  # nobody waits any more
        found[0].take(len(data))
        return session.connection.send(Part(self.id, data))

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Call when the sender no longer waits: it cancelled, or its connection ended."""
        if self.id:
            self._session.cancels[self.id] = function
