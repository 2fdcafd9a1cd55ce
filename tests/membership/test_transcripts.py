"""Several nodes back to back: what is done to them, then what they believe."""

from dataclasses import replace

import msgspec
import pytest

from cluster.config import lan_membership
from cluster.errors import NotFound
from cluster.membership import rumors
from cluster.membership.member import ALIVE, DEAD, FACT, SUSPECT, SeedMember
from cluster.wire.membership import Packet, Rumor, StreamPing
from tests.membership.small_world import World


def running(count: int, seed: int = 1) -> World:
    world = World(count, seed)
    world.start()
    world.run(1.0)
    assert world.converged() and world.all_heard()
    return world


def no_deaths(world: World) -> bool:
    return not any(process.kinds("member.dead") for process in world.processes.values())


@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_nodes_that_start_together_hear_each_other_at_once(count: int) -> None:
    world = World(count)
    world.start()
    assert world.run_until(world.all_heard, 1.0) < 0.5
    assert not any(process.kinds("member.suspect") for process in world.up())


def test_nodes_that_start_one_by_one_hear_each_other_at_once() -> None:
    world = World(20)
    for name in world.names:
        world.start(name)
        world.run(0.03)
    assert world.run_until(world.all_heard, 1.0) < 0.7


def test_what_an_unheard_member_is() -> None:
    world = World(3)
    world.start("n1")
    assert world["n1"].alive() == ["n1", "n2", "n3"]
    assert world["n1"].heard_in_this_boot() == 1
    view = world["n1"].view("n2")
    assert (view.state, view.epoch, view.heard, view.id) == ("alive", 0, False, "")
    world.run(2.5)
    assert not world.processes["n1"].kinds("member.suspect"), "it may still be starting"
    world.run(15.0)
    assert world["n1"].alive() == ["n1"], "silence has the same end for all"
    with pytest.raises(NotFound):
        world["n1"].state("nobody")


def test_at_rest_a_node_sends_one_ping_and_one_ack_a_period() -> None:
    rates = []
    for count in (5, 40):
        world = running(count)
        world.run(5.0)
        before = [(process.sent, process.sent_bytes) for process in world.up()]
        world.run(20.0)
        sent = sum(process.sent - sent for process, (sent, _) in zip(world.up(), before, strict=True))
        sent_bytes = sum(process.sent_bytes - bytes_ for process, (_, bytes_) in zip(world.up(), before, strict=True))
        rates.append(sent / count / 20.0)
        assert sent_bytes / sent < 30
    assert rates == [pytest.approx(5.0, rel=0.05)] * 2, "whatever the size of the cluster"


def test_a_paused_node_is_suspected_then_dead_then_alive_everywhere() -> None:
    world = running(5)
    refuted: list[str] = []
    world["n2"].on_refuted.append(refuted.append)
    changes: list[tuple[str, str, str]] = []
    world["n1"].on_change.append(lambda name, old, new: changes.append((name, old, new)))
    world.pause("n2")
    assert world.run_until(lambda: world.all_say("n2", "suspect"), 2.0) < 1.6
    world.run_until(lambda: world.all_say("n2", "dead"), 9.6)
    world.run(20.0)
    world.resume("n2")
    assert world.run_until(lambda: world.converged(), 1.0) < 0.5
    assert refuted and ("dead" in refuted[0] or "suspected" in refuted[0])
    assert world["n1"].view("n2").refutations >= 1
    assert world["n2"].view("n2").epoch == 1
    steps = [("n2", "alive", "suspect"), ("n2", "suspect", "dead"), ("n2", "dead", "alive")]
    assert changes == steps


def test_a_short_pause_ends_in_refutation() -> None:
    world = running(5)
    world.pause("n2")
    world.run_until(lambda: world.all_say("n2", "suspect"), 2.0)
    world.resume("n2")
    assert world.run_until(world.converged, 1.0) < 0.5
    world.run(10.0)
    assert no_deaths(world) and world.converged()


def test_swim_3_1_indirect_probes_save_a_node_that_one_other_cannot_hear() -> None:
    world = running(5)
    world.loses = lambda source, target: (source, target) == ("n2", "n1")
    world.processes["n2"].handlers[StreamPing] = lambda received: None  # so that only the helpers are left
    world.run(20.0)
    assert world["n1"].state("n2") == "alive"
    assert no_deaths(world)
    assert world["n1"].health == 0


def test_a_stream_saves_a_node_when_no_datagram_comes_through() -> None:
    world = running(3)
    world.loses = lambda source, target: source == "n2" or target == "n2"
    world.run(20.0)
    assert world.converged()
    assert no_deaths(world)


