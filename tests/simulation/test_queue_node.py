"""A queue through its nodes, one promise at a time: a message is leased to one at a time until it is acknowledged."""

from collections.abc import Callable, Sequence

import pytest

from cluster.errors import LeaseLost, Maybe, NotFound, QueueFull
from cluster.limits import QUEUE_RECEIVE_BYTES_MAX
from cluster.queues import giver
from cluster.queues.receipts import decode_receipt
from cluster.queues.rows import partition_of_shard
from cluster.simulation.fleet import Fleet
from cluster.simulation.result import SimulatedRequest
from cluster.wire.admin import AdminAnswer
from cluster.wire.queues import Delivered, Outgoing, QueueAnswered, QueueReceived, QueueSent, SendResult
from cluster.wire.topics import Publish, Published

SOON_S = 30.0


def fleet_with(seed: int, count: int = 3, **options: object) -> Fleet:
    """Nodes that run, and the queue `jobs`."""
    fleet = Fleet.running(seed, count)
    made = fleet.wait(fleet.create_queue("n1", "jobs", **options))
    assert made.error is None, made.error
    return fleet


def sent(fleet: Fleet, via: str, *bodies: bytes, queue: str = "jobs", dedup_id: str = "") -> list[SendResult]:
    messages = [(body, None, -1.0, dedup_id) for body in bodies]
    ended = fleet.wait(fleet.send(via, queue, messages))
    assert isinstance(ended.answer, QueueSent), ended.error
    assert all(result[1] in ("ok", "ok-sloppy") for result in ended.answer.results)
    return ended.answer.results


def answer(ended: SimulatedRequest) -> QueueReceived:
    assert isinstance(ended.answer, QueueReceived), ended.error
    return ended.answer


def received(fleet: Fleet, via: str, max: int = 10, wait_s: float = 0.0, queue: str = "jobs") -> list[Delivered]:
    return answer(fleet.wait(fleet.receive(via, queue, max, wait_s, timeout=5.0), SOON_S)).messages


def acked(fleet: Fleet, via: str, messages: Sequence[Delivered]) -> list[str]:
    return outcomes(fleet.wait(fleet.ack(via, [message.receipt for message in messages])))


def outcomes(ended: SimulatedRequest) -> list[str]:
    assert isinstance(ended.answer, QueueAnswered), ended.error
    return [outcome for outcome, _ in ended.answer.results]


def drain(fleet: Fleet, via: str, queue: str = "jobs") -> list[bytes]:
    """Receive and acknowledge until the queue is known to be empty."""
    bodies: list[bytes] = []
    while True:
        found = answer(fleet.wait(fleet.receive(via, queue, 10, timeout=5.0)))
        if not found.messages:
            assert found.shards_unreachable == []
            return bodies
        bodies += [message.body for message in found.messages]
        assert set(acked(fleet, via, found.messages)) == {"ok"}


def depth(fleet: Fleet, queue: str = "jobs") -> list[int]:
    """What each node counts."""
    return [sum(row["depth"] for row in node.queues.stats(queue).values()) for node in fleet.nodes.values()]


def test_what_is_sent_anywhere_is_received_anywhere_until_it_is_acknowledged(seed: int) -> None:
    with fleet_with(seed, 5) as fleet:
        bodies = [b"%d" % number for number in range(40)]
        for number, body in enumerate(bodies):
            sent(fleet, fleet.names[number % 5], body)
        assert sorted(drain(fleet, "n2")) == sorted(bodies)
        fleet.world.run_for(1.0)
        assert set(depth(fleet)) == {0}


