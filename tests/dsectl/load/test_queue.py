"""The account of a queue: lost, duplicated, unexpected, recovered; and when a queue counts as drained."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.client.aio import Calls, Client, QueueAnswered, QueueReceived, QueueSent
from cluster.errors import Maybe, NotFound, Overloaded, Unreachable
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Frame, Request
from cluster.wire.queues import Delivered, QueueSend, SendResult
from dsectl.load import queue, session
from dsectl.load.plan import QUEUE, LoadPlan
from dsectl.load.queue import VISIBILITY_S, QueueLoad
from dsectl.load.session import Hooks
from dsectl.load.tally import Tally
from dsectl.load.totalqueue import TotalQueue
from tests.client.fake_node import CLUSTER, Peer
from tests.dsectl.conftest import Serve


def sent(*outcomes: str) -> TotalQueue:
    account = TotalQueue()
    for outcome in outcomes:
        number = account.begin()
        {"ok": account.sent_ok, "no": account.sent_no, "maybe": account.sent_maybe}[outcome](number)
    return account


def test_what_was_acknowledged_and_never_came_is_missing() -> None:
    account = sent("ok", "ok", "maybe", "no")
    account.deliver(1)
    assert (account.missing, list(account.not_come())) == (1, [2])


def test_twice_is_a_duplicate_and_no_loss_of_another() -> None:
    account = sent("ok", "ok")
    assert account.deliver(1) and not account.deliver(1) and not account.deliver(1)
    assert (account.came, account.duplicated, account.missing) == (1, 2, 1)


@pytest.mark.parametrize("number", [None, 0, 3])
def test_what_nobody_sent_is_unexpected(number: int | None) -> None:
    account = sent("ok", "ok")
    assert not account.deliver(number)
    assert (account.unexpected, account.came) == (1, 0)


def test_what_was_refused_is_unexpected_before_and_after_the_refusal() -> None:
    account = sent("no")
    account.deliver(1)
    early = TotalQueue()
    early.deliver(early.begin())
    early.sent_no(1)
    assert account.unexpected == early.unexpected == 1


def test_what_was_in_doubt_and_came_is_recovered_and_otherwise_nothing() -> None:
    account = sent("maybe", "maybe", "ok")
    account.deliver(1)
    assert (account.recovered, account.missing, account.unexpected) == (1, 1, 0)


def test_a_second_try_that_is_acknowledged_is_a_promise() -> None:
    account = sent("maybe")
    account.sent_ok(1)
    assert (account.missing, account.recovered) == (1, 0)
    account.deliver(1)
    assert (account.missing, account.recovered) == (0, 0)


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["ok", "maybe", "no", "came", "ack"]))))
def test_the_counts_are_those_of_sets(steps: list[tuple[int, str]]) -> None:
    """In any order: an answer may come behind what it answers for."""
    account = sent()
    names: dict[str, set[int]] = {name: set() for name in ("ok", "maybe", "no", "came", "ack")}
    for _ in range(4):
        account.begin()
    deliveries = 0
    for number, step in steps:
        if step in ("ok", "maybe", "no") and any(number in names[one] for one in ("ok", "maybe", "no")):
            continue  # a send has one outcome
        names[step].add(number)
        deliveries += step == "came"
        {
            "ok": account.sent_ok, "maybe": account.sent_maybe, "no": account.sent_no,
            "came": account.deliver, "ack": account.ack,
        }[step](number)  # fmt: skip
    assert account.missing == len(names["ok"] - names["came"]) == len(list(account.not_come()))
    assert account.recovered == len(names["maybe"] & names["came"])
    assert account.unexpected == len(names["no"] & names["came"])
    assert account.duplicated == deliveries - len(names["came"])
    assert (account.came, account.acked) == (len(names["came"]), len(names["ack"]))


class Scripted:
    """What the load asks, to be answered by a test: a `Calls` and a client."""

    def __init__(self) -> None:
        self.sends: list[tuple[list[Any], Callable[..., None]]] = []
        self.receives: list[Callable[..., None]] = []
        self.acks: list[tuple[list[str], Callable[..., None]]] = []
        self.deleted: list[str] = []
        self.admin = self

    async def create_queue(self, name: str, **options: Any) -> None:
        assert options["visibility"] == VISIBILITY_S

    async def delete_queue(self, name: str) -> None:
        self.deleted.append(name)

    def send(self, queue: str, messages: list[Any], done: Callable[..., None]) -> None:
        self.sends.append((messages, done))

    def receive(self, *given: Any) -> None:
        self.receives.append(given[-1])

    def ack(self, receipts: list[str], done: Callable[..., None]) -> None:
        self.acks.append((receipts, done))


class Loaded:
    """A load with one consumer, and its hands on the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(queue, "monotonic", lambda: self.now)
        self.calls = Scripted()
        self.tally = Tally()
        plan = LoadPlan(QUEUE, "c", "run")
        self.load = QueueLoad(plan, cast(Calls, self.calls), self.tally, cast(Client, self.calls))

    def send(self, result: SendResult | Exception) -> bytes:
        """One message, with its answer; the body."""
        self.load.start(self.now)
        messages, done = self.calls.sends.pop()
        done(result if isinstance(result, Exception) else QueueSent([result]))
        body: bytes = messages[0][0]
        return body

    def receive(self, *bodies: bytes, unreachable: tuple[int, ...] = ()) -> None:
        """The consumer's receive is answered."""
        messages = [Delivered(f"q{n}", body, None, 1, f"r{n}", 0, 0) for n, body in enumerate(bodies)]
        self.calls.receives.pop()(QueueReceived(messages, list(unreachable)))

    def ended(self) -> Any:
        self.load.end()
        return self.tally.report()


