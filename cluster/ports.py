"""The protocols that blocks are handed, once: what arrived, the way to the others, what members announce, events, rows.

A block names here what it needs instead of importing the block that gives it, so that siblings stay apart and tests can
hand in something smaller. Bodies are messages of `cluster.wire`; here they are structs, and nothing is decided.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from cluster.errors import ClusterError

Outcome: TypeAlias = Struct | ClusterError
"""How a call ended: the body of the reply, or an error whose `definite` says whether the peer surely did not act."""
Done: TypeAlias = Callable[[str, Outcome], None]
"""`done(peer, outcome)`: once for each peer that was called."""


class Recorder(Protocol):
    """Records a decision with its cause and local evidence; never single operations."""

    def __call__(self, kind: str, cause: str, **fields: Any) -> object:
        """One more event."""


class InboundLink(Protocol):
    """The connection that something arrived on."""

    on_close: list[Callable[[], None]]

    @property
    def ended(self) -> bool:
        """Whether nothing can be sent on it any more."""

    def push(self, body: Struct, small: bool = False) -> bool:
        """Send one way; False when the bounded queue is full, and the body is dropped. A `small` body (up to
        `cluster.wire.frames.SMALL_BYTES`) may share a frame with others."""


class CalledLink(InboundLink, Protocol):
    """A connection that its other side has dialled, and on which that side is called."""

    def send(self, frame: Any) -> bool:
        """Send a frame of `cluster.wire.frames`; False when nothing more can be sent."""

    def refuse(self, error: ClusterError) -> None:
        """What came breaks the protocol: end the connection."""


class AnswerTaker(Protocol):
    """Takes what answers the requests that were sent on one connection."""

    def answered(self, id: int, outcome: Outcome) -> None:
        """An answer, also one that is late or that nobody asked for."""

    def part(self, id: int, data: bytes) -> None:
        """A part of an answer that is still to come."""


class Inbound(Protocol):
    """One request or one-way message that arrived. Answered at most once, now or later; answers to a one-way message,
    or to a connection that ended, go nowhere. Times are on the local monotonic clock."""

    body: Any
    deadline: float
    arrived: float
    trace: str
    """A W3C traceparent; empty when it is not sampled."""

    def sender_time(self, at: float) -> float:
        """A local time on the sender's clock, in which the deadlines within a batch are."""

    @property
    def link(self) -> InboundLink:
        """Where it came from."""

    @property
    def sender(self) -> str:
        """The node that sent it, as proven; empty for whoever is not a node, whatever it calls itself."""

    @property
    def role(self) -> str:
        """The role that the sender has proven."""

    def reply(self, body: Struct) -> None:
        """Answer."""

    def fail(self, error: ClusterError) -> None:
        """Answer with an error; its code travels, and the other side finds the class again."""

    def push(self, body: Struct) -> bool:
        """Send a one-way message back; False when it is dropped."""

    def on_credit(self, function: Callable[[int], None]) -> None:
        """The answer will have parts: one window of them without credit, and then as many bytes as `function` is called
        with. See `cluster.wire.parts`."""

    def part(self, data: bytes) -> bool:
        """Send a part of the answer, within the credit. False when it is lost: nobody waits, or the queue is full."""

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Call when the sender no longer waits: it cancelled, or its connection ended."""


class Messenger(Protocol):
    """Messages to nodes by name, by callback; see cluster.rpc. Lanes are those of `cluster.wire.handshake`."""

    def handle(self, body_type: type, handler: Callable[[Inbound], None]) -> None:
        """Give all requests and one-way messages of a type to `handler`."""

    def request(
        self,
        peers: Sequence[str],
        body: Struct,
        deadline: float,
        done: Done,
        lane: int = ...,
        *,
        on_part: Callable[[bytes], None] | None = None,
    ) -> int:
        """Call each of `peers`; `done` comes once for each, never before this returns. Returns an id for `finish`.
        `on_part` takes the parts of an answer that has any, which may be that of one peer only."""

    def credit(self, id: int, count: int) -> None:
        """So many bytes of the parts that came for a request were taken: as many more may come."""

    def call_back(self, inbound: Inbound, answers: AnswerTaker) -> CalledLink:
        """The connection of whoever sent this and is no node, to send requests on. What answers them there goes to
        `answers`, by their numbers, which are the caller's own; nothing that another connection brings does."""

    def finish(self, id: int, cancel: bool = False) -> None:
        """Make no more callbacks for a request; with `cancel`, send the peers that nobody waits."""

    def send(self, peer: str, body: Struct, lane: int = ...) -> bool:
        """One way. False when it surely never leaves."""

    def send_encoded(self, peer: str, data: bytes, lane: int = ...) -> bool:
        """As `send`, of a frame encoded once for many peers."""

    def gather(self, peer: str, body: Struct, deadline: float) -> bool:
        """As `send`, of a small body (`cluster.wire.frames.SMALL_BYTES`), which may share a frame with its neighbours.
        Who reads it after the deadline drops it."""

    def at_flush(self, function: Callable[[], None]) -> None:
        """Call once at the end of this pass, after the log and before the sockets are written."""

    def timed_out(self, peer: str) -> None:
        """The peer did not answer in time what it was sent one way."""


