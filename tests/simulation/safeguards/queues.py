"""Work queues: what was acknowledged comes, what is done with does not, and empty is not said of what may be hidden."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.layout import placement
from cluster.queues import deadletter, giver, rows, sending
from cluster.queues.acking import Acking
from cluster.queues.context import QueueContext
from cluster.queues.deadletter import DeadLetters
from cluster.queues.deduplication import Deduplication
from cluster.queues.defined import Defined
from cluster.queues.giver import Giver
from cluster.queues.giving import Giving
from cluster.queues.looking import Looking
from cluster.queues.node import NodeQueues
from cluster.queues.queuerows import QueueRows
from cluster.queues.receipts import Receipt, decode_receipt
from cluster.queues.receiving import Receiving
from cluster.queues.rows import partition_of_shard
from cluster.replication.hints import HintStore
from cluster.replication.mergeable import MARK
from cluster.simulation.fleet import Fleet
from cluster.wire.queues import Delivered, QueueAnswered, QueueReceived, QueueSent
from cluster.wire.topics import Published
from tests.simulation.queues import rows as rows_of
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import boot, settle

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

    def has(self, node: str) -> bool:
        """Whether a node has a block that lives."""
        return bool(self.fleet.nodes[node].shards.of(self.id, 0).blocks)

    def apart(self, *group: str) -> None:
        """Cut these from all others, before anybody has noticed."""
        self.fleet.world.partition([list(group), [name for name in self.fleet.names if name not in group]])

    def noticed(self, *gone: str) -> None:
        """Wait until all others do without these."""
        fleet = self.fleet
        rest = [name for name in fleet.up if name not in gone]
        fleet.until(lambda: all(fleet.nodes[one].reach.avoided(name) for one in rest for name in gone))


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


# -- acknowledged at W


def an_owner_acknowledges_alone_and_is_lost(seed: int) -> None:
    """It can reach nobody, has not noticed, and loses its power. What it answered ok to is done with."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        owner, other, _ = scene.owners
        scene.send(other, b"one")
        settle(fleet)
        message = scene.one(owner)
        scene.apart(owner)
        outcome = scene.ack(owner, message)
        fleet.power_loss(owner, silent=True)
        fleet.world.heal()
        scene.noticed(owner)
        fleet.world.run_for(3.0)
        if outcome in ACKNOWLEDGED:
            assert scene.receive(other, wait_s=2.0) == [], "what was done with came again"


def an_owner_accepts_alone_and_is_lost(seed: int) -> None:
    """The same of a send."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        owner, other, _ = scene.owners
        scene.apart(owner)
        request = fleet.send(owner, "jobs", [b"one"])
        fleet.world.run_for(1.5)
        fleet.power_loss(owner, silent=True)
        fleet.world.heal()
        scene.noticed(owner)
        answer = request.answer
        if isinstance(answer, QueueSent) and answer.results[0][1] in ACKNOWLEDGED:
            assert scene.receive(other, wait_s=2.0), "what was acknowledged is lost"


def a_publish_is_accepted_alone(seed: int) -> None:
    """The same of a publication to whose subject the queue is bound."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        owner, other, _ = scene.owners
        assert fleet.wait(fleet.ask(owner, "bind-queue", {"name": "jobs", "pattern": "orders.*"})).error is None
        scene.apart(owner)
        request = fleet.publish(owner, "orders.new", b"one")
        fleet.world.run_for(1.5)
        fleet.power_loss(owner, silent=True)
        fleet.world.heal()
        scene.noticed(owner)
        answer = request.answer
        if isinstance(answer, Published) and all(outcome in ACKNOWLEDGED for _, _, outcome in answer.queues):
            assert scene.receive(other, wait_s=2.0), "what a publish said is in the queue is lost"


def publish_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = NodeQueues.publish

    def early(self: NodeQueues, queues: Any, message: Any, deadline: float, done: Callable[[Any], None]) -> None:
        publish(self, queues, message, deadline, lambda bound: None)
        done([(queue, "", "ok") for queue in queues])

    monkeypatch.setattr(NodeQueues, "publish", early)


# -- bits


