"""Requests between transports in the simulated world: each ends in exactly one outcome, and says how sure it is."""

from dataclasses import replace
from typing import Any

import pytest

from cluster.config import TransportSettings
from cluster.env import Link
from cluster.errors import StaleLayout, Usage
from cluster.faults import Fault, FaultDocument
from cluster.ports import Inbound
from cluster.rpc.inbound import HOLD, PROCEED, STALE
from cluster.simulation import World
from cluster.wire.frames import ONE_WAYS_MAX
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.kv import Get
from cluster.wire.replication import Scanned
from cluster.wire.topics import Relay
from tests.transport.small import Peer, peers


def partition(*groups: list[str], one_way: bool = False) -> FaultDocument:
    fault = Fault(
        id="f1", kind="partition", at="2026-01-01T00:00:00Z", groups=[list(group) for group in groups], one_way=one_way
    )
    return FaultDocument(generation=1, faults=[fault])


def load(document: FaultDocument, *everyone: Peer) -> None:
    for peer in everyone:
        peer.faults.load(document)
        peer.transport.faults_changed()


def test_an_answer_comes_back() -> None:
    with World(1) as world:
        one, two, three = peers(world, "n1", "n2", "n3")
        one.ask("n2", "n3")
        world.run_until_true(lambda: len(one.answers) == 2, 2.0)
        assert sorted(one.answers) == [("n2", "n2"), ("n3", "n3")]
        assert two.asked[0].sender == "n1" and len(three.asked) == 1


def test_what_helps_comes_with_an_error() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        found: list[Any] = []

        def refuse(inbound: Inbound) -> None:
            raise Usage("not so", help=inbound.body.key)

        two.rpc.handle(Get, refuse)

        def ask() -> None:
            for help in ("Do this.", Usage.help_text):
                one.rpc.request(
                    ["n2"], Get(help), one.env.clock.now() + 1.0, lambda peer, outcome: found.append(outcome)
                )

        one.env.clock.call_soon(ask)
        world.run_until_true(lambda: len(found) == 2, 2.0)
        assert [error.help for error in found] == ["Do this.", Usage.help_text]
        assert [error.own_help for error in found] == ["Do this.", ""]


def test_nobody_listens_is_definite() -> None:
    with World(1) as world:
        one, _ = peers(world, "n1", "n2")
        world.run_for(0.1)
        world.crash("n2")
        one.ask("n2")
        world.run_for(0.3)
        assert one.outcome() == ("unreachable", True)
        assert ("n2", "refused") in one.lost


def test_a_crash_after_sending_is_not_definite() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        two.silent = True
        one.ask("n2", timeout=5.0)
        world.run_until_true(lambda: bool(two.asked), 2.0)
        world.crash("n2")
        world.run_for(0.2)
        assert one.outcome() == ("maybe", False)


def test_silence_ends_at_the_deadline_and_is_not_definite() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        two.silent = True
        one.ask("n2", timeout=0.5)
        world.run_for(0.45)
        assert one.answers == []
        world.run_for(0.2)
        assert one.outcome() == ("maybe", False)


def test_a_process_that_always_runs_late_has_deadlines_as_well() -> None:
    """A starved one: each of its sweeps comes later than the one before allows."""
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        two.silent = True
        one.ask("n2", timeout=0.5)
        world.run_until_true(lambda: bool(two.asked), 2.0)
        for _ in range(10):
            world.pause("n1")
            world.run_for(0.1)
            world.resume("n1")
            world.run_for(0.0005)
        assert one.outcome() == ("maybe", False)


def test_a_late_answer_goes_nowhere() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        two.silent = True
        one.ask("n2", timeout=0.2)
        world.run_for(1.0)
        two.env.clock.call_soon(two.asked[0].reply, two.asked[0].body)
        world.run_for(1.0)
        assert len(one.answers) == 1


def test_a_process_that_was_stopped_does_not_execute_what_expired_meanwhile() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        one.ask("n2")
        world.run_until_true(lambda: bool(one.answers), 2.0)
        world.pause("n2")
        one.ask("n2", timeout=0.5)
        world.run_for(3.0)
        world.resume("n2")
        world.run_for(1.0)
        assert len(two.asked) == 1, "the second question expired while the process was stopped"
        assert two.rpc.expired == 1


