"""One connection of a client, joined back to back with a node's side: no socket, no clock but a number."""

from collections.abc import Callable

import pytest

from cluster.errors import (
    BadMessage,
    ClusterError,
    DeadlinePassed,
    HandshakeRefused,
    Maybe,
    NotFound,
    Overloaded,
    TooLarge,
    Unreachable,
    Usage,
)
from cluster.limits import FRAME_BYTES_MAX, PART_BYTES_MAX, PARTS_WINDOW_BYTES, VALUE_BYTES_MAX
from cluster.wire import caller as module
from cluster.wire.admin import AdminAnswer, AdminQuery, Draining
from cluster.wire.caller import OUT_BYTES_MAX, TOGETHER, Caller, Outcome, client_party
from cluster.wire.frames import (
    ONE_WAYS_MAX,
    SMALL_BYTES,
    Body,
    Cancel,
    Credit,
    Failure,
    Frame,
    FrameReader,
    Invalid,
    OneWay,
    OneWays,
    Part,
    Reply,
    Request,
    encode_frame,
)
from cluster.wire.handshake import (
    NONCE_BYTES,
    ROLE_CLIENT,
    ROLE_NODE,
    HandshakeListener,
    Party,
    refusal,
    role_key,
)
from cluster.wire.kv import Get, Got, Keys, Put
from cluster.wire.queues import QueueAck, QueueExtend
from cluster.wire.requests import Call, CallDone
from cluster.wire.topics import Message, Publish, Subscribe
from cluster.wire.unanswered import expired, lost

SECRET = b"s" * 32
READS: list[Body] = [Get("k"), Keys("", "", 1), AdminQuery("members"), Subscribe(1, "a")]
WRITES: list[Body] = [
    *(Put("k", b"", "1"), Put("k", b"", "1", deleted=True), Publish("a", b""), Call("a", "b", b"")),
    *(QueueAck(["r"]), QueueExtend(["r"], 1.0), AdminQuery("purge-queue", {"name": "q"})),
]
GOT = Got([b"v"], b"", 2, 0, False, "n1")


class Pair:
    """A caller, and the node's side of its connection. `say` moves bytes to the node and returns the frames there."""

    def __init__(self, secret: bytes = SECRET, name: str = "n1") -> None:
        self.now = 100.0
        self.woken = 0
        self.caller = Caller("n1", role_key(SECRET, ROLE_CLIENT), client_party("c", "x", "boot"), bytes(NONCE_BYTES))
        self.caller.on_output = self._wake
        self.listener = HandshakeListener(secret, Party("c", ROLE_NODE, name, "id", 1), bytes(NONCE_BYTES))
        self.reader = FrameReader()
        self.outcomes: list[Outcome] = []
        self.early: list[Frame] = []
        """What came right behind the proof."""

    def _wake(self) -> None:
        self.woken += 1

    def prove(self) -> "Pair":
        """The handshake, to its end."""
        while self.listener.peer is None:
            answer = self.listener.feed(b"".join(self.caller.take(self.now).values()), self.now)
            if answer:
                self.caller.feed(answer, self.now)
        self.early = self.reader.feed(self.listener.rest)
        return self

    def call(self, body: Body, timeout: float = 1.0) -> int:
        return self.caller.call(body, self.now + timeout, self.outcomes.append, self.now)

    def say(self) -> list[Frame]:
        return self.reader.feed(b"".join(self.caller.take(self.now).values()))

    def answer(self, *frames: Frame) -> None:
        self.caller.feed(b"".join(map(encode_frame, frames)), self.now)


def test_calls_wait_for_the_proof_and_find_their_replies() -> None:
    pair = Pair()
    first, second = pair.call(Get("a")), pair.call(Get("b"))
    pair.prove()
    assert [frame.id for frame in pair.early if isinstance(frame, Request)] == [first, second]
    pair.answer(Reply(second, GOT), Failure(first, "no-quorum", "two are gone"))
    assert pair.outcomes[0] == GOT and isinstance(pair.outcomes[1], ClusterError)
    assert pair.outcomes[1].code == "no-quorum" and not pair.caller.pending


def test_what_helps_travels_where_it_is_more_than_the_code_says() -> None:
    pair = Pair().prove()
    own, usual = pair.call(Get("a")), pair.call(Get("b"))
    pair.answer(Failure(own, "not-found", "no such", help="Look elsewhere."), Failure(usual, "not-found", "no such"))
    assert [error.help for error in pair.outcomes if isinstance(error, ClusterError)] == [
        "Look elsewhere.",
        NotFound.help_text,
    ]


