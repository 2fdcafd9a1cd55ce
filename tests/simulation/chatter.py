"""A small cluster that uses every part of the seam, under every fault: for tests of the simulation itself.

Run as a program it prints the digest of the trace of the seed that it is given.
"""

import asyncio
import sys

from cluster.env import Address, AppendFile, Env, Link
from cluster.simulation import World


class Chatter:
    """Sends datagrams and streams to its peers, logs what it hears, and keeps a few coroutines busy."""

    def __init__(self, env: Env, name: str, addresses: dict[str, Address]) -> None:
        self.env = env
        self.name = name
        self.peers = [address for peer, address in addresses.items() if peer != name]
        self.heard = 0
        self.log: AppendFile = env.disk.append("log/0001")
        self.datagrams = env.network.datagrams(addresses[name], self.on_datagram)
        env.network.listen(addresses[name], lambda peer: Echo())
        env.clock.call_soon(self.gossip)
        env.clock.call_later(0.05, self.converse)
        env.spawn(self.serve())

    def gossip(self) -> None:
        self.env.clock.call_later(0.01 + self.env.random.random() * 0.01, self.gossip)
        self.datagrams.send(b"%s %d" % (self.name.encode(), self.heard), self.env.random.choice(self.peers))

    def on_datagram(self, data: bytes, sender: Address) -> None:
        self.heard += 1
        self.log.append(data + b"\n")
        if self.heard % 20 == 0:
            self.log.sync(lambda error: None)

    def converse(self) -> None:
        self.env.clock.call_later(0.05, self.converse)
        self.env.network.dial(self.env.random.choice(self.peers), Conversation(self.env), timeout=0.2)

    async def serve(self) -> None:
        while True:
            try:
                async with asyncio.timeout(0.03), asyncio.TaskGroup() as group:
                    for number in range(10):
                        group.create_task(self.think(0.02 + 0.002 * number))
            except TimeoutError:
                self.env.disk.write("state", b"%d" % self.heard)

    async def think(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.log.append(b"cancelled %.4f\n" % seconds)
            raise


class Echo:
    """Sends back what it receives."""

    link: Link

    def connected(self, link: Link) -> None:
        self.link = link

    def received(self, data: bytes) -> None:
        self.link.write(data)

    def lost(self, reason: str) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Conversation(Echo):
    """Sends bytes and closes once they are back."""

    def __init__(self, env: Env) -> None:
        self.size = env.random.randrange(1, 2000)
        self.waiting = self.size

    def connected(self, link: Link) -> None:
        self.link = link
        link.write(bytes(self.size))

    def received(self, data: bytes) -> None:
        self.waiting -= len(data)
        if not self.waiting:
            self.link.close()


def play(world: World, size: int = 5, rounds: int = 40) -> None:
    """A cluster and a nemesis."""
    names = [f"n{number}" for number in range(1, size + 1)]
    addresses = {name: ("127.0.0.1", 7000 + index) for index, name in enumerate(names)}
    nemesis = world.random("nemesis")
    for source in names:
        for target in names:
            world.slow(source, target, delay=0.001, jitter=0.002, loss=0.02, duplicate=0.02, reorder=0.05)
    for name in names:
        Chatter(world.env(name), name, addresses)
    for _ in range(rounds):
        world.run_for(nemesis.uniform(0.0, 0.1))
        one, other = nemesis.sample(names, 2)
        match nemesis.randrange(6):
            case 0:
                world.crash(one)
                world.run_for(nemesis.uniform(0.0, 0.1))
                Chatter(world.env(one), one, addresses)
            case 1:
                world.power_loss(one, silent=nemesis.random() < 0.5)
                world.run_for(nemesis.uniform(0.0, 0.1))
                Chatter(world.env(one), one, addresses)
            case 2:
                world.pause(one)
                world.run_for(nemesis.uniform(0.0, 0.1))
                world.resume(one)
            case 3:
                world.partition([[one], [other]])
            case 4:
                world.partition([[one], [name for name in names if name != one]], one_way=True)
            case 5:
                world.heal()
    world.heal()
    world.run_for(0.5)


if __name__ == "__main__":
    with World(int(sys.argv[1])) as world:
        play(world)
        sys.stdout.write(f"{world.trace_digest()} {world.schedule.calls_made}\n")
