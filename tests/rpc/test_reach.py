"""Who is left out of new operations, as beats, bytes and failed calls say."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ClusterError, Maybe, Overloaded, Unreachable
from cluster.ports import Outcome
from cluster.rpc.reach import BEAT_S, PROBE_INTERVAL_S, PROBE_TIMEOUT_S, Reach, SilenceDetector
from cluster.wire.membership import StreamPong
from cluster.wire.silence import SILENT_MAX_S, SILENT_S

BEATS = round(SILENT_S / BEAT_S)


def beats(detector: SilenceDetector, count: int, due: Sequence[str] = ("n2",), *, heard: Sequence[str] = ()) -> int:
    """The beat at which n2 is silent, or 0."""
    for number in range(1, count + 1):
        for peer in heard:
            detector.heard(peer)
        if "n2" in detector.beat(BEAT_S, due):
            return number
    return 0


def test_a_peer_that_owes_an_answer_and_sends_no_byte_is_silent_while_another_answers() -> None:
    assert BEATS <= beats(SilenceDetector(), 20, heard=["n3"]) <= BEATS + 1


def test_all_silent_at_once_may_be_this_side_so_it_is_believed_later() -> None:
    detector = SilenceDetector()
    detector.heard("n3")
    assert abs(beats(detector, 60) - SILENT_MAX_S / BEAT_S) <= 1


def test_who_answered_before_a_standstill_of_all_is_no_witness() -> None:
    detector = SilenceDetector()
    assert beats(detector, 3, heard=["n3"]) == 0
    assert beats(detector, 10) == 0, "n3 was heard in the first half of the silence only"


def test_nothing_due_is_no_silence() -> None:
    assert beats(SilenceDetector(), 50, due=(), heard=["n3"]) == 0


def test_a_standstill_of_ones_own_does_not_count() -> None:
    detector = SilenceDetector()
    for _ in range(100):
        detector.heard("n3")
        assert detector.beat(0.5, ["n2"]) == []


def test_slower_answers_make_a_longer_silence() -> None:
    detector = SilenceDetector()
    for _ in range(3):
        assert beats(detector, 6, heard=["n3"]) == 0
        detector.heard("n2")
    assert beats(detector, 60, heard=["n3"]) > 2 * BEATS


@given(st.lists(st.tuples(st.sampled_from(["n2", "n3", "n4", ""]), st.floats(0.001, 2.0)), max_size=60))
def test_whoever_was_heard_a_moment_ago_is_never_silent(events: list[tuple[str, float]]) -> None:
    detector = SilenceDetector()
    watched: dict[str, float] = dict.fromkeys(["n2", "n3", "n4"], 0.0)
    for peer, elapsed in events:
        if peer:
            detector.heard(peer)
            watched[peer] = 0.0
        for one in watched:
            watched[one] += elapsed
        assert all(watched[one] >= SILENT_S for one in detector.beat(elapsed, watched))


class Hand:
    """A clock and a messenger that are worked by hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.probes: list[tuple[str, Callable[[str, Outcome], None]]] = []
        self.events: list[str] = []

    def now(self) -> float:
        return self.time

    def record(self, kind: str, cause: str, *, peer: str) -> None:
        self.events.append(f"{kind} {peer}")

    def call_later(self, delay: float, function: Callable[[], None]) -> None:
        self.timers.append((self.time + delay, function))

    def request(self, peers: Sequence[str], body: object, deadline: float, done: Any, lane: int) -> int:
        self.probes += [(peer, done) for peer in peers]
        return len(self.probes)

    def run_for(self, seconds: float) -> None:
        end = self.time + seconds
        while due := sorted((when, number) for number, (when, _) in enumerate(self.timers) if when <= end):
            when, number = due[0]
            self.time = when
            self.timers.pop(number)[1]()
        self.time = end

    def answer(self, outcome: Outcome) -> list[str]:
        """Every probe that is under way ends so."""
        probes, self.probes = self.probes, []
        for peer, done in probes:
            done(peer, outcome)
        return [peer for peer, _ in probes]


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def reach(hand: Hand) -> Reach:
    machine: Any = hand
    return Reach(machine, machine, lambda: ["n2", "n3", "n4"], machine.record)


