"""One node's view of the faults: tables of verdicts, receipts, and what holds for all partitions."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.faults import Fault, FaultBook, FaultDocument, add_fault, heal, mark_returned, reset
from cluster.faults.slow import REORDER_S, RETRANSMIT_S

AT = "2025-05-01T12:00:00Z"
NAMES = ["n1", "n2", "n3", "n4", "n5"]


def partition(*groups: str, one_way: bool = False) -> Fault:
    return Fault(kind="partition", at=AT, groups=[group.split() for group in groups], one_way=one_way)


def slow(source: str, target: str, both: bool = False, **shape: float) -> Fault:
    return Fault(kind="slow", at=AT, source=source, target=target, both=both, **shape)  # type: ignore[arg-type]


def document(*faults: Fault) -> FaultDocument:
    made = FaultDocument()
    for fault in faults:
        made = add_fault(made, fault)
    return made


def book(me: str, *faults: Fault) -> FaultBook:
    made = FaultBook(me)
    made.load(document(*faults))
    return made


@pytest.mark.parametrize(
    ("fault", "me", "peer", "to_peer", "from_peer"),
    [
        (partition("n1", "n2 n3"), "n1", "n2", True, True),
        (partition("n1", "n2 n3"), "n2", "n3", False, False),
        (partition("n1", "n2 n3"), "n1", "n4", False, False),  # in no group: keeps its links
        (partition("n1", "n2", one_way=True), "n1", "n2", True, False),
        (partition("n1", "n2", one_way=True), "n2", "n1", False, True),
        (partition("n1", "n2", "n3"), "n2", "n3", True, True),
        (partition("n1", "n2", "n3", one_way=True), "n2", "n3", False, False),
        (partition("n1", "n2", "n3", one_way=True), "n1", "n3", True, False),
        (slow("n1", "n2", loss=1), "n1", "n2", True, False),
        (slow("n1", "n2", loss=1, both=True), "n1", "n2", True, True),
        (slow("n1", "all", loss=0.9), "n1", "n2", False, False),
    ],
)
def test_directions(fault: Fault, me: str, peer: str, to_peer: bool, from_peer: bool) -> None:
    mine = book(me, fault)
    assert mine.blocked(me, peer) is to_peer
    assert mine.blocked(peer, me) is from_peer
    assert mine.on_dial(peer) is (to_peer or from_peer)
    assert mine.hides(peer) is from_peer
    assert (mine.on_stream(peer, Random(1)) is None) is from_peer
    assert (mine.on_datagram(peer, Random(1)) == []) is (from_peer)
    assert not mine.blocked(me, me)


@pytest.mark.parametrize(
    ("fault", "me", "active"),
    [
        (partition("n1", "n2"), "n1", True),
        (partition("n1", "n2"), "n3", False),
        (slow("n1", "n2", delay_ms=1), "n2", True),
        (slow("n1", "n2", delay_ms=1), "n3", False),
        (slow("all", "n2", delay_ms=1), "n3", True),
        (Fault(kind="kill", at=AT, nodes=["n1"]), "n1", False),
    ],
)
def test_peace_is_one_check(fault: Fault, me: str, active: bool) -> None:
    mine = book(me, fault)
    assert mine.active is active
    assert not FaultBook(me).active
    mine.load(heal(document(fault), None, AT) if fault.kind != "kill" else reset(document(fault)))
    assert not mine.active
    assert mine.on_stream("n2", Random(1)) == 0.0
    assert mine.on_datagram("n2", Random(1)) == [0.0]
    assert not mine.hides("n2") and not mine.on_dial("n2")


def test_an_older_generation_is_ignored_and_changes_are_told() -> None:
    old = document(partition("n1", "n2"))
    new = add_fault(old, slow("n1", "n2", delay_ms=5))
    mine = FaultBook("n1")
    assert [fault.id for fault in mine.load(new)] == ["f1", "f2"]
    assert mine.load(old) == []
    assert mine.generation == 2
    assert mine.load(new) == []
    assert [(fault.id, fault.active) for fault in mine.load(heal(new, ["f1"], AT))] == [("f1", False)]


def test_delay_and_jitter_stay_in_their_bounds() -> None:
    mine = book("n2", slow("n1", "n2", delay_ms=100, jitter_ms=40))
    delays = [mine.on_stream("n1", Random(seed)) for seed in range(300)]
    assert all(delay is not None and 0.06 <= delay <= 0.14 for delay in delays)
    assert len(set(delays)) > 200
    assert mine.on_stream("n3", Random(1)) == 0.0


def test_delays_of_several_rules_add_up() -> None:
    mine = book("n2", slow("n1", "n2", delay_ms=100), slow("all", "all", delay_ms=20))
    assert mine.on_stream("n1", Random(1)) == pytest.approx(0.12)
    assert mine.on_datagram("n1", Random(1)) == pytest.approx([0.12])
    assert mine.on_datagram("n3", Random(1)) == pytest.approx([0.02])
    assert mine.receipts() == {"f1": {"n1->n2": 2}, "f2": {"n1->n2": 2, "n3->n2": 1}}


def test_jitter_over_the_delay_never_goes_back_in_time() -> None:
    mine = book("n2", slow("n1", "n2", delay_ms=1, jitter_ms=50))
    assert min(mine.on_datagram("n1", Random(seed))[0] for seed in range(200)) == 0.0


def test_loss_drops_datagrams_and_delays_streams() -> None:
    mine = book("n2", slow("n1", "n2", loss=0.3))
    random = Random(7)
    dropped = sum(mine.on_datagram("n1", random) == [] for _ in range(2000))
    assert 500 < dropped < 700
    late = [delay for delay in (mine.on_stream("n1", random) for _ in range(2000)) if delay]
    assert 500 < len(late) < 700
    assert min(late) == pytest.approx(RETRANSMIT_S)
    assert max(late) > RETRANSMIT_S
    assert mine.receipts() == {"f1": {"n1->n2": dropped + len(late)}}, "only what was touched is counted"


def test_a_stream_that_loses_nearly_all_still_moves() -> None:
    mine = book("n2", slow("n1", "n2", loss=0.999))
    assert mine.on_stream("n1", Random(3)) == pytest.approx(RETRANSMIT_S * 63)


def test_duplicates_and_reordering_are_of_datagrams_only() -> None:
    mine = book("n2", slow("n1", "n2", duplicate=1, reorder=1))
    first, second = mine.on_datagram("n1", Random(5))
    assert first != second
    assert 0 <= first <= REORDER_S and 0 <= second <= REORDER_S
    assert mine.on_stream("n1", Random(5)) == 0.0


def test_a_rate_books_the_link() -> None:
    mine = book("n2", slow("n1", "n2", rate_bytes_s=1000))
    assert mine.on_stream("n1", Random(1), size=100, now=5.0) == pytest.approx(0.1)
    assert mine.on_stream("n1", Random(1), size=100, now=5.05) == pytest.approx(0.15)
    mine.load(add_fault(document(slow("n1", "n2", rate_bytes_s=1000)), partition("n2", "n5")))
    assert mine.on_datagram("n1", Random(1), size=100, now=5.1) == pytest.approx([0.2]), "a reload forgets no booking"
    assert mine.on_stream("n1", Random(1), size=100, now=60.0) == pytest.approx(0.1)


def test_what_is_stopped_is_counted_once_for_each_fault() -> None:
    mine = book("n1", partition("n1", "n2 n3"), partition("n1", "n2", one_way=True))
    mine.on_datagram("n2", Random(1))
    mine.on_stream("n3", Random(1))
    assert mine.on_dial("n2")
    assert mine.receipts() == {"f1": {"n2->n1": 1, "n3->n1": 1, "n1->n2": 1}, "f2": {"n1->n2": 1}}
    assert mine.hides("n2") and mine.blocked("n2", "n1")
    assert sum(sum(links.values()) for links in mine.receipts().values()) == 4, "questions count nothing"


def test_survivors_count_against_the_dead() -> None:
    kill, pause = Fault(kind="kill", at=AT, nodes=["n2", "n3"]), Fault(kind="pause", at=AT, nodes=["n4"])
    mine = book("n1", kill, pause)
    for peer, what in [("n2", "refused"), ("n2", "timeout"), ("n4", "probe"), ("n5", "refused"), ("n3", "aborted")]:
        mine.note_failure(peer, what)
    assert mine.receipts() == {"f1": {"n1->n2": 2}, "f2": {"n1->n4": 1}}
    mine.load(mark_returned(document(kill, pause), ["n2"], AT))
    mine.note_failure("n2", "closed")
    mine.note_failure("n3", "refused")
    assert mine.receipts() == {"f1": {"n1->n2": 2, "n1->n3": 1}, "f2": {"n1->n4": 1}}


def test_receipts_outlive_the_process_but_not_the_fault() -> None:
    made = document(partition("n1", "n2"))
    first = FaultBook("n1")
    first.load(made)
    first.on_datagram("n2", Random(1))
    saved = {**first.receipts(), "f0": {"n9->n1": 3}}

    for order in ("load first", "restore first"):
        again = FaultBook("n1")
        if order == "load first":
            again.load(made)
        again.restore(saved)
        again.load(made)
        again.on_datagram("n2", Random(1))
        assert again.receipts() == {"f1": {"n2->n1": 2}}, order
    first.load(heal(made, None, AT))
    assert first.receipts() == {"f1": {"n2->n1": 1}}, "a healed fault keeps its receipts"
    first.load(made)
    assert first.receipts() == {"f1": {"n2->n1": 1}}, "an older generation is no reason to forget"
    first.load(reset(heal(made, None, AT)))
    assert first.receipts() == {}


def test_receipts_are_a_copy() -> None:
    mine = book("n1", partition("n1", "n2"))
    mine.on_dial("n2")
    mine.receipts()["f1"]["n1->n2"] = 99
    assert mine.receipts() == {"f1": {"n1->n2": 1}}


sides = st.lists(st.integers(-1, 2), min_size=5, max_size=5).filter(lambda side: len({s for s in side if s >= 0}) >= 2)


def as_groups(side: list[int]) -> list[list[str]]:
    groups = [[name for name, index in zip(NAMES, side, strict=True) if index == wanted] for wanted in range(3)]
    return [group for group in groups if group]


@given(sides, st.booleans())
def test_every_partition_stops_exactly_what_it_says(side: list[int], one_way: bool) -> None:
    groups = as_groups(side)
    made = document(Fault(kind="partition", at=AT, groups=groups, one_way=one_way))
    place = {name: index for index, group in enumerate(groups) for name in group}
    books = {name: FaultBook(name) for name in NAMES}
    for mine in books.values():
        mine.load(made)
    for source in NAMES:
        for target in NAMES:
            apart = source in place and target in place and place[source] != place[target]
            expected = apart and (not one_way or place[source] == 0)
            assert books[target].blocked(source, target) is expected
            assert books[source].blocked(source, target) is expected, "both ends agree"
            assert books[source].on_dial(target) is books[target].on_dial(source)
            assert (books[target].on_datagram(source, Random(1)) == []) is expected
    for mine in books.values():
        mine.load(heal(made, None, AT))
        assert not mine.active


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32))
def test_verdicts_are_sound_and_replay(
    delay: float, jitter: float, loss: float, duplicate: float, reorder: float, seed: int
) -> None:
    fault = slow("n1", "n2", delay_ms=delay, jitter_ms=jitter, loss=loss, duplicate=duplicate, reorder=reorder)
    if not any((delay, jitter, loss, duplicate, reorder)):
        return
    mine = book("n2", fault)
    copies = mine.on_datagram("n1", Random(seed))
    assert len(copies) <= 2 and all(copy >= 0 for copy in copies)
    assert copies == book("n2", fault).on_datagram("n1", Random(seed))
    held = mine.on_stream("n1", Random(seed))
    assert held is None if loss == 1 else held is not None and held >= 0


def ill(kind: str, *nodes: str, **fields: float) -> Fault:
    return Fault(kind=kind, at=AT, nodes=list(nodes), **fields)  # type: ignore[arg-type]


def test_the_faults_of_other_nodes_cost_a_disk_nothing() -> None:
    other = book("n2", ill("disk-full", "n1"), ill("clock", "n1", skew_ms=5.0), ill("kill", "n2"))
    assert other.disk is None and other.skew_s == 0 and not other.active


def test_slow_disks_add_up_and_each_operation_is_counted_for_both() -> None:
    mine = book("n1", ill("disk-slow", "n1", delay_ms=20.0), ill("disk-slow", "n1", "n2", delay_ms=30.0))
    assert mine.disk is not None and mine.disk.delay_s() == pytest.approx(0.05)
    assert not mine.disk.refuses("log/00000001.log")
    assert mine.receipts() == {"f1": {"n1": 1}, "f2": {"n1": 1}}


def test_a_full_disk_refuses_all_but_the_count_of_what_it_refuses() -> None:
    mine = book("n1", ill("disk-full", "n1"))
    assert mine.disk is not None
    assert mine.disk.refuses("log/00000001.log") and mine.disk.refuses("boot.json")
    assert not mine.disk.refuses("receipts.json") and mine.disk.delay_s() == 0
    assert mine.receipts() == {"f1": {"n1": 2}}


def test_clocks_add_up_and_heal_ends_disks_and_clocks() -> None:
    mine = FaultBook("n1")
    made = document(
        ill("clock", "n1", skew_ms=5000.0),
        ill("clock", "n1", skew_ms=-2000.0),
        ill("disk-full", "n1"),
        ill("kill", "n1"),
    )
    mine.load(made)
    assert mine.skew_s == 3.0 and mine.disk is not None
    mine.on_clock()
    assert mine.receipts() == {"f1": {"n1": 1}, "f2": {"n1": 1}}
    after = heal(made, None, AT)
    assert [fault.id for fault in after.faults if fault.active] == ["f4"], "nothing is restarted"
    mine.load(after)
    assert mine.skew_s == 0.0 and mine.disk is None
