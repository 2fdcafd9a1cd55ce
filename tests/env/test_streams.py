"""The contract of streams: cluster/env/seam.py, `Network.listen`, `Network.dial`, `Link` and `LinkHandler`."""

import socket
import sys
from typing import Any, cast

import pytest

from cluster.env import Address, Env, real_local
from cluster.env.real_network import READ_BYTES_FULL, RealLink
from tests.env.stages import RealStage, Recorder, Stage


class Pair:
    """A dialled stream between two nodes, open on both sides."""

    def __init__(self, stage: Stage, *, echo: bool = False) -> None:
        self.at = stage.address()
        self.server = Recorder(echo=echo)
        self.client = Recorder()
        self.peers: list[Address] = []
        self.listener = stage.env("server").network.listen(self.at, self.accept)
        stage.env("client").network.dial(self.at, self.client, timeout=5.0)
        stage.cleanup(self.abort)
        stage.until(lambda: bool(self.server.links and self.client.links))

    def accept(self, peer: Address) -> Recorder:
        self.peers.append(peer)
        return self.server

    def abort(self) -> None:
        self.listener.close()
        for link in self.server.links + self.client.links:
            link.abort()

    def close(self, stage: Stage) -> None:
        self.listener.close()
        self.client.link.close()
        stage.until(lambda: "lost" in self.client.last and "lost" in self.server.last)


def test_bytes_come_back_in_order(stage: Stage) -> None:
    pair = Pair(stage, echo=True)
    sent = b"".join(b"%06d" % number for number in range(2000))
    for start in range(0, len(sent), 97):
        pair.client.link.write(sent[start : start + 97])
    stage.until(lambda: len(pair.client.data) == len(sent))
    assert pair.client.data == pair.server.data == sent
    assert pair.client.link.peer == pair.at
    assert pair.server.link.peer == pair.peers[0]
    pair.close(stage)
    assert pair.client.calls == ["connected", "received", "lost closed"]
    assert pair.server.calls == ["connected", "received", "lost closed"]


def test_a_dial_reports_in_a_later_pass(stage: Stage) -> None:
    handler = Recorder()
    stage.env("client").network.dial(stage.address(), handler, timeout=5.0)
    assert handler.calls == []
    stage.until(lambda: bool(handler.calls))
    assert handler.calls == ["lost refused"]


def test_what_was_written_before_a_close_arrives(stage: Stage) -> None:
    pair = Pair(stage)
    sent = bytes(3_000_000)
    pair.client.link.write(sent)
    pair.client.link.close()
    pair.client.link.write(b"too late, and no error")
    stage.until(lambda: "lost" in pair.server.last)
    assert pair.server.data == sent
    assert pair.server.last == "lost closed"
    stage.until(lambda: "lost" in pair.client.last)
    assert pair.client.last == "lost closed"
    pair.client.link.write(b"no error")
    pair.close(stage)


