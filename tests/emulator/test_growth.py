"""Whom `add` and `leave` ask, and what they go by while they wait."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.client.blocking import BlockingCluster
from cluster.emulator import growth
from cluster.emulator.growth import change, newest
from cluster.emulator.home import ClusterFiles
from cluster.errors import ClusterError, DeadlinePassed, Maybe, NotYet, QuorumMissing, TooFewOwners, Unreachable

FILES = cast(ClusterFiles, SimpleNamespace(name="default", folder=Path()))
DECIDED = {"slot": 2, "what": "add n4"}


class Nodes:
    """Nodes that answer a change as they are told to, and are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[object]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []
        self.states: dict[str, dict[str, Any]] = {name: {"slot": 1, "alive": 3} for name in answers}
        monkeypatch.setattr(growth, "states", lambda client, files: self.states)

    def ask(self, name: str, what: str, arguments: dict[str, Any], timeout: float) -> Any:
        self.asked.append((name, arguments["id"]))
        answer = self.answers[name].pop(0)
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    def change(self, wait_s: float = 5.0) -> dict[str, Any]:
        return change(cast(BlockingCluster, self), FILES, {"leave": ["n3"]}, time.monotonic() + wait_s)


def test_who_is_silent_or_cut_off_is_gone_round(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch, n1=[Maybe("silent")], n2=[QuorumMissing("cut off")], n3=[DECIDED])
    assert nodes.change() == DECIDED
    assert [name for name, _ in nodes.asked] == ["n1", "n2", "n3"]
    assert len({id for _, id in nodes.asked}) == 1, "it is one change, whoever makes it"


def test_who_has_the_newest_entry_and_sees_most_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch, n1=[DECIDED], n2=[DECIDED], n3=[DECIDED])
    nodes.states = {"n1": {"slot": 3, "alive": 1}, "n2": {}, "n3": {"slot": 3, "alive": 2}}
    assert nodes.change() == DECIDED and nodes.asked[0][0] == "n3"


def test_all_are_asked_again_while_the_last_change_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch, n1=[NotYet("n2 is late"), DECIDED], n2=[QuorumMissing("cut off")])
    assert nodes.change() == DECIDED


@pytest.mark.parametrize(
    ("n1", "n2", "raised"),
    [
        (TooFewOwners("of 3 partitions"), DECIDED, TooFewOwners),
        (Maybe("silent"), QuorumMissing("cut off"), Maybe),
        (DeadlinePassed("n1 did not answer in time"), QuorumMissing("cut off"), Maybe),
        (Maybe("silent"), TooFewOwners("as far as n2 knows, which is behind"), Maybe),
        (QuorumMissing("cut off"), Unreachable("gone"), Unreachable),
    ],
)
def test_what_cannot_be_and_what_is_unknown_is_said(
    monkeypatch: pytest.MonkeyPatch, n1: object, n2: object, raised: type[ClusterError]
) -> None:
    with pytest.raises(raised):
        Nodes(monkeypatch, n1=[n1], n2=[n2]).change()


def test_of_one_slot_the_state_told_last_counts() -> None:
    before = {"number": 2, "slot": 4, "moving": True, "lacking": {"n6": 128}}
    now = {"number": 2, "slot": 4, "moving": True, "lacking": {"n6": 12}}
    assert newest(before, [{}, now]) == now


def test_a_node_that_is_behind_takes_nothing_back() -> None:
    before = {"number": 2, "slot": 5, "moving": False}
    assert newest(before, [{"number": 2, "slot": 4, "moving": True}]) == before
    assert (
        newest(before, [{"number": 2, "slot": 4, "moving": True}, {"number": 2, "slot": 6, "moving": False}])["slot"]
        == 6
    )


def test_without_an_answer_what_was_known_stays() -> None:
    before = {"number": 2, "slot": 5, "moving": True}
    assert newest(before, [{}]) == before