def two_of_five_are_done_with_on_two_sides(seed: int) -> None:
    """Not the first ones. The others come."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        left, right, third = scene.owners
        scene.send(left, *(b"%d" % number for number in range(5)))
        settle(fleet)
        messages = sorted(scene.receive(left), key=lambda one: one.body)
        away = scene.others
        fleet.world.partition([[left, *away[:1]], [right, third, *away[1:]]])
        assert scene.ack(left, messages[2]) != "no" and scene.ack(right, messages[4]) in ACKNOWLEDGED
        fleet.world.heal()
        settle(fleet)
        left_over = {one.body for one in scene.receive(third, wait_s=5.0)}
        assert left_over == {b"0", b"1", b"3"}


def count_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what is done with were a number, and not a set."""
    merge_rows = rows.merge_rows

    def counted(held: bytes, other: bytes) -> bytes:
        if held[1] != 2 or other[1:2] != held[1:2]:
            return merge_rows(held, other)
        count = rows.decode_bits(held).bit_count() + rows.decode_bits(other).bit_count()
        return rows.encode_bits((1 << count) - 1)

    monkeypatch.setattr(QueueRows, "merge", staticmethod(counted))


# -- leases


def a_receipt_of_an_earlier_boot_gives_nothing_back(seed: int) -> None:
    """The giver counts its leases from one again: the same number, of the same message, of another boot."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        name = scene.owners[0]
        scene.send(name, b"one")
        old: dict[int, str] = {}
        for _ in range(6):
            message = scene.one(name)
            old[decode_receipt(message.receipt).counter] = message.receipt
            fleet.wait(fleet.nack(name, [message.receipt]))
        last = scene.one(name)
        old[decode_receipt(last.receipt).counter] = last.receipt
        fleet.crash(name)
        boot(fleet, name)
        settle(fleet)
        fleet.world.run_for(2.0)
        for _ in range(12):
            message = scene.one(name)
            counter = decode_receipt(message.receipt).counter
            if counter in old and decode_receipt(message.receipt).giver == name:
                answer = fleet.wait(fleet.nack(name, [old[counter]])).answer
                assert isinstance(answer, QueueAnswered) and answer.results[0][1][0] == "lease-lost", answer
                return
            fleet.wait(fleet.nack(name, [message.receipt]))
        raise AssertionError("no lease of the new boot had the number of one of the old boot")


def take_receipts_of_any_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    find = Giving.find

    def any_boot(self: Giving, receipt: Receipt) -> Any:
        fields = {name: getattr(receipt, name) for name in receipt.__struct_fields__}
        return find(self, Receipt(**{**fields, "epoch": self.context.epoch}))

    monkeypatch.setattr(Giving, "find", any_boot)


def a_giver_is_killed_while_its_lease_runs(seed: int) -> None:
    """Its successor waits for that lease."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet, visibility_s=20.0)
        name, other, _ = scene.owners
        scene.send(other, b"one")
        settle(fleet)
        scene.one(other)
        fleet.world.run_for(0.5)
        fleet.crash(name)
        scene.noticed(name)
        assert scene.receive(other, wait_s=2.0) == [], "leased to two at once"
        assert scene.receive(other, wait_s=30.0), "the lease has ended"


def note_leases_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Giving, "_write", lambda self, shard, block, notes: None)


def a_poisoned_message_and_a_new_giver(seed: int) -> None:
    """Attempts are counted on from what its predecessor noted."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        name, other, _ = scene.owners
        scene.send(other, b"one")
        settle(fleet)
        assert [scene.one(other).attempt for _ in range(2)] == [1, 2]
        fleet.world.run_for(0.5)
        fleet.crash(name)
        scene.noticed(name)
        assert scene.one(other).attempt == 3


def count_attempts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giver, "_attempts", lambda note: 0)


def a_client_that_waits_goes_away(seed: int) -> None:
    """A message comes for it through another node; somebody else gets it at once, as if it had not been given."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet, visibility_s=60.0)
        name, other, _ = scene.owners
        via = scene.others[0]
        request = fleet.receive(via, "jobs", wait_s=10.0)
        fleet.world.run_for(0.2)
        request.link.ended = True
        scene.send(other, b"one")
        fleet.world.run_for(0.5)
        assert scene.one(name).attempt == 1


def forget_whom_a_lease_did_not_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Receiving, "release", lambda self, giver, messages: None)


# -- who gives