def test_a_flood_leaves_every_pass_some_time(real_stage: RealStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes faster than the node reads gets one buffer a pass: between two of them the others have theirs."""
    monkeypatch.setattr(real_local, "LOOPBACK", ())
    pair, stage = Pair(real_stage), real_stage
    clock, passes, reads = stage.env("server").clock, 0, list[int]()

    def count() -> None:
        nonlocal passes
        passes += 1
        clock.call_soon(count)

    def received(data: bytes) -> None:
        reads.extend([passes] * (len(data) >= READ_BYTES_FULL))
        pair.server.data += data

    pair.server.received = received  # type: ignore[method-assign]
    count()
    pair.client.link.write(bytes(16_000_000))
    stage.until(lambda: len(pair.server.data) == 16_000_000)
    assert 1 < len(reads) == len(set(reads))


def test_reading_that_was_stopped_stays_so_after_a_full_buffer(
    real_stage: RealStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_local, "LOOPBACK", ())
    pair, stage, size = Pair(real_stage), real_stage, 16_000_000
    stopped, times = list[int](), 0

    def received(data: bytes) -> None:
        pair.server.data += data
        if len(data) >= READ_BYTES_FULL:
            stopped.append(len(pair.server.data))
            pair.server.link.pause_reading()

    pair.server.received = received  # type: ignore[method-assign]
    pair.client.link.write(bytes(size))
    while len(pair.server.data) < size:
        stopped.clear()
        stage.until(lambda: bool(stopped) or len(pair.server.data) == size)
        passes = iter(range(10))
        stage.until(lambda: next(passes, None) is None)  # noqa: B023 - called in this turn
        assert stopped in ([], [len(pair.server.data)])
        pair.server.link.resume_reading()
        times += len(stopped)
    assert times


def test_an_abort_reaches_the_other_side(stage: Stage) -> None:
    pair = Pair(stage)
    pair.client.link.abort()
    assert pair.client.calls == ["connected"], "told in a later pass"
    stage.until(lambda: "lost" in pair.client.last and "lost" in pair.server.last)
    assert pair.client.last == "lost aborted"
    assert pair.server.last == stage.aborted
    pair.client.link.abort()
    pair.close(stage)


def test_a_socket_that_the_loop_has_closed_already_is_no_error() -> None:
    """uvloop hands the socket out until it says that the connection is lost; its descriptor may be negative by then."""
    aborted = []

    class Closed:
        def setsockopt(self, *arguments: object) -> None:
            raise ValueError("negative file descriptor")

    class Transport:
        def get_extra_info(self, name: str) -> object:
            return Closed() if name == "socket" else ("127.0.0.1", 1)

        def abort(self) -> None:
            aborted.append(True)

        def write(self, data: bytes) -> None: ...

    link = RealLink(cast(Any, None), Recorder())
    link.connection_made(cast(Any, Transport()))
    link.abort()
    assert aborted == [True]


def test_nothing_is_told_after_lost(stage: Stage) -> None:
    pair = Pair(stage)
    pair.server.link.write(b"on its way")
    pair.client.link.close()
    stage.until(lambda: "lost" in pair.client.last and "lost" in pair.server.last)
    pair.server.link.write(b"no error")
    pair.close(stage)
    assert pair.client.calls == ["connected", "lost closed"]


def test_a_handler_of_none_closes_the_stream(stage: Stage) -> None:
    at = stage.address()
    listener = stage.env("server").network.listen(at, lambda peer: None)
    client = Recorder()
    stage.env("client").network.dial(at, client, timeout=5.0)
    stage.until(lambda: "lost" in client.last)
    assert client.calls == ["connected", "lost closed"]
    listener.close()


def test_a_closed_listener_refuses_and_frees_its_address(stage: Stage) -> None:
    pair = Pair(stage, echo=True)
    pair.listener.close()
    late: list[Recorder] = []
    network = stage.env("client").network

    def refused() -> bool:
        if not late or "lost" in late[-1].last:
            late.append(Recorder())
            network.dial(pair.at, late[-1], timeout=5.0)
        return any(handler.calls == ["lost refused"] for handler in late)

    stage.until(refused)
    pair.client.link.write(b"accepted streams live on")
    stage.until(lambda: pair.client.data == b"accepted streams live on")
    pair.close(stage)
    stage.env("server").network.listen(pair.at, pair.accept).close()


def test_a_taken_address_raises(stage: Stage) -> None:
    at = stage.address()
    network = stage.env("server").network
    listener = network.listen(at, lambda peer: None)
    with pytest.raises(OSError, match="in use"):
        stage.env("other").network.listen(at, lambda peer: None)
    listener.close()


def test_it_listens_before_the_call_returns(stage: Stage) -> None:
    at = stage.address()
    server, client = Recorder(), Recorder()
    envs: list[Env] = [stage.env("client"), stage.env("server")]
    listener = envs[1].network.listen(at, lambda peer: server)
    envs[0].network.dial(at, client, timeout=5.0)
    stage.until(lambda: bool(server.links and client.links))
    listener.close()
    client.link.abort()
    stage.until(lambda: "lost" in server.last and "lost" in client.last)


def test_backpressure_pauses_and_resumes(stage: Stage) -> None:
    pair = Pair(stage)
    total = 0
    while "pause" not in pair.client.calls:
        pair.client.link.write(bytes(1 << 20))
        total += 1 << 20
        assert total < 1 << 28
    stage.until(lambda: len(pair.server.data) == total)
    stage.until(lambda: "resume" in pair.client.calls)
    pair.close(stage)
    assert pair.client.calls == ["connected", "pause", "resume", "lost closed"]


def test_whoever_does_not_read_holds_back_the_other_side(stage: Stage) -> None:
    pair = Pair(stage)
    pair.server.link.pause_reading()
    total = 0
    while "pause" not in pair.client.calls:
        pair.client.link.write(bytes(1 << 20))
        total += 1 << 20
        assert total < 1 << 28
    pair.client.link.close()
    seen = Pair(stage, echo=True)  # the loop goes round meanwhile
    seen.client.link.write(b"seen")
    stage.until(lambda: seen.client.data == b"seen")
    assert len(pair.server.data) < total and "lost" not in pair.server.last
    pair.server.link.resume_reading()
    stage.until(lambda: "lost" in pair.server.last)
    assert len(pair.server.data) == total
    pair.listener.close()
    seen.close(stage)


@pytest.mark.skipif(sys.platform != "linux", reason="SO_REUSEPORT spreads connections on Linux alone")
def test_a_shared_address_has_several_listeners(real_stage: RealStage) -> None:
    at = real_stage.address()
    server, client = Recorder(), Recorder()
    network = real_stage.env("server").network
    listeners = [network.listen(at, lambda peer: server, shared=True) for _ in range(2)]
    with pytest.raises(OSError, match="in use"):
        network.listen(at, lambda peer: server)
    listeners[0].close()
    network.dial(at, client, timeout=5.0)
    real_stage.until(lambda: bool(server.links and client.links))
    listeners[1].close()
    client.link.abort()
    real_stage.until(lambda: "lost" in server.last and "lost" in client.last)


def test_a_dial_that_hears_nothing_times_out(real_stage: RealStage) -> None:
    """A listener whose backlog is full drops further attempts, which is as close as loopback comes to silence."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        network = real_stage.env("client").network
        handlers = [Recorder() for _ in range(4)]
        for handler in handlers:
            network.dial(deaf.getsockname(), handler, timeout=0.2)
        real_stage.until(lambda: any(handler.calls == ["lost timeout"] for handler in handlers))
        real_stage.until(lambda: all(handler.calls for handler in handlers))
        for handler in handlers:
            for link in handler.links:
                link.abort()
        real_stage.until(lambda: all("lost" in handler.last for handler in handlers))
