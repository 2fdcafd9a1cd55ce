"""Crashes, power losses and pauses of simulated processes."""

import asyncio

import pytest

from cluster.simulation import World
from tests.simulation.parties import Ear, Party, joined


def test_a_crash_resets_streams_refuses_dials_and_swallows_datagrams(world: World) -> None:
    one, two, here, there = joined(world)
    here.link.write(b"never read")
    there.link.write(b"sent before the crash")
    world.crash("n2")
    assert here.ends == [], "not before the network's delay"
    dial = one.dial(two)
    one.socket.send(b"1", two.at)
    world.run_for(1.0)
    assert (here.data, here.ends) == (b"sent before the crash", ["reset"])
    assert (there.data, there.ends) == (b"", []), "a dead process is told nothing"
    assert dial.ends == ["refused"]
    two.start()
    world.run_for(1.0)
    assert two.datagrams == []
    assert not two.ears[1:]


def test_a_crash_may_look_like_a_close(seed: int) -> None:
    with World(seed, closed_on_crash=0.5) as world:
        one, two, _, _ = joined(world)
        dials = [one.dial(two) for _ in range(50)]
        world.run_for(1.0)
        world.crash("n2")
        world.run_for(1.0)
        ends = [dial.ends[0] for dial in dials]
    assert {end: end in ends for end in ("closed", "reset")} == {"closed": True, "reset": True}
    assert len(ends) == ends.count("closed") + ends.count("reset")


def test_across_a_partition_a_crash_is_silence(world: World) -> None:
    one, two, here, _ = joined(world)
    world.partition([["n1"], ["n2"]])
    world.crash("n2")
    dial = one.dial(two, timeout=1.0)
    world.run_for(60.0)
    assert here.ends == []
    assert dial.ends == ["timeout"]
    world.heal()
    world.run_for(1.0)
    assert here.ends == ["reset"]


def test_a_dead_incarnation_never_runs_again(world: World) -> None:
    said: list[str] = []
    env = world.env("n1")
    party = Party(world, "n2")

    def say(what: str) -> None:
        said.append(what)

    async def work() -> None:
        try:
            await asyncio.sleep(0.001)
            say("task")
        finally:
            say("finally")

    file = env.disk.append("log")
    file.append(b"x")
    env.clock.call_soon(say, "soon")
    env.clock.call_later(0.001, say, "later")
    env.spawn(work())
    file.sync(lambda error: say("synced"))
    socket = env.network.datagrams(("10.0.0.1", 1), lambda data, sender: say("datagram"))
    party.socket.send(b"x", ("10.0.0.1", 1))
    ear = Ear(world)
    env.network.dial(party.at, ear, 5.0)
    world.crash("n1")
    env.clock.call_soon(say, "from the grave")
    env.spawn(work())
    socket.send(b"from the grave", party.at)
    world.run_for(10.0)
    assert (said, ear.links, ear.ends, party.datagrams) == ([], [], [], [])
    for attempt in (
        lambda: env.network.datagrams(("10.0.0.1", 1), lambda data, sender: None),
        lambda: env.network.dial(party.at, ear, 1.0),
        lambda: env.disk.write("x", b""),
        lambda: file.append(b"y"),
    ):
        with pytest.raises(RuntimeError, match="n1#1 is dead"):
            attempt()
    assert world.env("n1").disk.read("log") == b"x"


def test_a_datagram_for_the_old_process_reaches_the_new_one(world: World) -> None:
    one, two = Party(world, "n1"), Party(world, "n2")
    one.socket.send(b"1", two.at)
    world.crash("n2")
    two.start()
    world.run_for(1.0)
    assert two.numbers() == [1]


def test_a_paused_process_catches_up_in_order(world: World) -> None:
    one, two, here, there = joined(world)
    fired: list[tuple[str, float]] = []
    clock = world.env("n2").clock
    for name, delay in (("a", 1.0), ("b", 2.0), ("after", 20.0)):
        clock.call_later(delay, lambda name=name: fired.append((name, world.now)))
    world.pause("n2")
    start = world.now
    for number in range(5):
        world.run_for(0.5)
        here.link.write(b"%d" % number)
        one.socket.send(b"%d" % number, two.at)
    dial = one.dial(two)
    world.run_until(start + 10.0)
    assert (fired, there.data, two.datagrams) == ([], b"", [])
    assert len(dial.links) == 1, "the kernel accepts for a paused process"
    assert len(two.ears) == 1
    world.resume("n2")
    world.run_until(start + 30.0)
    assert [name for name, _ in fired] == ["a", "b", "after"]
    assert fired[0][1] == fired[1][1] == start + 10.0
    assert fired[2][1] == start + 20.0
    assert (there.data, two.numbers()) == (b"01234", [0, 1, 2, 3, 4])
    assert len(two.ears) == 2