def test_a_lease_ends_and_its_message_is_delivered_again(seed: int) -> None:
    with fleet_with(seed, visibility_s=2.0) as fleet:
        sent(fleet, "n1", b"a")
        [first] = received(fleet, "n2")
        assert received(fleet, "n3") == []
        began = fleet.world.now
        [again] = received(fleet, "n3", wait_s=10.0)
        assert (again.id, again.attempt) == (first.id, 2)
        assert 1.9 <= fleet.world.now - began <= 2.2
        lost = fleet.wait(fleet.nack("n1", [first.receipt]))
        assert isinstance(lost.answer, QueueAnswered)
        assert [failed[0] for _, failed in lost.answer.results] == [LeaseLost.code]
        # The work is done, whenever its lease ended; and it may be said twice.
        assert acked(fleet, "n1", [first]) == ["ok"] and acked(fleet, "n2", [first, again]) == ["ok", "ok"]
        fleet.world.run_for(3.0)
        assert drain(fleet, "n1") == []


def test_a_receive_that_waits_gets_what_is_sent_at_once(seed: int) -> None:
    with fleet_with(seed) as fleet:
        for via in fleet.names:
            waiting = fleet.receive(via, "jobs", 1, 5.0, timeout=6.0)
            fleet.world.run_for(0.7)
            began = fleet.world.now
            sent(fleet, "n2", b"a")
            [message] = answer(fleet.wait(waiting)).messages
            assert fleet.world.now - began < 0.1
            acked(fleet, via, [message])


def test_a_returned_message_comes_back_after_its_delay_and_an_extended_one_later(seed: int) -> None:
    with fleet_with(seed, visibility_s=2.0) as fleet:
        sent(fleet, "n1", b"a")
        [message] = received(fleet, "n2")
        assert outcomes(fleet.wait(fleet.nack("n3", [message.receipt], 0.5))) == ["ok"]
        began = fleet.world.now
        [again] = received(fleet, "n2", wait_s=5.0)
        assert again.attempt == 2 and 0.4 <= fleet.world.now - began <= 0.7
        assert outcomes(fleet.wait(fleet.extend("n1", [again.receipt], 6.0))) == ["ok"]
        began = fleet.world.now
        [last] = received(fleet, "n2", wait_s=10.0)
        assert last.attempt == 3 and 5.9 <= fleet.world.now - began <= 6.3


def test_what_is_sent_again_under_its_deduplication_id_is_one_message(seed: int) -> None:
    with fleet_with(seed, 5) as fleet:
        at_once = [fleet.send(via, "jobs", [(b"a", None, -1.0, "x")]) for via in fleet.names]
        ids = {result[0] for one in at_once for result in fleet.wait(one).answer.results}  # type: ignore[union-attr]
        assert len(ids) == 1
        assert drain(fleet, "n1") == [b"a"]
        [(id, _, _, duplicate, _)] = sent(fleet, "n4", b"a", dedup_id="x")
        assert duplicate and {id} == ids and drain(fleet, "n1") == []
        fleet.world.run_for(301.0)
        assert not sent(fleet, "n4", b"a", dedup_id="x")[0][3]
        assert drain(fleet, "n1") == [b"a"]


def test_a_send_that_is_repeated_where_no_quorum_is_left_is_never_denied(seed: int) -> None:
    """The message is there: that this time nobody else took it says nothing of the first send."""
    with fleet_with(seed, shards=1) as fleet:
        giver, *others = owners(fleet, 0)
        [(id, *_)] = sent(fleet, giver, b"a", dedup_id="x")
        fleet.fault("partition", groups=[[giver], others])
        fleet.until(lambda: fleet.nodes[giver].membership.alive() == [giver], SOON_S)
        again = fleet.wait(fleet.send(giver, "jobs", [(b"a", None, -1.0, "x")]))
        assert isinstance(again.answer, QueueSent), again.error
        assert [result[:4] for result in again.answer.results] == [(id, "maybe", 0, True)]


