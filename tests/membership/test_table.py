"""The merge rule: by table, and as the join of an order."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.limits import FACT_BYTES_MAX
from cluster.membership.member import (
    ALIVE,
    DEAD,
    EPOCH_MAX,
    LEAVING,
    LEFT,
    RANK,
    SUSPECT,
    UNHEARD,
    Incarnation,
    OwnIdentity,
    SeedMember,
)
from cluster.membership.table import MEMBERS_MAX, Effect, MemberTable
from cluster.wire.membership import Rumor

ME = OwnIdentity("n1", "n1-aaaa", 1, "a", ("127.0.0.1", 7001))
SEEDS = [SeedMember("n3", "c", ("127.0.0.1", 7003)), SeedMember("n2", "b", ("127.0.0.1", 7002))]


def rumor(state: str, epoch: int = 1, refutations: int = 0, name: str = "n2", by: str = "", id: str = "") -> Rumor:
    return Rumor(state, name, epoch, refutations, by=by, id=id or f"{name}-aaaa", zone="b", host="127.0.0.1", port=7002)


def table(*rumors: Rumor) -> MemberTable:
    made = MemberTable(ME, SEEDS, now=0.0)
    for told in rumors:
        made.merge(told, now=1.0)
    return made


# SWIM (2002) section 4.2: held, told, what is held then.
@pytest.mark.parametrize(
    ("held", "told", "then"),
    [
        # {Alive Ml, inc = i} overrides {Suspect, j} and {Alive, j} with i > j
        (rumor(SUSPECT, 1, 0), rumor(ALIVE, 1, 1), rumor(ALIVE, 1, 1)),
        (rumor(ALIVE, 1, 0), rumor(ALIVE, 1, 1), rumor(ALIVE, 1, 1)),
        (rumor(SUSPECT, 1, 1), rumor(ALIVE, 1, 1), rumor(SUSPECT, 1, 1)),
        # {Suspect Ml, inc = i} overrides {Suspect, j}, i > j and {Alive, j}, i >= j
        (rumor(SUSPECT, 1, 0), rumor(SUSPECT, 1, 1), rumor(SUSPECT, 1, 1)),
        (rumor(ALIVE, 1, 1), rumor(SUSPECT, 1, 1), rumor(SUSPECT, 1, 1)),
        (rumor(ALIVE, 1, 1), rumor(SUSPECT, 1, 0), rumor(ALIVE, 1, 1)),
        # {Confirm Ml, inc = i} overrides alive and suspect (here, as in memberlist, only up to its incarnation)
        (rumor(ALIVE, 1, 0), rumor(DEAD, 1, 0), rumor(DEAD, 1, 0)),
        (rumor(SUSPECT, 1, 0), rumor(DEAD, 1, 0), rumor(DEAD, 1, 0)),
        (rumor(ALIVE, 1, 1), rumor(DEAD, 1, 0), rumor(ALIVE, 1, 1)),
        # the dead may prove that they live
        (rumor(DEAD, 1, 0), rumor(ALIVE, 1, 0), rumor(DEAD, 1, 0)),
        (rumor(DEAD, 1, 0), rumor(ALIVE, 1, 1), rumor(ALIVE, 1, 1)),
        # a new boot is alive whatever was said of the former one, under the same id or another
        (rumor(DEAD, 1, 7), rumor(ALIVE, 2, 0), rumor(ALIVE, 2, 0)),
        (rumor(LEFT, 1, 7), rumor(ALIVE, 2, 0, id="n2-bbbb"), rumor(ALIVE, 2, 0, id="n2-bbbb")),
        (rumor(ALIVE, 2, 0), rumor(DEAD, 1, 9), rumor(ALIVE, 2, 0)),
        # leaving is alive, left is final
        (rumor(ALIVE, 1, 1), rumor(LEAVING, 1, 1), rumor(LEAVING, 1, 1)),
        (rumor(LEAVING, 1, 1), rumor(SUSPECT, 1, 1), rumor(SUSPECT, 1, 1)),
        (rumor(DEAD, 1, 1), rumor(LEFT, 1, 1), rumor(LEFT, 1, 1)),
        (rumor(LEFT, 1, 1), rumor(DEAD, 1, 1), rumor(LEFT, 1, 1)),
    ],
)
def test_swim_4_2_order_of_preference(held: Rumor, told: Rumor, then: Rumor) -> None:
    member = table(held, told).members["n2"]
    assert (member.state, *member.incarnation, member.id) == (then.state, then.epoch, then.refutations, then.id)


rumors = st.builds(rumor, state=st.sampled_from(sorted(RANK)), epoch=st.integers(0, 3), refutations=st.integers(0, 3))


@given(st.lists(rumors, max_size=5))
def test_the_order_and_number_of_tellings_do_not_matter(told: list[Rumor]) -> None:
    ends = set()
    for order in permutations(told):
        member = table(*order, *order[:2]).members["n2"]
        ends.add((member.state, member.incarnation))
    assert len(ends) == 1


@given(st.lists(rumors, max_size=8))
def test_a_row_only_moves_up(told: list[Rumor]) -> None:
    made = table()
    member = made.members["n2"]
    for next_rumor in told:
        before = (member.incarnation, RANK[member.state])
        effect = made.merge(next_rumor, 1.0).effect
        after = (member.incarnation, RANK[member.state])
        assert after > before if effect is Effect.CHANGED else after == before


def test_effects() -> None:
    made = table()
    assert made.merge(rumor(ALIVE, 1), 1.0).effect is Effect.CHANGED
    assert made.merge(rumor(ALIVE, 1), 1.0).effect is Effect.KNOWN
    changed = made.merge(rumor(SUSPECT, 1, by="n3"), 2.0)
    assert (changed.effect, changed.old_state, changed.old_incarnation) == (Effect.CHANGED, ALIVE, Incarnation(1, 0))
    assert made.merge(rumor(SUSPECT, 1, by="n3"), 3.0).effect is Effect.KNOWN
    assert made.merge(rumor(SUSPECT, 1, by="n4"), 3.0).effect is Effect.CONFIRMED
    assert made.merge(rumor(ALIVE, 1), 3.0).effect is Effect.OLD
    assert made.members["n2"].since == 2.0
    assert made.members["n2"].by == "n3"


def test_members_of_the_layout_start_alive_and_unheard() -> None:
    made = table()
    assert made.alive() == ["n1", "n2", "n3"]
    assert made.others() == ["n2", "n3"]
    assert made.size() == 3
    assert [member.heard for member in made.members.values()] == [True, False, False]
    assert made.members["n2"].incarnation == UNHEARD


def test_only_the_living_are_heard_of_through_others() -> None:
    made = table(rumor(DEAD, 1), rumor(ALIVE, 0, name="n3"))
    assert [member.heard for member in made.members.values()] == [True, False, False]
    made.merge(rumor(ALIVE, 2), 1.0)
    assert made.members["n2"].heard


def test_live_lists_follow_states() -> None:
    made = table(rumor(SUSPECT, 1), rumor(DEAD, 1, name="n3"))
    assert made.alive() == ["n1"]
    assert made.others() == ["n2"]
    assert made.dead() == ["n3"]
    assert made.is_alive("n1") and not made.is_alive("n2") and not made.is_alive("n9")


def test_unknown_names_must_be_plausible_and_reachable() -> None:
    made = table()
    good = Rumor(ALIVE, "n9", 1, 0, id="n9-aaaa", zone="a", host="127.0.0.1", port=7009)
    assert made.merge(Rumor(ALIVE, "n8", 1, 0), 1.0).effect is Effect.REFUSED  # no address
    for name in ("", "N9", "n9\n", "../n9", "n" * 33):
        bad = Rumor(ALIVE, name, 1, 0, host="127.0.0.1", port=7009)
        assert made.merge(bad, 1.0).effect is Effect.REFUSED
    assert made.merge(good, 1.0).effect is Effect.CHANGED
    assert made.members["n9"].address == ("127.0.0.1", 7009)


def test_the_table_is_bounded() -> None:
    made = table()
    for number in range(MEMBERS_MAX + 10):
        made.merge(rumor(ALIVE, name=f"x{number}"), 1.0)
    assert len(made.members) == MEMBERS_MAX


@pytest.mark.parametrize(
    "bad",
    [
        rumor("zombie"),
        rumor(ALIVE, EPOCH_MAX + 1),
        rumor(ALIVE, -1),
        rumor(ALIVE, 1, EPOCH_MAX + 1),
        rumor(ALIVE, 1, id="x" * 200),
        rumor(ALIVE, 1, id="x\n"),
        *(
            replace(rumor(ALIVE, 1), **wrong)
            for wrong in (
                {"host": "h" * 256},
                {"host": "h\n"},
                {"port": 65536},
                {"zone": "z" * 33},
                {"zone": "Z!"},
                {"by": "n" * 33},
                {"kind": "k" * 65},
                {"body": b"x" * (FACT_BYTES_MAX + 1)},
            )
        ),
    ],
)
def test_implausible_rumors_are_refused(bad: Rumor) -> None:
    assert table().merge(bad, 1.0).effect is Effect.REFUSED


def test_ids_find_names_and_a_replaced_id_finds_nobody() -> None:
    made = table(rumor(ALIVE, 1, id="n2-aaaa"))
    assert made.name_of("n2-aaaa") == "n2"
    made.merge(rumor(ALIVE, 2, id="n2-bbbb"), 1.0)
    assert made.name_of("n2-bbbb") == "n2"
    assert made.name_of("n2-aaaa") is None
    assert made.name_of("n1-aaaa") == "n1"
    assert made.merge(rumor(ALIVE, 9, id="n1-aaaa"), 1.0).effect is Effect.REFUSED, "an id has one name"
    assert made.name_of("n1-aaaa") == "n1"


def test_a_forgotten_member_stays_forgotten_until_it_is_admitted_again() -> None:
    made = table(rumor(DEAD, 3))
    made.forget("n2")
    assert made.merge(rumor(ALIVE, 4), 1.0).effect is Effect.REFUSED
    assert "n2" not in made.members
    made.admit(SeedMember("n2", "z1", ("127.0.0.1", 7002)), 1.0)
    assert made.merge(rumor(ALIVE, 1), 1.0).effect is Effect.CHANGED


def test_a_rumor_introduces_nobody_whom_the_layout_does_not_name() -> None:
    made = table()
    made.is_named = lambda name: name != "n7"
    assert made.merge(rumor(ALIVE, 1, name="n7"), 1.0).effect is Effect.REFUSED
    assert made.merge(rumor(ALIVE, 1, name="n8"), 1.0).effect is Effect.CHANGED


def test_what_a_file_recalls_is_not_heard() -> None:
    made = table()
    made.recall("n2", "n2-aaaa", 5)
    assert made.members["n2"].incarnation == Incarnation(5, 0)
    assert not made.members["n2"].heard
    assert made.name_of("n2-aaaa") == "n2"
    assert made.merge(rumor(DEAD, 4), 1.0).effect is Effect.OLD


@given(st.tuples(*[st.integers(0, 5)] * 4))
def test_incarnations_rise_above_what_is_heard(numbers: tuple[int, ...]) -> None:
    mine, heard = Incarnation(*numbers[:2]), Incarnation(*numbers[2:])
    for above in (mine.above(heard), mine.boot_after(heard)):
        assert above > heard and above >= mine
    assert mine.boot_after(heard) == mine or mine.boot_after(heard).epoch > heard.epoch