def test_bytes_may_be_cut_anywhere() -> None:
    pair = Pair().prove()
    id = pair.call(Get("a"))
    for byte in encode_frame(Reply(id, GOT)):
        pair.caller.feed(bytes([byte]), pair.now)
    assert pair.outcomes == [GOT]


def test_the_session_is_woken_once_until_it_takes() -> None:
    pair = Pair().prove()
    woken = pair.woken
    for _ in range(5):
        pair.call(Get("a"))
    assert pair.woken == woken + 1 and len(pair.say()) == 5
    pair.call(Get("a"))
    assert pair.woken == woken + 2


@pytest.mark.parametrize("name", ["n2", "n1"])
def test_who_is_another_or_does_not_know_the_secret_is_refused(name: str) -> None:
    pair = Pair(SECRET if name == "n2" else b"x" * 32, name)
    pair.call(Put("a", b"", "1"))
    answer = pair.listener.feed(b"".join(pair.caller.take(pair.now).values()), pair.now)
    pair.caller.feed(answer, pair.now)
    assert isinstance(pair.caller.error, HandshakeRefused)
    assert isinstance(pair.outcomes[0], Unreachable), "the call had not left"


def test_a_refusal_has_the_nodes_words() -> None:
    pair = Pair()
    pair.caller.take(pair.now)
    pair.caller.feed(refusal(Overloaded("no room")), pair.now)
    assert pair.caller.error is not None and "no room" in pair.caller.error.message


@pytest.mark.parametrize("cut", [3, 1 << 20])
def test_a_refusal_behind_the_proof_is_one_too(cut: int) -> None:
    pair = Pair()
    pair.call(Put("a", b"", "1"))
    pair.prove()
    data = refusal(Overloaded("no room"))
    for part in (data[:cut], data[cut:]):
        pair.caller.feed(part, pair.now)
    assert isinstance(pair.caller.error, HandshakeRefused) and "no room" in pair.caller.error.message
    assert isinstance(pair.outcomes[0], Unreachable), "it was sent, and not read"


def test_a_node_that_drains_hears_it_back_behind_what_was_sent() -> None:
    pair = Pair().prove()
    id = pair.call(Get("a"))
    pair.answer(OneWay(Draining(True)))
    assert pair.caller.draining and not pair.caller.good
    call, last = pair.say()
    assert isinstance(call, Request) and call.id == id and last == OneWays([Draining(True)])
    pair.answer(OneWay(Draining(False)))
    assert pair.caller.good and pair.say() == []


# -- what may be said about a call without an answer


@pytest.mark.parametrize("body", READS, ids=repr)
def test_a_read_without_an_answer_is_definite(body: Body) -> None:
    assert lost(body, "n1", "reset").definite and expired(body, "n1").definite


@pytest.mark.parametrize("body", WRITES, ids=repr)
def test_a_write_that_was_sent_is_maybe(body: Body) -> None:
    pair = Pair().prove()
    pair.call(body)
    pair.say()
    pair.caller.end(Unreachable("n1: reset"))
    assert isinstance(pair.outcomes[0], Maybe)
    assert isinstance(expired(body, "n1"), Maybe)


@pytest.mark.parametrize("body", WRITES, ids=repr)
def test_a_write_that_never_left_did_not_happen(body: Body) -> None:
    waiting, unsent = Pair().prove(), Pair().prove()
    waiting.call(body)
    waiting.caller.end(Unreachable("n1: reset"))
    id = unsent.call(body)
    unsent.say()
    unsent.caller.end(Unreachable("n1: reset"), [id])  # the kernel did not take all of it
    for pair in (waiting, unsent):
        assert isinstance(pair.outcomes[0], Unreachable)


def test_the_end_is_told_first_to_who_chooses_nodes() -> None:
    pair = Pair().prove()
    told: list[str] = []
    pair.caller.on_end = lambda: told.append("end")
    pair.caller.watchers.append(lambda: told.append("watcher"))
    pair.caller.call(Get("a"), pair.now + 1, lambda outcome: told.append("call"), pair.now)
    pair.caller.end(Unreachable("gone"))
    pair.caller.end(Unreachable("again"))
    assert told == ["end", "watcher", "call"]


