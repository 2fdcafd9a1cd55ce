"""Who takes a write, and the verdicts of writes and reads, as tables of what arrives and what is decided."""

from collections.abc import Mapping, Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.layout import partition_of
from cluster.replication.quorum import (
    CATCHING_UP,
    MAY_MISS_HINTS,
    MAYBE,
    NO,
    NO_VOTE,
    OK,
    OK_SLOPPY,
    VOTING,
    QuorumRead,
    QuorumWrite,
    next_fallback,
    split_owners,
)

OWNERS = ("n1", "n2", "n3")

# What becomes of one copy: 1, 2, 3: that owner acknowledges; a, b, c: a fallback of its own does, for owner 1, 2, 3;
# A, B, C: the one fallback f does, for owner 1, 2, 3; d: a definite refusal; u: an answer that leaves it open; k: a
# hint that does not count is kept here.
WRITES = [
    ("12", 2, False, OK),
    ("123", 2, False, OK),
    ("1b", 2, False, OK_SLOPPY),
    ("bc", 2, False, OK_SLOPPY),
    ("b12", 2, False, OK_SLOPPY),  # decided by the second slot, whatever comes later
    ("b21", 2, False, OK),  # the owner of a slot that its fallback had filled: one slot until the third copy
    ("b2u", 2, False, MAYBE),  # an owner and its fallback fill one slot
    ("2bu", 2, False, MAYBE),
    ("bbu", 2, False, MAYBE),
    ("BCu", 2, False, MAYBE),  # a node fills one slot
    ("BC1", 2, False, OK_SLOPPY),
    ("1b2", 2, True, OK),
    ("1bc", 2, True, MAYBE),
    ("1u", 2, False, MAYBE),
    ("1d", 2, False, MAYBE),  # one copy is there and may spread
    ("du", 2, False, MAYBE),
    ("ddd", 2, False, NO),
    ("ddk", 2, False, MAYBE),  # full disks, seed 108: refused by all, and delivered from a hint all the same
    ("kkkk", 2, False, MAYBE),
    ("d1", 1, False, OK_SLOPPY),  # fewer owners than the layout's W: no strict read is promised to meet them
    ("1", 1, True, OK_SLOPPY),
    ("b", 1, False, OK_SLOPPY),
    ("uuu", 1, False, MAYBE),
    ("12c", 3, False, OK_SLOPPY),  # W owners have it, and not as many as were asked for
    ("123", 3, False, OK),
]


def feed(write: QuorumWrite, event: str) -> str | None:
    if event in "123":
        return write.on_ack(f"n{event}", f"n{event}")
    if event in "abc":
        return write.on_ack(f"n{'abc'.index(event) + 1}", f"fallback-{event}")
    if event in "ABC":
        return write.on_ack(f"n{'ABC'.index(event) + 1}", "f")
    return write.on_kept() if event == "k" else write.on_failure(definite=event == "d")


@pytest.mark.parametrize(("events", "needed", "strict", "expected"), WRITES)
def test_a_write_ends_as_its_acknowledgements_say(events: str, needed: int, strict: bool, expected: str) -> None:
    write = QuorumWrite(needed, 2, strict)
    write.sent(len(events))
    verdicts = [feed(write, event) or write.settle() for event in events]
    assert [verdict for verdict in verdicts if verdict] == [expected], "a verdict is given once"


def slots(events: Sequence[str]) -> tuple[set[str], set[str]]:
    """(owners that acknowledged, owners whose copy a fallback of its own holds instead): the rule, stated without the
    class."""
    owners = {event for event in events if event in "123"}
    lent: dict[str, str] = {}
    for event in events:
        if event in "abc":
            lent.setdefault("123"["abc".index(event)], event)
    return owners, set(lent) - owners


def once(events: Sequence[str]) -> str:
    """Without the later acknowledgements of an owner: whoever feeds it strikes out who has acknowledged."""
    return "".join(event for place, event in enumerate(events) if event not in "123" or event not in events[:place])


