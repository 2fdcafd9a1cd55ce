"""Workers beside a node: what they register, how their calls end, and what becomes of one that is silent, drains or
ends."""

from collections import Counter
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from cluster.client.serving import registration
from cluster.errors import (
    AlreadyExists,
    BadMessage,
    ClusterError,
    DeadlinePassed,
    LimitReached,
    Maybe,
    NoResponders,
    Overloaded,
    Usage,
)
from cluster.limits import PARTS_WINDOW_BYTES, SERVICE_BYTES_MAX, WORKER_CALLS_MAX, WORKERS_MAX
from cluster.requests.registry import Offer
from cluster.requests.service import definition_of
from cluster.requests.workers import BEAT_S, SILENT_S, Workers
from cluster.wire.frames import Cancel, Credit, Request
from cluster.wire.membership import StreamPing, StreamPong
from cluster.wire.requests import Call, CallDone, Register, Registered, Unregister, Unregistered
from tests.observe.hand_clock import HandClock
from tests.requests.pricing import Pricing
from tests.requests.world import FakeInbound

REGISTER = msgspec.structs.replace(registration(definition_of(Pricing), concurrency=2), version=1)
QUOTE, CHARGE = "quote", "reset"


class Link:
    """A worker's connection: what was sent on it."""

    def __init__(self) -> None:
        self.on_close: list[Any] = []
        self.sent: list[Any] = []
        self.ended = False
        self.taker: Any = None

    def send(self, frame: Any) -> bool:
        if not self.ended:
            self.sent.append(frame)
        return not self.ended

    def close(self) -> None:
        self.ended = True
        for function in self.on_close:
            function()

    def refuse(self, error: ClusterError) -> None:
        self.close()

    def credits(self) -> list[int]:
        return [frame.count for frame in self.sent if isinstance(frame, Credit)]

    def calls(self) -> list[Call]:
        return [frame.body for frame in self.sent if isinstance(frame, Request) and isinstance(frame.body, Call)]

    def requests(self) -> list[Request]:
        """Calls; not the pings."""
        return [frame for frame in self.sent if isinstance(frame, Request) and isinstance(frame.body, Call)]

    def cancelled(self) -> list[int]:
        return [frame.id for frame in self.sent if isinstance(frame, Cancel)]

    def pings(self) -> list[int]:
        return [frame.id for frame in self.sent if isinstance(frame, Request) and isinstance(frame.body, StreamPing)]

    def answer(self, frame: Request, payload: bytes = b"1") -> None:
        self.taker.answered(frame.id, CallDone(payload, "somebody", endpoint="else", repeatable=True))


class Sink:
    """Takes the parts of one answer."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.credit: Any = None
        self.lost = False

    def on_credit(self, function: Any) -> None:
        assert self.credit is None
        self.credit = function

    def part(self, data: bytes) -> bool:
        self.parts.append(data)
        return not self.lost


class Host:
    """The workers of n2, with what they announce."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.offers: dict[int, dict[str, Offer]] = {}
        self.away: dict[int, str] = {}
        self.told: list[Any] = []
        self.events: list[str] = []
        self.failures: Counter[str] = Counter()
        self.sink = Sink()
        self.workers = Workers(
            "n2", self.clock, cast(Any, self), lambda kind, cause, **_: self.events.append(kind),
            self.offers.__setitem__, self.away.__setitem__, self.told.append,
        )  # fmt: skip
        self.workers.note_failure = lambda endpoint, what: self.failures.update([endpoint])

    def handle(self, body_type: type, handler: Any) -> None:
        pass

    def call_back(self, inbound: Any, taker: Any) -> Link:
        inbound.link.taker = taker
        return cast(Link, inbound.link)

    def inbound(self, link: Link, body: Any) -> Any:
        inbound: Any = FakeInbound(body, self.clock.now() + 5.0, self.clock.now())
        inbound.link = link
        return inbound

    def register(self, register: Register = REGISTER, link: Link | None = None) -> tuple[Link, str]:
        link = link or Link()
        inbound = self.inbound(link, register)
        self.workers.register(inbound)
        (answer,) = inbound.answers
        assert isinstance(answer, Registered)
        return link, answer.endpoint

    def call(self, endpoint: str, operation: str = QUOTE, within_s: float = 60.0) -> tuple[list[Any], Any]:
        outcomes: list[Any] = []
        call = Call("pricing", operation, b"{}", routed=True, endpoint=endpoint, version=1)
        self.sink = Sink()
        return outcomes, self.workers.run(call, self.clock.now() + within_s, outcomes.append, self.sink)

    def answer_pings(self, link: Link, seconds: float) -> None:
        """Let time pass in which the worker runs."""
        for _ in range(round(seconds / BEAT_S)):
            self.clock.advance(BEAT_S)
            for id in link.pings():
                link.taker.answered(id, StreamPong())