def test_a_callback_that_ends_the_connection_is_the_last_to_hear_of_a_reply() -> None:
    """The frames behind it in the same bytes answer calls that have ended: each hears one outcome."""
    pair = Pair().prove()
    first = pair.caller.call(Get("a"), pair.now + 1, lambda _: pair.caller.end(Unreachable("closed")), pair.now)
    second = pair.call(Put("b", b"", "1"))
    pair.say()
    pair.answer(Reply(first, GOT), Reply(second, GOT))
    assert len(pair.outcomes) == 1 and isinstance(pair.outcomes[0], Maybe)


# -- time


def test_a_call_without_an_answer_ends_a_little_after_its_deadline_and_is_cancelled() -> None:
    pair = Pair().prove()
    id = pair.call(Put("a", b"", "1"), 1.0)
    pair.say()
    pair.caller.sweep(pair.now + 1.0)
    assert pair.outcomes == []
    pair.caller.sweep(pair.now + 1.0 + module.GRACE_S)
    assert isinstance(pair.outcomes[0], Maybe) and pair.say() == [Cancel(id)]
    pair.answer(Reply(id, GOT))
    assert len(pair.outcomes) == 1, "the late answer finds nobody"


def test_a_call_that_could_not_be_sent_in_time_did_not_happen() -> None:
    pair = Pair().prove()
    pair.call(Put("a", b"", "1"), 1.0)
    pair.caller.sweep(pair.now + 2.0)
    assert isinstance(pair.outcomes[0], DeadlinePassed) and pair.say() == []


def test_what_is_late_when_it_is_taken_stays_and_did_not_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair().prove()
    late, other, last = pair.call(WRITES[0]), pair.call(WRITES[0], timeout=5.0), pair.call(WRITES[0])
    pair.now += 1.0
    assert [frame.id for frame in pair.say() if isinstance(frame, Request)] == [other]
    assert pair.say() == [] and {late, last} < pair.caller.pending.keys()
    monkeypatch.setattr(module, "OUT_BYTES_MAX", 1)
    with pytest.raises(Overloaded):
        pair.call(WRITES[0])
    pair.caller.sweep(pair.now + module.GRACE_S)
    assert [type(outcome) for outcome in pair.outcomes] == [DeadlinePassed] * 2
    assert pair.say() == [], "nobody need be told of what never left"
    pair.call(WRITES[0])


def test_so_many_calls_are_to_be_taken_at_once() -> None:
    pair = Pair().prove()
    taken: list[int] = []
    pair.caller.on_full = lambda: taken.append(len(pair.say()))
    for _ in range(3 * TOGETHER - 1):
        pair.call(Get("k"))
    assert taken == [TOGETHER] * 2
    assert len(pair.say()) == TOGETHER - 1, "and those that were not full leave at the end of the pass"


def test_what_is_cancelled_before_it_left_never_leaves() -> None:
    pair = Pair().prove()
    pair.caller.cancel(pair.call(Put("a", b"", "1")))
    assert pair.say() == [] and pair.outcomes == []
    id = pair.call(Put("a", b"", "1"))
    pair.say()
    pair.caller.cancel(id)
    assert pair.say() == [Cancel(id)] and pair.outcomes == []


def test_it_is_good_until_it_is_quiet_and_again_with_the_next_byte() -> None:
    pair = Pair().prove()
    assert pair.caller.good
    id = pair.call(Get("a"))
    for _ in range(4):
        pair.caller.beat(0.02)
    assert not pair.caller.good
    pair.answer(Reply(id, GOT))
    assert pair.caller.good
    for _ in range(20):
        pair.caller.beat(0.02)
    assert pair.caller.good, "nothing is due, so its silence means nothing"


# -- limits and blame


def test_what_cannot_be_sent_leaves_no_trace() -> None:
    pair = Pair().prove()
    bodies: list[tuple[Body, type[ClusterError]]] = [
        (AdminQuery("x", {"a": object()}), Usage),
        (AdminQuery("x", {"a": 1 << 70}), Usage),
        (Put("\ud800", b"", "1"), Usage),
        (Put("k", bytes(FRAME_BYTES_MAX), "1"), TooLarge),
    ]
    for body, error in bodies:
        with pytest.raises(error):
            pair.call(body)
    assert pair.say() == [] and not pair.caller.pending and pair.outcomes == []


@pytest.mark.parametrize("limit", ["CALLS_MAX", "OUT_BYTES_MAX"])
def test_what_waits_is_bounded(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, limit, 1)
    pair = Pair().prove()
    pair.call(Get("a"))
    with pytest.raises(Overloaded):
        pair.call(Get("b"))
    assert len(pair.say()) == 1


