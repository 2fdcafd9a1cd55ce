"""Streaming replies and large ones under seeds: they end in time, in order, and leave nothing behind."""

import pytest
from msgspec import json

from cluster.errors import DeadlinePassed, Maybe
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES
from cluster.simulation.fleet import Fleet
from cluster.wire.requests import Call, CallDone
from tests.simulation.safeguards.streaming import SLACK_BYTES, Play, Reading, Tapes


def at_rest(fleet: Fleet) -> None:
    """No node keeps a window, a call or a handler."""
    for node in fleet.nodes.values():
        requests = node.requests
        assert not requests.router.calls_here and requests.server.running == requests.router.answers.under_way == 0


@pytest.mark.parametrize("nodes", [("n1",), ("n2",), ("n2", "n3"), ("n1/1",), ("n2/1",)])
@pytest.mark.parametrize("size", [0, 30_000, 700_000])
def test_all_rows_arrive_in_order(seed: int, nodes: tuple[str, ...], size: int) -> None:
    count = 2000 if not size else 2_000_000 // size
    with Fleet.running(seed, 3) as fleet:
        tapes = Tapes(fleet, *nodes)
        reading = Reading(fleet, Play(count, size))
        reading.read_all()
        reading.in_order()
        assert len(reading.frames) == count and reading.error is None
        assert reading.rows is not None and reading.rows.result is not None
        assert reading.rows.result.replies == count and reading.rows.result.endpoint in nodes
        assert tapes.opened == tapes.closed
        at_rest(fleet)