def test_a_stalled_process_goes_on_by_itself(world: World) -> None:
    _, two, here, there = joined(world)
    fired: list[float] = []
    clock = world.env("n2").clock
    clock.call_later(0.5, lambda: fired.append(world.now))
    start = world.now
    world.stall("n2", 2.0)
    here.link.write(b"x")
    world.pause("n2")
    world.run_until(start + 1.0)
    world.resume("n2")  # it has a processor again when the stall is over, and not before
    world.run_until(start + 1.9)
    assert (fired, there.data) == ([], b"")
    world.run_until(start + 3.0)
    assert (fired, there.data) == ([start + 2.0], b"x")
    assert two.ears


def test_a_backlog_larger_than_one_pass_is_read_in_several_with_timers_between(world: World) -> None:
    one, two = Party(world, "n1"), Party(world, "n2")
    clock = world.env("n2").clock
    world.pause("n2")
    for number in range(150):
        one.socket.send(b"%d" % number, two.at)
        world.run_for(0.001)
    seen: list[int] = []
    clock.call_soon(lambda: clock.call_soon(lambda: seen.append(len(two.datagrams))))
    world.resume("n2")
    world.run_for(1.0)
    assert sorted(two.numbers()) == list(range(150))
    assert seen == [64], "what is called soon comes between two passes"


def test_a_pause_inside_of_a_pass_stops_between_two_calls(world: World) -> None:
    said: list[str] = []
    clock = world.env("n1").clock

    def first() -> None:
        said.append("first")
        clock.call_soon(said.append, "second")

    clock.call_later(1.0, first)
    world.pause("n1", after_calls=1)
    world.run_for(5.0)
    assert said == ["first"]
    world.resume("n1")
    world.run_for(0.0)
    assert said == ["first", "second"]


@pytest.mark.parametrize(("point", "kept"), [("append", b"oneone"), ("write", b"oneone"), ("sync", b"one")])
def test_a_crash_inside_of_a_pass_leaves_the_rest_undone(world: World, point: str, kept: bytes) -> None:
    """Between the log and the socket, between two writes, while a sync runs."""
    _, two, here, there = joined(world)
    env, told = world.env("n2"), list[str]()
    file = env.disk.append("log")

    def one_pass() -> None:
        file.append(b"one")
        there.link.write(b"a")
        file.sync(lambda error: told.append("synced"))
        file.append(b"one")
        there.link.write(b"b")

    env.clock.call_soon(one_pass)
    world.crash_inside("n2", point, 1 if point == "sync" else 2, then=lambda: told.append("dead"))
    world.run_for(1.0)
    assert told == ["dead"] and not world.is_up("n2")
    assert world.disk("n2").read("log") == kept
    assert here.data == (b"ab" if point == "write" else b"a")
    assert here.ends == ["reset"]
    assert two.ears


def test_a_process_may_die_while_it_is_paused(world: World) -> None:
    one, two, here, there = joined(world)
    world.pause("n2")
    here.link.write(b"x")
    accepted = one.dial(two)
    world.run_for(1.0)
    world.crash("n2")
    world.run_for(1.0)
    assert (here.ends, accepted.ends, there.data) == (["reset"], ["reset"], b"")
    assert not world.is_up("n2")


def test_a_silent_power_loss_is_only_noticed_when_the_machine_is_back(world: World) -> None:
    one, two, here, _ = joined(world)
    world.power_loss("n2", silent=True)
    dial = one.dial(two, timeout=1.0)
    here.link.write(b"anyone?")
    world.run_for(10.0)
    assert (here.ends, dial.ends) == ([], ["timeout"])
    two.start()
    world.run_for(10.0)
    assert here.ends == [], "nothing was sent since"
    here.link.write(b"anyone?")
    world.run_for(1.0)
    assert here.ends == ["reset"]
    later = one.dial(two, timeout=1.0)
    world.run_for(1.0)
    assert len(later.links) == 1


def test_a_loud_power_loss_is_a_crash_for_the_peers(world: World) -> None:
    one, two, here, _ = joined(world)
    world.power_loss("n2")
    dial = one.dial(two)
    world.run_for(1.0)
    assert (here.ends, dial.ends) == (["reset"], ["refused"])


def test_an_env_is_the_process_that_runs(world: World) -> None:
    first = world.env("n1")
    assert world.env("n1") is first
    assert world.is_up("n1")
    world.crash("n1")
    assert world.env("n1") is not first
    with pytest.raises(AssertionError, match="n9 has no process"):
        world.crash("n9")