def test_a_delayed_message_is_not_received_before_it_is_due(seed: int) -> None:
    with fleet_with(seed, delay_s=2.0) as fleet:
        began = fleet.world.now
        sent(fleet, "n1", b"a")
        fleet.wait(fleet.send("n1", "jobs", [(b"now", None, 0.0, "")]))
        assert [message.body for message in received(fleet, "n2")] == [b"now"]
        assert [message.body for message in received(fleet, "n2", wait_s=5.0)] == [b"a"]
        assert 1.9 <= fleet.world.now - began <= 2.2


def test_what_a_consumer_gives_back_unbegun_is_no_dead_letter_however_often(seed: int) -> None:
    """Consumers that are restarted over and over give back what they had not begun; it counts at no giver."""
    with Fleet.running(seed, 3) as fleet:
        fleet.wait(fleet.create_queue("n1", "dead"))
        fleet.wait(fleet.create_queue("n1", "jobs", max_receives=2, dead_letter="dead", visibility_s=5.0))
        sent(fleet, "n1", b"a")
        for turn in range(4):
            [message] = received(fleet, fleet.names[turn % 3], wait_s=3.0)
            assert message.attempt == 1
            done = fleet.wait(fleet.nack(fleet.names[(turn + 1) % 3], [message.receipt], begun=False))
            assert outcomes(done) == ["ok"]
        fleet.crash(decode_receipt(message.receipt).giver)
        fleet.until(lambda: len(received(fleet, fleet.up[0])) == 1, 30.0)
        assert [message.body for message in received(fleet, fleet.up[0], queue="dead")] == []


