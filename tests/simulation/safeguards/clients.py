"""Clients: a node that stops does not take its clients with it, and what may have been sent never becomes definite."""

from itertools import pairwise

import msgspec
import pytest

from cluster.client import router
from cluster.client.dispatch import Dispatch
from cluster.client.router import Router
from cluster.client.topics import Listening
from cluster.errors import Maybe, Unreachable
from cluster.simulation.client import ClientOperation, SimulatedClient
from cluster.simulation.fleet import Fleet
from cluster.wire import caller
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.handshake import ROLE_CLIENT, HandshakeListener, Hello
from cluster.wire.kv import Got, PutDone
from cluster.wire.requests import Call, CallDone
from cluster.wire.silence import Silence
from cluster.wire.topics import Publish
from tests.simulation.clients import CLIENT, all_ended, client_of
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.requests import Charge, paying

WRITERS = 8
GAP_S = 0.3
"""No longer without an acknowledgement, and no write waits longer, when one of five nodes stops."""
READ_S = 0.15
"""What a read may take then: quiet for 50 ms, the hedge, a beat or two."""


def operations_while_one_stops(
    fleet: Fleet, client: SimulatedClient, stopped: str, *, write: bool
) -> list[ClientOperation]:
    """A loop of WRITERS at once, half a second before and a second after `stopped` is stopped."""
    made: list[ClientOperation] = []
    running: dict[int, ClientOperation] = {}
    began = fleet.world.now
    paused = False
    while fleet.world.now < began + 1.5:
        if not paused and fleet.world.now >= began + 0.5:
            paused = True
            fleet.world.pause(stopped)
        for slot in range(WRITERS):
            if slot not in running or running[slot].outcome is not None:
                key = f"{slot}-{len(made)}"
                running[slot] = client.put(key, b"v") if write else client.get(key)
                made.append(running[slot])
        fleet.world.run_for(0.002)
    all_ended(fleet, made)
    return made


def writers_meet_a_stopped_node(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        client = client_of(fleet)
        made = operations_while_one_stops(fleet, client, "n3", write=True)
        for one in made:
            assert isinstance(one.outcome, PutDone | Maybe), one.outcome
            assert one.took_s is not None and one.took_s <= GAP_S, f"a write took {one.took_s:.3f} s"
        ended = sorted(one.began + (one.took_s or 0.0) for one in made if isinstance(one.outcome, PutDone))
        gap = max(later - earlier for earlier, later in pairwise(ended))
        assert gap <= GAP_S, f"{gap:.3f} s without an acknowledgement"


def readers_meet_a_stopped_node(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        client = client_of(fleet)
        for one in operations_while_one_stops(fleet, client, "n3", write=False):
            assert isinstance(one.outcome, Got), one.outcome
            assert one.took_s is not None and one.took_s <= READ_S, f"a read took {one.took_s:.3f} s"


def a_handshake_is_slow(seed: int) -> None:
    """From another machine, over a link that is slow when the client begins. Its first dials are refused, since they
    say too little about the clocks, and its operations wait for one that is not."""
    with Fleet.running(seed, 3) as fleet:
        for name in fleet.names:
            fleet.world.slow(CLIENT, name, delay=0.15, jitter=0.0)
            fleet.world.slow(name, CLIENT, delay=0.15, jitter=0.0)
        client = fleet.client(CLIENT)
        made = [client.get("cart"), client.ask(AdminQuery("status"), node="n2"), client.put("pen", b"v")]
        fleet.world.run_for(0.5)
        for name in fleet.names:
            fleet.world.slow(CLIENT, name)
            fleet.world.slow(name, CLIENT)
        all_ended(fleet, made)
        got, status, put = made
        assert isinstance(got.outcome, Got) and isinstance(status.outcome, AdminAnswer), (got.outcome, status.outcome)
        assert isinstance(put.outcome, PutDone), put.outcome


def a_proof_is_slow(seed: int) -> None:
    """The node stops between its challenge and the proof, and refuses the handshake: what was written behind the proof
    was not read, so it goes out again, also a put."""
    with Fleet.running(seed, 3) as fleet:
        client = fleet.client(CLIENT, via="n1")
        put = client.put("pen", b"v")
        challenged = HandshakeListener._answer
        stopped: list[Hello] = []

        def stops(listener: HandshakeListener, hello: Hello, now: float) -> bytes:
            if hello.role == ROLE_CLIENT and not stopped:
                stopped.append(hello)
                fleet.world.call_later(0.0005, fleet.world.pause, "n1")
                fleet.world.call_later(0.4, fleet.world.resume, "n1")
            return challenged(listener, hello, now)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(HandshakeListener, "_answer", stops)
            all_ended(fleet, [put])
        assert isinstance(put.outcome, PutDone), put.outcome


def a_client_stalls(seed: int) -> None:
    """It stops for a second with writes on their way to healthy nodes; what they answered is read before it judges."""
    with Fleet.running(seed, 5) as fleet:
        client = client_of(fleet)
        made = [client.put(f"k{number}", b"v") for number in range(40)]
        fleet.world.run_for(0.0005)
        fleet.world.pause(CLIENT)
        fleet.world.run_for(2.0)
        fleet.world.resume(CLIENT)
        all_ended(fleet, made)
        wrong = [one.outcome for one in made if not isinstance(one.outcome, PutDone)]
        assert not wrong, wrong[0]


def a_write_is_sent_and_its_node_dies(seed: int) -> None:
    """It was sent, so it is `maybe`, and no other node is asked to do it again."""
    with Fleet.running(seed, 3) as fleet:
        client = client_of(fleet)
        for name in ("n2", "n3"):
            fleet.world.pause(name)  # so that what n1 was sent stays undecided
        made = [client.put(f"k{number}", b"v") for number in range(6)]
        fleet.world.run_for(0.02)
        for name in ("n1", "n2", "n3"):
            fleet.crash(name)
        all_ended(fleet, made)
        definite = [one.error for one in made if one.error is not None and one.error.definite]
        assert not definite, definite[0]


def payments_enter_at_a_stopped_node(seed: int) -> None:
    """The node that the client talks to is stopped, and goes on while the payments that it holds could still run."""
    with Fleet.running(seed, 5) as fleet:
        charged = paying(fleet)
        client = client_of(fleet)
        made = []
        for number in range(40):
            if number == 10:
                fleet.world.pause("n3")
            call = Call("pay", "charge", msgspec.json.encode(Charge(number)))
            made.append(client.ask(call, timeout=3.0))
            fleet.world.run_for(0.01)
        all_ended(fleet, made)
        fleet.world.resume("n3")
        fleet.world.run_for(4.0)
        for number, one in enumerate(made):
            assert charged[number] <= 1, f"payment {number} was carried out {charged[number]} times"
            assert charged[number] == 1 if isinstance(one.outcome, CallDone) else isinstance(one.outcome, Maybe)


def a_subscriber_waits_at_a_node_that_stops(seed: int) -> None:
    """It asks for nothing meanwhile. What is published once it has moved comes, and comes once."""
    with Fleet.running(seed, 5) as fleet:
        client = client_of(fleet)
        came: list[bytes] = []
        listening = Listening(
            client.router,
            client.now,
            client.call_later,
            "orders",
            "",
            5.0,
            move_s=30.0,
            take=lambda message: came.append(message.payload),
        )
        fleet.world.env(CLIENT).clock.call_soon(listening.start)
        fleet.until(lambda: bool(listening.node))
        fleet.world.run_for(2.0)
        stopped = listening.node
        fleet.world.pause(stopped)
        fleet.until(lambda: listening.node not in ("", stopped), 3.0)  # its new node tells all others, for a second
        assert listening.gaps == 1
        other = next(name for name in fleet.names if name != stopped)
        for number in range(5):
            all_ended(fleet, [client.ask(Publish("orders", b"%d" % number), node=other)])
        fleet.world.resume(stopped)
        fleet.world.run_for(3.0)
        assert came == [b"%d" % number for number in range(5)] and listening.node != stopped
        listening.close()


def watch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "look_at", lambda self, name: None)


def never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Silence, "silent", property(lambda self: False))


