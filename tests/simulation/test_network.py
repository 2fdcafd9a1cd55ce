"""The simulated network's faults: partitions both ways and one way, loss, duplicates, reordering, cuts."""

from cluster.simulation import Quality, World
from tests.simulation.parties import Ear, Party, joined


def test_a_partition_drops_datagrams_and_holds_streams(world: World) -> None:
    one, two, here, there = joined(world)
    world.partition([["n1"], ["n2"]])
    for number in range(10):
        one.socket.send(b"%d" % number, two.at)
        here.link.write(b"%d" % number)
        there.link.write(b"%d" % number)
    world.run_for(60.0)
    assert (two.datagrams, there.data, here.data) == ([], b"", b"")
    world.heal()
    here.link.write(b"!")
    world.run_for(1.0)
    assert (there.data, here.data) == (b"0123456789!", b"0123456789")
    assert two.datagrams == []
    assert here.ends == there.ends == []


def test_a_partition_catches_what_is_on_its_way(world: World) -> None:
    one, two, here, there = joined(world)
    here.link.write(b"late")
    one.socket.send(b"1", two.at)
    world.partition([["n1"], ["n2"]])
    world.run_for(1.0)
    assert (two.datagrams, there.data) == ([], b"")
    world.heal()
    world.run_for(1.0)
    assert there.data == b"late"


def test_one_way(world: World) -> None:
    one, two, here, there = joined(world)
    world.partition([["n1"], ["n2"]], one_way=True)
    here.link.write(b"held")
    there.link.write(b"passes")
    one.socket.send(b"1", two.at)
    two.socket.send(b"2", one.at)
    dials = [one.dial(two, timeout=1.0), two.dial(one, timeout=1.0)]
    world.run_for(2.0)
    assert (there.data, here.data) == (b"", b"passes")
    assert (two.numbers(), one.numbers()) == ([], [2])
    assert [dial.ends for dial in dials] == [["timeout"], ["timeout"]], "a handshake needs both ways"
    assert one.ears == []
    world.heal()
    world.run_for(2.0)
    assert there.data == b"held"
    assert [dial.ends for dial in dials] == [["timeout"], ["timeout"]]


def test_a_dial_outlasts_a_short_partition(world: World) -> None:
    one, two = Party(world, "n1"), Party(world, "n2")
    world.partition([["n1"], ["n2"]])
    dial = one.dial(two, timeout=5.0)
    world.run_for(2.0)
    assert dial.links == []
    world.heal()
    world.run_for(1.0)
    assert len(dial.links) == 1
    assert dial.ends == []


def test_partitions_add_up_and_spare_who_is_in_no_group(world: World) -> None:
    parties = [Party(world, name) for name in ("n1", "n2", "n3", "n4")]
    world.partition([["n1"], ["n2"]])
    world.partition([["n1"], ["n3"]])
    for party in parties:
        for other in parties:
            party.socket.send(party.name[1:].encode(), other.at)
    world.run_for(1.0)
    heard = {party.name: sorted(party.numbers()) for party in parties}
    assert heard == {"n1": [1, 4], "n2": [2, 3, 4], "n3": [2, 3, 4], "n4": [1, 2, 3, 4]}


def test_a_second_partition_before_the_held_bytes_arrived(world: World) -> None:
    _, _, here, there = joined(world)
    world.partition([["n1"], ["n2"]])
    here.link.write(b"one ")
    world.run_for(1.0)
    world.heal()
    here.link.write(b"two ")
    world.partition([["n1"], ["n2"]])
    world.run_for(1.0)
    assert there.data == b""
    here.link.write(b"three")
    world.heal()
    world.run_for(1.0)
    assert there.data == b"one two three"


def test_loss_duplicates_and_reordering_are_for_datagrams(world: World) -> None:
    one, two = Party(world, "n1"), Party(world, "n2")
    world.slow("n1", "n2", delay=0.001, jitter=0.001, loss=0.2, duplicate=0.2, reorder=0.2)
    for number in range(500):
        one.socket.send(b"%d" % number, two.at)
        two.socket.send(b"%d" % number, one.at)
        world.run_for(0.001)
    world.run_for(1.0)
    got = two.numbers()
    assert 300 < len(set(got)) < 460
    assert len(got) > len(set(got))
    assert got != sorted(got)
    assert one.numbers() == list(range(500)), "the other direction is as it was"


def test_a_lossy_stream_is_late_and_whole(world: World) -> None:
    _, _, here, there = joined(world)
    world.slow("n1", "n2", delay=0.001, jitter=0.0, loss=0.3)
    sent = b"".join(b"%04d" % number for number in range(100))
    start = world.now
    for number in range(100):
        here.link.write(sent[4 * number : 4 * number + 4])
    world.run_for(60.0)
    assert there.data == sent
    assert max(there.times) - start >= 0.2, "at least one was sent again"


def test_slow_delays(world: World) -> None:
    one, two = Party(world, "n1"), Party(world, "n2")
    world.slow("n1", "n2", delay=1.0, jitter=0.5)
    for _ in range(20):
        one.socket.send(b"1", two.at)
    world.run_for(5.0)
    delays = [when for _, _, when in two.datagrams]
    assert 1.0 <= min(delays) < max(delays) <= 1.5
    world.slow("n1", "n2")
    one.socket.send(b"1", two.at)
    start = world.now
    world.run_for(1.0)
    assert two.datagrams[-1][2] - start < Quality.delay + Quality.jitter


def test_chunks_are_cut(seed: int) -> None:
    with World(seed, cut_probability=1.0) as world:
        _, _, here, there = joined(world)
        here.link.write(b"0123456789")
        here.link.write(b"x")
        world.run_for(1.0)
        assert there.data == b"0123456789x"
        assert len(there.times) == 3
    with World(seed, cut_probability=0.0) as world:
        _, _, here, there = joined(world)
        here.link.write(b"0123456789")
        world.run_for(1.0)
        assert len(there.times) == 1


def test_an_unknown_address_refuses(world: World) -> None:
    ear = Ear(world)
    world.env("n1").network.dial(("10.9.9.9", 1), ear, timeout=5.0)
    world.run_for(1.0)
    assert ear.ends == ["refused"]


def test_who_dials_is_told_apart(world: World) -> None:
    _, two, here, there = joined(world)
    assert here.link.peer == two.at
    assert there.link.peer[0] == "10.0.0.1"
    assert there.link.peer[1] != 7000