def an_owner_comes_back_behind(seed: int) -> None:
    """While it was away the message was done with; it is asked for more before it has caught up."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        name, other, _ = scene.owners
        scene.send(other, b"one")
        settle(fleet)
        message = scene.one(other, visibility_s=0.05)
        fleet.crash(name)
        scene.noticed(name)
        assert scene.ack(other, message) in ACKNOWLEDGED
        fleet.world.run_for(1.5)
        for one in fleet.names:
            if one != name:
                fleet.world.slow(one, name, delay=0.15)
        boot(fleet, name)
        for _ in range(20):
            fleet.world.run_for(0.05)
            request = fleet.receive(name, "jobs")
            fleet.world.run_for(0.3)
            answer = request.answer
            assert not (isinstance(answer, QueueReceived) and answer.messages), "what was done with came again"


def give_without_a_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses = Giving.refuses
    monkeypatch.setattr(Giving, "refuses", lambda self, queue, shard, last_resort: refuses(self, queue, shard, True))


# -- empty


def a_giver_missed_a_send(seed: int) -> None:
    """For a moment it could reach nobody; the two others accepted. Then it is asked whether there is anything."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        name, other, _ = scene.owners
        scene.apart(name)
        scene.send(other, b"one")
        fleet.world.heal()
        for via in (name, *scene.others):
            answer = scene.look(via)
            assert answer.messages or answer.shards_unreachable, f"{via} said empty, and two owners have a message"
            if answer.messages:
                return


def ask_the_giver_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(self: Looking, queue: Any, deadline: float, looked: Callable[[list[int]], None]) -> None:
        looked([])

    monkeypatch.setattr(Looking, "look", look)


def both_that_have_it_are_out_of_sight(seed: int) -> None:
    """A message is at two of three owners, and neither answers: nobody can say that the queue is empty."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        one, two, behind = scene.owners
        fleet.crash(behind)
        scene.noticed(behind)
        scene.send(one, b"one")
        fleet.world.run_for(1.5)
        fleet.crash(one)
        fleet.crash(two)
        scene.noticed(one, two)
        boot(fleet, behind)
        fleet.until(lambda: not fleet.nodes[scene.others[0]].reach.avoided(behind))
        request = fleet.receive(scene.others[0], "jobs", timeout=4.0)
        fleet.world.run_for(5.0)
        answer = request.answer
        assert not isinstance(answer, QueueReceived) or answer.messages or answer.shards_unreachable == [0], answer


def never_mind_who_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the look could not see is taken for not there."""
    look = Looking.look

    def blind(self: Looking, queue: Any, deadline: float, looked: Callable[[list[int]], None]) -> None:
        look(self, queue, deadline, lambda unreachable: looked([]))

    monkeypatch.setattr(Looking, "look", blind)


# -- marks


def the_owner_that_missed_sends_remains_alone(seed: int) -> None:
    """It was away, came back, and all settles; then the two others go."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        first, second, away = scene.owners
        fleet.crash(away)
        scene.noticed(away)
        scene.send(first, b"one")
        scene.send(second, b"two")
        fleet.world.run_for(1.5)
        boot(fleet, away)
        settle(fleet)
        fleet.crash(first)
        fleet.crash(second)
        scene.noticed(first, second)
        came = {one.body for one in scene.receive(away, wait_s=3.0, timeout=3.0)}
        assert came == {b"one", b"two"}


def forget_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    add = HintStore.add

    def without(self: HintStore, hint: Any, blob: bytes, done: Callable[[Any], None]) -> None:
        if blob == MARK:
            done(None)
        else:
            add(self, hint, blob, done)

    monkeypatch.setattr(HintStore, "add", without)


def only_a_fallback_has_it(seed: int) -> None:
    """An owner and a fallback accepted a message; the owner dies, and the fallback is slow to deliver its hint."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        owner, *rest = scene.owners
        holder, via = scene.others
        fleet.world.partition([[owner, holder], [*rest, via]])
        fleet.until(lambda: all(fleet.nodes[one].reach.avoided(two) for one in (owner, holder) for two in (*rest, via)))
        scene.send(owner, b"one")
        fleet.crash(owner)
        for one in rest:
            fleet.world.slow(holder, one, delay=1.5)
        fleet.world.heal()
        fleet.until(lambda: not fleet.nodes[via].reach.avoided(holder), 20.0)
        for _ in range(10):
            answer = scene.look(via)
            assert answer.messages or answer.shards_unreachable, "said empty, and a fallback has a message"
            if answer.messages:
                return
            fleet.world.run_for(0.1)


def leave_out_what_fallbacks_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looking, "_keeps_hints", lambda self, queue, number: False)


# -- dead letters


