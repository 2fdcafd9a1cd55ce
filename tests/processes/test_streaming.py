"""Streams through real nodes: Ctrl-C, closed pipes, SIGKILL and SIGSTOP in the middle, and slow readers."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import cluster
from cluster.client.blocking import BlockingCluster
from cluster.emulator.home import Home
from cluster.errors import Maybe
from tests.processes.commands import ask, dsectl
from tests.processes.fleet import until

LONG = ("echo.count", "to:=1000000", "every_ms:=20", "--deadline", "60s")


@pytest.fixture
def c(home: Home) -> Iterator[BlockingCluster]:
    """A client of three nodes."""
    ask("up", "-n", "3")
    with cluster.connect_blocking("default") as client:
        yield client


def running(c: BlockingCluster) -> int:
    """Handlers under way on all nodes that answer."""
    answers = c.admin.ask_all(None, "metrics")
    return sum(one["requests_running"] for one in answers.values() if isinstance(one, dict))


def start(*words: str) -> "subprocess.Popen[str]":
    """`dsectl` beside the test, where Ctrl-C is not ignored."""
    command = (sys.executable, "-m", "dsectl", *words)
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )


def test_request_prints_lines_and_counts_them(c: BlockingCluster) -> None:
    lines = dsectl("request", "echo.count", "to:=3").out.splitlines()
    assert [msgspec.json.decode(line)["number"] for line in lines] == [1, 2, 3]
    *rows, end = map(msgspec.json.decode, dsectl("request", "echo.count", "to:=3", "--json").out.splitlines())
    assert [row["reply"]["number"] for row in rows] == [1, 2, 3]
    assert end["replies"] == 3 and "reply" not in end
    assert ask("request", "echo.count", "to:=0")["replies"] == 0
    assert ask("request", "echo.repeat", "text=x", "times:=1000000")["reply"] == {"text": "x" * 1_000_000}


@pytest.mark.parametrize("how", ["interrupt", "pipe"])
def test_whoever_stops_reading_cancels_the_handler(c: BlockingCluster, how: str) -> None:
    with start("request", *LONG) as process:
        assert process.stdout is not None
        assert msgspec.json.decode(process.stdout.readline())["number"] == 1
        until(lambda: running(c) == 1)
        if how == "interrupt":
            process.send_signal(signal.SIGINT)
        else:
            process.stdout.close()
        assert process.wait(20) in (130, 141, -signal.SIGINT)
    until(lambda: running(c) == 0)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_an_endpoint_that_is_lost_in_the_middle_ends_the_stream_for_good(c: BlockingCluster, fault: str) -> None:
    rows: list[Any] = []
    with cluster.connect_blocking("default", via="n1") as reader:
        counting = {"to": 1_000_000, "every_ms": 5}
        stream: Iterator[Any] = reader.requests.stream("echo.count", counting, only="n2", deadline=60.0)
        for row in stream:
            rows.append(row)
            if len(rows) == 20:
                break_at = len(rows)
                dsectl(fault, "n2")
                break
        with pytest.raises(Maybe):
            rows.extend(stream)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1)) and len(rows) >= break_at
    assert {row["node"] for row in rows} == {"n2"}


def test_a_slow_reader_holds_up_the_handler_and_nobody_else(c: BlockingCluster) -> None:
    before = memory()
    with cluster.connect_blocking("default", via="n1") as reader:
        stream: Iterator[Any] = reader.requests.stream("echo.count", {"to": 50_000_000}, only="n2", deadline=60.0)
        numbers = [next(stream)["number"] for _ in range(10)]
        for _ in range(200):
            assert c.requests.call("echo.echo", {"text": "hi"}, only="n2").reply == {"text": "hi"}
        numbers += [next(stream)["number"] for _ in range(20_000)]
        assert numbers == list(range(1, 20_011))
        assert memory() - before < 20_000_000
    until(lambda: running(c) == 0)


def memory() -> float:
    """Bytes of all nodes together."""
    megabytes: float = sum(node["rss_mb"] for node in ask("status")["nodes"].values())
    return megabytes * 1e6
