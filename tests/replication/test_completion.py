"""When an owner that lost data is complete again: from enough complete owners, or from all, and from nobody else."""

import pytest

from cluster.replication.completion import Completion, CompletionReason

# The other owners, W, and what was scanned (upper case: it was complete) -> the verdict, and who is waited for.
TABLE = [
    # 3/2/2: both others, or all: the same ones.
    ("bc", 2, "", None, "bc"),
    ("bc", 2, "B", None, "c"),
    ("bc", 2, "BC", CompletionReason.ENOUGH, ""),
    ("bc", 2, "Bc", CompletionReason.ALL, ""),
    ("bc", 2, "bc", CompletionReason.ALL, ""),
    ("bc", 2, "b", None, "c"),
    # 3/3/1 (W = 1): nobody else need have a copy, so all are asked, and what is not there is lost.
    ("bc", 1, "B", None, "c"),
    ("bc", 1, "BC", CompletionReason.ALL, ""),
    # 3/1/3 (W = 3): each other owner has everything.
    ("bc", 3, "B", CompletionReason.ENOUGH, ""),
    ("bc", 3, "b", None, "c"),
    # 5/3/3: three of the four others.
    ("bcde", 3, "BC", None, "de"),
    ("bcde", 3, "BCD", CompletionReason.ENOUGH, ""),
    ("bcde", 3, "BCd", None, "e"),
    ("bcde", 3, "BCdE", CompletionReason.ENOUGH, ""),
    ("bcde", 3, "BCde", CompletionReason.ALL, ""),
    # N = 1: there is nobody else.
    ("", 1, "", CompletionReason.ALL, ""),
    # A layout with fewer members than N: two owners, W is cut to 2.
    ("b", 2, "B", CompletionReason.ENOUGH, ""),
    ("b", 2, "b", CompletionReason.ALL, ""),
]


@pytest.mark.parametrize(("others", "w", "scanned", "verdict", "missing"), TABLE)
def test_the_rule(others: str, w: int, scanned: str, verdict: CompletionReason | None, missing: str) -> None:
    completion = Completion(list(others), w)
    for name in scanned:
        completion.on_scan(name.lower(), name.isupper())
    assert completion.verdict() is verdict
    assert verdict is CompletionReason.ENOUGH or "".join(completion.missing()) == missing
    if verdict is not None:
        assert completion.sources(others) == [], "nobody is scanned in vain"


def test_it_scans_who_can_be_reached_and_waits_for_the_others() -> None:
    completion = Completion(["b", "c"], 2)
    assert completion.sources(["c"]) == ["c"]
    completion.on_scan("c", True)
    assert completion.sources(["c"]) == [] and completion.verdict() is None, "never from whoever is reachable"
    assert completion.missing() == ["b"] and completion.sources(["b", "c"]) == ["b"]


def test_a_stranger_completes_nothing() -> None:
    completion = Completion(["b"], 2)
    completion.on_scan("x", True)
    assert completion.verdict() is None and completion.missing() == ["b"]


def test_what_has_become_complete_is_scanned_once_more() -> None:
    completion = Completion(["b", "c", "d", "e"], 3)
    for name, complete in (("b", True), ("c", True), ("d", False)):
        completion.on_scan(name, complete)
    completion.on_complete("b")
    assert completion.sources("bcd") == [], "b was complete when it was scanned"
    completion.on_complete("d")
    assert completion.sources("bcd") == ["d"]
    completion.on_scan("d", True)
    assert completion.verdict() is CompletionReason.ENOUGH


def test_the_loss_of_what_absent_owners_hold_can_be_accepted() -> None:
    completion = Completion(["b", "c", "d", "e"], 3)
    completion.on_scan("b", True)
    assert completion.accept_loss(["c", "b", "x"]) == ["c"], "those that are waited for, no others"
    assert completion.verdict() is None and completion.missing() == ["d", "e"], "the rest is asked all the same"
    for name in "de":
        completion.on_scan(name, False)
    assert completion.verdict() is CompletionReason.ACCEPTED


def test_an_owner_that_returns_in_time_was_not_gone_without() -> None:
    completion = Completion(["b", "c"], 2)
    completion.accept_loss(["b"])
    completion.on_scan("b", True)
    completion.on_scan("c", True)
    assert completion.verdict() is CompletionReason.ENOUGH