def test_what_is_delivered_too_often_goes_to_the_dead_letters_and_back(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        fleet.wait(fleet.create_queue("n1", "dead"))
        fleet.wait(fleet.create_queue("n1", "jobs", max_receives=2, dead_letter="dead", visibility_s=1.0))
        sent(fleet, "n1", b"a", b"b")
        for attempt in (1, 2):
            assert [message.attempt for message in received(fleet, "n2", wait_s=3.0)] == [attempt] * 2
        fleet.world.run_for(1.0)
        assert received(fleet, "n2") == []
        letters = received(fleet, "n3", queue="dead", wait_s=2.0)
        assert sorted(message.body for message in letters) == [b"a", b"b"]
        assert all((message.headers or {})["dead-letter-source"] == "jobs" for message in letters)
        fleet.until(lambda: set(depth(fleet)) == {0}, SOON_S)
        fleet.wait(fleet.nack("n1", [message.receipt for message in letters]))
        moved = fleet.wait(fleet.ask("n2", "redrive-queue", {"name": "dead"}))
        assert isinstance(moved.answer, AdminAnswer), moved.error
        assert moved.answer.value == {"from": "dead", "to": None, "moved": 2, "left": False}
        again = received(fleet, "n3")
        assert [(message.attempt, message.headers) for message in again] == [(1, None)] * 2
        assert drain(fleet, "n1", "dead") == []


def test_a_purge_ends_what_is_there_and_nothing_that_comes_later(seed: int) -> None:
    with fleet_with(seed, 5) as fleet:
        sent(fleet, "n1", *(b"%d" % number for number in range(50)))
        received(fleet, "n2", 5)
        purged = fleet.wait(fleet.ask("n3", "purge-queue", {"name": "jobs"}))
        assert isinstance(purged.answer, AdminAnswer), purged.error
        assert purged.answer.value == {"queue": "jobs", "purged": 50}
        sent(fleet, "n1", b"later")
        assert drain(fleet, "n4") == [b"later"]


def test_a_purge_says_where_it_could_not_look(seed: int) -> None:
    with fleet_with(seed, 5) as fleet:
        fleet.crash("n4")
        fleet.until(lambda: len(fleet.nodes["n1"].membership.alive()) == 4, SOON_S)
        sent(fleet, "n1", b"a", b"b")
        purged = fleet.wait(fleet.ask("n1", "purge-queue", {"name": "jobs"}))
        assert isinstance(purged.answer, AdminAnswer) and purged.answer.value["purged"] == 2, "one node hides nothing"
        fleet.crash("n5")
        fleet.until(lambda: len(fleet.nodes["n1"].membership.alive()) == 3, SOON_S)
        unsure = fleet.wait(fleet.ask("n1", "purge-queue", {"name": "jobs"}))
        assert isinstance(unsure.error, Maybe) and "shards 0, 1" in unsure.error.message


def test_an_expired_message_is_not_delivered(seed: int) -> None:
    with fleet_with(seed, retention_s=5.0) as fleet:
        sent(fleet, "n1", b"a")
        fleet.world.run_for(4.0)
        sent(fleet, "n1", b"b")
        fleet.world.run_for(2.0)
        assert drain(fleet, "n2") == [b"b"]
        assert set(depth(fleet)) == {0}
        sent(fleet, "n1", b"c")  # and though nobody receives it, it goes
        fleet.world.run_for(4.0)
        assert set(depth(fleet)) == {1}
        fleet.until(lambda: set(depth(fleet)) == {0}, 3.0)
        fleet.fault("clock", nodes=["n1"], skew_ms=3_600_000.0)
        sent(fleet, "n1", b"d")
        fleet.world.run_for(4.0)
        assert drain(fleet, "n1") == [b"d"]


@pytest.mark.parametrize("dedup", [False, True])
def test_a_full_queue_refuses_and_takes_again_once_some_is_received(seed: int, dedup: bool) -> None:
    with fleet_with(seed, 5, shards=1, max_depth=3) as fleet:
        sent(fleet, "n1", b"a", b"b", b"c")
        for via in fleet.names:  # also through those that own nothing
            refused = fleet.wait(fleet.send(via, "jobs", [(b"d", None, -1.0, via if dedup else "")]))
            assert isinstance(refused.error, QueueFull)
        acked(fleet, "n1", received(fleet, "n1", 1))
        sent(fleet, "n1", b"d")


@pytest.mark.parametrize("together", [False, True])
def test_a_shard_takes_its_part_of_a_full_queue_also_of_batches(seed: int, together: bool) -> None:
    """Its part of 5 in two shards is 3, whether 20 come in one send or in 20 of one pass."""
    with fleet_with(seed, 3, shards=2, max_depth=5) as fleet:
        bodies = [b"%d" % number for number in range(20)]
        for _ in range(2):  # of a shard that nobody has seen, and of one that is empty
            sends = [fleet.send("n1", "jobs", some) for some in ([bodies] if together else [[body] for body in bodies])]
            for one in sends:
                fleet.wait(one)
            results = [result for one in sends if isinstance(one.answer, QueueSent) for result in one.answer.results]
            accepted = [id for id, outcome, *_ in results if outcome in ("ok", "ok-sloppy")]
            assert len(accepted) == 6 and depth(fleet) == [6, 6, 6]
            if together:
                assert {code for *_, (code, _) in results[6:]} == {"queue-full"}
            acked(fleet, "n2", received(fleet, "n2", 6))
        sent(fleet, "n3", b"again", b"and again")


def test_a_batch_that_is_larger_than_the_room_is_refused_and_a_smaller_one_is_not(seed: int) -> None:
    with fleet_with(seed, 3, shards=1, max_depth=3) as fleet:
        sent(fleet, "n1", b"a", b"b")
        refused = fleet.wait(fleet.send("n1", "jobs", [b"c", b"d"]))
        assert isinstance(refused.error, QueueFull)
        sent(fleet, "n1", b"c")
        assert depth(fleet) == [3, 3, 3]


def test_what_is_sent_after_the_log_refused_some_is_numbered_under_another_name(seed: int) -> None:
    """Numbers of the old one are missing for ever, and what is done with would not fold any more."""
    with fleet_with(seed) as fleet:
        [(before, *_)] = sent(fleet, "n1", b"a")
        fleet.world.disk("n1").full_after(0)
        refused = fleet.wait(fleet.send("n1", "jobs", [(b"b", None, -1.0, "")]))
        fleet.world.disk("n1").full_after(None)
        fleet.until(lambda: not fleet.nodes["n1"].store.full)
        assert fleet.nodes["n1"].store.undone > 0, refused
        [(after, *_)] = sent(fleet, "n1", b"c")
        assert (before.rpartition(".")[2], after.rpartition(".")[2]) == ("0-0", "1-0")


def test_a_queue_that_is_not_there_is_refused(seed: int) -> None:
    with fleet_with(seed) as fleet:
        for ended in (fleet.send("n1", "none", [b"a"]), fleet.receive("n1", "none")):
            assert isinstance(fleet.wait(ended).error, NotFound)
        sent(fleet, "n1", b"a")
        [message] = received(fleet, "n1")
        waiting = fleet.receive("n3", "jobs", wait_s=10.0)
        fleet.world.run_for(0.2)
        began = fleet.world.now
        fleet.wait(fleet.ask("n1", "delete-queue", {"name": "jobs"}))
        assert isinstance(fleet.wait(waiting).error, NotFound) and fleet.world.now - began < 1.0
        for settle in (Fleet.ack, Fleet.nack):
            ended = fleet.wait(settle(fleet, "n2", [message.receipt]))
            assert isinstance(ended.answer, QueueAnswered) and ended.answer.results[0][1][0] == NotFound.code


@pytest.mark.parametrize("stop", [Fleet.crash, Fleet.pause], ids=["killed", "paused"])
def test_one_node_less_keeps_no_queue_from_work_nor_from_being_empty(seed: int, stop: Callable[..., None]) -> None:
    with fleet_with(seed, visibility_s=2.0) as fleet:
        bodies = [b"%d" % number for number in range(20)]
        sent(fleet, "n1", *bodies[:10])
        [held] = received(fleet, "n2", 1)
        stop(fleet, "n3")
        began = fleet.world.now
        sent(fleet, "n1", *bodies[10:])
        assert fleet.world.now - began < 0.5
        [_] = received(fleet, "n2", 1, wait_s=1.0)
        assert fleet.world.now - began < 1.5
        fleet.world.run_for(3.0)  # both leases have ended
        assert sorted(drain(fleet, "n1")) == sorted(bodies), held


def test_two_nodes_less_keep_a_queue_from_being_called_empty(seed: int) -> None:
    with fleet_with(seed) as fleet:
        sent(fleet, "n1", b"a")
        for name in ("n2", "n3"):
            fleet.crash(name)
        fleet.until(lambda: len(fleet.nodes["n1"].membership.alive()) == 1, SOON_S)
        found = answer(fleet.wait(fleet.receive("n1", "jobs", 10, timeout=5.0)))
        while found.messages:
            found = answer(fleet.wait(fleet.receive("n1", "jobs", 10, timeout=5.0)))
        assert found.shards_unreachable == list(range(8))


def test_a_successor_gives_no_lease_a_second_time_and_counts_on(seed: int) -> None:
    with fleet_with(seed, shards=1, visibility_s=4.0) as fleet:
        [first, _, other] = [str(name) for name in owners(fleet, 0)]
        sent(fleet, other, b"a")
        [message] = received(fleet, other)
        began = fleet.world.now
        fleet.crash(first)
        [again] = received(fleet, other, wait_s=10.0)
        assert (again.attempt, again.id) == (2, message.id)
        assert 3.5 <= fleet.world.now - began <= 5.0


def owners(fleet: Fleet, shard: int) -> Sequence[str]:
    [queue] = fleet.nodes["n1"].defined.by_name.values()
    return fleet.nodes["n1"].view.owners(partition_of_shard(queue.id, shard))


def test_what_is_published_goes_to_every_queue_that_is_bound_to_its_subject(seed: int) -> None:
    with fleet_with(seed) as fleet:
        fleet.wait(fleet.create_queue("n1", "all"))
        for queue, pattern in (("jobs", "orders.*"), ("all", "orders.>"), ("all", ">")):
            bound = fleet.wait(fleet.ask("n2", "bind-queue", {"name": queue, "pattern": pattern}))
            assert bound.error is None
        done = fleet.wait(fleet._ask("n3", Publish("orders.new", b"a", "chosen", {"k": "v"}), 1.0))
        assert isinstance(done.answer, Published), done.error
        assert [(queue, outcome) for queue, _, outcome in done.answer.queues] == [("all", "ok"), ("jobs", "ok")]
        again = fleet.wait(fleet._ask("n1", Publish("orders.new", b"a", "chosen"), 1.0))
        assert isinstance(again.answer, Published)
        assert again.answer.queues == done.answer.queues
        other = fleet.wait(fleet._ask("n1", Publish("orders.eu.new", b"b"), 1.0))
        assert isinstance(other.answer, Published) and [queue for queue, _, _ in other.answer.queues] == ["all"]
        [message] = received(fleet, "n2")
        assert (message.body, message.headers) == (b"a", {"k": "v", "subject": "orders.new"})
        assert sorted(drain(fleet, "n2", "all")) == [b"a", b"b"]
        fleet.wait(fleet.ask("n2", "unbind-queue", {"name": "jobs", "pattern": "orders.*"}))
        fleet.wait(fleet.ask("n2", "delete-queue", {"name": "all"}))
        last = fleet.wait(fleet._ask("n3", Publish("orders.new", b"a"), 1.0))
        assert isinstance(last.answer, Published) and last.answer.queues == []


def test_a_node_that_drains_keeps_nobody_waiting(seed: int) -> None:
    with fleet_with(seed) as fleet:
        waiting = fleet.receive("n1", "jobs", 1, 20.0, timeout=5.0)
        fleet.world.run_for(0.5)
        began = fleet.world.now
        assert fleet.wait(fleet.ask("n1", "drain")).error is None
        assert answer(fleet.wait(waiting)).shards_unreachable == []
        assert answer(fleet.wait(fleet.receive("n1", "jobs", 1, 20.0, timeout=5.0))).messages == []
        assert fleet.world.now - began < 1.0


def test_a_receive_that_is_called_off_keeps_nothing(seed: int) -> None:
    with fleet_with(seed) as fleet:
        sent(fleet, "n1", *(b"%d" % number for number in range(30)))
        for via in fleet.names:
            gone = fleet.receive(via, "jobs", 30, timeout=5.0)
            gone.link.ended = True  # its client has gone before it is answered
        fleet.world.run_for(0.5)
        messages = received(fleet, "n1", 30)
        assert len(messages) == 30 and {message.attempt for message in messages} == {1}


def test_a_copy_that_a_fallback_keeps_is_no_empty_queue(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        fleet.wait(fleet.create_queue("n1", "jobs", shards=1))
        first, second, third = owners(fleet, 0)
        fallback, other = (name for name in fleet.names if name not in owners(fleet, 0))
        for name in (first, second):
            fleet.crash(name)
        fleet.until(lambda: len(fleet.nodes[third].membership.alive()) == 3, SOON_S)
        sent(fleet, third, b"a")
        keeper = next(name for name in (fallback, other) if fleet.hints(name))
        asker = other if keeper == fallback else fallback
        fleet.crash(third)
        fleet.fault("partition", groups=[[keeper], [first, second]])
        fleet.start(first, second)
        fleet.until(lambda: first in fleet.nodes and len(fleet.nodes[asker].membership.alive()) == 4, SOON_S)
        found = answer(fleet.wait(fleet.receive(asker, "jobs", 1, timeout=5.0)))
        assert found.messages == [] and found.shards_unreachable == [0]
        fleet.heal()
        assert [message.body for message in received(fleet, asker, wait_s=10.0)] == [b"a"]


def test_a_queue_of_which_too_much_is_leased_is_not_called_empty(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giver, "HELD_MAX", 3)
    with fleet_with(seed, shards=1) as fleet:
        sent(fleet, "n1", *(b"%d" % number for number in range(5)))
        messages = received(fleet, "n1")
        assert len(messages) == 3
        found = answer(fleet.wait(fleet.receive("n1", "jobs", 10, timeout=5.0)))
        assert found.messages == [] and found.shards_unreachable == [0]
        acked(fleet, "n2", messages)
        fleet.world.run_for(0.5)
        assert len(received(fleet, "n1")) == 2


def test_the_results_of_a_batch_are_in_its_order_whichever_ways_its_messages_go(seed: int) -> None:
    with fleet_with(seed, 5) as fleet:
        batch: list[Outgoing] = [
            (b"%d" % number * 40_000, None, 1.0 if number % 3 == 1 else -1.0, "x" if number % 5 == 0 else "")
            for number in range(30)
        ]
        for via in fleet.names:
            ended = fleet.wait(fleet.send(via, "jobs", batch))
            assert isinstance(ended.answer, QueueSent), ended.error
            results = ended.answer.results
            assert {outcome for _, outcome, _, _, _ in results} == {"ok"}
            assert len({result[0] for result in results[::5]}) == 1
            bodies: dict[str, bytes] = {}
            while found := received(fleet, via, 256, wait_s=1.5):
                bodies |= {message.id: message.body for message in found}
                acked(fleet, via, found)
            expected = {
                result[0]: body for result, (body, _, _, dedup_id) in zip(results, batch, strict=True) if not dedup_id
            }
            assert expected.items() <= bodies.items()
            assert len(bodies) == len(expected) + (via == "n1")


def test_a_receive_gets_no_more_bytes_than_fit_a_frame(seed: int) -> None:
    with fleet_with(seed) as fleet:
        for _ in range(3):
            sent(fleet, "n1", *[b"v" * 1_000_000] * 6)
        sizes = []
        while found := received(fleet, "n2", 256):
            sizes.append(sum(len(message.body) for message in found))
            acked(fleet, "n2", found)
        assert sum(sizes) == 18_000_000
        assert max(sizes) < 2 * (QUEUE_RECEIVE_BYTES_MAX + 1_000_000)


def test_two_that_were_accepted_apart_under_one_deduplication_id_become_one(seed: int) -> None:
    with fleet_with(seed, 5, shards=1) as fleet:
        [a, b, c] = owners(fleet, 0)
        [d, e] = (name for name in fleet.names if name not in (a, b, c))
        fleet.fault("partition", groups=[[a, d], [b, c, e]])
        sides = {a: {a, d}, b: {b, c, e}}
        fleet.until(lambda: all(set(fleet.nodes[via].membership.alive()) == sides[via] for via in sides), SOON_S)
        for via in sides:
            sent(fleet, via, b"x", dedup_id="id")
        fleet.heal()
        fleet.until(fleet.settled, 60.0)
        fleet.world.run_for(3.0)
        assert drain(fleet, e) == [b"x"]
        fleet.until(lambda: set(depth(fleet)) == {0}, 5.0)


def test_many_messages_that_are_not_due_keep_no_queue_from_being_empty_nor_hide_one_that_is(seed: int) -> None:
    with fleet_with(seed, shards=1, delay_s=900.0) as fleet:
        for number in range(300):
            fleet.send(fleet.names[number % 3], "jobs", [b"later"])
            if number % 10 == 0:
                fleet.world.run_for(0.01)
        fleet.world.run_for(1.0)
        found = answer(fleet.wait(fleet.receive("n2", "jobs", 1, timeout=5.0)))
        assert (found.messages, found.shards_unreachable) == ([], [])
        fleet.wait(fleet.send("n1", "jobs", [(b"now", None, 0.0, "")]))
        assert [message.body for message in received(fleet, "n3")] == [b"now"]