def a_giver_dies_between_the_two_steps(seed: int) -> None:
    """A message was delivered as often as allowed; its giver is killed as soon as another owner has it as done."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet, max_receives=1, dead_letter="dead", visibility_s=0.5)
        name, other, third = scene.owners
        scene.send(other, b"one")
        settle(fleet)
        message = scene.one(other)
        dead = fleet.nodes[name].defined.by_name["dead"].id
        for holder in placement(fleet.layout).owners(partition_of_shard(dead, 0)):
            for one in scene.owners:
                if holder != one:
                    fleet.world.slow(one, holder, delay=0.1)
        fleet.world.run_for(0.7)
        fleet.receive(third, "jobs")
        begun = fleet.world.now
        fleet.world.run_until_true(
            lambda: any(scene.is_done(one, message) for one in (other, third)) or fleet.world.now > begun + 1.0, 5.0, 0
        )
        fleet.crash(name)
        scene.noticed(name)
        fleet.world.heal()
        fleet.world.run_for(3.0)
        came = scene.receive(other, wait_s=2.0) or scene.receive(other, "dead", wait_s=2.0)
        assert [one.body for one in came] == [b"one"], "neither in the queue nor among the dead letters"


def a_giver_dies_when_the_letter_is_sent(seed: int) -> None:
    """Before anybody has the message as done, so its successor sends it again."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet, max_receives=1, dead_letter="dead", visibility_s=0.5)
        name, other, third = scene.owners
        scene.send(other, b"one")
        settle(fleet)
        scene.one(other)
        dead = fleet.nodes[name].defined.by_name["dead"].id
        others = [one for one in fleet.names if one != name]
        fleet.world.run_for(0.7)
        fleet.receive(third, "jobs")
        fleet.world.run_until_true(
            lambda: any(fleet.nodes[one].shards.of(dead, 0).blocks for one in others), 10.0, step=0
        )
        fleet.crash(name)
        scene.noticed(name)
        fleet.world.run_for(3.0)
        assert scene.receive(other, wait_s=2.0) == []
        assert [one.body for one in scene.receive(other, "dead", wait_s=2.0)] == [b"one"]


def send_dead_letters_without_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletter, "item_id", lambda *given: "")


def mark_dead_letters_before_they_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    overdue = DeadLetters.overdue

    def marked_first(self: DeadLetters, queue: Any, shard: int, items: Any) -> None:
        numbers: dict[str, list[int]] = {}
        for held, _, _ in items:
            numbers.setdefault(held.block.actor, []).append(held.number)
        self.acking.mark(
            queue.id, shard, numbers, self.context.write_deadline(), lambda result: overdue(self, queue, shard, items)
        )

    monkeypatch.setattr(DeadLetters, "overdue", marked_first)


# -- deduplication


def a_second_giver_has_not_seen_the_first_send(seed: int) -> None:
    """It was cut off then; now it gives, and the same is sent again."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        first, second, _ = scene.owners
        scene.apart(second)
        (id,) = scene.send(first, b"once", dedup_id="42")
        fleet.crash(first)
        fleet.world.heal()
        scene.noticed(first)
        request = fleet.send(second, "jobs", [(b"once", None, -1.0, "42")])
        fleet.world.run_for(1.5)
        if isinstance(request.answer, QueueSent):
            assert request.answer.results[0][0] in ("", id), "accepted twice under one id"


def read_ids_at_one_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Deduplication._decide

    def alone(self: Deduplication, *given: Any) -> None:
        reader, store = self.context.reader, self.context.replication.store

        def read(table: int, partition: int, key: str, done: Callable[[Any, None], None], **_: Any) -> None:
            done(SimpleNamespace(merged=store.get(table, partition, key)), None)

        self.context.reader = SimpleNamespace(read=read)  # type: ignore[assignment]
        try:
            decide(self, *given)
        finally:
            self.context.reader = reader

    monkeypatch.setattr(Deduplication, "_decide", alone)


def one_id_is_accepted_on_two_sides(seed: int) -> None:
    """Of a partition, each of which reaches an owner. Once it has healed one message is left."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        first, second, third = scene.owners
        holder, other = scene.others
        fleet.world.partition([[first, holder], [second, third, other]])
        left, right = (first, holder), (second, third, other)
        pairs = [(one, two) for one in left for two in right]
        fleet.until(lambda: all(fleet.nodes[one].reach.avoided(two) for one, two in pairs))
        fleet.until(lambda: all(fleet.nodes[two].reach.avoided(one) for one, two in pairs))
        for via in (first, second):
            fleet.send(via, "jobs", [(b"once", None, -1.0, "42")])
        fleet.world.run_for(1.5)
        fleet.world.heal()
        settle(fleet)
        assert len(scene.receive(second, wait_s=3.0)) == 1