def no_hedges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "_hedge", lambda *arguments: None)


def blame_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "BEAT_LATE_S", float("inf"))


def repeat_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dispatch, "repeatable", property(lambda self: True))


def slow_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "is_worth_another_dial", lambda error: False)
    monkeypatch.setattr(router, "SLOW_S", float("inf"))


def refusals_are_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "refused_proof", lambda data: True)


def lost_is_definite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "lost", lambda body, node, reason: Unreachable(f"{node}: {reason}"))


SAFEGUARDS = [
    Safeguard(
        "clients give up what a silent node holds",
        "A put that was sent to a node which falls silent ends as maybe then, not with its deadline.",
        never_silent,
        writers_meet_a_stopped_node,
    ),
    Safeguard(
        "clients hedge reads at a quiet node",
        "Reads are hedged after 50 ms when the node that they were sent to keeps quiet.",
        no_hedges,
        readers_meet_a_stopped_node,
    ),
    Safeguard(
        "clients look at their sockets after a stall",
        "After its own stall a client reads its sockets once before it answers maybe.",
        blame_at_once,
        a_client_stalls,
    ),
    Safeguard(
        "clients never take back what they sent",
        "What may have been sent never becomes definite, whatever became of the connection.",
        lost_is_definite,
        a_write_is_sent_and_its_node_dies,
    ),
    Safeguard(
        "clients dial again after a slow handshake",
        "A handshake that took over 250 ms between two clocks is redialled, within the deadline of what waits for it.",
        slow_is_final,
        a_handshake_is_slow,
    ),
    Safeguard(
        "what was written behind a refused proof did not happen",
        "What surely did nothing goes elsewhere, or there again; only what may have been carried out is maybe.",
        refusals_are_frames,
        a_proof_is_slow,
    ),
    Safeguard(
        "subscribers leave a silent node",
        "A subscription moves when its node is known to be silent, not only when its connection ends.",
        watch_nothing,
        a_subscriber_waits_at_a_node_that_stops,
    ),
    Safeguard(
        "clients never send twice what may not be repeated",
        "A request that may not be repeated is maybe when its entry node is silent; no other node is asked.",
        repeat_everything,
        payments_enter_at_a_stopped_node,
    ),
]
