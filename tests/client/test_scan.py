"""Pages of keys from several nodes become one page without a hole."""

from typing import Any, cast

import pytest

from cluster.client.kv import KeysResult, Kv, merge_pages
from cluster.client.locate import Location
from cluster.client.operation import Gather, Steps
from cluster.errors import ClusterError, Unreachable
from cluster.layout.entry import LayoutEntry, LayoutMember
from cluster.wire.kv import Keys, KeysFound


@pytest.mark.parametrize(
    ("pages", "limit", "keys", "after"),
    [
        ([(["a", "c"], ""), (["b", "c"], "")], 10, ["a", "b", "c"], ""),
        ([(["a", "c"], ""), (["b", "c"], "")], 2, ["a", "b"], "b"),
        ([(["a", "b"], "b"), (["a", "z"], "")], 10, ["a", "b"], "b"),  # between b and z the first knows more
        ([(["a", "b"], "b"), (["c", "d"], "d")], 10, ["a", "b"], "b"),
        ([(["a"], "m"), (["c", "n"], "")], 10, ["a", "c"], "m"),  # it looked on to m, and all there was deleted
        ([([], "m"), ([], "k")], 10, [], "k"),
        ([([], ""), ([], "")], 10, [], ""),
    ],
)
def test_pages(pages: list[tuple[list[str], str]], limit: int, keys: list[str], after: str) -> None:
    answers = {f"n{number}": KeysFound(*page) for number, page in enumerate(pages)}
    merged = merge_pages({**answers}, limit)
    assert merged == KeysResult(keys, bool(after), [], after)


class Nodes:
    """A session whose nodes answer with these pages, one after the other."""

    def __init__(self, *rounds: dict[str, KeysFound | ClusterError], entry: LayoutEntry | None = None) -> None:
        self.rounds = list(rounds)
        self.asked: list[tuple[list[str], str, int]] = []
        self.location = Location("c", b"", {"n1": ("h", 1), "n2": ("h", 2)}, entry)
        self.timeout = 5.0

    def run(self, steps: Steps[KeysResult]) -> KeysResult:
        answer = None
        while True:
            try:
                sent = steps.send(answer)
            except StopIteration as stop:
                return cast(KeysResult, stop.value)
            assert isinstance(sent, Gather)
            body = sent.bodies["n1"]
            assert isinstance(body, Keys) and sent.timeout is not None and sent.timeout <= self.timeout
            self.asked.append((list(sent.bodies), body.after, body.limit))
            answer = self.rounds.pop(0)


def listed(nodes: Nodes, **options: Any) -> KeysResult:
    return cast(KeysResult, Kv(cast(Any, nodes)).keys(**options))


def test_a_listing_goes_on_until_its_page_is_full() -> None:
    nodes = Nodes(
        {"n1": KeysFound(["a"], "f"), "n2": Unreachable("gone")},
        {"n1": KeysFound([], "m")},
        {"n1": KeysFound(["n", "o"], "o")},
    )
    assert listed(nodes, limit=3, after="A") == KeysResult(["a", "n", "o"], True, ["n2"], "o")
    assert nodes.asked == [(["n1", "n2"], "A", 3), (["n1"], "f", 2), (["n1"], "m", 2)]


def test_nodes_are_asked_for_their_share_and_again_when_it_was_too_little() -> None:
    members = tuple(LayoutMember(f"n{number}", "z1", "127.0.0.1", 7000 + number) for number in range(1, 11))
    entry = LayoutEntry(1, "c", members, 3, 2, 2)
    numbers = [f"{number:05}" for number in range(1000)]
    nodes = Nodes(
        {"n1": KeysFound(numbers[:400], numbers[399]), "n2": KeysFound(numbers[399:800:2], numbers[799])},
        {"n1": KeysFound(numbers[400:], "")},
        entry=entry,
    )
    page = listed(nodes, limit=1000)
    assert page == KeysResult(numbers, False, [], "")
    assert [limit for _, _, limit in nodes.asked] == [410, 266]
    assert nodes.asked[1][1] == numbers[399]


def test_a_listing_that_is_cut_off_says_where_to_go_on() -> None:
    nodes = Nodes({"n1": KeysFound(["a"], "f"), "n2": KeysFound([], "")}, dict.fromkeys(["n1", "n2"], Unreachable("x")))
    assert listed(nodes, limit=3) == KeysResult(["a"], True, ["n1", "n2"], "f")
    nodes = Nodes(dict.fromkeys(["n1", "n2"], Unreachable("x")))
    with pytest.raises(Unreachable):
        listed(nodes, after="A")


def test_silent_nodes_are_named() -> None:
    assert merge_pages({"n1": KeysFound(["a"], ""), "n2": Unreachable("gone")}, 5).silent == ["n2"]


def test_no_page_at_all() -> None:
    with pytest.raises(Unreachable, match="gone"):
        merge_pages({"n2": Unreachable("gone")}, 5)
