"""A client in the wrong thread, loop or process: refused, or begun anew."""

import asyncio
import copy
import os
import pickle
import signal
import threading

import pytest

from cluster.client.aio import Client
from cluster.client.blocking import BlockingCluster
from cluster.errors import ClusterError, Unreachable, Usage
from cluster.wire.frames import Frame, Request
from cluster.wire.kv import Get, Put
from tests.client.conftest import StartNode
from tests.client.fake_node import Peer, location, silence
from tests.client.scripts import healthy

# The fake node runs in a thread, and from 3.12 on Python warns of a fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def test_a_second_thread_is_refused_while_the_first_waits(start_node: StartNode) -> None:
    held: list[tuple[Peer, Frame]] = []
    node = start_node("n1", lambda peer, frame: held.append((peer, frame)))
    with BlockingCluster(location(node)) as c:
        outcomes: list[str] = []
        first = threading.Thread(target=lambda: outcomes.append(c.kv.put("k", b"v", blind=True).outcome))
        first.start()
        node.wait(lambda: len(node.bodies(Put)) == 1)
        with pytest.raises(Usage, match="another thread"):
            c.kv.get("k")
        with pytest.raises(Usage, match="another thread"):
            c.close()
        healthy()(*held[0])
        first.join(10.0)
        assert outcomes == ["ok"]
        node.script = healthy()
        assert c.kv.get("k").found, "one after the other is no mistake"
    assert node.accepted == 1


def test_many_threads_never_get_anothers_answer(start_node: StartNode) -> None:
    """Each either gets its own reply or is refused with nothing sent."""
    node = start_node("n1", healthy())
    wrong: list[object] = []
    refused = 0

    def work(number: int) -> None:
        nonlocal refused
        for turn in range(50):
            said = f"{number}-{turn}"
            try:
                reply: object = c.requests.call("echo.echo", {"text": said}).reply
            except Usage:
                refused += 1
                continue
            except ClusterError as error:
                reply = error
            if reply != {"text": said}:
                wrong.append(reply)

    with BlockingCluster(location(node)) as c:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30.0)
    assert wrong == [] and node.accepted == 1
    assert len(node.frames) + refused == 200


def test_an_interrupt_leaves_no_half_of_a_frame_behind(start_node: StartNode, request: pytest.FixtureRequest) -> None:
    node = start_node("n1", silence)

    def press(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, press)  # SIGINT itself may be ignored where tests run in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGUSR1, before))
    with BlockingCluster(location(node)) as c:

        def interrupt(peer: Peer, frame: Frame) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)

        node.script = interrupt
        with pytest.raises(KeyboardInterrupt):
            c.kv.put("k", b"v", blind=True)
        node.script = healthy()
        assert c.kv.put("k", b"v", blind=True).outcome == "ok"
    assert node.accepted == 2
    one, two = node.bodies(Put)
    assert one.operation != two.operation


def in_a_child(work: "object", *arguments: object) -> bytes:
    """What `work` returns in a forked process."""
    near, far = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(far, work(*arguments))  # type: ignore[operator]
        finally:
            os._exit(0)
    os.close(far)
    with open(near, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_a_fork_begins_anew_and_keeps_what_the_session_has_seen(start_node: StartNode) -> None:
    node = start_node("n1", healthy())
    with BlockingCluster(location(node)) as c:
        c.kv.put("k", b"0")

        def write() -> bytes:
            return c.kv.put("k", b"1").outcome.encode()

        for _ in range(3):
            assert in_a_child(write) == b"ok"
        assert c.kv.put("k", b"2").outcome == "ok", "the parent's connection is as it was"
        with c.topics.subscribe("a.*") as subscription:

            def listen() -> bytes:
                try:
                    subscription.next(1.0)
                except Unreachable as error:
                    return error.message.encode()
                return b"a message"

            assert b"has ended" in in_a_child(listen)
    puts = node.bodies(Put)
    assert node.accepted == 4
    assert len({put.operation[:12] for put in puts}) == 4, "an identity each"
    assert len({put.operation for put in puts}) == len(puts) == 5
    assert all(put.context for put in puts[1:]), "what the parent knew, the children know"


def test_a_fork_within_an_operation_of_another_thread_is_not_locked_out(start_node: StartNode) -> None:
    held: list[tuple[Peer, Request]] = []

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Put):
            held.append((peer, frame))
        else:
            healthy()(peer, frame)

    node = start_node("n1", script)
    with BlockingCluster(location(node)) as c:
        writing = threading.Thread(target=lambda: c.kv.put("k", b"v", blind=True))
        writing.start()
        node.wait(lambda: len(held) == 1)
        assert in_a_child(lambda: c.kv.get("k").siblings[0]) == b"book"
        healthy()(*held[0])
        writing.join(10.0)
    assert len(node.bodies(Get)) == 1


