"""A stream whose other end began to listen after the dial obeys partitions as any other."""

from cluster.env import Link
from cluster.simulation import World

AT = ("10.0.0.1", 7001)


class Ear:
    """Collects what arrives."""

    def __init__(self) -> None:
        self.heard = b""
        self.link: Link | None = None

    def connected(self, link: Link) -> None:
        self.link = link

    def received(self, data: bytes) -> None:
        self.heard += data

    def lost(self, reason: str) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def test_a_partition_blocks_a_stream_that_was_dialled_before_anybody_listened() -> None:
    with World(1, cut_probability=0.0) as world:
        dialler, listener = Ear(), Ear()
        one, two = world.env("n1"), world.env("n2")
        one.clock.call_soon(one.network.dial, AT, dialler, 1.0)
        one.clock.call_soon(two.network.listen, AT, lambda peer: listener)
        world.run_for(0.1)
        assert dialler.link is not None
        world.partition([["n1"], ["n2"]])
        dialler.link.write(b"unheard")
        world.run_for(1.0)
        assert listener.heard == b""
        world.heal()
        world.run_for(1.0)
        assert listener.heard == b"unheard"
