"""One node among puppets: each safeguard alone, by what the node sends and believes.

The other tests would mostly pass without any single one of these, because the safeguards cover for each other.
"""

from collections.abc import Callable, Sequence

import msgspec

from cluster.errors import Unreachable
from cluster.membership.member import ALIVE, DEAD, SUSPECT
from cluster.ports import Outcome
from cluster.wire.frames import Body
from cluster.wire.handshake import ROLE_CLIENT, ROLE_NODE
from cluster.wire.membership import (
    MemberState,
    Packet,
    Ping,
    PingAck,
    PingNack,
    PingRequest,
    Probe,
    PushPull,
    PushPullReply,
    Rumor,
    StreamPing,
)
from tests.membership.small_world import World

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Packet).decode


def rumor(state: str, name: str, refutations: int = 0, by: str = "", kind: str = "") -> Rumor:
    id, port = (f"{name}-aaaa", 7000 + int(name[1:])) if state == ALIVE else ("", 0)
    return Rumor(state, name, 1, refutations, by, id, "z", "127.0.0.1" if port else "", port, kind)


class Call:
    """A request to the node, with its answer."""

    def __init__(self, sender: str, body: Body, role: str = ROLE_NODE) -> None:
        self.body = body
        self.sender, self.role = sender, role
        self.answers: list[object] = []

    def reply(self, body: Body) -> None:
        self.answers.append(body)

    def fail(self, error: Exception) -> None:
        self.answers.append(error)


class Stage:
    """The node n1, started, with n2 to n5 as puppets that were heard once."""

    def __init__(self, heard: bool = True) -> None:
        self.world = World(5)
        self.packets: list[tuple[float, str, Packet]] = []
        self.asked: list[tuple[str, Body, Callable[[str, Outcome], None]]] = []
        self.process = self.world.make("n1")
        self.process.datagram = self._datagram  # type: ignore[method-assign]
        self.process.request = self._request  # type: ignore[method-assign]
        self.process.start()
        self.node = self.world["n1"]
        if heard:
            for name in self.world.names[1:]:
                self.hear(name, rumors=[rumor(ALIVE, name)])
            peer, _, done = self.asked.pop()
            done(peer, PushPullReply([]))

    def _datagram(self, peer: str, body: bytes) -> None:
        self.packets.append((self.world.now, peer, _decode(body)))

    def _request(
        self, peers: Sequence[str], body: Body, deadline: float, done: Callable[[str, Outcome], None], lane: int = 0
    ) -> int:
        self.asked += [(peer, body, done) for peer in peers]
        return 0

    def hear(self, sender: str, probe: Probe | None = None, rumors: Sequence[Rumor] = ()) -> None:
        body = _encode(Packet(probe, list(rumors)))
        self.process.read(self.process.on_datagram, sender, body, self.world.now)

    def sent(self, peer: str, kind: type | None = None, since: float = 0.0) -> list[Packet]:
        """Packets to `peer` with a probe message of a kind (or with none)."""
        wanted = type(None) if kind is None else kind
        return [
            packet for at, to, packet in self.packets if to == peer and type(packet.probe) is wanted and at >= since
        ]

    def clear(self) -> None:
        self.packets.clear()
        self.asked.clear()
        self.process.events.clear()


def suspected(stage: Stage, *accusers: str) -> None:
    for accuser in accusers:
        stage.hear(accuser, rumors=[rumor(SUSPECT, "n2", by=accuser)])
    assert stage.node.state("n2") == "suspect"


def test_swim_3_1_a_silent_member_is_probed_through_helpers_and_over_a_stream() -> None:
    stage = Stage()
    stage.world.run(2.0)
    first = next(probe for _, _, packet in stage.packets if isinstance(probe := packet.probe, PingRequest))
    helpers = [to for _, to, packet in stage.packets if packet.probe == first]
    assert len(helpers) == 3 and first.target not in helpers
    assert (first.target, StreamPing(first.target)) in [(peer, body) for peer, body, _ in stage.asked]


def test_lifeguard_4_a_a_helper_that_hears_nothing_sends_a_nack_in_time() -> None:
    stage = Stage()
    stage.clear()
    start = stage.world.now
    stage.hear("n2", PingRequest(77, "n3"))
    ping = stage.sent("n3", Ping)[0].probe
    assert isinstance(ping, Ping) and ping.sequence != 77
    stage.world.run(0.2)
    nacked = [at - start for at, to, packet in stage.packets if to == "n2" and packet.probe == PingNack(77)]
    assert len(nacked) == 1 and nacked[0] < stage.world.settings.probe_timeout_s
    stage.hear("n2", PingRequest(78, "n3"))
    ping = stage.sent("n3", Ping)[-1].probe
    assert isinstance(ping, Ping)
    stage.hear("n4", PingAck(ping.sequence))  # not the target
    assert not stage.sent("n2", PingAck)
    stage.hear("n3", PingAck(ping.sequence))
    assert [packet.probe for packet in stage.sent("n2", PingAck)] == [PingAck(78)]