def test_a_fork_by_a_signal_in_the_middle_of_an_operation(
    start_node: StartNode, request: pytest.FixtureRequest
) -> None:
    """The child goes on where the parent was: its operation ends, and the reply is left to the parent."""
    near, far = os.pipe()
    children: list[int] = []
    forked = threading.Event()
    parent = os.getpid()

    def fork(*_: object) -> None:
        if os.getpid() == parent:
            children.append(os.fork())
            forked.set()

    before = signal.signal(signal.SIGUSR1, fork)
    request.addfinalizer(lambda: signal.signal(signal.SIGUSR1, before))
    node = start_node("n1", healthy())
    with BlockingCluster(location(node)) as c:
        c.kv.get("k")

        def script(peer: Peer, frame: Frame) -> None:
            node.script = healthy()
            os.kill(parent, signal.SIGUSR1)
            assert forked.wait(10.0)
            healthy()(peer, frame)

        node.script = script
        outcome = "?"
        try:
            outcome = c.kv.put("k", b"v", blind=True).outcome
        except ClusterError as error:
            outcome = error.code
        finally:
            if os.getpid() != parent:
                os.write(far, outcome.encode())
                os._exit(0)
        os.close(far)
        with open(near, "rb") as pipe:
            assert (outcome, pipe.read()) == ("ok", b"maybe")
        os.waitpid(children[0], 0)


def test_a_client_is_not_sent_to_another_process(start_node: StartNode) -> None:
    where = location(start_node("n1", healthy()))
    for client in (BlockingCluster(where), Client(where)):
        for send in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(Usage, match="another process"):
                send(client)


def test_an_asyncio_client_in_a_forked_process(start_node: StartNode) -> None:
    node = start_node("n1", healthy())

    async def main() -> bytes:
        async with Client(location(node), seed=1) as c:
            subscription = c.topics.subscribe("a")
            await subscription.start()

            async def refused() -> bytes:
                for use in (lambda: c.kv.get("k"), subscription.start, subscription.next, c.close):
                    try:
                        await use()
                    except Usage:
                        continue
                    return b"accepted"
                try:
                    subscription.close()
                except Usage:
                    return b"refused"
                return b"accepted"

            def in_the_child() -> bytes:
                steps = refused()  # as the loop of the parent would go on with it
                try:
                    steps.send(None)
                except StopIteration as stop:
                    assert stop.value == b"refused"
                return asyncio.run(refused())  # and on a loop of its own

            said = in_a_child(in_the_child)
            await c.kv.get("k")
            return said

    assert asyncio.run(main()) == b"refused"
    assert len(node.bodies(Get)) == 1 and node.accepted == 1


def test_an_asyncio_client_belongs_to_its_loop(start_node: StartNode) -> None:
    node = start_node("n1", healthy())

    async def use(c: Client) -> str:
        with pytest.raises(Usage, match="another event loop"):
            await c.kv.get("k")
        with pytest.raises(Usage, match="another event loop"):
            c.topics.subscribe("a")
        with pytest.raises(Usage, match="another event loop"):
            await c.close()
        return "refused"

    async def main() -> None:
        async with Client(location(node), seed=1) as c:
            await c.kv.get("k")
            assert await asyncio.to_thread(asyncio.run, use(c)) == "refused"
            with pytest.raises(Usage, match="is open"):
                async with c:
                    pass
            await c.kv.get("k")

    c = Client(location(node), seed=1)

    async def again() -> None:
        async with c:
            await c.kv.get("k")

    asyncio.run(main())
    for _ in range(2):  # opened again after it was closed, on another loop
        asyncio.run(again())
    assert len(node.bodies(Get)) == 4
