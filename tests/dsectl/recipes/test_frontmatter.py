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
    "nodes: three": "int",
    "nodes: no": "int",
    "nodes: -1": "node",
    "nodes: 100000": "node",
    "replication: 3": "str",
    "replication: 9/1/1": "N must be 1 to 7",
    "replication: nonsense": "replication",
    "profile: wan": "wan",
    "durability: sometimes": "sometimes",
    "store: tape": "tape",
    "principles: symmetry": "array",
    "principles: [beauty]": "beauty",
    "timeout: soon": "soon",
    "timeout: 0s": "timeout",
    "red: {replace: a}": "with",
    "red: {replace: a, with: b, exit: 2}": "red",
    "- a list": "object",
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
