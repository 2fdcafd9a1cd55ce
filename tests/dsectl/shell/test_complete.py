"""What may stand at the cursor, for every place in a line."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsectl.cli.completion.grammar import Grammar, NameKind, read_grammar
from dsectl.script.tokens import as_word, split
from dsectl.script.values import MISSING
from dsectl.shell.complete import candidates


class World:
    """Names that a test knows, and which kinds were asked for."""

    def __init__(self) -> None:
        self.asked: list[NameKind] = []
        self.names = {
            NameKind.NODE: ["n1", "n2"],
            NameKind.PROCESS: ["n1", "n2", "n2/1"],
            NameKind.CLUSTER: ["default", "other"],
            NameKind.KEY: ["cart", "cart two", "$money", "it's", "tab\t"],
            NameKind.SUBJECT: ["orders.*"],
            NameKind.QUEUE: ["jobs", "dead"],
            NameKind.RECEIPT: ["lwMB=", "kwAA="],
            NameKind.SERVICE: ["echo", "flaky"],
            NameKind.OPERATION: ["flaky.work"],
            NameKind.FILE: ["notes.md", "src/"],
            NameKind.FAULT: ["f1"],
        }

    def of(self, kind: NameKind, begun: str) -> Iterable[str]:
        self.asked.append(kind)
        return self.names.get(kind, [])

    def result(self, argv: list[str]) -> Any:
        results: dict[str, Any] = {
            "get cart": {"value": "book", "siblings": ["book"], "owners": {"n1": {"state": "alive"}, "a b": 1}},
            "keys": ["a", {"b": 1}],
            "traffic": {"lost": 0, "ok": 5},
        }
        return results.get(" ".join(argv), MISSING)


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return read_grammar()


def offered(grammar: Grammar, text: str) -> list[str]:
    return [one.text for one in candidates(text, grammar, World(), {"victim": "n1", "key": "cart"}, ["traffic"])]


PLACES = [
    ("pu", ["put", "publish"]),
    ("dsectl put ca", ["cart", "'cart two'"]),
    ("get c", ["cart", "'cart two'"]),
    ("queue show ", ["jobs", "dead"]),
    ("queue redrive d", ["dead"]),
    ("queue create x --dead-letter d", ["dead"]),
    ("ack l", ["lwMB="]),
    ("extend k", ["kwAA="]),
    ("get 'cart t", ["'cart two'"]),
    ("get --only ", ["n1", "n2"]),
    ("get --str", ["--strict"]),
    ("get --only=", ["n1", "n2"]),
    ("get -C o", ["other"]),
    ("kill n1 n", ["n1", "n2", "n2/1"]),
    ("drain n1 n", ["n1", "n2"]),
    ("serve a:B --on n1,n", ["n1", "n2"]),
    ("serve a:B --on n1,r", []),
    ("partition n1,n", ["n1", "n2"]),
    ("partition n1,r", ["rest"]),
    ("slow a", ["all"]),
    ("heal ", ["f1"]),
    ("publish o", ["orders.*"]),
    ("subscribe o", ["orders.*"]),
    ("describe f", ["flaky"]),
    ("request f", ["flaky.work"]),
    ("put k @n", ["notes.md"]),
    ("put k n", []),
    ("recipe r", ["run"]),
    ("up --profile l", ["local", "lan"]),
    ("use o", ["other"]),
    ("use other o", []),
    ("history e", ["export"]),
    ("history export n", ["notes.md"]),
    ("wait t", ["traffic"]),
    ("stop ", ["traffic"]),
    ("expect tr", ["traffic"]),
    ("within 5s: tr", ["traffic"]),
    ("within 5s: get c", ["cart", "'cart two'"]),
    ("within ", []),
    ("always 2s: stat", ["status"]),
    ("!7 ge", ["get"]),
    ("get $v", ["$victim"]),
    ("'get' ca", ["cart", "'cart two'"]),
    ("get k | j", []),
    ("get k .value -> ", []),
    ("sleep ", []),
    ("nonsense n", []),
    ("get cart # n", []),
    ("get cart .", [".value", ".siblings", ".owners"]),
    ("expect get cart .v", [".value"]),
    ("within 5s: get $key .va", [".value"]),
    ("expect get cart .owners.", [".owners.n1", '.owners."a b"']),
    ("expect get cart .owners.$victim.", [".owners.$victim.state"]),
    ("expect get cart .siblings", [".siblings"]),
    ("expect get cart .siblings[", [".siblings[0]"]),
    ("expect keys .", [".[0]", ".[1]", ".length"]),
    ("expect keys .[1].", [".[1].b"]),
    ("expect traffic .l", [".lost"]),
    ("expect get nothing .v", []),
    ("put cart .", []),
    ("with", ["within"]),
    ("shel", []),
]


@pytest.mark.parametrize("text,wanted", PLACES, ids=[text for text, _ in PLACES])
def test_what_may_stand_there(grammar: Grammar, text: str, wanted: list[str]) -> None:
    assert offered(grammar, text) == wanted


def test_only_what_may_stand_there_is_looked_up(grammar: Grammar) -> None:
    world = World()
    candidates("put ", grammar, world, {}, [])
    candidates("pu", grammar, world, {}, [])
    assert NameKind.NODE not in world.asked


@given(st.text(max_size=30))
def test_a_name_is_offered_as_a_word_that_means_it(name: str) -> None:
    if not name:
        return
    (word,) = split(as_word(name))
    assert word.text() == name and not word.variables


@given(st.text(max_size=60))
def test_any_line_can_be_completed(text: str) -> None:
    for one in candidates(text, Grammar({}), World(), {"x": 1}, ["j"]):
        assert one.typed <= len(text)


def test_the_replaced_part_is_what_was_typed(grammar: Grammar) -> None:
    for one in candidates("partition n1,n", grammar, World(), {}, []):
        assert one.typed == 1 and one.goes_on
    for one in candidates("get --only=n", grammar, World(), {}, []):
        assert one.typed == 1