def give_of_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Giver, "_waits_for", lambda self, block, index, dedup_id: "")


def an_answer_to_a_forward_is_lost(seed: int) -> None:
    """An owner accepts what was passed on to it; its answer does not come back. Nobody else is asked."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        via = scene.others[0]
        for name in scene.owners:
            fleet.world.slow(name, via, delay=0.9)
        request = fleet.send(via, "jobs", [b"one"])
        fleet.world.run_for(3.0)
        fleet.world.heal()
        settle(fleet)
        assert request.ended
        owner = scene.owners[0]
        assert len(scene.receive(owner, wait_s=2.0)) <= 1, "sent twice, and nobody asked for that"


def try_the_next_owner_after_any_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "is_refused", lambda outcome: not isinstance(outcome, QueueSent))


# -- names of actors


def numbers_after_a_power_loss(seed: int) -> None:
    """A node accepts a message, loses its log, and accepts another, while the others still have the first one."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        name, other, _ = scene.owners
        scene.send(name, b"first")
        message = scene.one(other)
        assert scene.ack(other, message) in ACKNOWLEDGED
        fleet.power_loss(name, silent=True)
        boot(fleet, name)
        settle(fleet)
        scene.send(name, b"second")
        came = [one.body for one in scene.receive(other, wait_s=3.0)]
        assert came == [b"second"], "it has the number of one that is done with"


def keep_one_name_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QueueContext, "actor", property(lambda self: f"{self.id}.1.0"))


# -- expiry, and the end of a queue


def a_giver_has_a_wrong_clock(seed: int) -> None:
    """It is an hour ahead, and a message lasts a minute."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet, retention_s=60.0)
        name, other, _ = scene.owners
        scene.send(other, b"one")
        settle(fleet)
        fleet.fault("clock", nodes=[name], skew_ms=3_600_000.0)
        fleet.world.run_for(5.0)
        assert scene.one(name, timeout=3.0).body == b"one"


def trust_any_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    init = QueueContext.__post_init__

    def trusting(self: QueueContext) -> None:
        init(self)
        self.is_clock_right = lambda: True  # type: ignore[method-assign]
        self.wall_s = self.replication.env.clock.wall

    monkeypatch.setattr(QueueContext, "__post_init__", trusting)


def a_queue_is_deleted_while_an_owner_is_away(seed: int) -> None:
    """It comes back with rows of a queue that there is no more, and a new queue has the same name."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        name, other, _ = scene.owners
        scene.send(other, b"old")
        settle(fleet)
        fleet.crash(name)
        scene.noticed(name)
        assert fleet.wait(fleet.ask(other, "delete-queue", {"name": "jobs"})).error is None
        boot(fleet, name)
        settle(fleet)
        fleet.until(lambda: not any(rows_of(fleet).values()), 30.0)
        scene.make("jobs", shards=1)
        assert scene.receive(other) == []


def keep_rows_of_deleted_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defined, "is_deleted", lambda self, id: False)


# -- late acknowledgements


