"""A fleet with one queue of one shard, for directed scenarios: what is sent, leased and done with, and who is away."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from cluster.layout import placement
from cluster.queues.receipts import decode_receipt
from cluster.queues.rows import partition_of_shard
from cluster.simulation.fleet import Fleet
from cluster.wire.queues import Delivered, QueueAnswered, QueueReceived, QueueSent
from tests.simulation.safeguards.scenes import settle

ACKNOWLEDGED = ("ok", "ok-sloppy")


class Scene:
    """A fleet with one queue of one shard."""

    def __init__(self, fleet: Fleet, **options: Any) -> None:
        self.fleet = fleet
        options = {"visibility_s": 1.0, "shards": 1, **options}
        if "dead_letter" in options:
            self.make(options["dead_letter"], shards=1)
        self.id = self.make("jobs", **options)
        self.partition = partition_of_shard(self.id, 0)

    def make(self, name: str, **options: Any) -> int:
        """Define a queue; its id."""
        answer = self.fleet.wait(self.fleet.create_queue(self.fleet.up[0], name, **options))
        assert answer.error is None, answer.error
        id: int = self.fleet.nodes[self.fleet.up[0]].defined.by_name[name].id
        return id

    @property
    def owners(self) -> list[str]:
        """Of the one shard; the first gives, while it votes."""
        return list(placement(self.fleet.layout).owners(self.partition))

    @property
    def others(self) -> list[str]:
        """Those that own nothing of it."""
        return [name for name in self.fleet.names if name not in self.owners]

    def send(self, via: str, *bodies: bytes, dedup_id: str = "", delay_s: float = -1.0) -> list[str]:
        """The ids of what was sent, and acknowledged."""
        messages = [(body, None, delay_s, dedup_id) for body in bodies]
        answer = self.fleet.wait(self.fleet.send(via, "jobs", messages)).answer
        assert isinstance(answer, QueueSent) and all(one[1] in ACKNOWLEDGED for one in answer.results), answer
        return [one[0] for one in answer.results]

    def send_to_all(self, via: str, *bodies: bytes) -> None:
        """Send, and wait until every owner has it."""
        self.send(via, *bodies)
        settle(self.fleet)

    def look(self, via: str, queue: str = "jobs", **options: Any) -> QueueReceived:
        """A receive that waits for nothing."""
        result = self.fleet.wait(self.fleet.receive(via, queue, **options), 20.0)
        assert isinstance(result.answer, QueueReceived), result.error
        return result.answer

    def receive(self, via: str, queue: str = "jobs", **options: Any) -> list[Delivered]:
        """What is delivered."""
        return self.look(via, queue, **options).messages

    def one(self, via: str, **options: Any) -> Delivered:
        """The one message that there is, as soon as it is visible."""
        messages = self.receive(via, wait_s=10.0, **options)
        assert len(messages) == 1, f"one message is due, not {messages}"
        return messages[0]

    def ack(self, via: str, *messages: Delivered) -> str:
        """How an acknowledgement ended; `unknown` where nobody answered."""
        request = self.fleet.ack(via, [one.receipt for one in messages])
        self.fleet.world.run_for(1.5)
        if isinstance(request.answer, QueueAnswered):
            return request.answer.results[0][0]
        return "unknown"

    def is_done(self, node: str, message: Delivered) -> bool:
        """Whether a node has the bit of a message, in its log."""
        receipt = decode_receipt(message.receipt)
        return self.fleet.nodes[node].shards.of(self.id, 0).is_done(receipt.actor, receipt.number)

    def apart(self, *group: str) -> None:
        """Cut these from all others, before anybody has noticed."""
        self.fleet.world.partition([list(group), [name for name in self.fleet.names if name not in group]])

    def noticed(self, *gone: str) -> None:
        """Wait until all others do without these."""
        fleet = self.fleet
        rest = [name for name in fleet.up if name not in gone]
        fleet.until(lambda: all(fleet.nodes[one].reach.avoided(name) for one in rest for name in gone))

    def divide(self, left: Sequence[str], right: Sequence[str]) -> None:
        """Cut two sides from each other, and wait until each does without the other."""
        nodes = self.fleet.nodes
        self.fleet.world.partition([list(left), list(right)])
        pairs = [(one, two) for one in left for two in right]
        self.fleet.until(lambda: all(nodes[one].reach.avoided(two) for one, two in pairs))
        self.fleet.until(lambda: all(nodes[two].reach.avoided(one) for one, two in pairs))

    def lose(self, *names: str) -> None:
        """Kill these, and wait until all others do without them."""
        for name in names:
            self.fleet.crash(name)
        self.noticed(*names)

    def lose_log(self, name: str) -> None:
        """The same of one that was cut off and loses its log with its power; the links are whole again."""
        self.fleet.power_loss(name, silent=True)
        self.fleet.world.heal()
        self.noticed(name)


@contextmanager
def jobs(seed: int, **options: Any) -> Iterator[tuple[Fleet, Scene]]:
    """Five nodes that run, and the queue `jobs`."""
    with Fleet.running(seed, 5) as fleet:
        yield fleet, Scene(fleet, **options)


class OneCopy:
    """A writer for which one copy is enough."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def write(self, *given: Any, **options: Any) -> None:
        self._writer.write(*given, **{**options, "w": 1})


def with_one_copy(kind: type, method: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Let what a method writes be done at one copy."""

    def remove(monkeypatch: pytest.MonkeyPatch) -> None:
        plain = getattr(kind, method)

        def early(self: Any, *given: Any) -> None:
            writer = self.context.writer
            self.context.writer = OneCopy(writer)
            try:
                plain(self, *given)
            finally:
                self.context.writer = writer

        monkeypatch.setattr(kind, method, early)

    return remove
