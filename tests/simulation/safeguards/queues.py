"""What is in a queue: what was acknowledged comes, once under one id, and empty is not said of what may be hidden."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.queues import sending
from cluster.queues.context import QueueContext
from cluster.queues.deduplication import Deduplication
from cluster.queues.defined import Defined
from cluster.queues.giver import Giver
from cluster.queues.looking import Looking
from cluster.queues.node import NodeQueues
from cluster.wire.queues import QueueReceived, QueueSent
from cluster.wire.topics import Published
from tests.simulation.queues import rows as rows_of
from tests.simulation.safeguards.queuescene import ACKNOWLEDGED, jobs, with_one_copy
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import boot, settle
from tests.simulation.safeguards.shards import forget_marks

# -- acknowledged at W


def an_owner_accepts_alone_and_is_lost(seed: int) -> None:
    """It can reach nobody, has not noticed, and loses its power. What it answered ok to comes."""
    with jobs(seed) as (fleet, scene):
        owner, other, _ = scene.owners
        scene.apart(owner)
        request = fleet.send(owner, "jobs", [b"one"])
        fleet.world.run_for(1.5)
        scene.lose_log(owner)
        answer = request.answer
        if isinstance(answer, QueueSent) and answer.results[0][1] in ACKNOWLEDGED:
            assert scene.receive(other, wait_s=2.0), "what was acknowledged is lost"


def a_publish_is_accepted_alone(seed: int) -> None:
    """The same of a publication to whose subject the queue is bound."""
    with jobs(seed) as (fleet, scene):
        owner, other, _ = scene.owners
        assert fleet.wait(fleet.ask(owner, "bind-queue", {"name": "jobs", "pattern": "orders.*"})).error is None
        scene.apart(owner)
        request = fleet.publish(owner, "orders.new", b"one")
        fleet.world.run_for(1.5)
        scene.lose_log(owner)
        answer = request.answer
        if isinstance(answer, Published) and all(outcome in ACKNOWLEDGED for _, _, outcome in answer.queues):
            assert scene.receive(other, wait_s=2.0), "what a publish said is in the queue is lost"


def publish_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = NodeQueues.publish

    def early(self: NodeQueues, queues: Any, message: Any, deadline: float, done: Callable[[Any], None]) -> None:
        publish(self, queues, message, deadline, lambda bound: None)
        done([(queue, "", "ok") for queue in queues])

    monkeypatch.setattr(NodeQueues, "publish", early)


# -- empty


def a_giver_missed_a_send(seed: int) -> None:
    """For a moment it could reach nobody; the two others accepted. Then it is asked whether there is anything."""
    with jobs(seed) as (fleet, scene):
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
    with jobs(seed) as (fleet, scene):
        one, two, behind = scene.owners
        scene.lose(behind)
        scene.send(one, b"one")
        fleet.world.run_for(1.5)
        scene.lose(one, two)
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
    with jobs(seed) as (fleet, scene):
        first, second, away = scene.owners
        scene.lose(away)
        scene.send(first, b"one")
        scene.send(second, b"two")
        fleet.world.run_for(1.5)
        boot(fleet, away)
        settle(fleet)
        scene.lose(first, second)
        came = {one.body for one in scene.receive(away, wait_s=3.0, timeout=3.0)}
        assert came == {b"one", b"two"}


def only_a_fallback_has_it(seed: int) -> None:
    """An owner and a fallback accepted a message; the owner dies, and the fallback is slow to deliver its hint."""
    with jobs(seed) as (fleet, scene):
        owner, *rest = scene.owners
        holder, via = scene.others
        scene.divide((owner, holder), (*rest, via))
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


# -- deduplication


def a_second_giver_has_not_seen_the_first_send(seed: int) -> None:
    """It was cut off then; now it gives, and the same is sent again."""
    with jobs(seed) as (fleet, scene):
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
    with jobs(seed) as (fleet, scene):
        first, second, third = scene.owners
        holder, other = scene.others
        scene.divide((first, holder), (second, third, other))
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
    with jobs(seed) as (fleet, scene):
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
    with jobs(seed) as (fleet, scene):
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
    with jobs(seed, retention_s=60.0) as (fleet, scene):
        name, other, _ = scene.owners
        scene.send_to_all(other, b"one")
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
    with jobs(seed) as (fleet, scene):
        name, other, _ = scene.owners
        scene.send_to_all(other, b"old")
        scene.lose(name)
        assert fleet.wait(fleet.ask(other, "delete-queue", {"name": "jobs"})).error is None
        boot(fleet, name)
        settle(fleet)
        fleet.until(lambda: not any(rows_of(fleet).values()), 30.0)
        scene.make("jobs", shards=1)
        assert scene.receive(other) == []


def keep_rows_of_deleted_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defined, "is_deleted", lambda self, id: False)


SAFEGUARDS: Sequence[Safeguard] = [
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
]
