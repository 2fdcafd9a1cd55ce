"""No two values for one slot, whatever is lost, repeated, reordered or restarted (Paxos Made Simple, section 2.2)."""

from random import Random
from typing import Any

import pytest

from cluster.ballot.acceptor import NONE, Accepted, Acceptor, AcceptorState, Promised
from cluster.ballot.proposer import Phase, Proposer, majority

SLOT = 7


def acceptors(count: int) -> dict[str, Acceptor]:
    return {f"a{number}": Acceptor(AcceptorState(SLOT)) for number in range(count)}


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_meets_every_other(count: int, needed: int) -> None:
    assert majority(count) == needed
    assert 2 * needed > count


def test_one_proposer_decides_its_own_value() -> None:
    group = acceptors(3)
    proposer = Proposer(group, (1, "p"), b"mine")
    for name in ("a0", "a1"):
        phase = proposer.on_promise(name, group[name].prepare(SLOT, proposer.ballot))
    assert phase is Phase.ACCEPT
    for name in ("a1", "a2"):
        phase = proposer.on_accepted(name, group[name].accept(SLOT, proposer.ballot, proposer.value))
    assert phase is Phase.DECIDED and proposer.value == b"mine"


def test_a_value_that_may_be_decided_is_proposed_again() -> None:
    group = acceptors(3)
    group["a1"].accept(SLOT, (1, "p"), b"theirs")
    proposer = Proposer(group, (2, "q"), b"mine")
    proposer.on_promise("a0", group["a0"].prepare(SLOT, proposer.ballot))
    proposer.on_promise("a1", group["a1"].prepare(SLOT, proposer.ballot))
    assert proposer.value == b"theirs"


def test_of_several_values_the_one_of_the_highest_ballot() -> None:
    proposer = Proposer(["a", "b", "c"], (9, "q"), b"mine")
    proposer.on_promise("a", Promised(True, (9, "q"), (3, "p"), b"newer"))
    proposer.on_promise("b", Promised(True, (9, "q"), (2, "z"), b"older"))
    assert (proposer.phase, proposer.value) == (Phase.ACCEPT, b"newer")


def test_a_promise_keeps_lower_ballots_out() -> None:
    acceptor = Acceptor(AcceptorState(SLOT))
    acceptor.prepare(SLOT, (5, "q"))
    assert acceptor.prepare(SLOT, (4, "z")) == Promised(False, (5, "q"), NONE, b"")
    assert acceptor.accept(SLOT, (5, "p"), b"x") == Accepted(False, (5, "q"))
    assert acceptor.state == AcceptorState(SLOT, (5, "q"))


def test_refusals_end_an_attempt_and_say_how_high_to_go() -> None:
    proposer = Proposer(["a", "b", "c"], (1, "p"), b"mine")
    assert proposer.on_promise("a", Promised(False, (4, "q"), NONE, b"")) is Phase.PREPARE
    assert proposer.on_silence("b") is Phase.LOST
    assert proposer.higher == (4, "q")


def test_strangers_and_repetitions_do_not_count() -> None:
    proposer = Proposer(["a", "b", "c"], (1, "p"), b"mine")
    granted = Promised(True, (1, "p"), NONE, b"")
    for name in ("a", "a", "wiped"):
        assert proposer.on_promise(name, granted) is Phase.PREPARE


def test_an_acceptor_forgets_a_slot_only_for_a_later_one() -> None:
    acceptor = Acceptor(AcceptorState(SLOT))
    acceptor.prepare(SLOT, (5, "q"))
    acceptor.advance(SLOT)
    assert acceptor.state.promised == (5, "q")
    acceptor.advance(SLOT + 1)
    assert acceptor.state == AcceptorState(SLOT + 1)


def duel(seed: int, *, forgetful: bool = False) -> list[bytes]:
    """Three proposers on five acceptors over a network that loses, repeats and reorders. Returns what was decided."""
    random = Random(seed)
    group = acceptors(5)
    decided: list[bytes] = []
    proposers: dict[str, Proposer] = {}
    mail: list[tuple[str, str, Any]] = []  # to whom, about which proposer, what
    rounds = dict.fromkeys(("p", "q", "r"), 0)
    for _ in range(1500):
        for name in rounds:
            attempt = proposers.get(name)
            if attempt is None or (attempt.phase is Phase.LOST or random.random() < 0.004):
                rounds[name] = max(rounds[name], attempt.higher[0] if attempt else 0) + 1
                attempt = proposers[name] = Proposer(group, (rounds[name], name), name.encode())
                mail += [(to, name, ("prepare", attempt.ballot, b"")) for to in group]
        if not mail:
            continue
        number = random.randrange(len(mail))
        to, name, message = mail[number]
        if random.random() > 0.1:  # else it stays, and is delivered again
            mail.pop(number)
        if random.random() < 0.1:
            continue
        attempt = proposers[name]
        match message:
            case ("prepare", ballot, _):
                mail.append((to, name, (ballot, group[to].prepare(SLOT, ballot))))
            case ("accept", ballot, value):
                mail.append((to, name, (ballot, group[to].accept(SLOT, ballot, value))))
            case (ballot, answer) if ballot == attempt.ballot:
                before = attempt.phase
                if isinstance(answer, Promised):
                    attempt.on_promise(to, answer)
                else:
                    attempt.on_accepted(to, answer)
                if attempt.phase is Phase.ACCEPT and before is Phase.PREPARE:
                    mail += [(one, name, ("accept", ballot, attempt.value)) for one in group]
                if attempt.phase is Phase.DECIDED and before is not Phase.DECIDED:
                    decided.append(attempt.value)
        if forgetful and random.random() < 0.02:
            group[random.choice(sorted(group))].state = AcceptorState(SLOT)
    return decided


def test_all_that_is_decided_is_one_value() -> None:
    ends = [duel(seed) for seed in range(150)]
    assert all(len(set(values)) <= 1 for values in ends)
    assert sum(bool(values) for values in ends) > 100, "hardly anything was decided: the test proves nothing"


def test_acceptors_that_forget_decide_two() -> None:
    assert any(len(set(duel(seed, forgetful=True))) > 1 for seed in range(150)), "the safeguard is not needed?"
