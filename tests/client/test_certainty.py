"""What may be said, and done, about a request without an answer: by table."""

import pytest

from cluster.client.certainty import expired, lost, may_go_elsewhere, nobody
from cluster.errors import (
    BadMessage,
    ClusterError,
    DeadlinePassed,
    HandshakeRefused,
    Maybe,
    Overloaded,
    QuorumMissing,
    Unreachable,
)
from cluster.wire.admin import Ask
from cluster.wire.frames import Body
from cluster.wire.kv import Get, Keys, Put
from cluster.wire.requests import Call
from cluster.wire.topics import Publish, Subscribe

READS: list[Body] = [Get("k"), Keys("", "", 1), Ask("members"), Subscribe(1, "a")]
WRITES: list[Body] = [Put("k", b"", "1"), Put("k", b"", "1", deleted=True), Publish("a", b""), Call("a", "b", b"")]


@pytest.mark.parametrize("body", READS, ids=repr)
def test_a_read_is_definite_and_may_go_elsewhere(body: Body) -> None:
    for error in (lost(body, "n1", "reset"), expired(body, "n1")):
        assert error.definite and may_go_elsewhere(body, error)


@pytest.mark.parametrize("body", WRITES, ids=repr)
def test_a_write_that_was_sent_stays_where_it_is(body: Body) -> None:
    for error in (lost(body, "n1", "reset"), expired(body, "n1")):
        assert isinstance(error, Maybe) and not may_go_elsewhere(body, error)
    assert may_go_elsewhere(body, Unreachable("not sent"))
    assert not may_go_elsewhere(body, DeadlinePassed("the node says so"))


@pytest.mark.parametrize("error", [QuorumMissing("x"), Overloaded("x"), BadMessage("x"), Maybe("x")], ids=repr)
def test_an_answer_is_no_obstacle(error: ClusterError) -> None:
    assert not any(may_go_elsewhere(body, error) for body in [*READS, *WRITES])


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([Unreachable("1"), Unreachable("2")], Unreachable),
        ([Unreachable("1"), HandshakeRefused("2")], HandshakeRefused),
        ([Unreachable("1"), DeadlinePassed("2")], DeadlinePassed),
        ([Overloaded("1"), Unreachable("2")], Overloaded),
        ([BadMessage("1")], BadMessage),
        ([], DeadlinePassed),
    ],
)
def test_the_one_error_for_many(errors: list[ClusterError], kind: type[ClusterError]) -> None:
    assert type(nobody("c", {str(number): error for number, error in enumerate(errors)})) is kind
