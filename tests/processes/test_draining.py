"""drain, undrain and rolling restarts, and a stopped endpoint: real processes under the load generator."""

import asyncio
import subprocess
import sys
import time
from typing import Any

import msgspec
import pytest

import cluster
from cluster.emulator.home import Home
from tests.processes.commands import ask, dsectl
from tests.processes.fleet import until

RATE = 500
STARVED_S = 0.3


@pytest.fixture
def five(home: Home) -> None:
    """A cluster of five nodes."""
    ask("up", "-n", "5")


class Load:
    """`dsectl load request` beside the test."""

    def __init__(self, seconds: int, *words: str) -> None:
        command = ("-m", "dsectl", "--json", "load", "request", *words, "--rate", str(RATE), "--for", f"{seconds}s")
        self._process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)

    def report(self) -> dict[str, Any]:
        out, _ = self._process.communicate(timeout=60)
        found: dict[str, Any] = msgspec.json.decode(out.splitlines()[-1])
        return found


def check_none_failed(report: dict[str, Any]) -> None:
    """All that the generator could send, on a machine that may be busy, was answered."""
    assert (report["failed"], report["maybe"], report["unexpected"]) == (0, 0, 0), report
    assert report["ok"] >= RATE, report


def endpoint(node: str, via: str = "n1") -> tuple[str, str]:
    """State and reason of a node's endpoint of `echo`, as another node sees it."""
    services = ask("services", "--via", via)
    one = next(
        end for each in services if each["service"] == "echo" for end in each["endpoints"] if end["node"] == node
    )
    return one["state"], one["reason"]


def test_a_rolling_restart_fails_no_request(five: None) -> None:
    load = Load(6)
    for node in ("n1", "n2", "n3", "n4", "n5"):
        dsectl("restart", node)
    report = load.report()
    check_none_failed(report)


class NothingLearned(dict[tuple[str, str], None]):
    """For a client that repeats no call, as if none might be."""

    def __setitem__(self, key: tuple[str, str], value: None) -> None:
        pass


def test_a_starved_client_loses_nothing_in_a_rolling_restart(five: None) -> None:
    """It sends a burst, and does not run for longer than a node would wait for silence: news that the node drains is
    read behind the next burst."""

    async def bursts(restarting: asyncio.Future[None]) -> tuple[int, list[str]]:
        count, failed = 0, []
        async with cluster.connect() as client:
            client.router.repeatable_calls = NothingLearned()
            while not restarting.done():
                ended = await asyncio.gather(
                    *(client.requests.call("echo.whoami") for _ in range(50)), return_exceptions=True
                )
                count += len(ended)
                failed += [f"{type(one).__name__}: {one}" for one in ended if isinstance(one, BaseException)]
                time.sleep(STARVED_S)  # noqa: ASYNC251 that is what it is about
        return count, failed

    def restart() -> None:
        for node in ("n1", "n2", "n3"):
            dsectl("restart", node)

    async def both() -> tuple[int, list[str]]:
        restarting = asyncio.ensure_future(asyncio.to_thread(restart))
        found = await bursts(restarting)
        await restarting
        return found

    count, failed = asyncio.run(both())
    assert not failed, f"{len(failed)} of {count} failed: {failed[:3]}"


def test_a_stopped_endpoint_costs_no_repeatable_request_more_than_its_hedge(five: None) -> None:
    load = Load(5)
    dsectl("pause", "n3")
    report = load.report()
    dsectl("resume", "n3")
    check_none_failed(report)
    assert report["service"]["max_ms"] < 2500, "the deadline is 5 s; a hedge is due after 0.1 s, on a quiet machine"


def test_drain_and_undrain(five: None) -> None:
    drained = ask("drain", "n3")
    assert drained["drained"] == ["n3"]
    drains = ask("status")["nodes"]["n3"]
    assert drains["draining"] and drains["note"] == "draining, takes nothing new", drains
    assert not ask("status")["nodes"]["n2"]["draining"]
    for via in ("n1", "n2", "n3"):
        assert endpoint("n3", via) == ("draining", "it takes no new requests")
        assert (
            "n3 is draining" in ask("request", "echo.whoami", "--only", "n3", "--via", via, code=7)["error"]["message"]
        )
        assert ask("request", "echo.whoami", "--via", via)["node"] != "n3"

    dsectl("restart", "n3")
    assert endpoint("n3")[0] == "draining", "until undrain"
    dsectl("kill", "n3")
    dsectl("restart", "n3")
    assert endpoint("n3")[0] == "draining", "however it was ended"

    assert ask("undrain", "n3")["undrained"] == ["n3"]
    assert not ask("status")["nodes"]["n3"]["draining"]
    assert ask("request", "echo.whoami", "--only", "n3", "--via", "n3")["node"] == "n3"
    dsectl("restart", "n3")
    assert endpoint("n3")[0] == "ready", "and that is kept, too"


def test_a_drain_waits_for_what_is_in_flight(five: None) -> None:
    dsectl("request", "flaky.set", "latency_ms:=1500", "--only", "n2")
    call = subprocess.Popen(
        [sys.executable, "-m", "dsectl", "--json", "request", "flaky.work", "--only", "n2", "--via", "n1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with cluster.connect_blocking() as client:
        until(lambda: client.admin.metrics(node="n2")["requests_running"] == 1)
    late = ask("drain", "n2", "--wait", "200ms", code=5)["error"]
    assert late["code"] == "deadline" and "n2 is draining, but" in late["message"]
    assert ask("drain", "n2")["drained"] == ["n2"]
    out, _ = call.communicate(timeout=30)
    assert msgspec.json.decode(out.splitlines()[-1])["reply"]["node"] == "n2"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("drain", 2, "drain needs nodes"),
        ("drain n9", 6, "no node called 'n9'"),
        ("undrain", 2, "undrain needs nodes"),
    ],
)
def test_what_drain_refuses(five: None, words: str, code: int, said: str) -> None:
    assert said in dsectl(*words.split(), code=code).err
