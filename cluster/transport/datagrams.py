"""Sealed datagrams to nodes by name, straight to whoever wants them: nothing waits here, and nothing is answered."""

from collections.abc import Callable

from cluster.env import Address, DatagramSocket, Env
from cluster.faults import FaultBook
from cluster.wire.datagram import DatagramSeal
from cluster.wire.handshake import Party
from cluster.wire.rights import ROLE_NODE, role_key


class DatagramEndpoint:
    """One node's datagrams. `addresses` is shared with whoever keeps it; `on_datagram(sender, body, sent)` gets what
    came through the seal and the fault rules, with the time at which it was sent, on this node's clock."""

    def __init__(self, env: Env, me: Party, secret: bytes, faults: FaultBook, addresses: dict[str, Address]) -> None:
        self.addresses = addresses
        self.on_datagram: Callable[[str, bytes, float], None] = lambda sender, body, sent: None
        self.on_heard: Callable[[str], None] = lambda sender: None
        """(sender): it runs."""
        self._env = env
        self._me = me
        self._faults = faults
        self._seal = DatagramSeal(role_key(secret, ROLE_NODE), me.cluster, me.boot)
        self._socket: DatagramSocket | None = None

    def start(self, at: Address) -> None:
        """Receive. Raises OSError when the port is taken."""
        self._socket = self._env.network.datagrams(at, self.received)

    def stop(self) -> None:
        """Receive no more."""
        if self._socket is not None:
            self._socket.close()

    def datagram(self, peer: str, body: bytes) -> None:
        """Send a datagram; it may be lost."""
        address = self.addresses.get(peer)
        if address is not None and self._socket is not None:
            self._socket.send(self._seal.seal(self._me.name, body, self._env.clock.now()), address)

    def received(self, data: bytes, source: Address) -> None:
        """A datagram came: through the seal and the fault rules, then up."""
        now = self._env.clock.now()
        opened = self._seal.open(data, now)
        if opened is None or opened.sender == self._me.name:
            return
        sender, body, sent = opened
        if not self._faults.active:
            self._deliver(sender, body, sent)
            return
        for delay in self._faults.on_datagram(sender, self._env.random, len(data), now):
            if delay:
                self._env.clock.call_later(delay, self._deliver, sender, body, sent)
            else:
                self._deliver(sender, body, sent)

    def _deliver(self, sender: str, body: bytes, sent: float) -> None:
        self.on_heard(sender)
        self.on_datagram(sender, body, sent)
