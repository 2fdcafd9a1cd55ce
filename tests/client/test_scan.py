"""Pages of keys from several nodes become one page without a hole."""

import pytest

from cluster.client.kv import merge_pages
from cluster.errors import Unreachable
from cluster.wire.kv import KeysFound


@pytest.mark.parametrize(
    ("pages", "limit", "keys", "more"),
    [
        ([(["a", "c"], False), (["b", "c"], False)], 10, ["a", "b", "c"], False),
        ([(["a", "c"], False), (["b", "c"], False)], 2, ["a", "b"], True),
        ([(["a", "b"], True), (["a", "z"], False)], 10, ["a", "b"], True),  # between b and z the first knows more
        ([(["a", "b"], True), (["c", "d"], True)], 10, ["a", "b"], True),
        ([([], False), ([], False)], 10, [], False),
    ],
)
def test_pages(pages: list[tuple[list[str], bool]], limit: int, keys: list[str], more: bool) -> None:
    answers = {f"n{number}": KeysFound(*page) for number, page in enumerate(pages)}
    merged = merge_pages({**answers}, limit)
    assert (merged.keys, merged.more, merged.silent) == (keys, more, [])


def test_silent_nodes_are_named() -> None:
    assert merge_pages({"n1": KeysFound(["a"], False), "n2": Unreachable("gone")}, 5).silent == ["n2"]


def test_no_page_at_all() -> None:
    with pytest.raises(Unreachable, match="gone"):
        merge_pages({"n2": Unreachable("gone")}, 5)
