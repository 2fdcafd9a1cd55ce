"""The queue of rumors to spread."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cluster.membership.broadcast import Broadcasts
from cluster.membership.member import ALIVE, DEAD, FACT, NEWS, SUSPECT
from cluster.wire.membership import Rumor

_decode = msgspec.msgpack.Decoder(Rumor).decode


def rumor(name: str, state: str = ALIVE, refutations: int = 0, by: str = "") -> Rumor:
    return Rumor(state, name, 1, refutations, by=by)


def queue(*rumors: Rumor, limit: int = 4) -> Broadcasts:
    made = Broadcasts(lambda: limit)
    for each in rumors:
        made.add(each)
    return made


def taken(from_queue: Broadcasts, space: int = 10_000) -> list[Rumor]:
    return [_decode(data) for data in from_queue.take(space)]


def test_swim_4_1_least_sent_first_then_newest() -> None:
    made = queue(rumor("n1"), rumor("n2"))
    size = len(msgspec.msgpack.encode(rumor("n1")))
    assert [each.name for each in taken(made, size)] == ["n2"]
    assert [each.name for each in taken(made, size)] == ["n1"]
    made.add(rumor("n3"))
    assert [each.name for each in taken(made)] == ["n3", "n2", "n1"]


def test_a_rumor_is_sent_as_often_as_the_limit() -> None:
    made = queue(rumor("n1"), limit=3)
    assert [len(taken(made)) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert len(made) == 0


def test_a_newer_rumor_replaces_those_about_the_same_member() -> None:
    made = queue(rumor("n1", SUSPECT, by="n2"), rumor("n1", SUSPECT, by="n3"), rumor("n2"))
    assert len(made) == 3, "two accusers of one suspicion confirm each other"
    made.add(rumor("n1", ALIVE, 1))
    assert taken(made) == [rumor("n1", ALIVE, 1), rumor("n2")]
    made.add(rumor("n1", SUSPECT, 1, by="n4"))
    assert [each.state for each in taken(made) if each.name == "n1"] == [SUSPECT]
    made.add(rumor("n1", SUSPECT, 2, by="n5"))
    made.add(rumor("n1", DEAD, 2, by="n5"))
    assert [each.state for each in taken(made) if each.name == "n1"] == [DEAD]


def test_facts_are_replaced_by_kind_and_outlive_states() -> None:
    def fact(state: str, kind: str, version: int) -> Rumor:
        return Rumor(state, "n1", 1, 0, kind=kind, version=version)

    made = queue(fact(FACT, "a", 1), fact(FACT, "b", 1), rumor("n1"), fact(NEWS, "a", 2))
    assert {(each.kind, each.version) for each in taken(made) if each.kind} == {("a", 2), ("b", 1)}
    made.forget("n1")
    assert len(made) == 0


@given(st.lists(st.integers(0, 30)), st.integers(0, 400), st.integers(1, 5))
def test_a_packet_is_never_overfull(names: list[int], space: int, limit: int) -> None:
    made = queue(*[rumor(f"n{name}") for name in names], limit=limit)
    counts: dict[str, int] = {}
    for _ in range(200):
        packet = made.take(space)
        assert sum(map(len, packet)) <= space
        for data in packet:
            counts[_decode(data).name] = counts.get(_decode(data).name, 0) + 1
    smallest = len(msgspec.msgpack.encode(rumor("n30")))
    if space >= smallest:
        assert counts == {f"n{name}": limit for name in names}, "everything is sent, as often as it may be"