@pytest.mark.parametrize("data", [b"\x00\x00\x00\x01\xc1", b"\xff\xff\xff\xff", encode_frame(Cancel(1))])
def test_what_breaks_the_protocol_ends_the_connection(data: bytes) -> None:
    pair = Pair().prove()
    pair.call(Put("a", b"", "1"))
    pair.say()
    pair.caller.feed(data, pair.now)
    assert isinstance(pair.caller.error, BadMessage) and isinstance(pair.outcomes[0], Maybe)
    with pytest.raises(Unreachable):
        pair.call(Get("a"))


def test_pushes_and_one_way_messages() -> None:
    pair = Pair().prove()
    pushed: list[Body] = []
    pair.caller.on_push = pushed.append
    message = Message(1, "a.b", b"", "m1", "n1")
    pair.answer(OneWay(message), OneWays([message, message]))
    assert pushed == [message] * 3
    assert pair.caller.oneway(Publish("a", b"")) and pair.say() == [OneWays([Publish("a", b"")])]
    pair.caller.end(Unreachable("gone"))
    assert not pair.caller.oneway(Publish("a", b""))


def test_small_one_way_messages_share_a_frame_and_all_keep_their_order() -> None:
    pair = Pair().prove()
    small, large = Publish("a", b"x"), Publish("a", b"x" * SMALL_BYTES)
    for body in (small, small, large, small):
        assert pair.caller.oneway(body)
    id = pair.call(Get("k"))
    assert pair.caller.oneway(small)
    said = pair.say()
    assert said[:3] == [OneWays([small, small]), OneWay(large), OneWays([small])]
    assert isinstance(said[3], Request) and said[3].id == id and said[4:] == [OneWays([small])]
    for _ in range(ONE_WAYS_MAX + 1):
        assert pair.caller.oneway(small)
    assert pair.say() == [OneWays([small] * ONE_WAYS_MAX), OneWays([small])]


def test_what_cannot_be_encoded_is_refused_where_it_is_sent_and_spoils_no_neighbour() -> None:
    pair = Pair().prove()
    assert pair.caller.oneway(Publish("a", b""))
    with pytest.raises(Usage):
        pair.caller.oneway(Publish("\ud800", b""))
    assert pair.say() == [OneWays([Publish("a", b"")])]


def test_a_node_that_does_not_read_is_sent_no_more_one_way() -> None:
    pair = Pair().prove()
    sent = 0
    while pair.caller.oneway(Publish("a", b"x" * 900)):
        sent += 1
        assert sent < 100_000
    assert sent * 900 >= OUT_BYTES_MAX // 2
    said = [frame.bodies for frame in pair.say() if isinstance(frame, OneWays)]
    assert sum(map(len, said)) == sent and pair.caller.oneway(Publish("a", b""))


@pytest.mark.parametrize("reply", [lambda id: Reply(id, AdminAnswer(1)), lambda id: Failure(id, "usage", "no")])
def test_a_bug_of_one_caller_takes_nothing_with_it(reply: Callable[[int], Frame]) -> None:
    pair = Pair().prove()
    bugs: list[Exception] = []
    pair.caller.on_bug = bugs.append

    def fail(outcome: Outcome) -> None:
        raise RuntimeError

    bad = pair.caller.call(Get("a"), pair.now + 1, fail, pair.now)
    good = pair.call(Get("b"))
    pair.answer(reply(bad), Reply(good, GOT))
    assert len(bugs) == 1 and pair.outcomes == [GOT] and pair.caller.error is None


# -- replies in parts

CALL = Call("a", "b", b"{}")


def test_a_reply_in_parts_comes_whole_and_its_credit_goes_back_meanwhile() -> None:
    pair, data = Pair().prove(), bytes(range(256)) * 1024
    id = pair.call(CALL)
    pair.say()
    given = 0
    for start in range(0, len(data), PART_BYTES_MAX):
        pair.answer(Part(id, data[start : start + PART_BYTES_MAX]))
        for frame in pair.say():
            assert isinstance(frame, Credit)
            given += frame.count
        assert start + PART_BYTES_MAX - given <= PARTS_WINDOW_BYTES // 2
    pair.answer(Reply(id, CallDone(b"end", "n1")))
    assert pair.outcomes == [CallDone(data + b"end", "n1")] and not pair.caller.pending


