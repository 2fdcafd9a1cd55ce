"""A client in virtual time: the real router and callers over simulated streams, so that clients run under seeds too.

It is a process of the world like any other, may be paused, and dies with its process. What it is asked ends in a
`ClientOperation`; what its `kv` is asked, in a `Carried` with the result or error that a user would have.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cluster.client.dialled import DialledStream
from cluster.client.keyed import Contexts
from cluster.client.kv import Kv
from cluster.client.locate import Address, Location
from cluster.client.operation import Send, Steps
from cluster.client.router import Router
from cluster.env import Env, Timer
from cluster.errors import ClusterError
from cluster.limits import CLIENT_TIMEOUT_S
from cluster.wire.caller import Caller, Outcome
from cluster.wire.frames import Body
from cluster.wire.kv import Get, Put
from cluster.wire.requests import Call
from cluster.wire.rows import IncomingRows, Row, RowFormat

if TYPE_CHECKING:
    from cluster.client.operation import ClientSession


class ClientOperation:
    """One operation of a client: `outcome` once it has ended, and how long that took."""

    def __init__(self, body: Body, began: float) -> None:
        self.body = body
        self.began = began
        self.outcome: Outcome | None = None
        self.took_s: float | None = None

    @property
    def error(self) -> ClusterError | None:
        """What it failed with, if it has."""
        return self.outcome if isinstance(self.outcome, ClusterError) else None

    @property
    def answer(self) -> Body | None:
        """The reply, if there is one."""
        return None if isinstance(self.outcome, ClusterError) else self.outcome

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self.outcome is not None


class Carried:
    """An operation of a family under way: the family's own steps, whose messages the client carries."""

    def __init__(self, client: "SimulatedClient", steps: Steps[Any]) -> None:
        self._client = client
        self._steps = steps
        self.result: Any = None
        self.error: ClusterError | None = None
        self.ended = False

    def advance(self, outcome: Outcome | None = None) -> None:
        """Resume the operation with what came."""
        try:
            if isinstance(outcome, ClusterError):
                step = self._steps.throw(outcome)
            elif outcome is None:
                step = next(self._steps)
            else:
                step = self._steps.send(outcome)
        except StopIteration as stop:
            self.result, self.ended = stop.value, True
        except ClusterError as error:
            self.error, self.ended = error, True
        else:
            assert isinstance(step, Send), "what gathers from all nodes is not carried here"
            client = self._client
            deadline = client.now() + (client.timeout if step.timeout is None else step.timeout)
            client.router.call(step.body, deadline, self.advance, step.key, step.node, step.trace)


class SimulatedClient:
    """A session over `env`; `location` names the nodes. `spread`: owners are asked in turn, as asyncio programs do."""

    def __init__(self, env: Env, location: Location, *, via: str | None = None, spread: bool = True) -> None:
        self.env = env
        self.location = location
        self.timeout = CLIENT_TIMEOUT_S
        self.contexts = Contexts()
        self.router = Router(self, location, via, spread=spread, turn=env.random.randrange(1 << 16))
        session: ClientSession = self  # so that the type checker says what a session has come to lack
        self.kv: Kv[Any] = Kv(session)

    # -- what a router wants of its carrier

    def now(self) -> float:
        """See Carrier."""
        return self.env.clock.now()

    def call_later(self, delay_s: float, function: Callable[[], object]) -> Timer:
        """See Carrier."""
        return self.env.clock.call_later(delay_s, function)

    def boot_id(self) -> str:
        """See Carrier."""
        return self.env.boot_id

    def random_bytes(self, size: int) -> bytes:
        """See Carrier."""
        return self.env.random.randbytes(size)

    def dial(self, address: Address, caller: Caller) -> DialledStream:
        """See Carrier."""
        return DialledStream(self.env, address, caller, timeout_s=60.0)  # the router gives up long before

    # -- operations

    def operation_id(self) -> str:
        """See ClientSession."""
        return self.router.operation_id()

    def run(self, steps: Steps[Any]) -> Carried:
        """Carry an operation of a family, with this session's contexts."""
        carried = Carried(self, steps)
        self.env.clock.call_soon(carried.advance)
        return carried

    def stream(self, call: Call, timeout: float | None, format: RowFormat[Row]) -> IncomingRows[Row]:
        """Begin a call whose reply is a stream; whoever asks reads the rows."""
        deadline = self.now() + (self.timeout if timeout is None else timeout)
        return IncomingRows(self.router, call, deadline, format)

    def start(self) -> None:
        """Dial all nodes, as the asyncio client does when it is opened."""
        self.env.clock.call_soon(self.router.start)

    def ask(
        self, body: Body, *, key: str | None = None, node: str | None = None, timeout: float = 5.0, trace: str = ""
    ) -> ClientOperation:
        """Send a message to an owner of `key`, to any node, or to `node`; in the next pass of its process."""
        pending = ClientOperation(body, self.now())

        def done(outcome: Outcome) -> None:
            assert pending.outcome is None, "answered twice"
            pending.outcome, pending.took_s = outcome, self.now() - pending.began

        self.env.clock.call_soon(lambda: self.router.call(body, pending.began + timeout, done, key, node, trace))
        return pending

    def put(self, key: str, value: bytes, context: bytes | None = None, *, timeout: float = 5.0) -> ClientOperation:
        """Write."""
        return self.ask(Put(key, value, self.router.operation_id(), context), key=key, timeout=timeout)

    def get(self, key: str, *, strict: bool = False, timeout: float = 5.0) -> ClientOperation:
        """Read."""
        return self.ask(Get(key, 0, strict), key=key, timeout=timeout)
