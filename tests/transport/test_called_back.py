"""A worker is called on the connection that it has dialled, and answers for itself alone."""

from typing import Any

from cluster.client.dialled import DialledStream
from cluster.errors import Maybe
from cluster.ports import CalledLink, Inbound
from cluster.simulation import World
from cluster.wire.caller import Caller
from cluster.wire.frames import Failure, Frame, Invalid, Part, Reply, Request
from cluster.wire.handshake import NONCE_BYTES, Party, role_key
from cluster.wire.requests import Call, CallDone, Register, Registered
from cluster.wire.rights import ROLE_CLIENT, ROLE_WORKER
from tests.transport.small import SECRET, Peer, peers

REGISTER = Register("pay", 1, "", b"{}", 1, [], [])
CALL = Call("pay", "charge", b"{}")
DONE = CallDone(b"1", "")


class Worker:
    """The other side of one connection."""

    def __init__(self, world: World, name: str, role: str = ROLE_WORKER) -> None:
        self.env = world.env(name)
        self.requests: list[Request] = []
        self.registered: list[Any] = []
        me = Party("small", role, name, name, 0)
        self.caller = Caller("n1", role_key(SECRET, role), me, bytes(NONCE_BYTES))
        self.caller.on_requests = self._take
        self.caller.on_ready = self._register
        self.env.clock.call_soon(DialledStream, self.env, ("10.0.0.1", 7001), self.caller, 1.0)

    def _register(self) -> None:
        now = self.env.clock.now()
        self.caller.call(REGISTER, now + 5.0, self.registered.append, now)

    def _take(self, frames: list[Frame | Invalid], now: float) -> list[Frame | Invalid]:
        self.requests += [frame for frame in frames if isinstance(frame, Request)]
        return [frame for frame in frames if not isinstance(frame, Request)]

    def answer(self, frame: Reply | Failure | Part) -> None:
        self.env.clock.call_soon(self.caller.answer, frame)


class Taken:
    """What came in answer on one connection."""

    def __init__(self, place: int, into: list[tuple[int, int, Any]]) -> None:
        self.place = place
        self.into = into

    def answered(self, id: int, outcome: Any) -> None:
        self.into.append((self.place, id, outcome))

    def part(self, id: int, data: bytes) -> None:
        self.into.append((self.place, id, data))


class Host:
    """Calls every worker that registers, once, by the same number."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.links: list[CalledLink] = []
        self.answers: list[tuple[int, int, Any]] = []
        peer.rpc.handle(Register, self.register)

    def register(self, inbound: Inbound) -> None:
        place = len(self.links)
        link = self.peer.rpc.call_back(inbound, Taken(place, self.answers))
        self.links.append(link)
        inbound.reply(Registered(f"n1/{place + 1}"))
        link.send(Request(7, self.peer.env.clock.now() + 1.0, 0, CALL))


def test_answers_come_from_the_connection_that_was_called_and_from_no_other() -> None:
    with World(1) as world:
        (node,) = peers(world, "n1")
        host = Host(node)
        one = Worker(world, "w1")
        world.run_until_true(lambda: bool(one.requests), 5.0)
        two = Worker(world, "w2")
        world.run_until_true(lambda: bool(two.requests), 5.0)
        assert [one.requests[0].body, one.registered] == [CALL, [Registered("n1/1")]]
        two.answer(Reply(7, DONE))
        two.answer(Part(7, b"more"))
        world.run_until_true(lambda: len(host.answers) == 2, 5.0)
        assert host.answers == [(1, 7, DONE), (1, 7, b"more")]
        one.answer(Failure(7, "maybe", "it may have run"))
        world.run_until_true(lambda: len(host.answers) == 3, 5.0)
        place, id, outcome = host.answers[-1]
        assert (place, id) == (0, 7) and isinstance(outcome, Maybe)


def test_who_is_no_worker_is_not_called_and_answers_nobody() -> None:
    with World(1) as world:
        (node,) = peers(world, "n1")
        host = Host(node)
        client = Worker(world, "c1", ROLE_CLIENT)
        world.run_until_true(lambda: bool(client.registered), 5.0)
        assert client.registered[0].code == "forbidden" and not host.links
        client.answer(Reply(7, DONE))
        world.run_for(1.0)
        assert not host.answers and client.caller.error is None