def test_lifeguard_4_c_an_accuser_tells_the_accused_first() -> None:
    stage = Stage()
    stage.world.run_until(lambda: bool(stage.process.kinds("member.suspect")), 3.0)
    accused = stage.process.kinds("member.suspect")[0][1]["member"]
    told = [to for _, to, packet in stage.packets if any(each.state == SUSPECT for each in packet.rumors)]
    assert told[0] == accused


def test_lifeguard_4_c_a_ping_to_a_suspect_carries_the_suspicion() -> None:
    stage = Stage()
    suspected(stage, "n3")
    stage.world.run(0.4)  # it is no longer told by gossip
    assert stage.node.state("n2") == "suspect"
    stage.hear("n4", PingRequest(5, "n2"))
    assert stage.sent("n2", Ping)[-1].rumors[0].state == SUSPECT


def test_whoever_speaks_hears_what_is_said_of_it_but_not_more_often_than_one_gossips() -> None:
    stage = Stage()
    suspected(stage, "n3")
    stage.clear()
    for _ in range(10):
        stage.hear("n2")
    told = [packet for packet in stage.sent("n2") if packet.rumors[0].state == SUSPECT]
    assert len(told) == 1
    stage.hear("n2", Ping(9, "n1"))
    ack = stage.sent("n2", PingAck)[0]
    assert ack.probe == PingAck(9) and ack.rumors[0].state == SUSPECT
    stage.clear()
    stage.process.on_contact[0]("n2")
    stage.world.run(0.2)
    stage.process.on_contact[0]("n2")
    assert any(packet.rumors[0].state == SUSPECT for packet in stage.sent("n2"))


def test_whoever_is_behind_about_this_node_is_reminded() -> None:
    stage = Stage()
    stage.hear("n2", rumors=[rumor(SUSPECT, "n1", by="n2")])
    assert stage.node.view("n1").refutations == 1
    stage.world.run(1.0)
    stage.clear()
    stage.hear("n3", Ping(9, "n1"), [rumor(SUSPECT, "n1", by="n2")])
    told = stage.sent("n3", PingAck)[0].rumors[0]
    assert (told.state, told.name, told.epoch, told.refutations) == (ALIVE, "n1", 1, 1)
    assert stage.node.view("n1").refutations == 1, "one contradiction is enough"


def test_a_ping_for_another_name_is_not_acknowledged() -> None:
    stage = Stage()
    stage.clear()
    stage.hear("n2", Ping(9, "n4"))
    assert not stage.sent("n2", PingAck)


def test_a_lasting_suspicion_is_told_to_the_suspect_again_and_again() -> None:
    """The first time may have met a partition that heals later."""
    stage = Stage()
    suspected(stage, "n3")
    stage.world.run(0.5)
    for _ in range(3):
        since = stage.world.now
        stage.world.run(1.7)
        lone = [packet for packet in stage.sent("n2", None, since) if [each.name for each in packet.rumors] == ["n2"]]
        assert any(packet.rumors[0].state == SUSPECT for packet in lone)


def test_death_needs_an_unanswered_last_ping() -> None:
    stage = Stage()
    suspected(stage, "n3", "n4", "n5")
    start = stage.world.now
    stage.world.run(1.61)
    last = stage.sent("n2", Ping, since=start + 1.59)[-1]
    assert last.rumors[0].state == SUSPECT
    assert isinstance(last.probe, Ping)
    stage.hear("n2", PingAck(last.probe.sequence))
    stage.world.run(0.3)
    assert stage.node.state("n2") == "suspect", "it lives: its contradiction is under way"
    took = stage.world.run_until(lambda: stage.node.state("n2") == "dead", 6.0)
    assert took < 4.0


def test_a_suspicion_that_runs_out_during_a_stall_is_void_for_a_while() -> None:
    stage = Stage()
    suspected(stage, "n3", "n4", "n5")
    stage.world.run(1.0)
    stage.world.pause("n1")
    stage.world.run(3.0)
    stage.clear()
    stage.world.resume("n1")
    assert stage.node.state("n2") == "suspect"
    assert any("ran out" in cause for cause, _ in stage.process.kinds("probe.void"))
    stage.world.run(0.3)
    assert stage.node.state("n2") == "suspect"
    stage.hear("n3", rumors=[rumor(ALIVE, "n2", 1)])
    assert stage.node.state("n2") == "alive"


def test_a_last_ping_that_met_a_stall_is_sent_again() -> None:
    stage = Stage()
    suspected(stage, "n3", "n4", "n5")
    stage.world.run(1.65)
    assert stage.node.state("n2") == "suspect"
    stage.world.pause("n1")
    stage.world.run(1.0)
    stage.clear()
    stage.world.resume("n1")
    stage.world.run(0.01)
    assert stage.node.state("n2") == "suspect"
    assert any(packet.rumors and packet.rumors[0].state == SUSPECT for packet in stage.sent("n2", Ping))
    stage.world.run_until(lambda: stage.node.state("n2") == "dead", 4.0)


