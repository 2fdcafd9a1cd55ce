"""queue …, send, receive, ack, nack, extend: whom they ask, what they print, and how they end."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from cluster.client.operation import operation
from cluster.client.queue_admin import LIST_QUEUES, PURGE_AGAIN
from cluster.client.queues import WorkQueue
from cluster.errors import AlreadyExists, ClusterError, LeaseLost, Maybe, NotFound, QueueFull
from cluster.limits import QUEUE_BATCH_MAX
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Body, Frame, Request
from cluster.wire.queues import (
    QueueAck,
    QueueAnswered,
    QueueExtend,
    QueueReceive,
    QueueReturn,
    QueueSend,
    QueueSent,
)
from cluster.wire.topics import Publish, Published
from dsectl.cli.invocation import Session
from dsectl.commands.leases import RECEIPTS_MAX
from tests.client.fake_node import Peer, Script
from tests.client.fake_queue import FakeQueue
from tests.dsectl.conftest import Run, Serve

JOBS = {"name": "jobs", "id": 3, "shards": 2, "visibility_s": 30.0, "max_receives": 5, "dead_letter": "dead"}
JOBS |= {"retention_s": 345600.0, "delay_s": 0.0, "max_depth": None, "patterns": ["orders.>"]}
HELD = {"gives": True, "depth": 4, "bytes": 40, "in_flight": 1, "oldest_s": 75.0, "redelivered": 2, "dead": 1}


def node(rest: Script | Body | None = None, slot: int = 2, **answers: Any) -> Script:
    """A node with a queue `jobs`; `answers` to further admin queries, and how it takes anything else."""
    queues = {"slot": slot, "queues": [JOBS], "owners": {"jobs": [["n1", "n2"], ["n2", "n1"]]}, "held": {}}
    known = {"layout": {"slot": slot, "number": 1, "alive": 3}, "queues": queues, **answers}

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, AdminQuery):
            answer = known[frame.body.what.replace("-", "_")]
            if isinstance(answer, ClusterError):
                peer.fail(frame, answer.code, answer.message)
            else:
                peer.reply(frame, AdminAnswer(answer))
        elif callable(rest):
            rest(peer, frame)
        elif isinstance(frame, Request) and rest is not None:
            peer.reply(frame, rest)

    return script


def asked(fake: Any, what: str) -> dict[str, Any]:
    [arguments] = [body.arguments for body in fake.bodies(AdminQuery) if body.what == what]
    return {name: value for name, value in arguments.items() if name != "id"}


def test_create_sends_what_was_given_and_no_more(run: Run, serve: Serve) -> None:
    [fake] = serve(node(create_queue={**JOBS, "slot": 3, "late": ["n3"]}))
    words = ("--shards", "2", "--max-receives", "5", "--dead-letter", "dead", "--delay", "0s")
    ran = run("queue", "create", "jobs", *words)
    rules = "2 shards, leases of 30s, messages kept for 4d, after 5 deliveries to dead, bound to orders.>"
    assert (ran.code, ran.out) == (0, f"queue jobs: {rules}\n")
    assert "not taken over yet by n3" in ran.err
    options = {"shards": 2, "max_receives": 5, "dead_letter": "dead", "delay_s": 0.0}
    assert asked(fake, "create-queue") == {"name": "jobs", **options}


def test_alter_sends_what_changes_and_no_more(run: Run, serve: Serve) -> None:
    [fake] = serve(node(alter_queue={**JOBS, "visibility_s": 60.0, "dead_letter": None, "slot": 3, "late": ["n3"]}))
    ran = run("queue", "alter", "jobs", "--visibility", "1m", "--max-receives", "0", "--dead-letter", "")
    rules = "2 shards, leases of 1m, messages kept for 4d, bound to orders.>"
    assert (ran.code, ran.out) == (0, f"queue jobs: {rules}\n")
    assert "not taken over yet by n3" in ran.err
    options = {"visibility_s": 60.0, "max_receives": 0, "dead_letter": ""}
    assert asked(fake, "alter-queue") == {"name": "jobs", **options}
    refused = run("queue", "alter", "jobs")
    assert refused.code == 2 and "nothing of the queue is to change" in refused.err and "--visibility" in refused.err


def test_what_exists_otherwise_is_refused_with_what_helps(run: Run, serve: Serve) -> None:
    serve(node(create_queue=AlreadyExists("queue jobs exists, with other options")))
    ran = run("queue", "create", "jobs")
    assert ran.code == 1 and "queue jobs exists, with other options" in ran.err and "`dsectl queue list`" in ran.err


def test_the_list_and_a_queue_add_up_what_the_nodes_say(run: Run, serve: Serve) -> None:
    base = {"slot": 2, "queues": [JOBS], "owners": {"jobs": [["n1", "n2"], ["n2", "n1"]]}}
    first = {**base, "held": {"jobs": {0: HELD, 1: {**HELD, "gives": False, "depth": 9, "dead": 0}}}}
    second = {**base, "held": {"jobs": {0: {**HELD, "gives": False, "depth": 1}}}}
    serve(node(queues=first), node(queues=second))
    heading, row = (line.split() for line in run("queue", "list").lines)
    assert heading[:3] == ["QUEUE", "SHARDS", "DEPTH"] and heading[-2:] == ["BOUND", "TO"]
    assert row == ["jobs", "2", "13", "2", "75s", "6", "2", "dead", "after", "5", "orders.>"]
    [found] = run("queue", "list", "--json").json
    assert (found["depth"], found["in_flight"], found["oldest_s"], found["dead"]) == (13, 2, 75.0, 2)
    shown = run("queue", "show", "jobs", "--json").json
    assert (shown["name"], shown["depth"], shown["redelivered"], shown["shards"]) == ("jobs", 13, 6, 2)
    zero, one = shown["by_shard"]
    assert (zero["giver"], zero["owners"]) == ("n1", ["n1", "n2"])
    assert (one["giver"], one["depth"]) == (None, 9)
    lines = run("queue", "show", "jobs").lines
    rules, said, titles = lines[0], lines[1], lines[3]
    assert rules.startswith("queue jobs: 2 shards, leases of 30s") and "GIVER" in titles
    assert said == "13 messages, 2 in flight, the oldest 75s old; 6 redelivered and 2 dead since the nodes booted"


def test_shards_of_which_nobody_speaks_are_said(run: Run, serve: Serve) -> None:
    serve(node())
    ran = run("queue", "show", "jobs")
    assert "no owner answered for shards 0, 1" in ran.err and "unknown" in ran.out
    assert run("queue", "show", "jobs", "--json").json["shards_unknown"] == [0, 1]
    assert "for shards of jobs" in run("queue", "list").err


def test_bind_unbind_and_delete_are_changes_of_the_chain(run: Run, serve: Serve) -> None:
    changed = {**JOBS, "slot": 4, "late": []}
    [fake] = serve(
        node(bind_queue=changed, unbind_queue={**changed, "patterns": []}, delete_queue={**changed, "name": "jobs"})
    )
    assert run("queue", "bind", "jobs", "orders.>").out == "queue jobs is bound to orders.>\n"
    assert run("queue", "unbind", "jobs", "orders.>").out == "queue jobs is bound to nothing\n"
    assert run("queue", "delete", "jobs").out == "queue jobs is deleted\n"
    assert asked(fake, "bind-queue") == asked(fake, "unbind-queue") == {"name": "jobs", "pattern": "orders.>"}


def test_a_queue_is_shown_as_the_newest_chain_defines_it(run: Run, serve: Serve) -> None:
    changed = {**JOBS, "visibility_s": 60.0}
    newest = {"slot": 3, "queues": [changed], "owners": {"jobs": [["n1", "n2"], ["n2", "n1"]]}, "held": {}}
    serve(node(slot=2), node(slot=3, queues=newest), node(slot=2))
    assert "leases of 1m" in run("queue", "show", "jobs").out


def test_purge_and_redrive_are_asked_of_the_node_with_the_newest_chain(run: Run, serve: Serve) -> None:
    moved = {"from": "dead", "to": "jobs", "moved": 7, "left": True}
    newest = node(slot=3, purge_queue={"queue": "jobs", "purged": 12}, redrive_queue=moved)
    old, fake = serve(node(slot=2), newest)
    assert run("queue", "purge", "jobs").out == "purged 12 messages of jobs\n"
    ran = run("queue", "redrive", "dead")
    assert ran.out == "moved 7 messages from dead to jobs\n" and "more are left" in ran.err
    assert asked(fake, "redrive-queue") == {"name": "dead", "to": "", "limit": 0}
    assert {body.what for body in old.bodies(AdminQuery)} == {"layout"}


@pytest.mark.parametrize("command", ["purge", "redrive"])
def test_what_helps_where_there_is_no_queue(run: Run, serve: Serve, command: str) -> None:
    none = NotFound("no queue 'jobs'")
    serve(node(purge_queue=none, redrive_queue=none))
    ran = run("queue", command, "jobs")
    assert ran.code == 6 and LIST_QUEUES in ran.err


def test_a_purge_that_could_not_look_everywhere_is_run_again(run: Run, serve: Serve) -> None:
    serve(node(purge_queue=Maybe("shards 1, 2 may hold more")))
    ran = run("queue", "purge", "jobs")
    assert ran.code == 5 and "shards 1, 2" in ran.err and PURGE_AGAIN in ran.err


def test_a_receipt_of_a_deleted_queue_names_the_list(run: Run, serve: Serve) -> None:
    serve(node(QueueAnswered([("no", ("not-found", "no queue has the id 4: it was deleted"))])))
    for command in (("ack", "r"), ("nack", "r"), ("extend", "r", "5s")):
        ran = run(*command)
        assert ran.code == 6 and LIST_QUEUES in ran.err


@pytest.mark.parametrize("option", [("--shards", "0"), ("--max-receives", "-1"), ("--max-depth", "-1")])
def test_a_number_that_no_queue_has_is_refused_by_its_option(run: Run, option: tuple[str, str]) -> None:
    ran = run("queue", "create", "jobs", *option)
    assert ran.code == 2 and f"invalid {option[0]}" in ran.err


def test_a_message_is_sent_received_and_acknowledged(run: Run, serve: Serve) -> None:
    [fake] = serve(node(FakeQueue()))
    assert run("send", "jobs", "resize 7").out == "sent  ok  2 acks  q2-0-a-1\n"
    sent = run("send", "jobs", "-5", "--json", "--delay", "2s", "--dedup-id", "42")
    assert sent.code == 2 and "behind `--`" in sent.out
    sent = run("send", "jobs", "--json", "--dedup-id", "42", "--", "-5")
    assert sent.json == {"queue": "jobs", "id": "q2-0-a-2", "outcome": "ok", "acks": 2, "duplicate": False}
    assert [body.messages[0][0] for body in fake.bodies(QueueSend)] == [b"resize 7", b"-5"]
    ran = run("receive", "jobs")
    assert ran.out == "resize 7\n  1.1  leased until 22:13:50\n" and ran.code == 0
    found = run("receive", "jobs", "--max", "10", "--visibility", "5s", "--json").json
    [message] = found["messages"]
    assert message == {
        "id": "q2-0-a-2", "body": "-5", "attempt": 1, "receipt": "2.1", "dedup_id": "42",
        "lease_until": "2023-11-14T22:13:50.000Z", "sent_at": "2023-11-14T22:13:20.000Z",
    }  # fmt: skip
    assert found["shards_unreachable"] == []
    assert run("ack", "1.1", "2.1").out == "acknowledged 2 messages\n"
    assert run("receive", "jobs").err == "note: no messages\n"
    assert [(body.max, body.visibility_s) for body in fake.bodies(QueueReceive)] == [(1, 0.0), (10, 5.0), (1, 0.0)]


@pytest.mark.parametrize("json", [True, False])
def test_until_empty_prints_and_acknowledges_everything(run: Run, serve: Serve, json: bool) -> None:
    queue = FakeQueue()
    queue.put(*(b"%d" % number for number in range(5)))
    serve(node(queue))
    ran = run("receive", "jobs", "--until-empty", "--ack", "--max", "2", *(["--json"] if json else ["--raw"]))
    assert ran.code == 0 and sorted(queue.acknowledged) == ["1.1", "2.1", "3.1", "4.1", "5.1"]
    bodies = [message["body"] for message in ran.json["messages"]] if json else ran.lines
    assert bodies == ["0", "1", "2", "3", "4"]
    assert ran.err == ("" if json else "note: the queue is empty\n")


def test_until_empty_takes_as_many_at_a_time_as_it_may(run: Run, serve: Serve) -> None:
    [fake] = serve(node(FakeQueue()))
    run("receive", "jobs", "--until-empty")
    assert [body.max for body in fake.bodies(QueueReceive)] == [QUEUE_BATCH_MAX]


def test_a_session_forgets_its_oldest_receipts(run: Run, serve: Serve) -> None:
    queue = FakeQueue()
    queue.put(*[b""] * (RECEIPTS_MAX + 2))
    serve(node(queue))
    session = Session()
    run("receive", "jobs", "--max", str(RECEIPTS_MAX + 2), session=session)
    assert list(session.receipts) == [f"{number}.1" for number in range(3, RECEIPTS_MAX + 3)]
    session.close()


def test_a_session_knows_the_receipts_that_are_not_settled(run: Run, serve: Serve) -> None:
    queue = FakeQueue()
    queue.put(b"a", b"b", b"c")
    serve(node(queue))
    session = Session()
    run("receive", "jobs", "--max", "2", session=session)
    run("receive", "jobs", "--ack", session=session)
    assert list(session.receipts) == ["1.1", "2.1"]
    run("nack", "1.1", session=session)
    run("ack", "2.1", session=session)
    assert not session.receipts
    session.close()


def test_a_queue_that_may_not_be_empty_is_inconclusive(run: Run, serve: Serve) -> None:
    queue = FakeQueue()
    queue.unreachable = [3, 5]
    serve(node(queue))
    ran = run("receive", "jobs")
    assert ran.code == 3 and ran.out == "" and "shards 3, 5 may hold some" in ran.err
    queue.put(b"a")
    found = run("receive", "jobs", "--until-empty", "--json")
    assert found.code == 3 and found.json["shards_unreachable"] == [3, 5]
    assert [message["body"] for message in found.json["messages"]] == ["a"]
    assert found.json["error"]["code"] == "inconclusive"


def test_a_single_receipt_that_is_refused_is_an_error_and_of_many_each_is_told(run: Run, serve: Serve) -> None:
    queue = FakeQueue()
    queue.put(b"a")
    [fake] = serve(node(queue))
    run("receive", "jobs")
    assert run("extend", "1.1", "90s").out == "extended 1 lease, for 1.5m from now\n"
    ran = run("nack", "7.1")
    assert ran.code == LeaseLost.exit_code and "the lease is over" in ran.err and "`dsectl ack`" in ran.err
    ran = run("nack", "1.1", "7.1", "--delay", "250ms")
    assert ran.code == 1 and ran.out == "returned 1 message\n" and "7.1: the lease is over" in ran.err
    found = run("nack", "1.2", "7.1", "--json")
    assert found.code == 1 and found.json["returned"] == 0 and found.json["error"]["code"] == "lease-lost"
    assert [one["outcome"] for one in found.json["results"]] == ["no", "no"]
    assert fake.bodies(QueueReturn)[1].delay_s == 0.25 and fake.bodies(QueueExtend)[0].visibility_s == 90.0


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (QueueFull("queue jobs is full"), 7, "receive and acknowledge"),
        (Maybe("too few owners answered in time"), 5, "may be there twice"),
    ],
)
def test_a_send_that_fails_says_what_is_known(
    run: Run, serve: Serve, error: ClusterError, code: int, says: str
) -> None:
    outcome = "maybe" if code == 5 else "no"
    serve(node(QueueSent([("q3-0-a-7" if code == 5 else "", outcome, 1, False, (error.code, error.message))])))
    ran = run("send", "jobs", "a")
    assert ran.code == code and error.message in ran.err and says in ran.err
    found = run("send", "jobs", "a", "--json").json
    assert (found["queue"], found["outcome"], found["error"]["definite"]) == ("jobs", outcome, code != 5)


def test_a_receive_without_an_answer_says_that_messages_come_again(run: Run, serve: Serve) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request):
            peer.fail(frame, "maybe", "the giver was lost")

    serve(node(script))
    ran = run("receive", "jobs")
    assert ran.code == 5 and "delivered again when their visibility has passed" in ran.err


def test_a_publish_says_which_queues_have_it(run: Run, serve: Serve) -> None:
    answer: list[Published] = [Published("m1", 0, [("jobs", "q3-1-a-4", "ok")])]

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, Publish):
            peer.reply(frame, answer[0])

    serve(node(script))
    assert run("publish", "orders.new", "x").out == "sent to 0 subscriptions, kept by queue jobs (ok)  m1\n"
    found = run("publish", "orders.new", "x", "--json").json
    assert found["queues"] == [{"queue": "jobs", "id": "q3-1-a-4", "outcome": "ok"}]
    answer[0] = Published("m1", 0, [("jobs", "q3-1-a-4", "ok"), ("mails", "", "maybe"), ("logs", "", "no")])
    ran = run("publish", "orders.new", "x", "--json")
    assert ran.code == 5 and [one["outcome"] for one in ran.json["queues"]] == ["ok", "maybe", "no"]
    assert "mails (maybe), logs (no)" in ran.json["error"]["message"]


def test_names_of_queues_are_completed(run: Run, serve: Serve) -> None:
    serve(node())
    assert run("complete", "queue", "jo").out == "jobs\n"


def test_acknowledging_when_it_printed_is_refused_as_it_is(run: Run, serve: Serve) -> None:
    queue = FakeQueue()
    queue.put(b"a")

    def script(peer: Peer, frame: Frame) -> None:
        if isinstance(frame, Request) and isinstance(frame.body, QueueAck):
            peer.reply(frame, QueueAnswered([("maybe", ("maybe", "too few"))]))
        else:
            queue(peer, frame)

    serve(node(script))
    ran = run("receive", "jobs", "--ack")
    assert ran.code == 5 and ran.out.startswith("a\n") and "too few" in ran.err
    assert "acknowledged" not in ran.out
    queue.put(b"b")
    ran = run("receive", "jobs", "--ack", "--json")
    assert ran.code == 5 and ran.out.count('"body"') == 1, "once"


def test_that_it_acknowledged_is_said_behind_the_messages_and_not_in_raw(run: Run, serve: Serve) -> None:
    queue = FakeQueue()
    queue.put(b"a", b"b")
    serve(node(queue))
    ran = run("receive", "jobs", "--ack")
    assert ran.lines[0] == "a" and ran.lines[-1] == "acknowledged 1 message" and len(ran.lines) == 3
    assert run("receive", "jobs", "--ack", "--raw").out == "b\n" and queue.acknowledged == ["1.1", "2.1"]


@pytest.mark.parametrize(
    ("end", "code"), [(lambda: Maybe("n1 was lost"), 5), (KeyboardInterrupt, 130)], ids=["error", "interrupt"]
)
def test_what_was_acknowledged_is_printed_however_until_empty_ends(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, end: Callable[[], BaseException], code: int
) -> None:
    """In JSON it is one value at the end: the messages of the batches before would be gone."""
    queue = FakeQueue()
    queue.put(b"a", b"b", b"c")
    serve(node(queue))
    receive, batches = WorkQueue.receive.steps, count(1)

    def once_too_often(*arguments: Any, **options: Any) -> Any:
        if next(batches) == 3:
            raise end()
        return (yield from receive(*arguments, **options))

    monkeypatch.setattr(WorkQueue, "receive", operation(once_too_often))
    ran = run("receive", "jobs", "--until-empty", "--ack", "--max", "1", "--json")
    assert ran.code == code and [one["body"] for one in ran.json["messages"]] == ["a", "b"]
    assert queue.acknowledged == ["1.1", "2.1"]


def test_a_body_cannot_command_the_terminal(run: Run, serve: Serve) -> None:
    queue = FakeQueue()
    queue.put(b"a\x1b[2J\n\xff")
    serve(node(queue))
    assert run("receive", "jobs").lines[0] == "a\\x1b[2J\\n\\xff"