def test_who_takes_the_parts_gives_the_credit() -> None:
    pair, parts = Pair().prove(), list[bytes]()
    id = pair.caller.call(CALL, pair.now + 1, pair.outcomes.append, pair.now, on_part=parts.append)
    pair.say()
    pair.answer(Part(id, b"one"), Part(id, bytes(PARTS_WINDOW_BYTES - 3)))
    assert not pair.say()
    pair.caller.credit(id, 3)
    assert pair.say() == [Credit(id, 3)]
    pair.answer(Part(id, b"two"), Reply(id, CallDone(b"", "n1", replies=3)))
    assert [len(part) for part in parts] == [3, PARTS_WINDOW_BYTES - 3, 3]
    assert pair.outcomes == [CallDone(b"", "n1", replies=3)]
    pair.caller.credit(id, 1)
    assert not pair.say(), "it has ended"


def test_late_parts_are_passed_over() -> None:
    pair = Pair().prove()
    first, second = pair.call(CALL), pair.call(CALL)
    pair.caller.cancel(first)
    pair.answer(Part(first, b"late"), Reply(second, CallDone(b"1", "n1")), Part(second, b"later"))
    assert pair.caller.error is None and len(pair.outcomes) == 1


def hostile_parts() -> list[tuple[Body, list[Callable[[int], Part]]]]:
    """Requests, and parts that answer them against the rules."""
    whole = PARTS_WINDOW_BYTES
    return [
        (CALL, [lambda id: Part(id, bytes(whole)), lambda id: Part(id, b"1")]),
        (CALL, [lambda id: Part(id, b"")]),
        (CALL, [lambda id: Part(id + 1, b"1")]),
        (Get("k"), [lambda id: Part(id, b"1")]),
    ]


@pytest.mark.parametrize(("body", "parts"), hostile_parts())
def test_parts_against_the_rules_end_the_connection(body: Body, parts: list[Callable[[int], Part]]) -> None:
    pair, nobody = Pair().prove(), list[bytes]()
    on_part = nobody.append if type(body) is Call else None
    id = pair.caller.call(body, pair.now + 1, pair.outcomes.append, pair.now, on_part=on_part)
    pair.say()
    for part in parts:
        pair.answer(part(id))
    assert isinstance(pair.caller.error, BadMessage) and len(pair.outcomes) == 1


def test_a_reply_that_grows_without_end_ends_the_connection() -> None:
    pair = Pair().prove()
    id = pair.call(CALL)
    pair.say()
    for _ in range(VALUE_BYTES_MAX // PART_BYTES_MAX + 1):
        pair.answer(Part(id, bytes(PART_BYTES_MAX)))
    assert isinstance(pair.caller.error, BadMessage) and isinstance(pair.outcomes[0], Maybe)


@pytest.mark.parametrize("how", ["cancel", "give up", "deadline", "failure", "end"])
def test_nothing_is_kept_of_a_reply_that_does_not_come_to_its_end(how: str) -> None:
    pair = Pair().prove()
    id = pair.call(CALL)
    pair.say()
    pair.answer(Part(id, b"one"))
    match how:
        case "cancel":
            pair.caller.cancel(id)
        case "give up":
            pair.caller.give_up(id)
        case "deadline":
            pair.caller.sweep(pair.now + 2)
        case "failure":
            pair.answer(Failure(id, "service-error", "broke"))
        case "end":
            pair.caller.end(Unreachable("reset"))
    assert not pair.caller._parts and not pair.caller.pending
    assert (how == "cancel") == (not pair.outcomes)


def test_a_worker_takes_requests_out_of_what_comes_and_answers_them() -> None:
    pair = Pair().prove()
    taken: list[Frame | Invalid] = []

    def take(frames: list[Frame | Invalid], now: float) -> list[Frame | Invalid]:
        taken.extend(frame for frame in frames if isinstance(frame, Request | Cancel))
        return [frame for frame in frames if not isinstance(frame, Request | Cancel)]

    pair.caller.on_requests = take
    id = pair.call(Get("k"))
    pair.say()
    call = Request(7, 3.0, 0, Call("pay", "charge", b"{}"))
    pair.answer(call, Reply(id, GOT), Cancel(7))
    assert taken == [call, Cancel(7)] and pair.outcomes == [GOT]
    refusal = Failure(7, "maybe", "it was cancelled")
    pair.caller.answer(refusal)
    assert refusal in pair.say()
    pair.caller.end(Unreachable("n1: closed"))
    pair.caller.answer(refusal)
    assert pair.say() == []


def test_a_client_that_is_sent_a_request_ends_the_connection() -> None:
    pair = Pair().prove()
    pair.answer(Request(7, 3.0, 0, Get("k")))
    assert isinstance(pair.caller.error, BadMessage)