LOST: ClusterError = Maybe("no answer")


def test_who_failed_is_left_out_and_probed_until_it_answers(hand: Hand, reach: Reach) -> None:
    assert reach.all_well()
    reach.failed("n2")
    reach.failed("n2")
    assert reach.avoided("n2") and not reach.avoided("n3") and not reach.all_well()
    for _ in range(3):
        assert hand.answer(LOST) == ["n2"]
        assert reach.avoided("n2")
        hand.run_for(PROBE_INTERVAL_S)
    assert hand.answer(StreamPong()) == ["n2"]
    assert reach.all_well()
    hand.run_for(1.0)
    assert hand.probes == [] and hand.timers == []


def test_a_byte_is_enough(hand: Hand, reach: Reach) -> None:
    reach.failed("n2")
    reach.heard("n2")
    assert reach.all_well()


def test_a_late_answer_says_nothing_of_who_sent_a_byte_lately(hand: Hand, reach: Reach) -> None:
    reach.heard("n2")
    hand.run_for(PROBE_TIMEOUT_S - BEAT_S)
    reach.unanswered("n2", LOST)
    assert reach.all_well()
    hand.run_for(2 * BEAT_S)
    reach.unanswered("n2", LOST)
    assert reach.avoided("n2")


@pytest.mark.parametrize("error", [Unreachable("refused"), Overloaded("its queue is full")])
def test_what_was_not_sent_or_not_taken_leaves_the_peer_out_at_once(
    hand: Hand, reach: Reach, error: ClusterError
) -> None:
    reach.heard("n2")
    reach.unanswered("n2", error)
    assert reach.avoided("n2")


def test_a_late_probe_says_nothing_of_who_sends_bytes(hand: Hand, reach: Reach) -> None:
    reach.waited_for.append(lambda names, now: names.update(dict.fromkeys(["n2"])))
    while not hand.probes:
        hand.run_for(BEAT_S)
        reach.beat(hand.time)
    reach.heard("n2")
    assert "n2" in hand.answer(LOST)
    assert not reach.avoided("n2")


def test_who_is_not_alive_is_left_out_until_it_is_and_not_probed(hand: Hand, reach: Reach) -> None:
    reach.failed("n2")
    reach.state_changed("n2", alive=False)
    hand.answer(LOST)
    hand.run_for(5.0)
    assert hand.probes == [] and hand.timers == []
    reach.heard("n2")
    assert reach.avoided("n2"), "one byte does not overrule membership"
    reach.state_changed("n2", alive=True)
    assert reach.all_well()


def test_a_quiet_peer_is_probed_beside_witnesses_and_a_silent_one_is_made_known_once(hand: Hand, reach: Reach) -> None:
    silent: list[str] = []
    reach.on_silent.append(silent.append)
    reach.waited_for.append(lambda names, now: names.update(dict.fromkeys(["n2"])))
    asked: list[str] = []
    for _ in range(30):
        hand.run_for(BEAT_S)
        probes, hand.probes = hand.probes, []
        for peer, done in probes:
            asked.append(peer)
            if peer != "n2":
                reach.heard(peer)
                done(peer, StreamPong())
            else:
                hand.probes.append((peer, done))
        reach.beat(hand.time)
    assert silent == ["n2"] and reach.avoided("n2")
    assert {"n2", "n3", "n4"} == set(asked)
    hand.answer(StreamPong())
    assert reach.all_well()
    assert hand.events == ["peer.silent n2", "peer.answers n2"]


def test_beats_of_many_sweeps_count_once(hand: Hand, reach: Reach) -> None:
    reach.waited_for.append(lambda names, now: names.update(dict.fromkeys(["n2"])))
    for _ in range(BEATS):
        hand.run_for(BEAT_S)
        reach.heard("n3")
        reach.beat(hand.time)
        reach.beat(hand.time)
        assert not reach.avoided("n2")
