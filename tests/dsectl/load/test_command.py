"""`dsectl load`: the command line, its JSON and exit codes, against nodes that keep their word or break it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Frame, Part, Request, encode_frame
from cluster.wire.kv import Get, Got, Put, PutDone
from cluster.wire.requests import Call, CallDone
from cluster.wire.topics import Message, Publish, Published, Subscribe, Subscribed
from dsectl.cli.app import invoke
from dsectl.cli.invocation import Session
from dsectl.load.account import NOT_KEPT
from dsectl.script.execution import Lines
from dsectl.script.grammar import parse
from dsectl.script.interpreter import Interpreter
from dsectl.ui.verdicts import INCONCLUSIVE
from tests.client.fake_node import Peer
from tests.client.scripts import CLOCK
from tests.dsectl.conftest import Run, Serve
from tests.dsectl.snapshot.snapshots import vitals

PERCENTILES = {"p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"}


class Keeper:
    """A node that keeps what it is given. `forgets` names keys, by their end, that it reports missing; `hints` is how
    many it says it holds; `twice` delivers each message two times; `refuses` fails every call with that code, and with
    `every` only one of so many; `done` is what it says of each call that it answered."""

    def __init__(
        self,
        forgets: str = "",
        twice: bool = False,
        refuses: str = "",
        hints: int = 0,
        every: int = 1,
        done: CallDone | None = None,
    ) -> None:
        self.values: dict[str, bytes] = {}
        self.forgets = forgets
        self.twice = twice
        self.refuses = refuses
        self.hints = hints
        self.every = every
        self.done = done
        self.rows = 3
        self.calls: list[Call] = []
        self.lefts_s: list[float] = []
        self.subscriber: tuple[Peer, int] | None = None

    def __call__(self, peer: Peer, frame: Frame) -> None:
        if not isinstance(frame, Request):
            return
        body = frame.body
        if isinstance(body, Call):
            self.calls.append(body)
            self.lefts_s.append(frame.deadline - time.monotonic())
        if self.refuses and isinstance(body, Call | Put | Get) and (len(self.calls) - 1) % self.every == 0:
            peer.fail(frame, self.refuses)
        elif isinstance(body, Put):
            self.values[body.key] = body.value
            peer.reply(frame, PutDone("ok", 2, 0, CLOCK, "n1", 1, "interval"))
        elif isinstance(body, Get):
            found = self.values.get(body.key)
            gone = found is None or (self.forgets and body.key.endswith(self.forgets))
            peer.reply(frame, Got([] if gone or found is None else [found], CLOCK, 2, 0, False, "n1"))
        elif isinstance(body, Subscribe):
            self.subscriber = (peer, body.subscription)
            peer.reply(frame, Subscribed(1))
        elif isinstance(body, Publish):
            self.publish(body)
            peer.reply(frame, Published("id", 1, []))
        elif isinstance(body, Call) and body.stream:
            for _ in range(self.rows):
                peer.raw(encode_frame(Part(frame.id, b'{"number":1}\n' * 100)))
            peer.reply(frame, self.done or CallDone(b"", "n1", replies=self.rows * 100))
        elif isinstance(body, Call):
            peer.reply(frame, self.done or CallDone(body.payload, "n1"))
        elif isinstance(body, AdminQuery) and body.what == "vitals":
            peer.reply(frame, AdminAnswer(msgspec.to_builtins(vitals(hints={"n2": self.hints} if self.hints else {}))))
        elif isinstance(body, AdminQuery) and body.what == "describe":
            count = {"streams": True}
            peer.reply(frame, AdminAnswer({"operations": {"echo": {}, "whoami": {}, "work": {}, "count": count}}))

    def publish(self, body: Publish) -> None:
        assert self.subscriber is not None
        peer, number = self.subscriber
        for _ in range(2 if self.twice else 1):
            peer.push(Message(number, body.subject, body.payload, "id", "n1"))


AGAIN_S = 60.0


def load(run: Run, *words: str, code: int = 0) -> Any:
    """The last line of JSON. A machine that kept the generator from its rate has tested nothing, and it is tried again;
    that such a load is inconclusive is tested with a clock of its own."""
    until = time.monotonic() + AGAIN_S
    while True:
        ran = run("load", *words, "--json")
        found = msgspec.json.decode(ran.lines[-1])
        kept = not any(NOT_KEPT in reason for reason in found.get("reasons", ()))
        if (kept and not found.get("missed")) or time.monotonic() > until:
            assert ran.code == code, (ran.out, ran.err)
            return found


def test_the_account(serve: Serve, run: Run) -> None:
    serve(Keeper())
    found = load(run, "kv", "--rate", "200", "--for", "500ms", "--keys", "50", "--require", "p99<5s")
    assert found["verdict"] == "passed" and found["ok"] == 100
    assert [found[name] for name in ("failed", "maybe", "lost", "unexpected", "duplicated", "unchecked")] == [0] * 6
    assert found["prepared"] == 50 and found["checked"] == 50
    assert found["achieved_per_s"] == found["offered_per_s"] == 200
    assert set(found["service"]) == set(found["response"]) == PERCENTILES
    assert found["response"]["max_ms"] >= found["service"]["max_ms"] > 0
    assert found["at"].startswith("20") and found["at"].endswith("Z")


def test_a_lost_write_is_exit_1(serve: Serve, run: Run) -> None:
    serve(Keeper(forgets="07"))
    found = load(run, "kv", "--for", "300ms", "--keys", "10", "--rate", "200", code=1)
    assert found["verdict"] == "failed" and found["lost"] == 1 and "lost" in found["reasons"][0]


def test_a_write_that_may_still_arrive_is_exit_3(serve: Serve, run: Run) -> None:
    serve(Keeper(forgets="07", hints=1))
    words = ("kv", "--for", "300ms", "--keys", "10", "--rate", "200", "--settle", "300ms")
    found = load(run, *words, code=3)
    assert found["verdict"] == "inconclusive" and found["lost"] == 0 and found["unchecked"] == 1


def test_a_limit_that_does_not_hold_is_exit_1_and_one_without_samples_exit_3(serve: Serve, run: Run) -> None:
    serve(Keeper())
    words = ("kv", "--for", "200ms", "--keys", "5", "--mix", "write=1")
    assert load(run, *words, "--require", "service.p99<1us", code=1)["reasons"][0].startswith("service.p99<1us")
    assert "no sample" in load(run, *words, "--require", "read.p99<1s", code=3)["reasons"][0]


def test_messages(serve: Serve, run: Run) -> None:
    serve(Keeper())
    found = load(run, "publish", "--rate", "200", "--for", "300ms")
    assert (found["ok"], found["delivered"], found["dropped"], found["duplicated"]) == (60, 60, 0, 0)
    assert found["lost"] == 0 and set(found["delivery"]) == PERCENTILES


def test_a_message_that_comes_twice_is_exit_1(serve: Serve, run: Run) -> None:
    serve(Keeper(twice=True))
    found = load(run, "publish", "--rate", "100", "--for", "200ms", code=1)
    assert found["duplicated"] == 20 == found["delivered"]


def test_requests(serve: Serve, run: Run) -> None:
    serve(Keeper())
    found = load(run, "request", "--clients", "2", "--for", "200ms")
    assert found["verdict"] == "passed" and found["ok"] > 10 and found["unexpected"] == 0 and found["rate"] is None
    assert load(run, "request", "flaky.work", "n:=1", "--for", "100ms")["operations"]["flaky.work"]["ok"] == 10


def test_a_mix_of_operations_has_the_shares_and_the_arguments_that_were_said(serve: Serve, run: Run) -> None:
    keeper = Keeper()
    serve(keeper)
    words = ("request", "echo.echo=80%", "flaky.work=20", "n:=1", "--rate", "500", "--for", "400ms", "--seed", "7")
    found = load(run, *words)
    calls = {name: one["ok"] for name, one in found["operations"].items()}
    assert sum(calls.values()) == 200 and 140 <= calls["echo.echo"] <= 180, "80 of 100 as a rule"
    payloads = {(call.service, call.operation): call.payload for call in keeper.calls}
    assert payloads["flaky", "work"] == b'{"n":1}' and b"load-" in payloads["echo", "echo"]
    keeper.calls.clear()
    again = load(run, "request", "--mix", "echo.echo=80,flaky.work=20", *words[4:])
    assert {name: one["ok"] for name, one in again["operations"].items()} == calls, "the same seed, the same choices"


def test_keys_priorities_deadlines_and_hedges_go_with_the_calls(serve: Serve, run: Run) -> None:
    keeper = Keeper()
    serve(keeper)
    words = ("--keys", "4", "--low", "50%", "--deadline", "700ms", "--hedge", "--for", "300ms", "--rate", "300")
    found = load(run, "request", *words)
    low, normal = (found["operations"][name]["ok"] for name in ("echo.echo:low", "echo.echo"))
    assert low + normal == 90 and 20 <= low <= 70
    assert sum(call.priority for call in keeper.calls) == low and all(call.hedge for call in keeper.calls)
    assert len({call.key for call in keeper.calls}) == 4 and all(call.key.startswith("load-") for call in keeper.calls)
    assert 0.3 < max(keeper.lefts_s) <= 0.7


def test_retries_of_its_own_are_naive_and_counted_apart_from_those_of_the_cluster(serve: Serve, run: Run) -> None:
    keeper = Keeper(refuses="overloaded", every=2, done=CallDone(b"{}", "n1", attempts=4, hedged=True))
    serve(keeper)
    found = load(run, "request", "flaky.work", "--for", "300ms", "--retries", "1", "--require", "shed<=0")
    assert found["ok"] == 30 and found["load_retries"] == 30 and len(keeper.calls) == 60
    assert (found["cluster_retries"], found["hedged"], found["shed"]) == (60, 30, 0)
    keeper.every = 1
    found = load(run, "request", "flaky.work", "--for", "100ms", "--retries", "2", "--backoff", "20ms", code=3)
    assert (found["failed"], found["shed"], found["load_retries"]) == (10, 10, 20)
    assert load(run, "request", "--for", "100ms", "--require", "shed<1%", code=1)["reasons"][0].startswith("shed<1%")


def test_streams_are_read_to_their_end_and_their_replies_counted(serve: Serve, run: Run) -> None:
    keeper = Keeper()
    serve(keeper)
    found = load(run, "request", "echo.count=50", "flaky.work=50", "--for", "300ms")
    streams = [call for call in keeper.calls if call.stream]
    assert {call.operation for call in streams} == {"count"} and 0 < len(streams) < 30
    assert found["ok"] == 30 and found["replies"] == 300 * len(streams)
    assert found["operations"]["echo.count"]["replies"] == found["replies"]
    assert found["operations"]["flaky.work"]["replies"] == 0
    shown = run("load", "request", "echo.count", "--for", "100ms")
    assert "replies  echo.count 3,000" in shown.lines
    keeper.done = CallDone(b"", "n1", replies=299)
    found = load(run, "request", "echo.count", "--for", "100ms", code=1)
    assert found["unexpected"] == 10 and "300 with 299" in found["examples"][0]
    keeper.done = CallDone(b'{"message":"sold"}', "n1", error="SoldOut", replies=300)
    found = load(run, "request", "echo.count", "--for", "100ms", code=3)
    assert (found["declared"], found["replies"], found["unexpected"]) == (10, 3000, 0)


def test_declared_errors_are_named(serve: Serve, run: Run) -> None:
    serve(Keeper(done=CallDone(b'{"message":"sold"}', "n1", error="SoldOut")))
    found = load(run, "request", "flaky.work", "--for", "200ms", "--retries", "3", code=3)
    assert found["declared_errors"] == {"SoldOut": 20} and found["declared"] == 20 and found["load_retries"] == 0
    assert found["failed"] == 0 and found["service"]["p99_ms"] is not None, "inconclusive: none succeeded"


def test_a_handler_that_breaks_has_failed(serve: Serve, run: Run) -> None:
    keeper = Keeper(refuses="service-error")
    serve(keeper)
    found = load(run, "request", "flaky.work", "--for", "200ms", "--retries", "1", code=3)
    assert (found["declared"], found["failed"], found["maybe"], found["ok"]) == (0, 20, 0, 0)
    assert found["service"]["p99_ms"] is not None and found["errors"] == {"service-error": 20}
    assert found["load_retries"] == 20, "naive"


def test_what_is_refused_has_no_latency(serve: Serve, run: Run) -> None:
    serve(Keeper(refuses="overloaded"))
    found = load(run, "request", "--for", "200ms", "--require", "p99<1s", code=3)
    assert found["failed"] == 20 and found["errors"] == {"overloaded": 20}
    assert found["response"]["p99_ms"] is None


def test_no_key_could_be_prepared(serve: Serve, run: Run) -> None:
    serve(Keeper(refuses="no-quorum"))
    assert load(run, "kv", "--for", "200ms", code=7)["error"]["code"] == "no-quorum"


@pytest.mark.parametrize(
    "words",
    [
        ("kv", "--rate", "0"), ("kv", "--rate", "-5"), ("publish", "--rate", "nan"), ("request", "--rate", "inf"),
        ("kv", "--mix", "Z"), ("kv", "--keys", "0"), ("kv", "--size", "1B"), ("kv", "--for", "0s"),
        ("kv", "--for", "5"),
        ("kv", "--require", "p99>250ms"), ("publish", "--clients", "0"), ("kv", "--clients", "1", "--processes", "2"),
        ("kv", "--keys", "1", "--processes", "2"), ("request", "echo"), ("request", "echo.echo", "x"),
        ("request", "n:=1", "echo.echo"), ("request", "echo.echo=x"), ("request", "echo.echo", "echo.echo=2"),
        ("request", "echo.echo=0"), ("request", "--mix", "echo"), ("request", "--backoff", "5ms"),
        ("request", "--low", "2"),
        ("kv", "--intervals", "/nowhere/at/all"), ("publish", "--mix", "A"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_refused_before_anything_is_sent(serve: Serve, run: Run, words: tuple[str, ...]) -> None:
    (node,) = serve(Keeper())
    ran = run("load", *words)
    assert ran.code == 2 and ran.err.startswith("error: ") and "help: " in ran.err, ran
    assert node.frames == []


@pytest.mark.parametrize("old", [("--fail-if", "p99<250ms"), ("--fail-if=p99<250ms",)], ids=" ".join)
def test_the_former_name_of_a_limit_is_refused_with_the_line_to_paste(run: Run, old: tuple[str, ...]) -> None:
    ran = run("load", "kv", "-C", "mine", *old, "--for", "2s")
    new = " ".join(old).replace("--fail-if", "--require").replace("p99<250ms", "'p99<250ms'")
    new = new if "=" not in new else "'--require=p99<250ms'"
    assert ran.code == 2 and f"help: dsectl load kv -C mine {new} --for 2s\n" in ran.err, ran.err


def test_no_cluster(run: Run) -> None:
    assert load(run, "kv", code=4)["error"]["code"] == "unknown-cluster"


def test_an_unknown_operation(serve: Serve, run: Run) -> None:
    serve(Keeper())
    assert load(run, "request", "echo.nothing", code=6)["error"]["code"] == "not-found"


def test_people_see_what_it_took(serve: Serve, run: Run) -> None:
    serve(Keeper(refuses="overloaded", every=3, done=CallDone(b"{}", "n1", attempts=2)))
    words = ("load", "request", "echo.whoami=1", "flaky.work=3", "--rate", "100", "--for", "1200ms", "--retries", "1")
    ran = run(*words, "--deadline", "1s", "--backoff", "1ms")
    assert "echo.whoami 25%, flaky.work 75%; deadline 1s; 1 retry after up to 1ms" in ran.err, ran.err
    assert "retries of its own" in ran.err and "effort   " in ran.out and " retries, " in ran.out, ran


def test_progress_is_lines_off_a_terminal_and_nothing_when_quiet(serve: Serve, run: Run) -> None:
    serve(Keeper())
    words = ("load", "kv", "--rate", "100", "--for", "1200ms", "--keys", "5")
    ran = run(*words)
    assert "/s offered" in ran.err and "response p50" in ran.err and "reading acknowledged" in ran.err
    assert ran.out.splitlines()[-1].startswith("PASSED") and "response counts from when due" in ran.out
    assert run(*words, "-q").err == ""


def test_on_a_terminal_the_lines_give_way_to_the_picture(
    serve: Serve, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    serve(Keeper())
    ran = run("load", "kv", "--rate", "100", "--for", "1300ms", "--keys", "5", terminal=True)
    assert "/s offered" not in ran.err and "operations in 1.3s" in ran.out


def test_intervals(serve: Serve, run: Run, tmp_path: Path) -> None:
    serve(Keeper())
    words = ("load", "kv", "--rate", "100", "--for", "1500ms", "--keys", "5", "--json")
    ran = run(*words, "--intervals", str(tmp_path / "seconds"))
    lines = [msgspec.json.decode(line) for line in (tmp_path / "seconds").read_text().splitlines()]
    assert 1 <= len(lines) <= 2, "one a second, and what is left at the end; a busy machine may see to it once"
    assert sum(line["ok"] for line in lines) == ran.json["ok"] > 100
    assert {"at", "until_s", "offered_per_s", "service", "response"} <= set(lines[0])
    ran = run(*words, "--intervals", "-")
    *before, last = (msgspec.json.decode(line) for line in ran.lines)
    assert 1 <= len(before) <= 2 and last["ok"] == sum(line["ok"] for line in before), "the account comes last"


def test_a_full_disk_costs_the_lines_and_not_the_account(serve: Serve, run: Run) -> None:
    serve(Keeper())
    ran = run("load", "kv", "--rate", "100", "--for", "1200ms", "--keys", "5", "--intervals", "/dev/full")
    assert "not written any more: No space left" in ran.err and "operations in 1.2s" in ran.out, ran


def test_several_processes_are_one_load(serve: Serve, run: Run) -> None:
    serve(Keeper())
    words = ("kv", "--rate", "200", "--for", "1200ms", "--keys", "20", "--processes", "2")
    last = load(run, *words)
    assert last["ok"] == 240 and last["checked"] == last["prepared"] == 20 and last["processes"] == 2


def test_an_error_of_a_process_is_told_as_its_own(serve: Serve, run: Run) -> None:
    serve(Keeper(refuses="no-quorum"))
    assert load(run, "kv", "--for", "200ms", "--processes", "2", code=7)["error"]["code"] == "no-quorum"


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_job_is_ready_with_the_first_answer_and_ends_with_its_account(serve: Serve, processes: str) -> None:
    serve(Keeper())
    ready, stopping, out = threading.Event(), threading.Event(), Lines()
    words = ["load", "kv", "--rate", "100", "--for", "60s", "--keys", "10", "--json", "--processes", processes]
    codes: list[int] = []
    began = time.monotonic()
    job = threading.Thread(
        target=lambda: codes.append(
            invoke(words, out=out, err=Lines(), on_ready=ready.set, is_stopped=stopping.is_set)  # type: ignore[arg-type]
        )
    )
    job.start()
    assert ready.wait(30)
    stopping.set()
    job.join(30)
    assert time.monotonic() - began < 55, "before its time"
    found = msgspec.json.decode(out.lines()[-1])
    late = [reason for reason in found["reasons"] if NOT_KEPT in reason]  # as of a machine that is busy
    assert codes == [3 if late else 0] and len(found["reasons"]) == 1
    assert found["stopped"] and found["ok"] >= 1 and found["checked"] == 10 and found["unchecked"] == 0


class Silent(Keeper):
    """Answers the first few puts, and then nothing any more."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.left = answers

    def __call__(self, peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Put | Get):
            self.left -= 1
            if self.left < 0:
                return
        super().__call__(peer, frame)


