"""Calls: what may have been sent is never called off, and what others send is checked before anything is done."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cluster.config import node_settings
from cluster.env import Address, Link
from cluster.errors import BadMessage, Unreachable, Usage
from cluster.faults import Fault, FaultDocument, add_fault, encode_faults, heal
from cluster.kv.objects import KvRows
from cluster.layout import partition_of
from cluster.observe.events import LimitedRecorder
from cluster.replication.context import ReplicationContext
from cluster.replication.mergeable import TABLE_KV
from cluster.requests import CallContext, operation, service
from cluster.requests.routed import EndpointCall
from cluster.rpc import Rpc
from cluster.rpc.pending import Pending
from cluster.simulation import World
from cluster.simulation.fleet import Fleet
from cluster.transport import Connection, Transport
from cluster.transport import connection as connections
from cluster.transport import transport as transports
from cluster.versions import Versions, decode, encode
from cluster.wire import frames, handshake
from cluster.wire.kv import Put, PutDone
from cluster.wire.replication import Replicate, Replicated
from cluster.wire.rights import ROLES
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, got, read, settle
from tests.transport.small import peers

AT = "2026-01-01T00:00:00Z"


class Rules:
    """The users' own fault rules, on all nodes of a fleet that run now."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.document = FaultDocument()

    def cut(self, one: str, other: str) -> None:
        self._use(add_fault(self.document, Fault(kind="partition", at=AT, groups=[[one], [other]])))

    def heal(self) -> None:
        self._use(heal(self.document, None, AT))

    def _use(self, document: FaultDocument) -> None:
        self.document = document
        for node in self.fleet.nodes.values():
            node.hooks.read_faults = lambda: encode_faults(self.document)
            node.reload_faults()


def coordinated_first_by(fleet: Fleet, owner: str, stranger: str) -> str:
    """A key that `stranger` forwards to `owner`."""
    return next(
        key
        for key in (f"key-{number}" for number in range(10_000))
        if fleet.owners(key)[0] == owner and stranger not in fleet.owners(key)
    )


def a_reset_is_hidden_and_the_next_dial_refused(seed: int) -> None:
    """An owner carries a forwarded put out and dies behind a partition. Somebody reads and replaces the value; then the
    partition is healed, and another write of the forwarder finds that the owner is gone."""
    with Fleet.running(seed, 5) as fleet:
        first, second, _ = fleet.owners("cart")
        stranger = fleet.fallbacks("cart")[0]
        rules = Rules(fleet)
        acknowledged(fleet, stranger, "cart", b"zero")
        context = got(fleet, stranger, "cart").context
        one = fleet.put(stranger, "cart", b"one", context=context)
        fleet.world.run_until_true(lambda: b"one" in (fleet.stored(second, "cart") or b""), step=0.0001)
        assert not one.ended
        rules.cut(stranger, first)
        fleet.world.run_for(0.001)
        fleet.crash(first)
        fleet.world.run_for(0.03)
        acknowledged(fleet, second, "cart", b"two", context=got(fleet, second, "cart").context)
        rules.heal()
        fleet.put(stranger, coordinated_first_by(fleet, first, stranger), b"any other write")
        fleet.world.run_for(1.5)
        assert isinstance(one.answer, PutDone) and one.answer.outcome == "maybe"
        fleet.start()
        settle(fleet)
        assert read(fleet, second, "cart", strict=True) == [b"two"], "`one` had been read and replaced"


def a_call_runs_and_its_reset_is_hidden(seed: int) -> None:
    """The same with a call of an operation that must not run twice."""
    ran: list[str] = []

    @service(name="pay", version=1)
    class Pay:
        @operation()
        def charge(self, call: CallContext) -> None:
            ran.append(call.node)

    with Fleet.running(seed, 3) as fleet:
        entry, *others = fleet.names
        rules = Rules(fleet)
        for name in others:
            fleet.nodes[name].requests.host(Pay())
        fleet.world.run_for(2.0)
        for _ in range(3):
            fleet.wait(fleet.call(entry, "pay.charge"))
        ran.clear()
        call = fleet.call(entry, "pay.charge")
        fleet.world.run_until_true(lambda: bool(ran), step=0.0001)
        rules.cut(entry, ran[0])
        fleet.world.run_for(0.001)
        fleet.crash(ran[0])
        fleet.world.run_for(0.003)
        rules.heal()
        for number in range(20):
            fleet.put(entry, f"key-{number}", b"any other traffic")
            fleet.world.run_for(0.02)
        fleet.world.run_for(5.0)
        assert len(ran) == 1, f"it ran on {ran}"
        assert call.error is not None and not call.error.definite


