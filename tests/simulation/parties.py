"""Nodes that only remember, for tests of the simulated network."""

from cluster.env import Address, DatagramSocket, Link
from cluster.simulation import World


class Ear:
    """A stream's handler that remembers what it is told, and when."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.data = b""
        self.ends: list[str] = []
        self.times: list[float] = []
        self.links: list[Link] = []

    @property
    def link(self) -> Link:
        return self.links[0]

    def connected(self, link: Link) -> None:
        self.links.append(link)

    def received(self, data: bytes) -> None:
        self.data += data
        self.times.append(self.world.now)

    def lost(self, reason: str) -> None:
        self.ends.append(reason)

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Party:
    """A node that listens for streams and datagrams at an address of its own."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.at: Address = (f"10.0.0.{name[1:]}", 7000)
        self.ears: list[Ear] = []
        self.datagrams: list[tuple[bytes, Address, float]] = []
        self.socket: DatagramSocket
        self.start()

    def start(self) -> None:
        network = self.world.env(self.name).network
        network.listen(self.at, self.accept)
        self.socket = network.datagrams(self.at, lambda data, at: self.datagrams.append((data, at, self.world.now)))

    def accept(self, peer: Address) -> Ear:
        self.ears.append(Ear(self.world))
        return self.ears[-1]

    def dial(self, other: "Party", timeout: float = 5.0) -> Ear:
        ear = Ear(self.world)
        self.world.env(self.name).network.dial(other.at, ear, timeout)
        return ear

    def numbers(self) -> list[int]:
        return [int(data) for data, _, _ in self.datagrams]


def joined(world: World) -> tuple[Party, Party, Ear, Ear]:
    """Two nodes, and both sides of a stream from the first to the second."""
    one, two = Party(world, "n1"), Party(world, "n2")
    here = one.dial(two)
    world.run_until_true(lambda: bool(here.links and two.ears))
    return one, two, here, two.ears[0]
