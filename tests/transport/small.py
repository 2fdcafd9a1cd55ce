"""Two or three transports in the simulated world, without the rest of the node."""

from typing import Any

from cluster.config import TransportSettings
from cluster.env import OutputTick
from cluster.errors import ClusterError
from cluster.faults import FaultBook
from cluster.ports import Inbound
from cluster.rpc import Rpc
from cluster.simulation import World
from cluster.transport import DatagramEndpoint, Transport
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.handshake import ROLE_NODE, Party

SECRET = b"s" * 32


class Peer:
    """One process with a transport that answers `AdminQuery` with its own name."""

    def __init__(
        self,
        world: World,
        name: str,
        addresses: dict[str, tuple[str, int]],
        secret: bytes = SECRET,
        epoch: int = 1,
        boot: str = "",
    ) -> None:
        if boot:
            world._node(name).origin = 0  # one clock
        env = world.env(name)
        self.env = env
        self.name = name
        self.asked: list[Inbound] = []
        self.events: list[tuple[str, str]] = []
        self.answers: list[tuple[str, Any]] = []
        self.lost: list[tuple[str, str]] = []
        self.silent = False
        self.faults = FaultBook(name)
        party = Party("small", ROLE_NODE, name, f"{name}-id", epoch, boot or env.boot_id)
        self.transport = Transport(
            env, OutputTick(env.clock), party, secret, TransportSettings(), self.faults, self._record
        )
        self.rpc = Rpc(env.clock, self.transport)
        self.transport.addresses = {other: address for other, address in addresses.items() if other != name}
        self.datagrams = DatagramEndpoint(env, party, secret, self.faults, self.transport.addresses)
        self.datagrams.on_heard = self.transport.redial
        self.rpc.handle(AdminQuery, self._on_ask)
        self.transport.on_lost.append(lambda peer, reason: self.lost.append((peer, reason)))
        env.clock.call_soon(self.transport.start, addresses[name])
        env.clock.call_soon(self.datagrams.start, addresses[name])

    def _record(self, kind: str, cause: str, **fields: Any) -> None:
        self.events.append((kind, cause))

    def _on_ask(self, inbound: Inbound) -> None:
        self.asked.append(inbound)
        if not self.silent:
            inbound.reply(AdminAnswer(self.name))

    def ask(
        self, *peers: str, timeout: float = 1.0, what: str = "name", arguments: dict[str, Any] | None = None
    ) -> None:
        """Ask peers; what comes back is in `answers`."""

        def later() -> None:
            deadline = self.env.clock.now() + timeout
            self.rpc.request(list(peers), AdminQuery(what, arguments or {}), deadline, self._on_answer)

        self.env.clock.call_soon(later)

    def _on_answer(self, peer: str, outcome: Any) -> None:
        self.answers.append((peer, outcome.value if isinstance(outcome, AdminAnswer) else outcome))

    def outcome(self) -> Any:
        """The one answer that came, an error as its code and whether it is definite."""
        assert len(self.answers) == 1, self.answers
        answer = self.answers[0][1]
        return (answer.code, answer.definite) if isinstance(answer, ClusterError) else answer


def peers(world: World, *names: str, boot: str = "") -> list[Peer]:
    """Processes that know each other's addresses, each on a machine of its own unless they share a `boot`."""
    addresses = {name: ("10.0.0.1", 7001 + number) for number, name in enumerate(names)}
    return [Peer(world, name, addresses, boot=boot) for name in names]
