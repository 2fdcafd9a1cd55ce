"""Where an operation may go after an error, and what is said when nobody could be reached: by table."""

import pytest

from cluster.client.dispatch import may_go_elsewhere, nobody
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


@pytest.mark.parametrize("error", [QuorumMissing("x"), Overloaded("x"), BadMessage("x")], ids=repr)
@pytest.mark.parametrize("repeatable", [True, False])
def test_an_answer_is_no_obstacle(error: ClusterError, repeatable: bool) -> None:
    assert not may_go_elsewhere(error, repeatable)


@pytest.mark.parametrize("error", [DeadlinePassed("x"), Maybe("x")], ids=repr)
def test_what_may_have_happened_goes_elsewhere_only_if_it_may_be_repeated(error: ClusterError) -> None:
    assert may_go_elsewhere(error, True) and not may_go_elsewhere(error, False)


@pytest.mark.parametrize("error", [Unreachable("x"), HandshakeRefused("x")], ids=repr)
def test_what_was_not_sent_goes_elsewhere(error: ClusterError) -> None:
    assert may_go_elsewhere(error, False)


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
