"""A receive that says *empty*, and names no shard that cannot be reached, was right: what had been acknowledged to its
sender before has been delivered, whichever two nodes of five are away, and however."""

from random import Random

from cluster.simulation.fleet import Fleet
from cluster.wire.queues import QueueReceived, QueueSent
from tests.simulation.nemesis import Nemesis

ROUNDS = 10
SENDS = 8
VISIBILITY_S = 1.0
LEASES_S = 1.5 * VISIBILITY_S
"""A message that is leased, to whoever never got it perhaps, is not there to be received: it is again after this."""


class Emptied:
    """What was acknowledged to its sender, and what came."""

    def __init__(self, fleet: Fleet, random: Random, nemesis: Nemesis) -> None:
        self.fleet = fleet
        self.random = random
        self.nemesis = nemesis
        self.count = 0
        self.sent: set[bytes] = set()
        self.came: set[bytes] = set()
        self.empty = self.unsure = 0

    def send(self) -> None:
        """Some at once, through any nodes, in the midst of a step of the nemesis."""
        asked = []
        for number in range(SENDS):
            if number == SENDS // 2:
                self.nemesis.act()
                self.fleet.world.run_for(self.random.choice((0.0, 0.01, 0.3)))
            if up := self.nemesis.running:
                body, self.count = b"%d" % self.count, self.count + 1
                asked.append((body, self.fleet.send(self.random.choice(up), "jobs", [body])))
        self.fleet.world.run_for(1.1)
        for body, one in asked:
            if isinstance(one.answer, QueueSent) and one.answer.results[0][1] in ("ok", "ok-sloppy"):
                self.sent.add(body)

    def drain(self) -> None:
        """Receive until there is nothing, and again once whatever was leased would have come back."""
        if not (up := self.nemesis.running):
            return
        via, known = self.random.choice(up), set(self.sent)
        for _ in range(3):
            while True:
                if via not in self.nemesis.running:
                    return
                asked = self.fleet.receive(via, "jobs", 10, self.random.choice((0.0, 0.3)), timeout=3.0)
                self.fleet.world.run_for(0.5)
                self.fleet.until(lambda asked=asked: asked.ended or via not in self.nemesis.running, 5.0)  # type: ignore[misc]
                if not isinstance(asked.answer, QueueReceived):
                    return
                if not (found := asked.answer.messages):
                    break
                self.came |= {message.body for message in found}
                if via not in self.nemesis.running:  # it answered, and died
                    return
                acks = self.fleet.ack(via, [message.receipt for message in found], 2.0)
                self.fleet.until(lambda acks=acks: acks.ended or via not in self.nemesis.running, 5.0)  # type: ignore[misc]
            if asked.answer.shards_unreachable:
                self.unsure += 1
                return
            self.fleet.world.run_for(LEASES_S)
        self.empty += 1
        assert known <= self.came, (sorted(known - self.came), via, self.nemesis.log)


def run(seed: int) -> Emptied:
    with Fleet.running(seed, 5) as fleet:
        random = Random(f"{seed}/emptiness")
        nemesis = Nemesis(fleet, random, down_max=2)
        fleet.wait(fleet.create_queue("n1", "jobs", visibility_s=VISIBILITY_S, shards=4))
        account = Emptied(fleet, random, nemesis)
        for _ in range(ROUNDS):
            account.send()
            account.drain()
        nemesis.end()
        fleet.until(fleet.settled, 120.0)
        account.drain()
        assert account.empty and account.sent <= account.came
    return account


def test_what_is_called_empty_is(seed: int) -> None:
    run(seed)