def test_heavy_loss_of_datagrams_kills_nobody() -> None:
    world = running(5)
    world.loses = lambda source, target: world.random.random() < 0.3
    world.run(60.0)
    assert no_deaths(world)


def test_a_restarted_node_is_alive_for_all_within_a_second() -> None:
    world = running(5)
    world.kill("n3")
    world.run(5.0)
    assert world.all_say("n3", "dead")
    world.start("n3")
    assert world.run_until(lambda: world.converged() and world.all_heard(), 1.0) < 1.0
    assert world["n1"].view("n3").epoch == 2
    assert not world.processes["n3"].kinds("member.refuted"), "what is said of a former boot needs no refutation"


def test_a_restart_too_quick_to_be_noticed_is_told_as_one() -> None:
    world = running(5)
    changes: list[tuple[str, str, str]] = []
    world["n1"].on_change.append(lambda name, old, new: changes.append((name, old, new)))
    world.processes["n3"].up = False  # without a word from the kernel to those who watch
    world.start("n3")
    world.run(1.0)
    assert changes == [("n3", "alive", "alive")]


def test_a_restarted_node_is_probed_in_the_round_that_runs() -> None:
    """The rounds of 30 members take 12 s; those that began while one was dead do not have it."""
    world = running(30)
    world.kill("n3")
    world.run(25.0)
    world.start("n3")
    world.run(1.0)
    world.pause("n3")
    assert world.run_until(lambda: world.all_say("n3", "suspect"), 12.0) < 3.0


def test_a_restarted_node_hears_of_the_dead() -> None:
    world = running(5)
    world.kill("n3")
    world.kill("n4")
    world.run(5.0)
    world.start("n3")
    world.run(1.0)
    assert world["n3"].state("n4") == "dead"
    assert world["n3"].heard_in_this_boot() == 4


def test_an_emptied_directory_takes_its_name_back() -> None:
    """Its epochs begin anew, below what the others know."""
    world = running(5)
    for _ in range(3):
        world.kill("n3")
        world.run(3.0)
        world.start("n3")
        world.run(1.0)
    world.kill("n3")
    world.run(3.0)
    world.empty("n3")
    world.start("n3", id="n3-bbbb")
    world.run_until(lambda: world.converged(), 1.0)
    assert world["n1"].view("n3").id == "n3-bbbb"
    assert world["n1"].name_of("n3-aaaa") is None
    assert world["n1"].view("n3").epoch > 4
    assert len(world.processes["n3"].kinds("member.name-conflict")) == 1
    world["n3"].announce("k", b"1")
    world.kill("n3")
    world.start("n3", id="n3-bbbb")
    world["n3"].announce("k", b"2")
    world.run(1.0)
    assert world["n1"].facts("k") == {"n3": b"2"}, "its next boots count as boots, too"


def test_a_healed_partition_joins_again() -> None:
    world = running(5)
    world.partition(["n1", "n2"])
    world.run(20.0)
    assert world["n1"].alive() == ["n1", "n2"]
    assert world["n5"].alive() == ["n3", "n4", "n5"]
    for process in world.processes.values():
        process.events.clear()
    world.heal()
    assert world.run_until(world.converged, 3.0) < 2.0
    sides = {"n1": 0, "n2": 0, "n3": 1, "n4": 1, "n5": 1}
    for process in world.up():
        for _, fields in process.kinds("member.suspect"):
            assert sides[fields["member"]] != sides[process.name], "an old verdict of the other side is checked first"


@pytest.mark.parametrize("seed", range(5))
def test_starved_nodes_suspect_but_do_not_kill(seed: int) -> None:
    """Every process runs for a third of the time only, in slices of some hundred milliseconds."""
    world = running(5, seed)
    random = world.random

    def nap(name: str) -> None:
        world.pause(name)
        world.call_at(world.now + random.expovariate(1 / 0.2), wake, name)

    def wake(name: str) -> None:
        world.resume(name)
        world.call_at(world.now + random.expovariate(1 / 0.1), nap, name)

    for name in world.names:
        nap(name)
    world.run(60.0)
    assert no_deaths(world)
    assert any(process.kinds("probe.void") for process in world.processes.values())


def test_a_node_that_slept_accuses_nobody() -> None:
    world = running(5)
    world.pause("n1")
    world.run(5.0)
    for process in world.processes.values():
        process.events.clear()
    world.resume("n1")
    world.run(3.0)
    assert not world.processes["n1"].kinds("member.suspect")
    assert world.converged()


def test_the_lan_preset() -> None:
    world = World(5, settings=lan_membership())
    world.start()
    assert world.run_until(world.all_heard, 1.0) < 1.0
    world.kill("n2")
    world.run_until(lambda: world.all_say("n2", "suspect", "dead"), 5.0)
    world.run_until(lambda: world.all_say("n2", "dead"), 30.0)


