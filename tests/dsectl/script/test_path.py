"""Paths into JSON."""

from typing import Any

import pytest

from cluster.errors import Usage
from dsectl.script.tokens import split
from dsectl.script.values import MISSING, looks_like_path, parse_path

VALUE: dict[str, Any] = {
    "owners": ["n1", "n2"],
    "n1": {"state": "alive", "incarnation": [3, 0]},
    "a key": {"x.y": 1},
    "text": "four",
    "null": None,
    "length": 99,
}
VARIABLES: dict[str, Any] = {"victim": "n1", "second": 1}

FOUND = [
    (".", VALUE),
    (".owners[0]", "n1"),
    (".owners[-1]", "n2"),
    (".owners[$second]", "n2"),
    (".owners.length", 2),
    (".text.length", 4),
    (".length", 99),
    (".n1.length", 2),
    (".$victim.state", "alive"),
    (".n1.incarnation[0]", 3),
    ('."a key"."x.y"', 1),
    (".null", None),
    (".nothing", MISSING),
    (".owners[2]", MISSING),
    (".owners[0].state", MISSING),
    (".null.x", MISSING),
    (".n1[0]", MISSING),
    (".owners.0", None),
]


@pytest.mark.parametrize(("text", "value"), FOUND)
def test_paths(text: str, value: Any) -> None:
    (word,) = split(text)
    if text == ".owners.0":
        assert not looks_like_path(word)
        return
    assert parse_path(word).resolve(VALUE, VARIABLES.__getitem__) is value or value == parse_path(word).resolve(
        VALUE, VARIABLES.__getitem__
    )


def test_a_list_is_entered_by_its_index() -> None:
    (word,) = split(".[1].id")
    assert parse_path(word).resolve([{}, {"id": 7}], VARIABLES.__getitem__) == 7


NO_PATHS = ["owners", "./file", "..", ".a.", ".a[", ".a[x]", ".a[]", "'.a'", ".'a'", ".[0]x", ".a b"]


@pytest.mark.parametrize("text", NO_PATHS)
def test_what_is_no_path(text: str) -> None:
    word = split(text)[0] if text != ".a b" else split("'.a b'")[0]
    assert not looks_like_path(word)
    with pytest.raises(Usage):
        parse_path(word)
