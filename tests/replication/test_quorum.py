"""The verdicts of writes and reads, as tables of what arrives and what is decided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.replication.quorum import MAYBE, NO, OK, OK_SLOPPY, QuorumRead, QuorumWrite

# a: an owner acknowledges, s: a fallback does, d: a definite refusal, u: an answer that leaves it open, k: a hint that
# does not count is kept here
WRITES = [
    ("aa", 2, False, OK),
    ("aaa", 2, False, OK),
    ("as", 2, False, OK_SLOPPY),
    ("ss", 2, False, OK_SLOPPY),
    ("saa", 2, False, OK_SLOPPY),  # decided by the second copy, whatever comes later
    ("asa", 2, True, OK),
    ("ass", 2, True, MAYBE),
    ("au", 2, False, MAYBE),
    ("ad", 2, False, MAYBE),  # one copy is there and may spread
    ("du", 2, False, MAYBE),
    ("ddd", 2, False, NO),
    (
        "ddk",
        2,
        False,
        MAYBE,
    ),  # simulation, full disks, seed 108: refused by all, and delivered from a hint all the same
    ("kkkk", 2, False, MAYBE),
    ("da", 1, False, OK),
    ("uuu", 1, False, MAYBE),
]


def feed(write: QuorumWrite, event: str) -> str | None:
    if event in "as":
        return write.on_ack(owner=event == "a")
    return write.on_kept() if event == "k" else write.on_failure(definite=event == "d")


@pytest.mark.parametrize(("events", "needed", "strict", "expected"), WRITES)
def test_a_write_ends_as_its_acknowledgements_say(events: str, needed: int, strict: bool, expected: str) -> None:
    write = QuorumWrite(needed, strict)
    write.sent(len(events))
    verdicts = [feed(write, event) or write.settle() for event in events]
    assert [verdict for verdict in verdicts if verdict] == [expected], "a verdict is given once"


@given(st.text("asduk", min_size=1, max_size=6), st.integers(1, 3), st.booleans())
def test_never_ok_without_enough_copies_and_never_no_with_one(events: str, needed: int, strict: bool) -> None:
    write = QuorumWrite(needed, strict)
    write.sent(len(events))
    for event in events:
        feed(write, event)
    write.settle()
    copies = events.count("a") + (0 if strict else events.count("s"))
    assert (write.decided in (OK, OK_SLOPPY)) == (copies >= needed)
    assert write.decided != NO or (not set(events) & set("asuk"))


def join(a: bytes, b: bytes) -> bytes:
    """A Mergeable of sets of letters."""
    return bytes(sorted(set(a) | set(b)))


def read(r: int = 2, absent: int = 2) -> QuorumRead:
    return QuorumRead(r, absent, join)


OWNERS = ("n1", "n2", "n3")


def test_two_equal_answers_decide() -> None:
    quorum = read()
    quorum.on_answer("n1", b"a", True, False)
    assert not quorum.decided()
    quorum.on_answer("n2", b"a", True, False)
    verdict = quorum.verdict(OWNERS)
    assert quorum.decided() and verdict.blob == b"a" and not verdict.degraded and verdict.stale == ()


def test_a_mismatch_is_merged_and_everyone_behind_is_stale() -> None:
    quorum = read()
    quorum.on_answer("n1", b"a", True, False)
    quorum.on_answer("n2", b"b", True, False)
    verdict = quorum.verdict(OWNERS)
    assert verdict.blob == b"ab" and verdict.stale == ("n1", "n2")


def test_absence_needs_the_votes_that_cover_every_write_quorum() -> None:
    """N - W + 1: with W = 1 all three owners must say that there is nothing."""
    quorum = read(r=1, absent=3)
    for name in ("n1", "n2"):
        quorum.on_answer(name, None, True, False)
        assert not quorum.decided()
    quorum.on_answer("n3", None, True, False)
    assert quorum.decided() and quorum.verdict(OWNERS).blob is None


def test_only_a_voting_owners_absence_is_a_vote() -> None:
    quorum = read()
    quorum.on_answer("n1", None, False, False)
    quorum.on_answer("n2", None, True, False)
    quorum.on_answer("n3", None, False, False)
    assert not quorum.decided()


def test_a_value_from_too_few_votes_is_degraded() -> None:
    quorum = read()
    quorum.on_answer("n1", b"a", False, False)
    quorum.on_answer("n2", None, True, False)
    assert quorum.verdict(OWNERS).degraded


def test_a_value_from_an_owner_that_may_be_owed_hints_is_degraded() -> None:
    quorum = read()
    quorum.on_answer("n1", b"a", True, True)
    quorum.on_answer("n2", b"a", True, False)
    assert quorum.decided() and quorum.verdict(OWNERS).degraded


def test_a_holder_of_hints_brings_a_value_but_is_not_repaired() -> None:
    quorum = read()
    quorum.on_answer("n9", b"b", False, False)
    quorum.on_answer("n1", b"a", True, False)
    quorum.on_answer("n2", b"a", True, False)
    verdict = quorum.verdict(OWNERS)
    assert verdict.blob == b"ab" and verdict.stale == ("n1", "n2")


def test_an_answer_counts_once() -> None:
    quorum = read()
    quorum.on_answer("n1", b"a", True, False)
    quorum.on_answer("n1", b"a", True, False)
    assert quorum.votes == 1