def an_acknowledgement_comes_after_the_lease(seed: int) -> None:
    """The work was done all the same, and the message is leased to another by now."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        name, other, _ = scene.owners
        scene.send(other, b"one")
        slow, quick = scene.one(other), scene.one(name)
        assert (slow.id, quick.attempt) == (quick.id, 2)
        assert scene.ack(name, slow) in ACKNOWLEDGED
        fleet.world.run_for(3.0)
        assert scene.receive(other, wait_s=2.0) == [], "what was done with came again"


def acknowledge_current_leases_only(monkeypatch: pytest.MonkeyPatch) -> None:
    ack = Acking.ack

    def strict(self: Acking, inbound: Any) -> None:
        for text in inbound.body.receipts:
            self.giving.find(decode_receipt(text))
        ack(self, inbound)

    monkeypatch.setattr(Acking, "ack", strict)


SAFEGUARDS: Sequence[Safeguard] = [
    Safeguard(
        "an acknowledgement waits for W owners",
        "What was acknowledged ok is not delivered again.",
        with_one_copy(Acking, "_seal"),
        an_owner_acknowledges_alone_and_is_lost,
    ),
    Safeguard(
        "a send waits for W owners",
        "What a send acknowledged ok is delivered.",
        with_one_copy(sending.Sending, "_put"),
        an_owner_accepts_alone_and_is_lost,
    ),
    Safeguard(
        "a publish waits for its queues",
        "What a publish says is in a queue is delivered.",
        publish_without_waiting,
        a_publish_is_accepted_alone,
    ),
    Safeguard(
        "bits are joined by OR",
        "What was not acknowledged is delivered again, whatever else was.",
        count_the_bits,
        two_of_five_are_done_with_on_two_sides,
    ),
    Safeguard(
        "a receipt is of one boot of its giver",
        "Only the current lease of a message gives it back.",
        take_receipts_of_any_boot,
        a_receipt_of_an_earlier_boot_gives_nothing_back,
    ),
    Safeguard(
        "leases are noted at the other owners",
        "A successor waits for the leases of the giver before it.",
        note_leases_nowhere,
        a_giver_is_killed_while_its_lease_runs,
    ),
    Safeguard(
        "attempts are counted from the notes",
        "A message is dead-lettered after so many deliveries, whoever gave it.",
        count_attempts_anew,
        a_poisoned_message_and_a_new_giver,
    ),
    Safeguard(
        "leases that reached nobody are released",
        "A client that goes away delays no message and counts no attempt.",
        forget_whom_a_lease_did_not_reach,
        a_client_that_waits_goes_away,
    ),
    Safeguard(
        "a giver votes",
        "An owner that missed acknowledgements does not deliver what is done with.",
        give_without_a_vote,
        an_owner_comes_back_behind,
    ),
    Safeguard(
        "empty is said of all owners",
        "A queue that is said to be empty hides no acknowledged message.",
        ask_the_giver_alone,
        a_giver_missed_a_send,
    ),
    Safeguard(
        "shards out of sight are named",
        "Where W members do not answer nobody says empty.",
        never_mind_who_does_not_answer,
        both_that_have_it_are_out_of_sight,
    ),
    Safeguard(
        "an owner that missed rows is marked",
        "After settling every owner has what was acknowledged while it was away.",
        forget_marks,
        the_owner_that_missed_sends_remains_alone,
    ),
    Safeguard(
        "what fallbacks keep is not called empty",
        "A message that only a fallback can show is not hidden.",
        leave_out_what_fallbacks_keep,
        only_a_fallback_has_it,
    ),
    Safeguard(
        "of two messages under one id one is given",
        "What two sides of a partition accepted under one id is one message when it ends.",
        give_of_both_sides,
        one_id_is_accepted_on_two_sides,
    ),
    Safeguard(
        "a dead letter is sent before it is marked",
        "A message that was delivered too often is in one queue or the other.",
        mark_dead_letters_before_they_are_sent,
        a_giver_dies_between_the_two_steps,
    ),
    Safeguard(
        "a dead letter has the id of its message",
        "A crash between the two steps repeats the first, and it collapses.",
        send_dead_letters_without_an_id,
        a_giver_dies_when_the_letter_is_sent,
    ),
    Safeguard(
        "deduplication ids are read at a quorum",
        "Under one id one message is accepted, while its owners can be asked.",
        read_ids_at_one_owner,
        a_second_giver_has_not_seen_the_first_send,
    ),
    Safeguard(
        "a send in doubt is not repeated",
        "What is not asked for twice is not sent twice.",
        try_the_next_owner_after_any_answer,
        an_answer_to_a_forward_is_lost,
    ),
    Safeguard(
        "an actor is one boot",
        "No number of a shard is given twice.",
        keep_one_name_for_ever,
        numbers_after_a_power_loss,
    ),
    Safeguard(
        "who gives with a wrong clock expires nothing",
        "A message expires by the clock of most, not of one.",
        trust_any_clock,
        a_giver_has_a_wrong_clock,
    ),
    Safeguard(
        "rows of a deleted queue go",
        "A queue of an old name has nothing of the old queue, and the old one keeps no room.",
        keep_rows_of_deleted_queues,
        a_queue_is_deleted_while_an_owner_is_away,
    ),
    Safeguard(
        "any lease acknowledges",
        "Work that is done is not given out again, however late its worker says so.",
        acknowledge_current_leases_only,
        an_acknowledgement_comes_after_the_lease,
    ),
]