def test_a_late_timer_reads_the_sockets_before_it_judges() -> None:
    """The acknowledgement came in time, but this process did not run for 150 ms, which is no stall yet."""
    stage = Stage()
    stage.world.run_until(lambda: stage.node.counts.get("probes", 0) == 1, 1.0)
    _, target, packet = next(each for each in reversed(stage.packets) if isinstance(each[2].probe, Ping))
    assert isinstance(packet.probe, Ping)
    stage.world.run(0.3)
    stage.world.pause("n1")
    stage.hear(target, PingAck(packet.probe.sequence))
    stage.world.run(0.15)
    stage.world.resume("n1")
    stage.world.run(0.1)
    assert stage.node.counts["probes"] == 2
    assert "probes_failed" not in stage.node.counts and "probes_void" not in stage.node.counts


def test_an_old_verdict_is_checked_before_it_is_believed() -> None:
    stage = Stage()
    push_pull = PushPull([MemberState(rumor(DEAD, "n2", by="n9"), [])])
    stage.clear()
    stage.process.handlers[PushPull](Call("n3", push_pull))
    stage.process.handlers[PushPull](Call("n4", push_pull))
    pings = stage.sent("n2", Ping)
    assert len(pings) == 1, "checked once at a time"
    assert pings[0].rumors[0].state == DEAD
    assert stage.node.state("n2") == "alive"
    stage.world.run(0.25)
    assert stage.node.state("n2") == "suspect", "silence makes a suspicion, and no more"
    stage.hear("n2", rumors=[rumor(ALIVE, "n2", 1)])
    stage.process.handlers[PushPull](Call("n3", PushPull([MemberState(rumor(DEAD, "n2"), [])])))
    stage.world.run(0.25)
    assert stage.node.state("n2") == "alive", "it was contradicted since"


def test_push_pull_is_for_nodes() -> None:
    stage = Stage()
    call = Call("someone", PushPull([MemberState(rumor(DEAD, "n2"), [])]), ROLE_CLIENT)
    stage.process.handlers[PushPull](call)
    assert isinstance(call.answers[0], Exception)
    assert stage.node.state("n2") == "alive"
    call = Call("n2", PushPull([]))
    stage.process.handlers[PushPull](call)
    assert isinstance(call.answers[0], PushPullReply)
    assert [row.rumor.name for row in call.answers[0].rows] == ["n1", "n2", "n3", "n4", "n5"]


def test_what_was_never_heard_is_not_told() -> None:
    stage = Stage(heard=False)
    call = Call("n2", PushPull([]))
    stage.process.handlers[PushPull](call)
    assert isinstance(call.answers[0], PushPullReply)
    assert [row.rumor.name for row in call.answers[0].rows] == ["n1"]


def test_a_closed_port_is_confirmed_by_an_own_dial() -> None:
    stage = Stage()
    stage.clear()
    stage.hear("n3", rumors=[rumor(SUSPECT, "n2", by="n3", kind="refused")])
    (peer, body, done) = stage.asked[0]
    assert (peer, body) == ("n2", StreamPing("n2"))
    done("n2", Unreachable("n2 cannot be reached"))
    assert not stage.process.kinds("member.confirmed"), "nobody dialled: an earlier dial had failed, for some reason"
    stage.hear("n4", rumors=[rumor(SUSPECT, "n2", by="n4", kind="refused")])
    assert len(stage.asked) == 1, "one look a suspicion"


def test_an_own_dial_that_is_refused_spreads_as_own_suspicion() -> None:
    stage = Stage()
    stage.world.run(0.11)
    stage.clear()
    stage.hear("n3", rumors=[rumor(SUSPECT, "n2", by="n3", kind="refused")])
    stage.asked[0][2]("n2", Unreachable("n2 cannot be reached: refused"))
    assert [cause for cause, _ in stage.process.kinds("member.confirmed")] == ["its port refused a connection"]
    stage.world.run(0.2)
    spread = [each for _, _, packet in stage.packets for each in packet.rumors if each.by == "n1"]
    assert spread and all(each.kind == "refused" for each in spread)


def test_the_dead_are_told_and_asked() -> None:
    stage = Stage()
    stage.hear("n3", rumors=[rumor(DEAD, "n2", by="n3")])
    stage.clear()
    stage.world.run(1.3)
    assert any(packet.rumors[0].state == DEAD for packet in stage.sent("n2"))
    assert "n2" in [peer for peer, body, _ in stage.asked if isinstance(body, PushPull)]


def test_the_unheard_are_greeted() -> None:
    stage = Stage(heard=False)
    stage.world.run(0.3)
    for name in stage.world.names[1:]:
        greeting = [packet for packet in stage.sent(name) if packet.rumors[0].name == name]
        assert greeting and greeting[0].rumors[0].epoch == 0
    assert sum(isinstance(body, PushPull) for _, body, _ in stage.asked) == 1


def test_after_a_stall_a_node_asks_what_was_said_meanwhile() -> None:
    stage = Stage()
    stage.clear()
    stage.world.pause("n1")
    stage.world.run(1.0)
    stage.world.resume("n1")
    stage.world.run(0.5)
    assert any(isinstance(body, PushPull) for _, body, _ in stage.asked)