def test_garbage_is_counted_and_ignored() -> None:
    world = running(3)
    process = world.processes["n1"]
    huge = Packet(None, [Rumor(ALIVE, "n2", 2**41, 0), Rumor("zombie", "n2", 1, 0), Rumor(DEAD, "n1", 2**41, 0)])
    long = Packet(None, [Rumor(SUSPECT, "n1", 1, 0, by="n" * 1000), Rumor(DEAD, "n3", 1, 0, by="\x1b[2J")])
    fact = Packet(None, [Rumor(FACT, "n3", 9, 0, by="n" * 1000, kind="k", version=1)])
    no_text = msgspec.msgpack.encode(Packet(None, [Rumor("dead", "n3", 1, 0)])).replace(b"dead", b"\xff\xfe\xff\xff")
    for body in (b"", b"\xff\xff", b"\x92\xc0\x01", bytes(1400), msgspec.msgpack.encode({"a": 1}), no_text):
        process.on_datagram("n2", body, world.now)
    for packet in (huge, long, fact):
        process.on_datagram("n2", msgspec.msgpack.encode(packet), world.now)
    assert world["n1"].counts["garbage"] == 6
    assert world["n1"].counts["rumors_refused"] == 4
    assert world["n1"].view("n1").refutations == 0 and world["n1"].view("n3").state == ALIVE
    assert world["n1"].view("n1").epoch == 1
    world.run(1.0)
    assert world.converged()


def test_a_member_outside_the_layout_is_taken_in() -> None:
    world = running(3)
    packet = Packet(None, [Rumor(ALIVE, "x9", 1, 0, id="x9-aaaa", zone="a", host="127.0.0.1", port=9)])
    world.processes["n1"].on_datagram("n2", msgspec.msgpack.encode(packet), world.now)
    assert "x9" in world["n1"].alive()
    world.run_until(lambda: world.all_say("x9", "dead"), 30.0)


def test_a_forgotten_member_is_gone() -> None:
    world = running(3)
    world.kill("n3")
    world.run(5.0)
    for name in ("n1", "n2"):
        world[name].forget("n3")
    world.run(20.0)
    assert list(world["n1"].table()) == ["n1", "n2"]
    world.start("n3")
    for name in ("n1", "n2"):
        world[name].admit(SeedMember("n3", "z", world.address("n3")))
    world.run(1.0)
    assert world.converged()


def test_two_processes_with_one_name_do_not_shout_at_each_other() -> None:
    world = running(3)
    claim = Rumor(ALIVE, "n1", 5, 0, id="n1-evil", zone="a", host="127.0.0.1", port=9)
    before = world.processes["n1"].sent
    for _ in range(100):
        claim = Rumor(ALIVE, "n1", claim.epoch + 5, 0, id="n1-evil", host="127.0.0.1", port=9)
        world.processes["n1"].on_datagram("n2", msgspec.msgpack.encode(Packet(None, [claim])), world.now)
    assert len(world.processes["n1"].kinds("member.name-conflict")) == 1
    assert world.processes["n1"].sent - before <= 1


def test_one_world_runs_like_another_of_the_same_seed() -> None:
    histories = []
    for _ in range(2):
        world = running(5, seed=7)
        world.kill("n2")
        world.run(5.0)
        histories.append([process.events for process in world.processes.values()])
    assert histories[0] == histories[1]


def test_stopping_is_silent() -> None:
    world = running(3)
    world["n1"].stop()
    before = world.processes["n1"].sent
    world.processes["n1"].up = False
    world.run(5.0)
    assert world.processes["n1"].sent == before


def test_a_contradiction_that_misses_one_reaches_it_on_demand() -> None:
    """Who still holds a suspicion after some periods tells the suspect, who contradicts it again."""
    world = running(5)
    world.processes["n1"].on_datagram(
        "n3", msgspec.msgpack.encode(Packet(None, [Rumor("suspect", "n2", 1, 0, by="n3")])), world.now
    )
    world["n1"].context.settings = replace(world.settings, retransmit_mult=0)
    assert world["n1"].state("n2") == "suspect"
    world.run_until(lambda: world["n1"].state("n2") == "alive", 2.0)


def test_a_member_that_starts_while_it_is_probed_is_not_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rumors, "START_S", 0.0)
    world = World(2)
    world.start("n1")
    world.run_until(lambda: world["n1"].counts.get("probes", 0) == 1, 1.0)
    world.run(0.3)
    world.start("n2")
    world.run(0.5)
    assert not world.processes["n1"].kinds("member.suspect")
