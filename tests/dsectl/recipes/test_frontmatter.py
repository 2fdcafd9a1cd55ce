"""What stands above a recipe: the keys, their types, and that a mistake is refused and told."""

import pytest

from cluster.errors import Usage
from dsectl.recipes.frontmatter import PRINCIPLES, FrontMatter, read_front_matter


def test_nothing_means_the_defaults_of_up() -> None:
    assert read_front_matter("") == FrontMatter()
    spec = FrontMatter().spec("r")
    assert (spec.nodes, spec.replication) == (5, "3/2/2")


def test_every_key() -> None:
    found = read_front_matter(
        "nodes: 6\nzones: 3\nreplication: 3/1/3\nprofile: lan\ndurability: always\nstore: memory\n"
        "principles: [symmetry, failure tolerant]\ntimeout: 2m\nred: {replace: a, with: b, exit: 3}\n"
    )
    assert (found.nodes, found.zones, found.replication, found.profile) == (6, 3, "3/1/3", "lan")
    assert found.timeout_s == 120 and found.principles == ("symmetry", "failure tolerant")
    assert found.red is not None and (found.red.replace, found.red.with_, found.red.exit) == ("a", "b", 3)
    assert found.spec("r").zones == 3


WRONG = {
    "nodez: 3": "nodez",
    "nodes: three": "nodes: expected a whole number",
    "nodes: no": "nodes: expected a whole number",
    "nodes: 010": "nodes: expected a whole number",
    "nodes: true": "nodes: expected a whole number",
    "nodes:": "nodes: expected a whole number",
    "nodes: 3\nnodes: 4": "nodes is set twice",
    "red: {replace: a, replace: b, with: c}": "replace is set twice",
    "? [a]\n: b": "a key must be a word",
    "timeot: 3s": "did you mean timeout",
    "timeout: 1:30": "timeout: ",
    "nodes: -1": "node",
    "nodes: 100000": "node",
    "replication: 3": "3/2/2",
    "replication: 9/1/1": "N must be 1 to 7",
    "replication: nonsense": "replication",
    "profile: wan": "wan",
    "durability: sometimes": "sometimes",
    "store: tape": "tape",
    "principles: symmetry": "principles: expected a list",
    "principles: [beauty]": "beauty",
    "timeout: soon": "soon",
    "timeout: 0s": "timeout",
    "red: {replace: a}": "with",
    "red: {replace: a, with: b, exit: 2}": "red",
    "- a list": "keys with their values",
    "nodes: [": "YAML",
    "nodes: 3\nnodes: ]": "YAML",
}


@pytest.mark.parametrize("text,named", WRONG.items(), ids=WRONG)
def test_a_mistake_is_refused_and_named(text: str, named: str) -> None:
    with pytest.raises(Usage) as raised:
        read_front_matter(text)
    assert named.lower() in f"{raised.value.message} {raised.value.help}".lower()


def test_the_ten_principles() -> None:
    assert len(PRINCIPLES) == len(set(PRINCIPLES)) == 10


def test_words_stay_words() -> None:
    """YAML 1.1 makes False of `no`."""
    found = read_front_matter("red: {replace: no, with: off}")
    assert found.red is not None and (found.red.replace, found.red.with_) == ("no", "off")


def test_a_mistake_is_told_with_its_line() -> None:
    with pytest.raises(Usage) as raised:
        read_front_matter("nodes: 3\ntimeout: 5s\nnodes: 4", 2)
    assert raised.value.detail == {"line": 4}