@given(st.text("123abcduk", max_size=8).map(once), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_a_write_counts_distinct_slots(events: str, needed: int, promised: int, strict: bool) -> None:
    write = QuorumWrite(needed, promised, strict)
    write.sent(len(events))
    for place, event in enumerate(events, 1):
        decided = feed(write, event)
        owners, lent = slots(events[:place])
        assert write.acks == len(owners | lent) and write.owner_acks == len(owners)
        if decided == OK:
            assert len(owners) >= max(needed, promised)
        elif decided == OK_SLOPPY:
            assert len(owners) < max(needed, promised) and len(owners if strict else owners | lent) >= needed
    write.settle()
    owners, lent = slots(events)
    assert (write.decided in (OK, OK_SLOPPY)) == (len(owners if strict else owners | lent) >= needed)
    assert (write.decided == NO) == (not set(events) - {"d"})


@given(st.permutations(["1", "b", "B", "c", "C", "2", "b"]))
def test_no_order_of_acknowledgements_makes_more_slots_than_owners(events: list[str]) -> None:
    write = QuorumWrite(3, 2, False)
    write.sent(len(events))
    for event in events:
        feed(write, event)
    assert len(set(write.filled.values())) == len(write.filled) == write.acks <= 3


class Letters:
    """A Mergeable of sets of letters, of which capitals are shown."""

    place = staticmethod(partition_of)

    def mark(self, key: str) -> str:
        return ""

    def wanted(self, blob: bytes, key: str) -> bool:
        return True

    def parts(self, blob: bytes) -> int:
        return len(blob)

    def merge(self, held: bytes, other: bytes) -> bytes:
        return bytes(sorted(set(held) | set(other)))

    def check(self, blob: bytes) -> None:
        pass

    def digest(self, blob: bytes) -> bytes:
        return blob

    def is_deleted(self, blob: bytes, key: str) -> bool:
        return not self.shows(blob, key)

    def ends_s(self, blob: bytes, key: str) -> float:
        return inf

    def newest(self, blob: bytes, key: str) -> dict[str, int]:
        return {}

    def unsettled(self, blob: bytes, key: str, held: bytes | None, stable: Mapping[str, int]) -> bytes | None:
        return blob

    def shows(self, blob: bytes, key: str) -> bool:
        return blob.upper() != blob.lower() and any(chr(letter).isupper() for letter in blob)


def read(r: int = 2, absent: int = 2, strict: bool = False) -> QuorumRead:
    return QuorumRead("k", r, absent, strict, Letters())


V, M, C, N = VOTING, MAY_MISS_HINTS, CATCHING_UP, NO_VOTE

# (blob, vote) of each answer, r, absent, strict -> decided, degraded. `x` is a tombstone, `A` a value.
READS: list[tuple[list[tuple[bytes | None, int]], int, int, bool, bool, bool]] = [
    ([(b"A", V)], 2, 2, False, False, True),
    ([(b"A", V), (b"A", V)], 2, 2, False, True, False),
    ([(b"A", V), (b"A", M)], 2, 2, False, True, True),
    ([(b"A", V), (b"A", C)], 2, 2, False, False, True),
    ([(b"A", N), (None, V)], 2, 2, False, False, True),
    ([(b"A", N), (None, V), (None, V)], 2, 2, False, True, False),
    ([(None, V), (None, V)], 2, 2, False, True, False),
    ([(None, V), (None, M)], 2, 2, False, False, True),  # its hint may be the value
    ([(None, V), (None, M), (None, V)], 2, 2, False, True, True),
    ([(None, V), (None, C), (None, N)], 2, 2, False, False, True),
    ([(b"x", V)], 1, 2, False, False, False),  # a tombstone is an answer as absence is
    ([(b"x", V), (b"x", M)], 2, 2, False, False, True),
    ([(b"x", V), (None, V)], 2, 2, False, True, False),
    ([(b"x", V), (b"A", M)], 2, 2, False, True, True),
    ([(b"A", V)], 1, 3, False, True, False),
    ([(b"x", V), (b"x", V)], 1, 3, False, False, False),
    ([(None, V), (None, V)], 1, 3, False, False, False),
    ([(None, V), (None, V), (b"x", V)], 1, 3, False, True, False),
    # Strict: what W owners acknowledged, which owners that lost nothing suffice to meet.
    ([(b"A", C), (b"A", C)], 2, 2, True, True, True),
    ([(None, C), (b"x", M)], 2, 2, True, True, True),
    ([(None, V), (None, N)], 2, 2, True, False, True),
    ([(b"A", V), (b"A", V)], 1, 3, True, False, False),
]


@pytest.mark.parametrize(("answers", "r", "absent", "strict", "decided", "degraded"), READS)
def test_a_read_is_decided_by_votes(
    answers: list[tuple[bytes | None, int]], r: int, absent: int, strict: bool, decided: bool, degraded: bool
) -> None:
    quorum = read(r, absent, strict)
    for number, (blob, vote) in enumerate(answers, 1):
        quorum.on_answer(f"n{number}", blob, vote)
    assert (quorum.lacking() <= 0, quorum.degraded) == (decided, degraded)


@given(
    st.lists(st.tuples(st.sampled_from([None, b"x", b"A", b"AB"]), st.integers(NO_VOTE, VOTING)), max_size=5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
def test_absence_is_never_decided_without_its_votes(
    answers: list[tuple[bytes | None, int]], r: int, absent: int, strict: bool
) -> None:
    quorum = read(r, absent, strict)
    for number, (blob, vote) in enumerate(answers, 1):
        quorum.on_answer(f"n{number}", blob, vote)
    votes = [vote for _, vote in answers]
    shown = any(blob and blob.isupper() and vote != NO_VOTE for blob, vote in answers)
    decided = quorum.lacking() <= 0
    if strict:
        assert decided == (sum(vote != NO_VOTE for vote in votes) >= max(r, absent))
    elif shown:
        assert decided == (sum(vote >= MAY_MISS_HINTS for vote in votes) >= r)
        assert not decided or quorum.degraded == (MAY_MISS_HINTS in votes)
    else:
        assert decided == (votes.count(VOTING) >= max(r, absent))


def test_a_mismatch_is_merged_and_everyone_behind_is_stale() -> None:
    quorum = read()
    quorum.on_answer("n1", b"A", VOTING)
    quorum.on_answer("n2", b"B", VOTING)
    assert quorum.merged == b"AB" and quorum.behind(OWNERS) == ["n1", "n2"]


def test_a_holder_of_hints_brings_a_value_and_nobody_is_repaired_with_it() -> None:
    quorum = read()
    quorum.on_answer("n9", b"B", NO_VOTE)
    quorum.on_answer("n1", b"A", VOTING)
    quorum.on_answer("n2", b"A", VOTING)
    assert quorum.lacking() == 0 and quorum.merged == b"A"
    quorum.use_aside(but=OWNERS)
    assert quorum.merged == b"AB" and quorum.unrepaired and quorum.degraded


def test_what_an_owner_that_lost_data_has_left_counts_only_without_votes() -> None:
    quorum = read()
    quorum.on_answer("n1", b"B", NO_VOTE)
    quorum.on_answer("n2", b"A", VOTING)
    quorum.on_answer("n3", b"A", VOTING)
    assert quorum.lacking() == 0
    quorum.use_aside(but=OWNERS)
    assert quorum.merged == b"A" and not quorum.degraded
    quorum = read()
    quorum.on_answer("n1", b"B", NO_VOTE)
    assert quorum.lacking() > 0
    quorum.use_aside()
    assert quorum.merged == b"B" and quorum.degraded


def test_what_stays_behind_may_be_missed_by_a_later_read() -> None:
    quorum = read()
    quorum.on_answer("n1", b"A", VOTING)
    quorum.on_answer("n2", None, VOTING)
    assert quorum.behind(OWNERS) == ["n2"] and not quorum.degraded
    quorum.unrepaired = True
    assert quorum.degraded


def test_an_answer_counts_once() -> None:
    quorum = read()
    quorum.on_answer("n1", b"A", VOTING)
    quorum.on_answer("n1", b"A", VOTING)
    assert quorum.votes == 1 and quorum.lacking() == 1


def test_fallbacks_come_in_the_order_of_the_fallback_list() -> None:
    down = {"n3", "n4"}
    assert split_owners(("n1", "n2", "n3"), down.__contains__) == (("n1", "n2"), ("n3",))
    assert next_fallback(("n4", "n5", "n6"), (), down.__contains__) == "n5"
    assert next_fallback(("n4", "n5", "n6"), ("n5",), down.__contains__) == "n6"
    assert next_fallback(("n4",), (), down.__contains__) is None
