"""Evidence of closed ports and broken connections, and the links that bring it."""

import pytest

from cluster.membership.evidence import successors
from tests.membership.small_world import World


@pytest.mark.parametrize(
    ("names", "me", "count", "expected"),
    [
        (["n1", "n2", "n3", "n4"], "n2", 2, ["n3", "n4"]),
        (["n1", "n2", "n3", "n4"], "n4", 3, ["n1", "n2", "n3"]),
        (["n1", "n2"], "n2", 3, ["n1"]),
        (["n1", "n3"], "n2", 2, ["n3", "n1"]),
        (["n1"], "n1", 3, []),
    ],
)
def test_successors_in_the_ring_of_names(names: list[str], me: str, count: int, expected: list[str]) -> None:
    assert successors(names, me, count) == expected


def running(count: int) -> World:
    world = World(count)
    world.start()
    world.run(1.0)
    assert world.converged()
    return world


def test_everyone_is_watched_by_as_many_as_configured() -> None:
    world = running(6)
    for name in world.names:
        assert sum(1 for process in world.up() if name in process.watched) == 3


def test_links_follow_the_live_set() -> None:
    world = running(6)
    world.kill("n3")
    world.run(5.0)
    assert list(world.processes["n2"].watched) == ["n4", "n5", "n6"]


def test_transcript_a_crash_shows_at_once() -> None:
    world = running(5)
    world.kill("n4")
    suspected = world.run_until(lambda: world.all_say("n4", "suspect"), 0.5)
    dead = world.run_until(lambda: world.all_say("n4", "dead"), 3.0)
    assert suspected < 0.1
    assert 1.0 < dead < 2.0, "the shortest suspicion: enough others found the port closed"
    causes = [cause for process in world.up() for cause, _ in process.kinds("member.dead")]
    assert all("declared it dead" in cause or "its port is closed" in cause for cause in causes)


def test_transcript_nobody_needs_to_talk_to_the_dead() -> None:
    """Without watch links (as in the lan preset) the probes find it, later."""
    world = running(5)
    for process in world.up():
        process.watched.clear()
    world.kill("n4")
    assert world.run_until(lambda: world.all_say("n4", "suspect"), 2.0) > 0.1
    world.run_until(lambda: world.all_say("n4", "dead"), 10.0)


def test_transcript_a_broken_connection_to_a_live_node_accuses_nobody() -> None:
    world = running(5)
    world["n1"].note_evidence("n2", "reset")
    world["n1"].note_evidence("n2", "closed")
    world["n1"].note_evidence("n2", "timeout")
    world.run(3.0)
    assert all(not process.kinds("member.suspect") for process in world.up())


def test_transcript_false_evidence_of_a_closed_port_is_contradicted() -> None:
    world = running(5)
    refuted: list[str] = []
    world["n2"].on_refuted.append(refuted.append)
    world["n1"].note_evidence("n2", "refused")
    assert world["n1"].state("n2") == "suspect"
    world.run_until(lambda: world.all_say("n2", "alive"), 1.0)
    world.run(10.0)
    assert world.converged()
    assert len(refuted) == 1 and "n1" in refuted[0]
    assert all(not process.kinds("member.dead") for process in world.up())


def test_evidence_about_the_unheard_or_unknown_is_none() -> None:
    world = World(3)
    world.start("n1")
    world["n1"].note_evidence("n2", "refused")
    world["n1"].note_evidence("nobody", "refused")
    world["n1"].note_evidence("n1", "refused")
    assert world["n1"].alive() == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("count", "killed"), [(3, ["n2", "n3"]), (5, ["n1", "n2", "n3", "n5"]), (5, ["n2", "n3", "n4"])]
)
def test_transcript_when_most_are_killed_their_closed_ports_are_found_again_and_again(
    count: int, killed: list[str]
) -> None:
    """Too few are left to confirm each other's dials, so each dials more than once."""
    world = running(count)
    for name in killed:
        world.kill(name)
    dead = world.run_until(lambda: all(world.all_say(name, "dead") for name in killed), 5.0)
    assert 1.5 < dead < 3.0, "not before the shortest suspicion"


def test_one_refused_dial_is_not_enough_when_nobody_can_confirm_it() -> None:
    """The port may have been closed for the moment of a restart: then the next dial finds it open."""
    world = running(3)
    world.kill("n3")
    world.partition(["n2"])
    world["n1"].note_evidence("n2", "refused")
    world.run(5.0)
    assert world["n1"].state("n2") == "suspect"
    assert world["n1"].state("n3") == "dead"