def test_a_worker_gets_the_lowest_free_name_or_the_one_it_asks_for() -> None:
    host = Host()
    one, name = host.register()
    assert name == "n2/1" and host.offers[1]["pricing"].version == 1
    assert host.register(msgspec.structs.replace(REGISTER, number=3))[1] == "n2/3"
    assert host.register()[1] == "n2/2"
    with pytest.raises(AlreadyExists, match="n2/3 runs already"):
        host.register(msgspec.structs.replace(REGISTER, number=3))
    with pytest.raises(Usage, match="registered already"):
        host.register(link=one)
    one.close()
    assert host.offers[1] == {}
    assert host.register()[1] == "n2/1"
    for _ in range(WORKERS_MAX - 3):
        host.register()
    with pytest.raises(LimitReached):
        host.register()


@pytest.mark.parametrize(
    "change",
    [
        {"service": "Not a name"},
        {"version": 0},
        {"number": -1},
        {"number": WORKERS_MAX + 1},
        {"concurrency": 0},
        {"concurrency": WORKER_CALLS_MAX + 1},
        {"readonly": ["x"] * 65},
        {"description": b"[]"},
        {"description": b"{"},
        {"description": b'"' + b"x" * SERVICE_BYTES_MAX + b'"'},
    ],
)
def test_what_is_no_registration_is_refused_and_nothing_is_announced(change: dict[str, Any]) -> None:
    host = Host()
    with pytest.raises((Usage, LimitReached)):
        host.register(msgspec.structs.replace(REGISTER, **change))
    assert not host.offers and not host.workers.by_number


def test_an_answer_is_the_workers_and_says_where_it_ran() -> None:
    host = Host()
    link, name = host.register()
    other, other_name = host.register()
    outcomes, _ = host.call(name)
    (request,) = link.requests()
    other.answer(request)
    assert outcomes == [], "another worker's answer of the same number"
    link.answer(request)
    link.answer(request)
    (done,) = outcomes
    assert (done.node, done.endpoint, done.version, done.payload) == ("n2", name, 1, b"1")
    assert done.repeatable is (QUOTE in REGISTER.readonly), "what the worker says of that does not count"
    assert host.workers.in_flight() == 0
    assert isinstance(host.call("n2/9")[0][0], NoResponders)
    assert other_name == "n2/2"


def test_a_worker_takes_no_more_than_its_credits() -> None:
    host = Host()
    link, name = host.register()
    first, handle = host.call(name)
    host.call(name)
    waits, waiting = host.call(name)
    cancelled, third = host.call(name)
    third.cancel()
    assert len(link.requests()) == 2 and not waits and waiting is not None
    handle.cancel()
    handle.cancel()
    assert link.cancelled() == [link.requests()[0].id] and first == []
    assert len(link.requests()) == 3, "its place is the next one's"
    link.answer(link.requests()[0])
    assert first == [] and waits == [], "a cancelled call's answer is nobody's"
    link.answer(link.requests()[2])
    assert isinstance(waits[0], CallDone) and not cancelled


def test_a_call_that_its_worker_cannot_be_sent_leaves_its_place() -> None:
    host = Host()
    link, name = host.register()
    link.ended = True
    full, handle = host.call(name)
    link.ended = False
    assert isinstance(full[0], Overloaded) and handle is None and host.workers.in_flight() == 0
    host.call(name)
    host.call(name)
    assert len(link.requests()) == 2, "both places are free"


def test_an_operation_of_low_priority_waits_behind_the_others() -> None:
    host = Host()
    link, name = host.register(msgspec.structs.replace(REGISTER, concurrency=1, low=[QUOTE]))
    host.call(name)
    host.call(name)
    host.call(name, CHARGE)
    for number in range(3):
        link.answer(link.requests()[number])
    assert [call.operation for call in link.calls()] == [QUOTE, CHARGE, QUOTE]


