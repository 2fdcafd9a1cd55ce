"""add, leave, forget, revert and repair on real nodes: what they print, how they end, and what they refuse."""

from typing import Any

import pytest

from cluster.emulator.home import Home
from tests.processes.commands import Done, ask, dsectl
from tests.processes.terminal import Person


@pytest.fixture
def three(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = ask("up", "-n", "3", "--zones", "3")
    return found


def nodes() -> list[str]:
    return list(ask("status")["nodes"])


def test_a_cluster_grows_and_shrinks_by_commands(three: dict[str, Any]) -> None:
    dsectl("put", "cart", "book")
    added = ask("add", "--zone", "z2")
    assert added["nodes"] == ["n4"] and added["layout"] == 3 and added["copies_moved"] > 0 and added["s"] > 0
    status = ask("status")
    assert list(status["nodes"]) == ["n1", "n2", "n3", "n4"] and status["nodes"]["n4"]["zone"] == "z2"
    assert status["verdict"] == "green" and status["layout"] == 3 and status["moving"] == ""
    assert ask("get", "cart", "--via", "n4", "--strict")["value"] == "book"
    left = dsectl("leave", "n1")
    assert left.out.startswith("n1 left: ")
    assert nodes() == ["n2", "n3", "n4"]
    assert ask("get", "cart", "--strict")["value"] == "book"
    assert [one["kind"] for one in ask("events", "--kind", "chain.decided", "--node", "n2")] == ["chain.decided"] * 4
    compared = ask("repair")["nodes"]
    assert list(compared) == ["n2", "n3", "n4"] and all(one["equal"]["unverified"] == 0 for one in compared.values())
    dsectl("down")
    assert list(ask("up")["nodes"]) == ["n2", "n3", "n4"], "a stopped cluster starts with the members that it has"
    assert ask("get", "cart")["value"] == "book"


def test_a_person_sees_how_far_it_is_and_then_only_the_result(three: dict[str, Any]) -> None:
    assert ask("ring", "--changes") == []
    person = Person("add")
    person.wait_written("copies moved")
    assert person.leave() == 0
    lines = [line for line in person.screen.text.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("n4 joined: "), "the bar is gone, and the result has its own line"
    [change] = ask("ring", "--changes")
    assert (change["what"], change["state"]) == ("add n4", "done")
    assert {name for move in change["moves"] for name in move["to"]} >= {"n4"}
    assert dsectl("add").err == "", "no bar off a terminal"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("leave", "n9"), 6, "n9"),
        (("leave",), 2, "leave needs nodes"),
        (("leave", "n1"), 2, "2 nodes would be left for 3 copies"),
        (("forget", "n1"), 2, "n1 runs"),
        (("revert",), 2, "no transition is under way"),
        (("add", "-n", "0"), 2, "-n"),
        (("add", "-n", "500"), 2, "200"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    three: dict[str, Any], words: tuple[str, ...], code: int, says: str
) -> None:
    done = Done(*words)
    assert done.code == code and says in done.err, done
    assert nodes() == ["n1", "n2", "n3"] and ask("status")["layout"] == 1


def test_two_of_five_go_on_by_force(home: Home) -> None:
    ask("up", "-n", "5")
    keys = [f"key-{number}" for number in range(40)]
    for key in keys:
        dsectl("put", key, "v", "--strict")
    owners = {key: ask("explain", key)["owners"] for key in keys}
    dsectl("kill", "n3", "n4")
    refused = dsectl("forget", "n3", "n4", "n5", "--force", "--yes", code=2)
    assert "too few owners would be left" in refused.err and "--accept-loss" in refused.err
    assert nodes() == ["n1", "n2", "n3", "n4", "n5"] and ask("get", "key-1", "--via", "n5"), "none was ended"
    refused = dsectl("forget", "n3", "n4", "n5", "--force", "--accept-loss", code=2)
    assert "cannot ask here" in refused.err and "--yes" in refused.err
    refused = dsectl("forget", "n3", "n4", "--force", "--accept-loss", "--yes", code=2)
    assert "n1, n2, n5 are a majority" in refused.err
    done = dsectl("forget", "n3", "n4", "n5", "--force", "--accept-loss", "--yes")
    assert done.out.startswith("n3, n4, n5 forgotten: ")
    status = ask("status")
    assert list(status["nodes"]) == ["n1", "n2"] and status["verdict"] == "green" and status["layout"] > 1_000_000
    kept = [key for key in keys if {"n1", "n2"} & set(owners[key])]
    assert kept and all(ask("get", key, "--strict")["value"] == "v" for key in kept)
    assert ask("add", "-n", "2")["nodes"] == ["n3", "n4"], "the names are free again"
    dsectl("down")
    assert list(ask("up")["nodes"]) == ["n1", "n2", "n3", "n4"]
    assert all(ask("get", key, "--strict")["value"] == "v" for key in kept)


def test_the_last_copies_are_forgotten_only_with_accept_loss(home: Home) -> None:
    ask("up", "-n", "5")
    dsectl("put", "cart", "book")
    dsectl("kill", "n4", "n5")
    refused = dsectl("forget", "n4", "n5", code=2)
    assert "too few owners would be left" in refused.err and "--accept-loss" in refused.err
    dsectl("forget", "n4", "n5", "--accept-loss")
    assert nodes() == ["n1", "n2", "n3"]
    assert ask("faults", "--active") == [], "a kill ends with those whom it killed"
    assert ask("get", "cart")["value"] == "book"