def is_pending(pid: int, number: int) -> bool:
    """Whether the process was sent a signal that it has not met; where the system does not say: no."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
    return any(mask >> number - 1 & 1 for mask in masks)


SIGNALS = [
    ((signal.SIGINT,), 0, 130),
    ((signal.SIGTERM,), 0, 143),
    ((signal.SIGINT, signal.SIGTERM), 20, 130),
]


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize(("numbers", "unchecked", "code"), SIGNALS, ids=str)
def test_signals_end_it_with_its_account(
    serve: Serve,
    environment: Callable[[], dict[str, str]],
    processes: str,
    numbers: tuple[signal.Signals, ...],
    unchecked: int,
    code: int,
) -> None:
    """After the first one what was acknowledged is still read back; after the second one nothing is waited for, also
    when nobody answers."""
    node = Silent(40 if unchecked else 1_000_000)
    serve(node)
    words = ["kv", "--rate", "20", "--for", "60s", "--keys", "20", "--timeout", "1000s", "--processes", processes]
    process = subprocess.Popen(
        [sys.executable, "-m", "dsectl", "load", *words, "--json", "--intervals", "-"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline()]  # the first second is over
    until = time.monotonic() + 30
    while unchecked and node.left >= 0:
        assert time.monotonic() < until
        lines.append(process.stdout.readline())
    for number in numbers:
        os.killpg(process.pid, number)  # as a terminal does, and many who end a job
        while is_pending(process.pid, number):  # of two that are pending the kernel calls the second's handler first
            time.sleep(0.001)
    lines += process.stdout.read().splitlines()
    process.stdout.close()
    found = msgspec.json.decode(lines[-1])
    assert process.wait(30) == code, found
    assert found["interrupted"] and found["verdict"] == "inconclusive" and found["ok"] > 0
    reasons = [reason for reason in found["reasons"] if NOT_KEPT not in reason]  # as of a machine that is busy
    assert reasons[0].startswith("interrupted after ")
    if unchecked:
        assert found["unchecked"] == unchecked and found["unanswered"] > 0 and len(reasons) == 3
    else:
        assert found["checked"] == 20 and found["unchecked"] == found["unanswered"] == 0


def test_a_step_tells_the_reasons_of_a_load_that_proved_nothing(serve: Serve) -> None:
    serve(Keeper(refuses="service-error"))
    step = parse("load request flaky.work --for 200ms")
    assert step is not None
    outcome = Interpreter(Session()).run(step)
    assert outcome.verdict == INCONCLUSIVE and "exit 3: " in outcome.seen and "no operation succeeded" in outcome.seen
    assert outcome.result is not None and outcome.result.value["failed"] > 0, "the account is there to be kept"


def test_a_job_whose_operations_all_fail_is_never_ready(serve: Serve) -> None:
    serve(Keeper(refuses="overloaded"))
    ready = threading.Event()
    words = ["load", "request", "--for", "200ms", "--json"]
    assert invoke(words, out=Lines(), err=Lines(), on_ready=ready.set) == 3  # type: ignore[arg-type]
    assert not ready.is_set()