def test_a_call_of_another_service_or_version_is_not_handed_to_a_worker() -> None:
    host = Host()
    link, name = host.register(msgspec.structs.replace(REGISTER, version=2))
    outcomes, _ = host.call(name)
    assert isinstance(outcomes[0], NoResponders), "version 1"
    for call in (Call("other", QUOTE, b"{}", endpoint=name), Call("pricing", QUOTE, b"{}", endpoint=name)):
        host.workers.run(call, host.clock.now() + 5.0, outcomes.append, host.sink)
    assert isinstance(outcomes[1], NoResponders) and len(outcomes) == 2
    assert [call.service for call in link.calls()] == ["pricing"], "any version"


def test_an_answer_that_is_none_is_an_error_of_the_worker() -> None:
    host = Host()
    link, name = host.register()
    outcomes, _ = host.call(name)
    link.taker.answered(link.requests()[0].id, StreamPong())
    assert isinstance(outcomes[0], BadMessage)


def test_what_waits_for_a_place_too_long_is_shed_and_goes_elsewhere_when_the_worker_ends() -> None:
    host = Host()
    link, name = host.register()
    host.call(name)
    host.call(name)
    shed, _ = host.call(name)
    host.clock.advance(0.3)
    assert isinstance(shed[0], Overloaded)
    unsent, _ = host.call(name, CHARGE)
    link.close()
    assert isinstance(unsent[0], NoResponders), "it surely did not run"
    host.clock.advance(1.0)
    assert host.clock.pending() == 0


def test_calls_of_a_service_that_does_not_shed_wait_for_a_place() -> None:
    assert REGISTER.shedding, "unless it says so"
    naive = replace(definition_of(Pricing), shedding=False)
    host = Host()
    _, name = host.register(msgspec.structs.replace(registration(naive, concurrency=2), version=1))
    host.call(name)
    host.call(name)
    waits, _ = host.call(name)
    late, _ = host.call(name, within_s=0.5)
    host.clock.advance(0.3)
    assert waits == [] and late == []
    host.clock.advance(0.3)
    assert isinstance(late[0], DeadlinePassed), "it surely did not run"


def test_a_call_ends_with_its_deadline_and_is_cancelled() -> None:
    host = Host()
    link, name = host.register()
    late, _ = host.call(name, within_s=0.0)
    assert isinstance(late[0], DeadlinePassed) and not link.requests()
    outcomes, _ = host.call(name, within_s=0.5)
    host.answer_pings(link, 0.6)
    assert isinstance(outcomes[0], Maybe) and link.cancelled() == [link.requests()[0].id]
    assert host.workers.in_flight() == 0


def test_the_end_of_the_connection_unregisters_at_once_and_ends_what_was_in_flight_as_maybe() -> None:
    host = Host()
    link, name = host.register()
    outcomes, _ = host.call(name)
    link.close()
    assert isinstance(outcomes[0], Maybe) and host.offers[1] == {} and not host.workers.by_number
    assert isinstance(host.call(name)[0][0], NoResponders)
    host.clock.advance(5.0)
    assert host.clock.pending() == 0, "nothing beats for nobody"
    assert host.failures == {"n2/1": 2}, "the connection, and the call"


def test_a_silent_worker_is_left_out_until_it_answers() -> None:
    host = Host()
    link, name = host.register()
    host.answer_pings(link, 3.0)
    assert not host.away, "who answers pings is not silent, whatever its handlers do"
    again, _ = host.call(name)
    once, _ = host.call(name, CHARGE)
    host.clock.advance(SILENT_S - 4 * BEAT_S)
    assert not host.away and not again
    host.clock.advance(6 * BEAT_S)
    assert host.away[1].startswith("silent") and isinstance(again[0], Maybe)
    assert once == [], "what may not be repeated waits: it may still be answered"
    assert isinstance(host.call(name)[0][0], NoResponders)
    link.answer(link.requests()[1])
    assert host.away == {1: ""} and isinstance(once[0], CallDone)
    assert link.cancelled() == [link.requests()[0].id]
    outcomes, _ = host.call(name)
    link.answer(link.requests()[-1])
    assert isinstance(outcomes[0], CallDone)
    assert host.events == ["worker.registered", "worker.silent", "worker.answers"]


def test_what_a_worker_fails_at_is_noted() -> None:
    host = Host()
    link, name = host.register()
    host.answer_pings(link, 3.0)
    host.call(name)
    link.answer(link.requests()[-1])
    assert not host.failures, "it has failed at nothing"
    again, _ = host.call(name)
    once, _ = host.call(name, CHARGE, within_s=2.0)
    host.clock.advance(2.0 + BEAT_S)
    assert again and once
    assert host.failures == {"n2/1": 2 + 7}, "two calls, and all pings but the last"