class Lanes(Protocol):
    """The connections to nodes; see cluster.transport."""

    addresses: dict[str, tuple[str, int]]
    """Host and port by name: whom this node may dial."""
    on_contact: list[Callable[[str], None]]
    """`(peer)`: a handshake with it succeeded."""

    def redial(self, peer: str) -> None:
        """The peer runs: dial it at once, however often that failed before."""

    def watch(self, peer: str) -> None:
        """Hold a connection open, so that its end is heard of."""

    def unwatch(self, peer: str) -> None:
        """Let go of it."""


class Datagrams(Protocol):
    """Sealed datagrams to nodes by name."""

    on_datagram: Callable[[str, bytes, float], None]
    """`(sender, body, sent)`, with a local time."""

    def datagram(self, peer: str, body: bytes) -> None:
        """Send a datagram; it may be lost."""


class Facts(Protocol):
    """Who is alive, and what members announce about themselves; see cluster.membership."""

    on_fact: list[Callable[[str, str, bytes], None]]
    """`(member, kind, body)`."""
    on_change: list[Callable[[str, str, str], None]]
    """`(member, old state, new state)`."""

    def state(self, name: str) -> str:
        """A member's state, as `alive` or `dead`. Raises NotFound."""

    def announce(self, kind: str, body: bytes) -> None:
        """Announce a fact about this node, instead of the one of that kind."""

    def facts(self, kind: str) -> dict[str, bytes]:
        """The facts of all members, by name."""

    def unknown(self, kind: str) -> list[str]:
        """The members that may be alive, and of which no fact of this kind is held from their present boot."""

    def tell(self, kind: str, done: Callable[[int], None]) -> None:
        """Push this node's fact to all live members; `done` with how many hold it, this node included."""

    def tell_all(self, kind: str, done: Callable[[int], None]) -> None:
        """The same, again and again until all of them have what this node announced last."""


@dataclass(frozen=True, slots=True)
class TableStat:
    """What a partition of a table holds."""

    rows: int
    bytes: int
    """Of keys and values, in a table that lives in the log alone; others need not count them."""


Page: TypeAlias = tuple[list[tuple[str, bytes]], bool]
"""Rows in the order of their keys, and whether there are more behind them."""

Position: TypeAlias = tuple[int, int]
"""Segment number and offset: a place in the log. Places compare as they stand in it."""


class RowTable(Protocol):
    """Rows by partition and key, as the log gives them, which the store puts in. Values are encoded bytes, never None.

    A table either lives in the log alone: it is built from it at each boot, and checkpoints copy its rows forward. Or
    it outlives a boot, and says up to which place of the log it is whole, below which the log may be cut.
    """

    @property
    def position(self) -> Position | None:
        """Up to here the table has what the log gives, whatever happens to the process or the machine; (0, 0) for an
        empty one. None when it lives in the log alone."""

    def get(self, partition: int, key: str) -> bytes | None:
        """The value of a row."""

    def put(self, partition: int, key: str, value: bytes | None) -> bytes | None:
        """Set a row, or with None remove it. Returns the value before, with which the store undoes a refused batch."""

    def load(self, partition: int, rows: dict[str, bytes]) -> None:
        """Set many rows, of which none will be undone: what a boot reads."""

    def keys(self, partition: int) -> list[str]:
        """All keys of a partition, in any order: what a checkpoint copies of a table that lives in the log alone."""

    def scan(
        self,
        partition: int,
        after: str,
        limit: int,
        *,
        prefix: str = "",
        bytes_max: int | None = None,
        passed: bool = True,
    ) -> Page:
        """One page: rows whose keys are above `after` and begin with `prefix`, in order, at most `limit` of them, the
        last of which may take their sizes over `bytes_max`. There are more only behind a page that is not empty.
        Without those that are `passed` over, where the table can leave them out in no time."""

    def pass_over(self, partition: int, keys: Iterable[str]) -> None:
        """Whoever lists these rows is shown nothing of them, until they are set again."""

    def prepare(self, partition: int) -> bool:
        """A step, of a fraction of a millisecond, of what the next `scan` would have to do first; whether there is
        more. `scan` itself does all of it."""

    def stat(self, partition: int) -> TableStat:
        """How much the partition holds; cheap."""

    def partitions(self) -> list[int]:
        """The partitions that may hold rows."""


class RowTables(Protocol):
    """The tables of a node."""

    by_number: dict[int, RowTable]
    """Those that there are."""

    def make(self, number: int) -> RowTable:
        """One that was missing; it is in `by_number` from now on."""

    def refuses(self) -> str:
        """Why what was put since the last `commit` cannot be kept, such as a full disk; else empty. Asked before the
        log is given it."""

    def commit(self, end: Position) -> None:
        """All that was put so far stands in the log, which ends there."""

    def status(self) -> dict[str, int]:
        """What `status --json` says of tables that outlive the log."""

    def close(self) -> None:
        """Release what they hold. What was not committed is forgotten."""