def lose_what_waits_for_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that ends takes all calls of its peer along, on whichever connection they were written."""

    def lost(self: Pending, peer: str, connection: Connection) -> Iterator[Any]:
        for id, waiting in list(self.waiting.items()):
            if waiting.left.pop(peer, self) is not self:
                if not waiting.left:
                    self.waiting.pop(id, None)
                yield waiting.done

    monkeypatch.setattr(Pending, "lost", lost)


def call_what_fell_silent_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not answer has surely not run it."""

    def give_up(self: EndpointCall) -> None:
        self.routed.router.messenger.finish(self.request_id, cancel=True)
        self.request_id = 0
        self.on_outcome(Unreachable(f"{self.node} fell silent"))

    monkeypatch.setattr(EndpointCall, "give_up", give_up)


def a_listener_stops_in_the_handshake(seed: int) -> None:
    """Two machines. The one that was dialled stops between its challenge and the proof, behind which a request waits
    for longer than it has."""
    with World(seed) as world:
        one, two = peers(world, "n1", "n2")
        world.run_for(0.1)
        one.ask("n2", timeout=0.5)
        world.run_until_true(lambda: bool(unproven(two)), step=0.0)
        world.pause("n2")
        world.run_for(3.0)
        world.resume("n2")
        world.run_for(1.0)
        assert two.asked == [], "its time was over long ago"


def unproven(peer: Any) -> list[Connection]:
    """The connections to a peer that are in the middle of their handshakes."""
    found: list[Connection] = []
    for connection in peer.transport._unproven:
        if connection._handshake is not None and connection._handshake.hello is not None:
            found.append(connection)
    return found


def a_listener_stops_before_it_reads_the_hello(seed: int) -> None:
    """For longer than a connection has to prove itself."""
    with World(seed) as world:
        one, two = peers(world, "n1", "n2", boot="one machine")
        world.run_for(0.1)
        one.ask("n2", timeout=5.0)
        world.run_until_true(lambda: bool(two.transport._unproven), step=0.0)
        world.pause("n2")
        world.run_for(0.4)
        world.resume("n2")
        world.run_for(0.2)
        assert one.answers and one.outcome() == "n2" and one.lost == []


def give_up_before_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_LATE_S", float("inf"))


def compare_clocks_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "EXCHANGE_S", float("inf"))


class Silent:
    """A stranger's connection that never says a word."""

    def connected(self, link: Link) -> None:
        self.link = link

    def received(self, data: bytes) -> None:
        pass

    def lost(self, reason: str) -> None:
        pass

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass


def address(fleet: Fleet, name: str) -> Address:
    """Where a node listens."""
    member = next(member for member in fleet.entry.members if member.name == name)
    return (member.host, member.port)


def strangers_hold_every_place(seed: int) -> None:
    """A stranger dials a node without end and proves nothing, while another node comes back."""
    with Fleet.running(seed, 3) as fleet:
        env = fleet.world.env("stranger")

        def dial() -> None:
            for _ in range(50):
                env.network.dial(address(fleet, "n1"), Silent(), 60.0)
            env.clock.call_later(0.02, dial)

        fleet.crash("n2")
        env.clock.call_soon(dial)
        fleet.world.run_for(1.0)
        fleet.start("n2")
        fleet.until(lambda: "n2" in fleet.nodes)
        fleet.world.run_for(1.0)
        answer = fleet.wait(fleet.put("n2", "cart", b"book", w=3)).answer
        assert isinstance(answer, PutDone) and answer.outcome == "ok", answer


def refuse_when_places_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Transport._accept

    def refuse(self: Transport, peer: Address) -> Connection | None:
        return None if len(self._unproven) >= transports.UNPROVEN_MAX else accept(self, peer)

    monkeypatch.setattr(Transport, "_accept", refuse)