def test_a_worker_that_sends_parts_is_not_silent() -> None:
    host = Host()
    link, name = host.register()
    host.call(name)
    for _ in range(8):
        host.clock.advance(SILENT_S / 2)
        link.taker.part(link.requests()[0].id, b"row")
    assert not host.away


def test_a_silent_worker_that_drains_goes_on_draining_when_it_answers() -> None:
    host = Host()
    link, name = host.register()
    host.call(name, CHARGE)
    host.workers.unregister(host.inbound(link, Unregister()))
    host.clock.advance(SILENT_S + 0.5)
    assert host.away[1].startswith("silent")
    link.taker.answered(link.pings()[-1], StreamPong())
    assert host.away == {1: "draining"}


def test_a_stall_of_the_node_is_no_silence_of_its_workers() -> None:
    host = Host()
    link, _ = host.register()
    host.answer_pings(link, 0.5)
    host.clock.stall(10.0)
    host.clock.advance(2 * BEAT_S)
    assert not host.away


def test_a_worker_that_drains_finishes_what_it_has_once_all_nodes_know() -> None:
    host = Host()
    link, name = host.register()
    outcomes, _ = host.call(name)
    leaving = host.inbound(link, Unregister())
    host.workers.unregister(leaving)
    assert host.away == {1: "draining"} and not leaving.answers
    late, _ = host.call(name)
    assert len(link.requests()) == 2 and not late, "nodes that have not heard are served"
    host.told[0](3)
    link.answer(link.requests()[0])
    assert not leaving.answers
    link.answer(link.requests()[1])
    assert leaving.answers == [Unregistered()] and isinstance(outcomes[0], CallDone) and isinstance(late[0], CallDone)
    assert not host.workers.by_number and host.offers[1] == {}
    link.close()
    assert host.events == ["worker.registered", "worker.draining", "worker.ended"]


def test_a_worker_that_drains_does_not_wait_for_what_nobody_waits_for() -> None:
    host = Host()
    link, name = host.register()
    _, handle = host.call(name)
    leaving, again = host.inbound(link, Unregister()), host.inbound(link, Unregister())
    host.workers.unregister(leaving)
    host.workers.unregister(again)
    assert host.events.count("worker.draining") == 1
    host.told[0](3)
    assert not leaving.answers
    handle.cancel()
    assert leaving.answers == [Unregistered()]


def test_a_worker_with_nothing_to_do_leaves_when_all_nodes_know() -> None:
    host = Host()
    link, _name = host.register()
    leaving = host.inbound(link, Unregister())
    host.workers.unregister(leaving)
    host.told[0](3)
    assert leaving.answers == [Unregistered()]
    stranger = host.inbound(Link(), Unregister())
    host.workers.unregister(stranger)
    assert stranger.answers == [Unregistered()]


def test_a_description_is_found_by_service_and_version() -> None:
    host = Host()
    host.register()
    host.register(msgspec.structs.replace(REGISTER, version=2, description=b'{"newer": true}'))
    assert host.workers.describe("pricing", 1)["service"] == "pricing"
    assert host.workers.describe("pricing", 0) == {"newer": True}
    assert host.workers.describe("pricing", 3) is None and host.workers.describe("other", 0) is None


def test_parts_go_on_to_the_caller_and_its_credit_to_the_worker() -> None:
    host = Host()
    link, name = host.register()
    outcomes, _ = host.call(name)
    sink, (request,) = host.sink, link.requests()
    link.taker.part(request.id, b"one")
    link.taker.part(request.id, b"two")
    sink.credit(3)
    link.taker.part(99, b"of no call")
    link.answer(request)
    link.taker.part(request.id, b"late")
    sink.credit(3)
    assert sink.parts == [b"one", b"two"] and link.credits() == [3] and isinstance(outcomes[0], CallDone)


def test_who_cannot_take_a_part_ends_the_call_and_who_sends_too_many_the_connection() -> None:
    host = Host()
    link, name = host.register()
    outcomes, _ = host.call(name)
    host.sink.lost = True
    link.taker.part(link.requests()[0].id, b"one")
    assert isinstance(outcomes[0], Maybe) and link.cancelled() == [link.requests()[0].id]
    outcomes, _ = host.call(name)
    link.taker.part(link.requests()[1].id, bytes(PARTS_WINDOW_BYTES))
    assert not outcomes
    link.taker.part(link.requests()[1].id, b"one more")
    assert isinstance(outcomes[0], Maybe) and link.ended and not host.workers.by_number
