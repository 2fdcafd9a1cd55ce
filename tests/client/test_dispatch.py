"""Where an operation may go after an error, and what is said when nobody could be reached: by table."""

import pytest

from cluster.client.dispatch import Dispatch, may_go_elsewhere, nobody
from cluster.errors import (
    BadMessage,
    ClusterError,
    DeadlinePassed,
    HandshakeRefused,
    Maybe,
    Overloaded,
    QuorumMissing,
    StaleLayout,
    Unreachable,
    WrongClock,
)
from cluster.wire.kv import Get
from cluster.wire.requests import Call
from cluster.wire.unanswered import lost


@pytest.mark.parametrize("error", [QuorumMissing("x"), Overloaded("x"), BadMessage("x")], ids=repr)
@pytest.mark.parametrize("repeatable", [True, False])
def test_an_answer_is_no_obstacle(error: ClusterError, repeatable: bool) -> None:
    assert not may_go_elsewhere(error, repeatable)


@pytest.mark.parametrize("error", [DeadlinePassed("x"), Maybe("x")], ids=repr)
def test_what_may_have_happened_goes_elsewhere_only_if_it_may_be_repeated(error: ClusterError) -> None:
    assert may_go_elsewhere(error, True) and not may_go_elsewhere(error, False)


@pytest.mark.parametrize(
    "error", [Unreachable("x"), HandshakeRefused("x"), StaleLayout("x"), WrongClock("x")], ids=repr
)
def test_what_was_not_sent_goes_elsewhere(error: ClusterError) -> None:
    assert may_go_elsewhere(error, False)


READ = Call("stock", "look", b"{}")


@pytest.mark.parametrize(
    ("error", "is_final"),
    [(Maybe("it may have run"), True), (DeadlinePassed("its limit of time"), True), (lost(READ, "n1", "reset"), False)],
    ids=repr,
)
def test_what_the_entry_node_of_a_call_answers_is_final(error: ClusterError, is_final: bool) -> None:
    """It has made three attempts; with another three at each other node, one call would be fifteen of five nodes."""

    class Sends:
        def __init__(self) -> None:
            self.repeatable_calls = {("stock", "look"): None}

        def send(self, operation: Dispatch) -> None:
            sent.append(operation)

    sent: list[object] = []
    told: list[object] = []
    dispatch = Dispatch(Sends(), READ, 1.0, told.append, None, None)  # type: ignore[arg-type]
    dispatch.caller = Silent("n1")  # type: ignore[assignment]
    dispatch(error)
    assert (told, sent) == (([error], []) if is_final else ([], [dispatch]))


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([Unreachable("1"), Unreachable("2")], Unreachable),
        ([Unreachable("1"), HandshakeRefused("2")], HandshakeRefused),
        ([Unreachable("1"), DeadlinePassed("2")], DeadlinePassed),
        ([Overloaded("1"), Unreachable("2")], Overloaded),
        ([Unreachable("1"), WrongClock("2")], WrongClock),
        ([BadMessage("1")], BadMessage),
        ([Unreachable("1"), Maybe("2")], Maybe),
        ([Maybe("1"), DeadlinePassed("2"), HandshakeRefused("3")], Maybe),
        ([], DeadlinePassed),
    ],
)
def test_the_one_error_for_many(errors: list[ClusterError], kind: type[ClusterError]) -> None:
    assert type(nobody("c", {str(number): error for number, error in enumerate(errors)})) is kind


class Silent:
    """A connection that takes calls and answers none."""

    again = False

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self, id: int) -> None: ...


def test_a_hedge_that_took_over_is_not_hedged_again() -> None:
    """Its answer would be taken for that of the second hedge, and the caller be told twice."""
    told: list[object] = []
    dispatch = Dispatch(object(), Get("cart"), 1.0, told.append, "cart", None)  # type: ignore[arg-type]
    assert dispatch.may_hedge(0.1)
    dispatch.caller, dispatch.id = Silent("n1"), 1  # type: ignore[assignment]
    dispatch.hedge, dispatch.hedged = (Silent("n2"), 2), True  # type: ignore[assignment]
    dispatch(Unreachable("n1: reset"))
    assert (told, dispatch.hedge, dispatch.may_hedge(0.1)) == ([], None, False)
    dispatch.on_hedge(QuorumMissing("x"))
    assert len(told) == 1