def clients_hold_every_place(seed: int) -> None:
    """As many clients as a node may have sit on it, while another node comes back."""
    settings, limit = node_settings(), 8
    settings = replace(settings, transport=replace(settings.transport, clients_max=limit))
    with Fleet.running(seed, 3, settings=settings) as fleet:
        for number in range(limit + 2):
            fleet.client(f"client-{number}")
        fleet.world.run_for(0.5)
        fleet.crash("n2")
        fleet.world.run_for(1.0)
        fleet.start("n2")
        fleet.until(lambda: "n2" in fleet.nodes)
        fleet.world.run_for(1.0)
        answer = fleet.wait(fleet.put("n2", "cart", b"book", w=3)).answer
        assert isinstance(answer, PutDone) and answer.outcome == "ok", answer


def count_all_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes while the places of clients are taken is closed at once."""
    accept = Transport._accept

    def refuse(self: Transport, peer: Address) -> Connection | None:
        return None if self._clients >= self.settings.clients_max else accept(self, peer)

    monkeypatch.setattr(Transport, "_accept", refuse)


def a_client_speaks_as_a_node(seed: int) -> None:
    """It sends every owner an object that has seen all that they have acknowledged, and holds nothing of it."""
    with Fleet.running(seed, 3) as fleet:
        acknowledged(fleet, "n1", "cart", b"book", w=3)
        held = decode(fleet.stored("n1", "cart") or b"")
        forged = encode(Versions(dict.fromkeys(held.clock, 1 << 40), ()))
        one = fleet.client("client")
        replies = [
            one.ask(Replicate(TABLE_KV, partition_of("cart"), "cart", forged), node=name) for name in fleet.names
        ]
        fleet.until(lambda: all(reply.outcome is not None for reply in replies))
        assert not any(isinstance(reply.outcome, Replicated) for reply in replies)
        assert read(fleet, "n2", "cart", strict=True) == [b"book"]


def let_everybody_send_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(self: Rpc, body_type: type, handler: Callable[[Any], None]) -> None:
        for role in ROLES:
            self._handlers[role][body_type] = handler

    monkeypatch.setattr(Rpc, "handle", handle)


def a_node_sends_garbage(seed: int) -> None:
    """Garbage for a key, from a proven node: a bug there must not make the key unreadable for ever."""
    with Fleet.running(seed, 3) as fleet:
        acknowledged(fleet, "n1", "cart", b"book", w=3)
        sender = fleet.nodes["n3"]
        outcomes: list[Any] = []
        for name in ("n1", "n2"):
            for key in ("cart", "fresh"):
                body = Replicate(TABLE_KV, partition_of(key), key, b"garbage")
                deadline = sender.env.clock.now() + 1.0
                sender.rpc.request([name], body, deadline, lambda peer, outcome: outcomes.append(outcome))
        fleet.until(lambda: len(outcomes) == 4)
        assert read(fleet, "n1", "cart", r=3) == [b"book"]
        acknowledged(fleet, "n1", "fresh", b"pen", w=3)
        assert read(fleet, "n2", "fresh", r=3) == [b"pen"]


def store_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KvRows, "check", lambda self, blob: None)


def a_node_names_places_that_are_not(seed: int) -> None:
    """Rows of a partition that is not theirs are never found by their keys, and shipped for ever."""
    with Fleet.running(seed, 3) as fleet:
        sender = fleet.nodes["n3"]
        outcomes: list[Any] = []
        blob = encode(Versions({"n3-aa.1.0": 1}, ()))
        wrong = (partition_of("cart") + 1) % 256
        bodies = [
            Replicate(TABLE_KV, wrong, "cart", blob),
            Replicate(TABLE_KV, partition_of("cart"), "cart", blob, hint_for="nobody"),
            Replicate(1, partition_of("cart"), "cart", blob),
        ]
        for body in bodies:
            deadline = sender.env.clock.now() + 1.0
            sender.rpc.request(["n1"], body, deadline, lambda peer, outcome: outcomes.append(outcome))
        fleet.until(lambda: len(outcomes) == len(bodies))
        assert all(isinstance(outcome, Usage) and outcome.definite for outcome in outcomes), outcomes
        assert fleet.nodes["n1"].store.get(TABLE_KV, wrong, "cart") is None
        assert fleet.hints("n1") == {}


def take_any_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ReplicationContext, "check_place", lambda self, table, partition, key: self.mergeables[TABLE_KV]
    )
    monkeypatch.setattr(ReplicationContext, "wanted", lambda *_: True)  # nor is it asked what lies there


def one_wrong_message_among_good_ones(seed: int) -> None:
    """All in one write: a put whose value is text where bytes belong, and twenty that are as they should be."""
    with Fleet.running(seed, 3) as fleet:
        one = fleet.client("client")
        fleet.wait(fleet.put("n1", "warm", b""))
        text: Any = "text"
        pending = [one.put(f"key-{number}", b"v") for number in range(10)]
        wrong = one.ask(Put("cart", text, one.router.operation_id()), key="cart")
        pending += [one.put(f"key-{number}", b"v") for number in range(10, 20)]
        fleet.until(lambda: wrong.outcome is not None and all(other.outcome is not None for other in pending))
        assert isinstance(wrong.outcome, Usage) and wrong.outcome.definite
        assert all(isinstance(other.outcome, PutDone) for other in pending), [other.outcome for other in pending]


def end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(raw: memoryview, message: str) -> frames.Invalid:
        raise BadMessage(message)

    monkeypatch.setattr(frames, "_invalid", refuse)


class Noise(Silent):
    """A stranger's connection that says what is no handshake."""

    def connected(self, link: Link) -> None:
        link.write(b"GET / HTTP/1.1\r\n\r\n")


