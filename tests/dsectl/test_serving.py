"""What the commands of services say without a cluster that runs."""

from pathlib import Path

from cluster.emulator.home import NODE_LOCK_FILE
from cluster.emulator.nodelock import NodeLock
from cluster.emulator.workerspec import WorkerSpec, write_spec
from cluster.wire.frames import Frame, Request
from cluster.wire.requests import Call
from tests.client.fake_node import CLUSTER, Peer
from tests.client.scripts import healthy
from tests.dsectl.conftest import Run, Serve


def test_a_call_that_finds_nobody_names_the_workers_that_have_ended(home: Path, serve: Serve, run: Run) -> None:
    known = healthy("n1")

    def answer(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Call):
            peer.fail(frame, "not-found", "no node has announced it")
        else:
            known(peer, frame)

    serve(answer)
    folder = home / "clusters" / CLUSTER / "nodes" / "n1" / "workers"
    for number in (1, 2):
        write_spec(folder / str(number), WorkerSpec("shop:Shop", "/", False, "shop", 1), b"key")
    ended = run("request", "shop.look")
    assert ended.code == 6
    assert "Its workers n1/1, n1/2 are stopped" in ended.err and "`dsectl restart n1/1 n1/2` starts them" in ended.err
    assert "restart" not in run("request", "shoes.look").err
    lock = NodeLock(folder / "1" / NODE_LOCK_FILE)
    assert lock.take()
    found = run("request", "shop.look").err
    lock.release()
    assert "Its worker n1/2 is stopped" in found and "`dsectl restart n1/2` starts it" in found


def test_names_of_workers_where_they_are_none(home: Path, serve: Serve, run: Run) -> None:
    serve(healthy("n1"))
    write_spec(home / "clusters" / CLUSTER / "nodes" / "n1" / "workers" / "1", WorkerSpec("shop:Shop", "/"), b"key")
    joined = run("kill", "n1/1,n1/2")
    assert joined.code == 2 and "separated by spaces: `n1/1 n1/2`" in joined.err
    drained = run("drain", "n1/1")
    assert drained.code == 2 and "takes nodes" in drained.err and "unserve n1/1" in drained.err
    ended = run("pause", "n1/1")
    assert ended.code == 1 and "n1/1 is stopped" in ended.err and "`dsectl restart n1/1`" in ended.err