def test_a_partition_holds_what_is_on_the_way_and_hides_the_refusal() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        one.ask("n2")
        world.run_until_true(lambda: bool(one.answers), 2.0)
        one.answers.clear()
        load(partition(["n1"], ["n2"]), one, two)
        one.ask("n2", timeout=0.5)
        world.run_for(0.2)
        world.crash("n2")
        world.run_for(1.0)
        assert one.outcome() == ("maybe", False)
        assert one.lost == [], "across a partition nobody hears a reset"
        assert two.faults.receipts() == {"f1": {"n1->n2": 1}}


def test_what_a_partition_held_arrives_in_order_after_healing() -> None:
    with World(3) as world:
        one, two = peers(world, "n1", "n2")
        one.ask("n2")
        world.run_until_true(lambda: bool(one.answers), 2.0)
        document = partition(["n1"], ["n2"])
        load(document, one, two)
        for number in range(5):
            one.ask("n2", timeout=5.0, arguments={"number": number})
        world.run_for(0.5)
        assert len(two.asked) == 1
        ended = replace_active(document)
        load(ended, one, two)
        world.run_until_true(lambda: len(one.answers) == 6, 2.0)
        assert [inbound.body.arguments["number"] for inbound in two.asked[1:]] == [0, 1, 2, 3, 4]


def slowed(delay_ms: float) -> FaultDocument:
    fault = Fault(id="f1", kind="slow", at="2026-01-01T00:00:00Z", source="n1", target="n2", delay_ms=delay_ms)
    return FaultDocument(generation=1, faults=[fault])


def test_a_slow_link_delays_also_what_comes_with_the_handshake() -> None:
    """The first request on a fresh connection leaves in one write with the last word of the handshake."""
    with World(3) as world:
        one, two = peers(world, "n1", "n2")
        load(slowed(400.0), one, two)
        one.ask("n2", timeout=5.0)
        world.run_for(0.35)
        assert two.asked == []
        world.run_until_true(lambda: bool(one.answers), 0.3)
        assert one.outcome() == "n2"


def test_what_a_slow_link_held_arrives_when_it_is_healed() -> None:
    """Otherwise everything behind it on the connection would wait as long, though the link is as good as new."""
    with World(3) as world:
        one, two = peers(world, "n1", "n2")
        document = slowed(30_000.0)
        load(document, one, two)
        for number in range(3):
            one.ask("n2", timeout=5.0, arguments={"number": number})
        world.run_for(0.5)
        assert two.asked == []
        load(replace_active(document), one, two)
        world.run_until_true(lambda: len(one.answers) == 3, 0.2)
        assert [inbound.body.arguments["number"] for inbound in two.asked] == [0, 1, 2]


def replace_active(document: FaultDocument) -> FaultDocument:
    from msgspec.structs import replace as change

    return change(
        document, generation=document.generation + 1, faults=[change(f, active=False) for f in document.faults]
    )


@pytest.mark.parametrize("dials", ["n1", "n2"])
def test_a_node_of_which_a_later_boot_was_seen_is_refused(dials: str) -> None:
    """Whoever dials. Its directory was put back: what it would say is of before."""
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        addresses = {**one.transport.addresses, **two.transport.addresses}

        def reborn(epoch: int) -> Peer:
            world.crash("n2")
            return Peer(world, "n2", addresses, epoch=epoch)

        def asked(two: Peer) -> Any:
            asks, other = (one, "n2") if dials == "n1" else (two, "n1")
            asks.answers.clear()
            asks.ask(other)
            world.run_until_true(lambda: bool(asks.answers), 3.0)
            return asks.outcome()

        later = reborn(3)
        world.run_for(0.5)
        assert asked(later) == ("n2" if dials == "n1" else "n1")
        earlier = reborn(2)
        world.run_for(0.5)
        assert asked(earlier) != ("n2" if dials == "n1" else "n1")
        assert any("amnesia: boot 3 of n2-id" in cause for kind, cause in one.events if kind == "wire.refused")
        assert not earlier.asked
        again = reborn(3)
        world.run_for(0.5)
        assert asked(again) == ("n2" if dials == "n1" else "n1"), "another process of the same boot number is let in"