def strangers_make_noise(seed: int) -> None:
    """Thousands of connections are refused; what the node decided meanwhile must still be readable."""
    with Fleet.running(seed, 3) as fleet:
        env = fleet.world.env("stranger")
        before = fleet.nodes["n1"].events.count

        def dial(left: int) -> None:
            for _ in range(20):
                env.network.dial(address(fleet, "n1"), Noise(), 60.0)
            if left:
                env.clock.call_later(0.01, dial, left - 1)

        env.clock.call_soon(dial, 100)
        fleet.world.run_for(30.0)
        events = [event for event in fleet.nodes["n1"].events.since() if event["kind"] == "wire.refused"]
        assert 0 < fleet.nodes["n1"].events.count - before < 50
        assert any(event.get("count") for event in events), "what was left out is counted"


def record_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        LimitedRecorder, "__call__", lambda self, kind, cause, **fields: self._record(kind, cause, **fields)
    )


SAFEGUARDS = [
    Safeguard(
        "a call waits on its own connection",
        "What may have been sent never becomes definite: also when its connection was lost behind a partition, and a "
        "later dial fails.",
        lose_what_waits_for_the_peer,
        a_reset_is_hidden_and_the_next_dial_refused,
    ),
    Safeguard(
        "a call that may have run is not sent elsewhere",
        "A request that may not be repeated is maybe once it may have been sent.",
        call_what_fell_silent_unreachable,
        a_call_runs_and_its_reset_is_hidden,
    ),
    Safeguard(
        "a slow handshake compares no clocks",
        "Deadlines of another machine are placed by a handshake that took 250 ms at most.",
        compare_clocks_however_long_it_takes,
        a_listener_stops_in_the_handshake,
    ),
    Safeguard(
        "sockets are read before a handshake is given up",
        "After its own stall a node polls its sockets once before it blames peers.",
        give_up_before_reading,
        a_listener_stops_before_it_reads_the_hello,
    ),
    Safeguard(
        "the oldest unproven connection is ended",
        "Unproven connections: 250 ms to prove, the oldest is ended when places are short.",
        refuse_when_places_are_taken,
        strangers_hold_every_place,
    ),
    Safeguard(
        "peers have places of their own",
        "However many clients there are, a node's peers can connect to it.",
        count_all_alike,
        clients_hold_every_place,
    ),
    Safeguard(
        "message type x role is one table",
        "A client can never send what only peers may.",
        let_everybody_send_everything,
        a_client_speaks_as_a_node,
    ),
    Safeguard(
        "objects are read before they are stored",
        "What arrives is validated before it is stored, also from peers.",
        store_what_comes,
        a_node_sends_garbage,
    ),
    Safeguard(
        "places are checked before anything is stored there",
        "What arrives is validated before it is stored: table, partition of the key, target of a hint.",
        take_any_place,
        a_node_names_places_that_are_not,
    ),
    Safeguard(
        "a wrong message refuses only itself",
        "A frame that is well-formed but wrong is refused with a typed error and holds up nothing else.",
        end_the_connection,
        one_wrong_message_among_good_ones,
    ),
    Safeguard(
        "refusals are recorded by rate",
        "Events and logs are bounded, whoever connects how often.",
        record_all,
        strangers_make_noise,
    ),
]
