"""Versioned facts: pure merging, and how they spread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.limits import FACT_BYTES_MAX
from cluster.membership.facts import KINDS_MAX, FactEffect, FactTable
from cluster.membership.member import FACT, NEWS
from cluster.wire.membership import Rumor
from tests.membership.small_world import World


def fact(epoch: int, version: int, body: bytes = b"x", kind: str = "k", state: str = FACT) -> Rumor:
    return Rumor(state, "n2", epoch, 0, kind=kind, version=version, body=body)


def test_the_later_boot_wins_then_the_higher_version() -> None:
    facts = FactTable(100)
    assert facts.merge(fact(1, 5, b"old"), 0) is FactEffect.NEW
    assert facts.merge(fact(1, 4), 0) is FactEffect.KNOWN
    assert facts.merge(fact(1, 5), 0) is FactEffect.KNOWN
    assert facts.merge(fact(2, 1, b"new"), 0) is FactEffect.NEW
    assert facts.merge(fact(1, 9), 0) is FactEffect.KNOWN
    assert facts.bodies("k") == {"n2": b"new"}


@given(st.permutations([fact(epoch, version, f"{epoch}.{version}".encode()) for epoch in (1, 2) for version in (1, 2)]))
def test_facts_converge_in_any_order(told: list[Rumor]) -> None:
    facts = FactTable(100)
    for each in told:
        facts.merge(each, 0)
    assert facts.bodies("k") == {"n2": b"2.2"}


def test_a_former_boot_announces_nothing_any_more() -> None:
    facts = FactTable(100)
    facts.merge(fact(1, 1), 0)
    assert facts.merge(fact(1, 2), epoch_min=2) is FactEffect.KNOWN
    assert facts.expire("n2", 2) == ["k"]
    assert facts.bodies("k") == {}


def test_news_of_a_fact_too_large_for_a_packet() -> None:
    announcer, hearer = FactTable(100), FactTable(100)
    full = announcer.announce("n2", 1, "k", b"x" * 101)
    news = announcer.for_packet(full)
    assert (news.state, news.body, news.version) == (NEWS, b"", 1)
    assert hearer.merge(news, 0) is FactEffect.FIRST_PULL
    assert hearer.merge(news, 0) is FactEffect.PULL
    assert hearer.merge(full, 0) is FactEffect.NEW
    assert not hearer.is_news(full), "it was passed on when it was first heard of"
    assert hearer.merge(news, 0) is FactEffect.KNOWN


@pytest.mark.parametrize(
    "bad", [fact(1, 0), fact(-1, 1), fact(2**41, 1), fact(1, 1, kind=""), fact(1, 1, b"x" * (FACT_BYTES_MAX + 1))]
)
def test_implausible_facts_are_refused(bad: Rumor) -> None:
    assert FactTable(100).merge(bad, 0) is FactEffect.REFUSED


def test_kinds_are_bounded() -> None:
    facts = FactTable(100)
    effects = [facts.merge(fact(1, 1, kind=f"k{number}"), 0) for number in range(KINDS_MAX + 1)]
    assert effects.count(FactEffect.NEW) == KINDS_MAX
    assert effects[-1] is FactEffect.REFUSED


def test_transcript_a_small_fact_spreads_by_gossip() -> None:
    world = World(5)
    world.start()
    world.run(1.0)
    heard: list[tuple[str, str, bytes]] = []
    world["n4"].on_fact.append(lambda name, kind, body: heard.append((name, kind, body)))
    world["n1"].announce("service", b"echo")
    world.run_until(lambda: all(world[name].facts("service") == {"n1": b"echo"} for name in world.names), 1.0)
    world["n1"].announce("service", b"")
    world.run_until(lambda: all(world[name].facts("service") == {"n1": b""} for name in world.names), 1.0)
    assert heard == [("n1", "service", b"echo"), ("n1", "service", b"")]


def test_transcript_a_large_fact_is_pulled() -> None:
    world = World(5)
    world.start()
    world.run(1.0)
    body = bytes(50_000)
    world["n1"].announce("interest", body)
    world.run_until(lambda: all(world[name].facts("interest") == {"n1": body} for name in world.names), 1.0)


def test_transcript_tell_is_a_barrier() -> None:
    world = World(5)
    world.start()
    world.run(1.0)
    counts: list[int] = []
    world["n1"].announce("interest", b"a.*")
    world["n1"].tell("interest", counts.append)
    world.run_until(lambda: bool(counts), 0.1)
    assert counts == [5]
    assert all(world[name].facts("interest") == {"n1": b"a.*"} for name in world.names)
    world.pause("n3")
    world["n1"].announce("interest", b"b.*")
    world["n1"].tell("interest", counts.append)
    world.run_until(lambda: len(counts) == 2, 1.1)
    assert counts[1] == 4, "one that is silent does not count, and holds the barrier up for a second at most"


def test_who_announced_another_kind_is_unknown_all_the_same() -> None:
    world = World(3)
    world.start()
    for name in world.names:
        world[name].announce("service", b"x")
    for name in ("n1", "n2"):
        world[name].announce("interest", b"x")
    world.run(1.0)
    assert (world["n1"].unknown("service"), world["n1"].unknown("interest")) == ([], ["n3"])


def test_transcript_tell_alone() -> None:
    world = World(1)
    world.start()
    counts: list[int] = []
    world["n1"].announce("interest", b"x")
    world["n1"].tell("interest", counts.append)
    world.run(0.1)
    assert counts == [1]


def test_transcript_a_reboot_voids_facts_and_a_newcomer_learns_them() -> None:
    world = World(3)
    world.start()
    world.run(1.0)
    for name in world.names:
        world[name].announce("service", name.encode())
    world.run(1.0)
    gone: list[tuple[str, str, bytes]] = []
    world["n1"].on_fact.append(lambda name, kind, body: gone.append((name, kind, body)))
    world.kill("n3")
    world.start("n3")
    world.run(1.0)
    assert gone == [("n3", "service", b"")]
    assert world["n1"].facts("service") == {"n1": b"n1", "n2": b"n2"}
    assert world["n3"].facts("service") == {"n1": b"n1", "n2": b"n2"}
    world["n3"].announce("service", b"again")
    world.run(0.5)
    assert world["n1"].facts("service")["n3"] == b"again"
