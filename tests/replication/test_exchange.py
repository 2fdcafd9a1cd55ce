"""What one pass asks of a peer is one message, and every entry ends: by its answer, or by an error that says how sure
it is."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ClusterError
from cluster.replication import exchange as module
from cluster.replication.exchange import SWEEP_S, Exchange, batches, remaining_ms
from cluster.wire.replication import Entry, ReplicateBatch


class Hand:
    """A clock and a messenger that are worked by hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self.timers: list[Callable[[], None]] = []
        self.flushers: list[Callable[[], None]] = []
        self.sent: list[tuple[str, list[int]]] = []
        self.late: list[str] = []
        self.unreachable: set[str] = set()
        self.beats = 0
        self.waited_for: list[Callable[[dict[str, None], float], None]] = []

    def now(self) -> float:
        return self.time

    def call_later(self, delay: float, function: Callable[[], None]) -> None:
        self.timers.append(function)

    def at_flush(self, function: Callable[[], None]) -> None:
        self.flushers.append(function)

    def send(self, peer: str, body: ReplicateBatch, lane: int) -> bool:
        self.sent.append((peer, [entry[0] for entry in body.copies]))
        return peer not in self.unreachable

    def timed_out(self, peer: str) -> None:
        self.late.append(peer)

    def beat(self, now: float) -> None:
        self.beats += 1

    def due(self) -> list[str]:
        names: dict[str, None] = {}
        for add in self.waited_for:
            add(names, self.time)
        return list(names)

    def end_pass(self) -> None:
        flushers, self.flushers = self.flushers, []
        for function in flushers:
            function()

    def sweep(self, now: float) -> None:
        """The next sweep, in time."""
        self.time = now - SWEEP_S
        self.late_sweep(self.time)
        self.late_sweep(now)

    def late_sweep(self, now: float) -> None:
        self.time = now
        timers, self.timers = self.timers, []
        for function in timers:
            function()


class Asking:
    """An operation that notes what it is told."""

    def __init__(self, exchange: "Exchange[Asking]", peers: list[str], deadline: float = 1.0) -> None:
        self.id = 0
        self.started = exchange._clock.now()
        self.deadline = deadline
        self.waiting = dict.fromkeys(peers)
        self.errors: list[tuple[str, bool]] = []
        exchange.begin(self)
        exchange.ask(peers, entry(self.id))

    def failed(self, peer: str, error: ClusterError) -> None:
        del self.waiting[peer]
        self.errors.append((peer, error.definite))

    def linger(self, now: float) -> None:
        pass


def entry(id: int, size: int = 4) -> Entry:
    return (id, 1000, 0, 0, "key", b"x" * size)


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def exchange(hand: Hand) -> Exchange[Asking]:
    machine: Any = hand
    return Exchange(machine, machine, machine, ReplicateBatch)


def test_what_one_pass_asks_of_a_peer_is_one_message(hand: Hand, exchange: Exchange[Asking]) -> None:
    Asking(exchange, ["n2", "n3"])
    Asking(exchange, ["n2"])
    assert hand.sent == [], "nothing leaves before the log is written"
    hand.end_pass()
    assert hand.sent == [("n2", [1, 2]), ("n3", [1])]
    hand.end_pass()
    assert len(hand.sent) == 2


def test_what_cannot_be_sent_fails_surely(hand: Hand, exchange: Exchange[Asking]) -> None:
    hand.unreachable.add("n2")
    asking = Asking(exchange, ["n2", "n3"])
    hand.end_pass()
    assert asking.errors == [("n2", True)] and list(asking.waiting) == ["n3"]


def test_a_lost_connection_ends_what_waited_and_what_was_still_to_leave(hand: Hand, exchange: Exchange[Asking]) -> None:
    from cluster.errors import Maybe

    sent = Asking(exchange, ["n2", "n3"])
    hand.end_pass()
    queued = Asking(exchange, ["n2", "n3"])
    exchange.lost("n2", Maybe("the connection to n2 ended: reset"))
    assert sent.errors == queued.errors == [("n2", False)]
    hand.end_pass()
    assert hand.sent[2:] == [("n3", [2])], "what was given up is not sent on the next connection"


def test_a_deadline_is_no_proof_that_the_peer_did_nothing(hand: Hand, exchange: Exchange[Asking]) -> None:
    early, late = Asking(exchange, ["n2"], deadline=0.5), Asking(exchange, ["n2"], deadline=2.0)
    hand.end_pass()
    hand.sweep(0.49)
    assert early.errors == []
    hand.sweep(0.5)
    assert early.errors == [("n2", False)] and late.errors == [] and hand.late == ["n2"]


def test_after_a_standstill_the_sockets_are_read_before_a_deadline_is_blamed_on_a_peer(
    hand: Hand, exchange: Exchange[Asking]
) -> None:
    answered, late = Asking(exchange, ["n2"], deadline=0.5), Asking(exchange, ["n3"], deadline=0.5)
    hand.end_pass()
    hand.late_sweep(3.0)
    assert not hand.late and not hand.beats, "the answers may wait in the sockets"
    answered.waiting.clear()
    del exchange.in_flight[answered.id]
    hand.late_sweep(3.0 + SWEEP_S)
    assert answered.errors == [] and late.errors == [("n3", False)]


def test_an_answer_is_due_from_whoever_is_waited_for_longer_than_a_sweep(
    hand: Hand, exchange: Exchange[Asking]
) -> None:
    Asking(exchange, ["n2", "n3"])
    hand.time = SWEEP_S
    Asking(exchange, ["n4"])
    assert hand.due() == ["n2", "n3"]


def test_nothing_is_swept_when_nothing_is_under_way(hand: Hand, exchange: Exchange[Asking]) -> None:
    asking = Asking(exchange, ["n2"])
    del exchange.in_flight[asking.id]
    hand.sweep(0.1)
    assert hand.timers == []
    Asking(exchange, ["n2"])
    assert len(hand.timers) == 1


@given(st.lists(st.integers(0, 60), max_size=30))
def test_batches_keep_all_in_order_and_each_ends_at_its_limit(sizes: list[int]) -> None:
    entries = [entry(number, size) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH_BYTES_MAX", 100)
        parts = list(batches(entries))
    assert [one for part in parts for one in part] == entries
    assert all(part and sum(len(one[-1]) for one in part[:-1]) <= 100 for part in parts)


@pytest.mark.parametrize(("deadline", "now", "expected"), [(1.5, 1.0, 500), (1.0001, 1.0, 1), (1.0, 2.0, 1)])
def test_what_remains_is_never_nothing(deadline: float, now: float, expected: int) -> None:
    assert remaining_ms(deadline, now) == expected
