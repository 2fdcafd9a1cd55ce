"""What one pass asks of a peer is one message, and every entry ends: by its answer, or by an error that says how sure
it is."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ClusterError, Maybe, StaleLayout, Unreachable
from cluster.rpc import batches as module
from cluster.rpc.batches import BatchedCalls, batches
from cluster.wire.frames import FrameReader, OneWay
from cluster.wire.replication import Entry, ReplicateBatch


class Hand:
    """What batches need of rpc, worked by hand. Each peer has one connection, which is its name."""

    def __init__(self) -> None:
        self.ids = 0
        self.sweeping = False
        self.flushers: list[Callable[[], None]] = []
        self.sent: list[tuple[str, list[int]]] = []
        self.late: list[str] = []
        self.unreachable: set[str] = set()

    def next_id(self) -> int:
        self.ids += 1
        return self.ids

    def sweep_soon(self) -> None:
        pass

    def at_flush(self, function: Callable[[], None]) -> None:
        self.flushers.append(function)

    def send_on(self, peer: str, data: bytes) -> Any:
        (frame,) = FrameReader().feed(data)
        assert isinstance(frame, OneWay) and isinstance(frame.body, ReplicateBatch)
        self.sent.append((peer, [entry[0] for entry in frame.body.copies]))
        return None if peer in self.unreachable else CONNECTIONS[peer]

    def timed_out(self, peer: str) -> None:
        self.late.append(peer)

    def end_pass(self) -> None:
        flushers, self.flushers = self.flushers, []
        for function in flushers:
            function()


CONNECTIONS: dict[str, Any] = {"n2": object(), "n3": object()}


class Asking:
    """An operation that notes what it is told."""

    def __init__(self, calls: "BatchedCalls[Asking]", peers: list[str], deadline: float = 1.0) -> None:
        self.id = 0
        self.calls = calls
        self.started = 0.0
        self.deadline = deadline
        self.waiting: dict[str, Any] = dict.fromkeys(peers)
        self.errors: list[tuple[str, bool]] = []
        calls.begin(self)
        calls.call(peers, entry(self.id))

    def failed(self, peer: str, error: ClusterError) -> None:
        del self.waiting[peer]
        self.errors.append((peer, error.definite))

    def again(self, peer: str) -> None:
        self.calls.call([peer], entry(self.id))

    def linger(self, now: float) -> None:
        pass


def entry(id: int, size: int = 4) -> Entry:
    return (id, 1.0, 0, 0, "key", b"x" * size)


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def calls(hand: Hand) -> BatchedCalls[Asking]:
    machine: Any = hand
    return BatchedCalls(machine, ReplicateBatch)


def test_what_one_pass_asks_of_a_peer_is_one_message(hand: Hand, calls: BatchedCalls[Asking]) -> None:
    Asking(calls, ["n2", "n3"])
    Asking(calls, ["n2"])
    assert hand.sent == [], "nothing leaves before the log is written"
    hand.end_pass()
    assert hand.sent == [("n2", [1, 2]), ("n3", [1])]
    hand.end_pass()
    assert len(hand.sent) == 2


def test_what_cannot_be_sent_fails_surely(hand: Hand, calls: BatchedCalls[Asking]) -> None:
    hand.unreachable.add("n2")
    asking = Asking(calls, ["n2", "n3"])
    hand.end_pass()
    assert asking.errors == [("n2", True)] and list(asking.waiting) == ["n3"]


def test_a_lost_connection_ends_what_was_written_on_it(hand: Hand, calls: BatchedCalls[Asking]) -> None:
    sent = Asking(calls, ["n2", "n3"])
    hand.end_pass()
    queued = Asking(calls, ["n2", "n3"])
    calls.lost("n2", CONNECTIONS["n2"], Maybe("the connection to n2 ended: reset"))
    assert sent.errors == [("n2", False)] and queued.errors == []
    hand.end_pass()
    assert hand.sent[2:] == [("n2", [2]), ("n3", [2])], "what was not written yet goes on the next connection"


def test_a_dial_that_fails_says_nothing_about_what_was_written_before(hand: Hand, calls: BatchedCalls[Asking]) -> None:
    """The end of the first connection was hidden by a partition: what it carried may have been carried out."""
    sent = Asking(calls, ["n2"])
    hand.end_pass()
    later: Any = object()
    calls.lost("n2", later, Unreachable("n2 cannot be reached: refused"))
    assert sent.errors == []
    calls.sweep(1.0, 1.0)
    assert sent.errors == [("n2", False)]


def test_a_deadline_is_no_proof_that_the_peer_did_nothing(hand: Hand, calls: BatchedCalls[Asking]) -> None:
    early, late = Asking(calls, ["n2"], deadline=0.5), Asking(calls, ["n2"], deadline=2.0)
    hand.end_pass()
    calls.sweep(0.49, 0.49)
    assert early.errors == []
    calls.sweep(0.5, 0.5)
    assert early.errors == [("n2", False)] and late.errors == [] and hand.late == ["n2"]
    waited: dict[str, None] = {}
    calls.waited_for(waited, -0.1)
    assert waited == {}, "not for long"
    calls.waited_for(waited, 0.0)
    assert waited == {"n2": None}


def test_a_sweep_leaves_what_has_only_just_begun(hand: Hand, calls: BatchedCalls[Asking]) -> None:
    old, young = Asking(calls, ["n2"], deadline=0.5), Asking(calls, ["n2"], deadline=0.5)
    young.started = 0.49
    hand.end_pass()
    calls.sweep(0.5, 0.48)
    assert (len(old.errors), len(young.errors)) == (1, 0)
    calls.sweep(0.52, 0.5)
    assert (len(old.errors), len(young.errors)) == (1, 1)


def test_a_batch_that_is_refused_ends_its_own_calls_only(hand: Hand, calls: BatchedCalls[Asking]) -> None:
    one, two = Asking(calls, ["n2"]), Asking(calls, ["n2", "n3"])
    hand.end_pass()
    calls.refused("n2", [two.id, 99], StaleLayout("old"))
    assert one.errors == [] and two.errors == [("n2", True)] and list(two.waiting) == ["n3"]


@given(st.lists(st.integers(0, 60), max_size=30))
def test_batches_keep_all_in_order_and_each_ends_at_its_limit(sizes: list[int]) -> None:
    entries = [entry(number, size) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH_BYTES_MAX", 100)
        parts = list(batches(entries))
    assert [one for part in parts for one in part] == entries
    assert all(part and sum(len(one[-1]) for one in part[:-1]) <= 100 for part in parts)