OK: SendResult = ("q1", "ok", 2, False, ("", ""))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    made = Loaded(monkeypatch)
    asyncio.run(made.load.prepare())
    return made


def test_all_comes_and_the_queue_says_that_it_is_empty(loaded: Loaded) -> None:
    body = loaded.send(OK)
    loaded.receive(body)
    receipts, done = loaded.calls.acks.pop()
    done(QueueAnswered([("ok", ("", ""))] * len(receipts)))
    loaded.now += 0.1
    assert not loaded.load.is_drained
    loaded.receive()
    found = loaded.ended()
    assert (found.delivered, found.acked, found.lost, found.unchecked, found.duplicated) == (1, 1, 0, 0, 0)


def test_what_never_came_is_lost_once_no_lease_can_hide_it(loaded: Loaded) -> None:
    loaded.send(OK)
    loaded.load._changed_at = loaded.now
    loaded.receive()
    assert not loaded.load.is_drained, "the answer of a receive may have been lost, with the message in it"
    loaded.now += VISIBILITY_S + 2
    loaded.receive()
    found = loaded.ended()
    assert (found.lost, found.unchecked) == (1, 0)
    assert "never came" in found.examples[0]


def test_an_empty_answer_to_what_was_asked_before_the_last_delivery_proves_nothing(loaded: Loaded) -> None:
    body = loaded.send(OK)
    loaded.load._receive("another")
    loaded.now += 0.1
    loaded.receive(body)
    loaded.calls.receives.reverse()  # the one that was asked before that delivery is answered after it
    loaded.now += 0.1
    loaded.receive()
    assert not loaded.load.is_drained


def test_an_empty_answer_that_could_not_look_everywhere_proves_nothing(loaded: Loaded) -> None:
    loaded.send(OK)
    loaded.now += VISIBILITY_S + 2
    loaded.receive(unreachable=(3,))
    found = loaded.ended()
    assert (found.lost, found.unchecked) == (0, 1)


def test_a_receive_that_failed_may_have_leased_what_is_missing(loaded: Loaded) -> None:
    async def fail() -> None:
        loaded.calls.receives.pop()(Unreachable("it died"))

    loaded.send(OK)
    loaded.now += VISIBILITY_S + 2
    asyncio.run(fail())
    loaded.load._receive("again")
    loaded.now += 1
    loaded.receive()
    assert not loaded.load.is_drained
    assert loaded.tally.found.errors == {"unreachable": 1}


@pytest.mark.parametrize(
    ("result", "count", "unexpected"),
    [
        (("", "maybe", 1, False, ("maybe", "no answer")), "maybe", 0),
        (("", "no", 0, False, ("overloaded", "too many")), "failed", 1),
        (Overloaded("too many"), "failed", 1),
        (Maybe("gone"), "maybe", 0),
    ],
)
def test_what_was_refused_must_not_come_and_what_is_in_doubt_may(
    loaded: Loaded, result: SendResult | Exception, count: str, unexpected: int
) -> None:
    loaded.receive(loaded.send(result))
    found = loaded.ended()
    assert getattr(found.kinds["send"], count) == 1
    assert (found.unexpected, found.recovered) == (unexpected, 1 - unexpected)


def test_a_message_of_somebody_else_is_unexpected(loaded: Loaded) -> None:
    loaded.receive(b"hello")
    assert loaded.ended().unexpected == 1


@pytest.mark.parametrize("interrupts", [1, 2])
def test_the_queue_goes_with_a_load_that_is_interrupted(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, interrupts: int
) -> None:
    def script(peer: Peer, frame: Frame) -> None:  # no receive is answered
        if isinstance(frame, Request) and isinstance(frame.body, AdminQuery):
            peer.reply(frame, AdminAnswer({"slot": 1, "alive": 1, "late": []}))
        elif isinstance(frame, Request) and isinstance(frame.body, QueueSend):
            peer.reply(frame, QueueSent([OK]))

    [node] = serve(script)
    monkeypatch.setattr(session, "WIND_UP_S", 0.1)
    hooks = Hooks(interrupts=lambda: interrupts if node.bodies(QueueSend) else 0)
    asyncio.run(session.run_session(LoadPlan(QUEUE, CLUSTER, "run", seconds=60.0, clients=1), hooks))
    asked = [(body.what, body.arguments["name"]) for body in node.bodies(AdminQuery) if "name" in body.arguments]
    assert asked == [("create-queue", "load-run-0"), ("delete-queue", "load-run-0")]


def test_the_queue_goes_with_its_load(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(loaded.load.remove())
    assert loaded.calls.deleted == ["load-run-0"]

    async def refuse(name: str) -> None:
        raise NotFound("no such queue")

    monkeypatch.setattr(loaded.calls, "delete_queue", refuse)
    asyncio.run(loaded.load.remove())
    assert loaded.tally.found.errors == {"not-found": 1}