def test_an_empty_stream_is_one_too(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        Tapes(fleet, "n2")
        reading = Reading(fleet, Play(0))
        reading.read_all()
        assert not reading.frames and reading.error is None
        assert reading.rows is not None and reading.rows.result is not None and reading.rows.result.replies == 0


@pytest.mark.parametrize("via", ["n1", "n2"])
@pytest.mark.parametrize("place", ["n2", "n2/1"])
def test_a_reader_that_stops_cancels_the_handler(seed: int, via: str, place: str) -> None:
    with Fleet.running(seed, 3) as fleet:
        tapes = Tapes(fleet, place)
        reading = Reading(fleet, Play(5, rest_s=20.0), via=via)
        fleet.until(lambda: reading.read(1000) + len(reading.frames) >= 5, 5.0)
        assert reading.rows is not None
        reading.client.env.clock.call_soon(reading.rows.cancel)
        fleet.until(lambda: tapes.closed == ["n2"], 0.5)
        fleet.world.run_for(0.1)
        at_rest(fleet)


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("place", ["n2", "n2/1"])
def test_the_deadline_bounds_the_whole(seed: int, reads: bool, place: str) -> None:
    """Of a reader that waits for a row, and of one that has stopped reading."""
    with Fleet.running(seed, 3) as fleet:
        tapes = Tapes(fleet, place)
        began = fleet.world.now
        play = Play(1_000_000, 1000, every_s=0.01) if reads else Play(1_000_000, 1000)
        reading = Reading(fleet, play, timeout=2.0)
        if reads:
            reading.read_all(3.0)
            assert len(reading.frames) > 100
        else:
            fleet.world.run_for(2.5)
        fleet.until(lambda: tapes.closed == ["n2"], 0.5)
        assert 1.9 < fleet.world.now - began < 3.1
        reading.read_all(1.0)
        reading.in_order()
        assert isinstance(reading.error, DeadlinePassed | Maybe), reading.error
        at_rest(fleet)


def test_the_entry_node_dies_in_the_middle(seed: int) -> None:
    with Fleet.running(seed, 4) as fleet:
        tapes = Tapes(fleet, "n2", "n3")
        reading = Reading(fleet, Play(400, 100, every_s=0.005))
        fleet.until(lambda: reading.read(1000) + len(reading.frames) > 20, 5.0)
        fleet.crash("n1")
        reading.read_all()
        reading.in_order()
        assert len(reading.frames) < 400 and isinstance(reading.error, Maybe)
        fleet.until(lambda: len(tapes.closed) == 1, 2.0)
        assert len(tapes.opened) == 1


def test_an_endpoint_that_stops_ends_the_stream_before_its_deadline(seed: int) -> None:
    """SIGSTOP: it is silent, and given up; it closes the handler once it runs again."""
    with Fleet.running(seed, 4) as fleet:
        tapes = Tapes(fleet, "n2", "n3")
        reading = Reading(fleet, Play(4000, 100, every_s=0.005))
        fleet.until(lambda: reading.read(1000) + len(reading.frames) > 20, 5.0)
        (node,) = tapes.opened
        fleet.pause(node)
        began = fleet.world.now
        reading.read_all(5.0)
        reading.in_order()
        assert isinstance(reading.error, Maybe) and fleet.world.now - began < 2.0
        fleet.world.resume(node)
        fleet.until(lambda: tapes.closed == [node], 2.0)
        assert tapes.opened == [node]


def test_a_worker_dies_in_the_middle(seed: int) -> None:
    """Two others could serve the call, from its first row."""
    with Fleet.running(seed, 3) as fleet:
        tapes = Tapes(fleet, "n2/1", "n2/2", "n3")
        reading = Reading(fleet, Play(400, 100, every_s=0.005))
        fleet.until(lambda: reading.read(1000) + len(reading.frames) > 20, 5.0)
        fleet.world.crash("n2/1")
        fleet.world.crash("n2/2")
        reading.read_all()
        reading.in_order()
        assert len(tapes.opened) == 1
        if reading.error is not None:  # else it came from n3
            assert isinstance(reading.error, Maybe) and len(reading.frames) < 400


def test_a_slow_reader_of_a_worker_holds_up_only_its_handler(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        tapes = Tapes(fleet, "n2/1")
        reading = Reading(fleet, Play(2000, 1000))
        most = 0
        for _ in range(200):
            fleet.world.run_for(0.001)
            reading.read(1)
            most = max(most, tapes.made_bytes - reading.read_bytes)
        assert PARTS_WINDOW_BYTES <= most <= PARTS_WINDOW_BYTES + PART_BYTES_MAX + SLACK_BYTES
        reading.read_all()
        reading.in_order()
        assert len(reading.frames) == 2000 and reading.error is None
        at_rest(fleet)


def test_a_slow_link_delays_and_loses_nothing(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        Tapes(fleet, "n2")
        fleet.world.slow("n1", "n2", delay=0.02)
        reading = Reading(fleet, Play(300, 1000))
        reading.read_all()
        reading.in_order()
        assert len(reading.frames) == 300 and reading.error is None


@pytest.mark.parametrize("times", [0, 1, 65_000, 1_000_000])
def test_a_large_reply_arrives_whole(seed: int, times: int) -> None:
    payload = json.encode({"text": "x", "times": times})
    with Fleet.running(seed, 3) as fleet:
        client = fleet.client("c1", via="n1")
        for node in ("n1", "n2"):
            done = fleet.wait(client.ask(Call("echo", "repeat", payload, only=node))).outcome
            assert isinstance(done, CallDone) and json.decode(done.payload) == {"text": "x" * times}
            assert done.node == node and done.replies is None
            reply = fleet.wait(fleet.call("n3", "echo.repeat", payload, only=node))
            assert isinstance(reply.answer, CallDone)
            assert json.decode(b"".join([*reply.parts, reply.answer.payload])) == {"text": "x" * times}
        at_rest(fleet)


def test_a_large_reply_is_dropped_with_its_reader(seed: int) -> None:
    """It stands at the first window, and nothing of it is kept when nobody waits."""
    with Fleet.running(seed, 3) as fleet:
        fleet.world.slow("n1", "n2", delay=0.2)
        call = fleet.call("n1", "echo.repeat", json.encode({"text": "x", "times": 1_000_000}), only="n2", timeout=0.5)
        fleet.wait(call)
        assert call.error is not None
        fleet.world.run_for(1.0)
        at_rest(fleet)


def test_a_drain_waits_for_large_replies_to_be_read(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        fleet.world.slow("n1", "n2", delay=0.05)
        call = fleet.call("n1", "echo.repeat", json.encode({"text": "x", "times": 1_000_000}), only="n2")
        fleet.until(lambda: fleet.nodes["n2"].requests.router.answers.under_way == 1, 1.0)
        drain = fleet.ask("n2", "drain", timeout=8.0)
        fleet.until(lambda: drain.ended, 8.0)
        assert isinstance(call.answer, CallDone), "the node would have ended in the middle of a reply"
        at_rest(fleet)