def test_a_dial_into_a_partition_hangs_until_its_timeout() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        load(partition(["n1"], ["n2"]), one, two)
        one.ask("n2", timeout=5.0)
        world.run_for(0.4)
        assert one.answers == []
        world.run_for(0.3)
        assert one.outcome() == ("unreachable", True)


def test_a_full_queue_refuses_at_once() -> None:
    with World(1) as world:
        one, _ = peers(world, "n1", "n2")
        end = one.transport._end
        end.settings = replace(end.settings, queue_bytes_max=1000)
        for _ in range(5):
            one.ask("n2", arguments={"pad": "x" * 600})
        world.run_for(1.0)
        outcomes = sorted(str(getattr(answer, "code", answer)) for _, answer in one.answers)
        assert outcomes == ["n2", "n2", "overloaded", "overloaded", "overloaded"]


@pytest.mark.parametrize("gathered", [False, True])
def test_answers_to_the_first_of_many_messages_leave_before_the_last_is_looked_at(gathered: bool) -> None:
    """Else hundreds in flight would move as one convoy, and each process would wait while another works."""
    together = TransportSettings().slice_messages
    many = 2 * together + 1
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        before: list[int] = []

        def take(inbound: Inbound) -> None:
            connection = two.transport.connection("n1", LANE_FOREGROUND)
            assert connection is not None
            before.append(connection.writes)
            connection.push(Relay("a", b"", "", "n2"))

        two.rpc.handle(Relay, take)
        one.rpc.handle(Relay, lambda inbound: None)

        def send() -> None:
            for _ in range(many):
                body = Relay("a", b"", "", "n1")
                assert one.rpc.gather("n2", body, 0.0) if gathered else one.rpc.send("n2", body)

        one.env.clock.call_soon(send)
        two.ask("n1")
        world.run_for(0.3)
        before.clear()
        one.env.clock.call_soon(send)
        world.run_for(0.3)
        assert len(before) == many
        assert [count - before[0] for count in before] == [place // together for place in range(many)]


def test_what_shares_a_frame_keeps_its_place_among_the_others() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        taken: list[tuple[str, float]] = []
        two.rpc.handle(Relay, lambda inbound: taken.append((inbound.body.id, inbound.deadline - two.env.clock.now())))

        def send() -> None:
            deadline = one.env.clock.now() + 1.0
            for number in range(ONE_WAYS_MAX + 3):
                assert one.rpc.gather("n2", Relay("a", b"", str(number), "n1"), deadline)
                if number == 1:
                    assert one.rpc.send("n2", Relay("a", b"", "alone", "n1"))

        one.env.clock.call_soon(send)
        world.run_for(0.5)
        wanted = [str(number) for number in range(ONE_WAYS_MAX + 3)]
        assert [id for id, _ in taken] == [*wanted[:2], "alone", *wanted[2:]]
        assert all(0.9 < left <= 1.0 for id, left in taken if id != "alone")


def test_what_shares_a_frame_expires_with_it() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        taken: list[object] = []
        two.rpc.handle(Relay, taken.append)

        def send() -> None:
            for number in range(3):
                assert one.rpc.gather("n2", Relay("a", b"", str(number), "n1"), one.env.clock.now())

        one.env.clock.call_soon(send)
        world.run_for(0.5)
        assert taken == [] and two.rpc.expired == 3


def test_what_expires_at_another_time_has_a_frame_of_its_own() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        taken: list[str] = []
        two.rpc.handle(Relay, lambda inbound: taken.append(inbound.body.id))

        def send() -> None:
            now = one.env.clock.now()
            for id, deadline in (("late", now), ("wanted", now + 1.0), ("too", now + 1.005), ("late", now - 1.0)):
                assert one.rpc.gather("n2", Relay("a", b"", id, "n1"), deadline)

        one.env.clock.call_soon(send)
        world.run_for(0.5)
        assert taken == ["wanted", "too"] and two.rpc.expired == 2


def test_a_full_queue_refuses_what_would_share_a_frame() -> None:
    with World(1) as world:
        one, _ = peers(world, "n1", "n2")
        end = one.transport._end
        end.settings = replace(end.settings, queue_bytes_max=1000)
        sent: list[bool] = []

        def send() -> None:
            sent.extend(one.rpc.gather("n2", Relay("a", b"x" * 100, "id", "n1"), 0.0) for _ in range(1000))

        one.env.clock.call_soon(send)
        world.run_for(0.5)
        assert 1 < sum(sent) <= 2 * ONE_WAYS_MAX


def test_who_is_heard_is_dialled_at_once_however_often_that_was_refused() -> None:
    """Nodes that start together dial some that do not listen yet; a datagram tells that these run now."""
    with World(1) as world:
        addresses = {"n1": ("10.0.0.1", 7001), "n2": ("10.0.0.2", 7002)}
        one = Peer(world, "n1", addresses)
        for _ in range(6):
            one.ask("n2")
            world.run_for(0.4)
        assert {getattr(answer, "code", answer) for _, answer in one.answers} == {"unreachable"}
        two = Peer(world, "n2", addresses)
        one.transport._backoffs["n2"].failed(one.env.clock.now() + 60.0, world.random("backoff"))
        one.answers.clear()
        world.run_for(0.01)
        one.ask("n2")
        world.run_for(0.01)
        assert one.outcome() == ("unreachable", True), "it is not dialled yet"
        two.env.clock.call_soon(two.datagrams.datagram, "n1", b"here I am")
        world.run_for(0.01)
        one.answers.clear()
        one.ask("n2")
        world.run_for(0.1)
        assert one.outcome() == "n2"


def test_the_wrong_secret_is_refused_and_said() -> None:
    with World(1) as world:
        addresses = {"n1": ("10.0.0.1", 7001), "n2": ("10.0.0.1", 7002)}
        one, two = Peer(world, "n1", addresses), Peer(world, "n2", addresses, secret=b"t" * 32)
        one.ask("n2")
        world.run_for(1.5)
        assert one.outcome() == ("unreachable", True)
        assert any(kind == "wire.refused" for kind, _ in one.events + two.events)
        assert two.asked == []


def test_datagrams_are_sealed_and_carry_their_sender() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        seen: list[tuple[str, bytes]] = []
        two.datagrams.on_datagram = lambda sender, body, arrived: seen.append((sender, body))
        world.run_for(0.1)
        one.env.clock.call_soon(one.datagrams.datagram, "n2", b"ping")
        world.run_for(0.1)
        assert seen == [("n1", b"ping")]


def test_a_watched_peer_is_missed_at_once() -> None:
    with World(1) as world:
        one, _ = peers(world, "n1", "n2")
        world.run_for(0.1)
        one.env.clock.call_soon(one.transport.watch, "n2")
        world.run_for(0.2)
        world.crash("n2")
        world.run_for(0.1)
        assert one.lost and one.lost[0][0] == "n2"


def test_a_handshake_that_waited_in_the_socket_of_a_stopped_node_is_still_read() -> None:
    """Its timers come first, and the hello has been there all the time."""
    with World(1) as world:
        one, two = peers(world, "n1", "n2", boot="one machine")
        world.run_for(0.1)
        one.ask("n2", timeout=5.0)
        world.run_until_true(lambda: bool(two.transport._unproven), step=0.0)
        world.pause("n2")
        world.run_for(0.4)
        world.resume("n2")
        world.run_for(0.2)
        assert one.outcome() == "n2" and one.lost == []


def test_who_proves_nothing_is_let_go() -> None:
    with World(1) as world:
        one, _ = peers(world, "n1", "n2")
        world.run_for(0.1)
        ends: list[str] = []
        world.env("stranger").network.dial(("10.0.0.1", 7001), Mute(ends), 5.0)
        world.run_for(0.2)
        assert len(one.transport._unproven) == 1 and ends == []
        world.run_for(0.1)
        assert len(one.transport._unproven) == 0 and ends == ["reset"]


def test_who_is_not_admitted_hears_why_and_is_not_served() -> None:
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        two.transport.admit = lambda party: f"{party.name} is forgotten"
        one.ask("n2")
        world.run_for(0.3)
        assert one.outcome() == ("unreachable", True) and two.asked == []
        assert any("n1 is forgotten" in cause for _, cause in one.events)


class Mute:
    """A stranger's connection that never says a word."""

    def __init__(self, ends: list[str]) -> None:
        self.ends = ends

    def connected(self, link: Link) -> None:
        self.link = link

    def received(self, data: bytes) -> None:
        pass

    def lost(self, reason: str) -> None:
        self.ends.append(reason)

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass


def test_a_misplaced_request_that_cannot_be_carried_out_refuses_only_itself() -> None:
    """Whoever serves what was routed by another layout may refuse it as anything else: the connection goes on."""
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        one.rpc.layout, two.rpc.layout = 1, 2
        two.rpc.on_layout = lambda number, inbound: PROCEED
        answers: list[object] = []

        def refuse(inbound: Inbound) -> None:
            raise Usage("not like this")

        def get() -> None:
            deadline = one.env.clock.now() + 1.0
            one.rpc.request(["n2"], Get("key"), deadline, lambda peer, outcome: answers.append(type(outcome)))

        two.rpc.handle(Get, refuse)
        one.env.clock.call_soon(get)
        world.run_for(0.5)
        assert answers == [Usage]
        two.rpc.on_layout = lambda number, inbound: HOLD
        one.env.clock.call_soon(get)
        world.run_for(0.5)
        two.env.clock.call_soon(two.rpc.layout_changed)
        world.run_for(0.1)
        assert answers == [Usage, Usage], "so does one that waited for the layout"
        one.ask("n2")
        world.run_for(0.5)
        assert one.outcome() == "n2" and two.lost == []


def refused_as_stale(world: World, holds: int) -> tuple[Peer, list[object]]:
    """A peer that holds layout 1 and asks one that holds a newer one; and what answers come."""
    one, two = peers(world, "n1", "n2")
    one.rpc.layout, two.rpc.layout = 1, holds
    two.rpc.on_layout = lambda number, inbound: STALE if number < holds else PROCEED
    two.rpc.handle(Get, lambda inbound: inbound.reply(Scanned([], "", False, True, 0.0)))
    answers: list[object] = []

    def get() -> None:
        deadline = one.env.clock.now() + 1.0
        one.rpc.request(["n2"], Get("key"), deadline, lambda peer, outcome: answers.append(type(outcome)))

    one.env.clock.call_soon(get)
    return one, answers


def go_on(peer: Peer, number: int) -> None:
    peer.rpc.route_by(number)
    peer.rpc.layout_changed()


@pytest.mark.parametrize("number", [2, 3])
def test_a_request_that_its_sender_has_a_newer_layout_for_by_now_goes_out_again_at_once(number: int) -> None:
    """It left before the sender went on to the layout that the receiver refuses it for, or beyond: no other comes."""
    with World(1) as world:
        one, answers = refused_as_stale(world, 2)
        one.env.clock.call_soon(go_on, one, number)
        world.run_for(0.5)
        assert answers == [Scanned]


def test_a_request_of_a_sender_that_is_behind_waits_for_the_layout() -> None:
    with World(1) as world:
        one, answers = refused_as_stale(world, 2)
        world.run_for(0.5)
        assert answers == []
        go_on(one, 2)
        world.run_for(0.2)
        assert answers == [Scanned]


def test_a_peer_that_is_behind_and_can_hold_no_more_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would refuse the same call as fast as it can be sent, until the deadline: one behind on a full disk, say."""
    monkeypatch.setattr("cluster.rpc.rpc.HELD_MAX", 0)
    with World(1) as world:
        one, two = peers(world, "n1", "n2")
        one.rpc.layout, two.rpc.layout = 2, 1
        judged: list[int] = []
        answers: list[object] = []

        def judge(number: int, inbound: Inbound) -> str:
            judged.append(number)
            return HOLD

        def get() -> None:
            deadline = one.env.clock.now() + 1.0
            one.rpc.request(["n2"], Get("key"), deadline, lambda peer, outcome: answers.append(type(outcome)))

        two.rpc.on_layout = judge
        two.rpc.handle(Get, lambda inbound: inbound.reply(Scanned([], "", False, True, 0.0)))
        one.env.clock.call_soon(get)
        world.run_for(0.5)
        assert judged == [2] and answers == [StaleLayout]
