"""What may follow a command line, by table; and that the grammar has all that the commands take."""

import pytest

from dsectl.cli.completion.grammar import (
    Argument,
    Grammar,
    NameKind,
    Option,
    Signature,
    Value,
    Walk,
    read_command,
    read_grammar,
    value_of,
)
from dsectl.cli.options import FLAGS, WITH_VALUE
from dsectl.cli.table import COMMANDS

NODE, CLUSTER = Value(NameKind.NODE), Value(NameKind.CLUSTER)
PROFILE = Value(NameKind.CHOICE, ("local", "lan"))
NODES = Option(("-n", "--nodes"), "How many", Value())
GRAMMAR = Grammar(
    {
        one.name: one
        for one in (
            Signature("up", "Start.", options=(NODES, Option(("--profile",), "How", PROFILE))),
            Signature("kill", "End.", arguments=(Argument(NODE, many=True),), options=(Option(("--random",), "One"),)),
            Signature("put", "Write.", arguments=(Argument(Value(NameKind.KEY)), Argument(Value(NameKind.VALUE)))),
            Signature("delete", "Delete.", alias="del", arguments=(Argument(Value(NameKind.KEY)),)),
            Signature("recipe run", "Run."),
            Signature("recipe list", "List."),
        )
    },
    (Option(("-C", "--cluster"), "Which", CLUSTER), Option(("--json",), "JSON")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("kill", NODE),
        ("kill n1 n2", NODE),
        ("kill --random", NODE),
        ("--json kill", NODE),
        ("-C other kill", NODE),
        ("put", Value(NameKind.KEY)),
        ("put k", Value(NameKind.VALUE)),
        ("put k v", None),
        ("del", Value(NameKind.KEY)),
        ("put -- -k", Value(NameKind.VALUE)),
        ("put - ", Value(NameKind.VALUE)),
        ("up --profile", PROFILE),
        ("up --profile lan", None),
        ("up -n", Value()),
        ("up -n --profile", None),
        ("kill -C", CLUSTER),
        ("-C", CLUSTER),
        ("recipe run", None),
    ],
)
def test_what_value_comes_next(line: str, value: Value | None) -> None:
    assert Walk(GRAMMAR, line.split()).value == value


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["up", "kill", "put", "delete", "recipe"]),
        ("--json", ["up", "kill", "put", "delete", "recipe"]),
        ("-C other", ["up", "kill", "put", "delete", "recipe"]),
        ("recipe", ["run", "list"]),
        ("recipe --json", ["run", "list"]),
        ("recipe nonsense", []),
        ("nonsense", []),
        ("-C", []),
        ("kill", []),
    ],
)
def test_what_commands_come_next(line: str, words: list[str]) -> None:
    assert list(Walk(GRAMMAR, line.split()).words) == words


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", ["-C", "--cluster", "--json"]),
        ("up", ["-n", "--nodes", "--profile", "-C", "--cluster", "--json"]),
        ("up --nodes=3", ["-n", "--nodes", "--profile", "-C", "--cluster", "--json"]),
        ("recipe list", ["-C", "--cluster", "--json"]),
        ("up --profile", []),
        ("kill --", []),
        ("nonsense", []),
    ],
)
def test_what_options_come_next(line: str, names: list[str]) -> None:
    assert [name for option in Walk(GRAMMAR, line.split()).options for name in option.names] == names


@pytest.mark.parametrize(
    ("line", "cluster"),
    [("kill", None), ("-C a kill", "a"), ("kill --cluster=b", "b"), ("kill -C a -C c", "c"), ("kill -- -C a", None)],
)
def test_the_cluster_that_is_named(line: str, cluster: str | None) -> None:
    assert Walk(GRAMMAR, line.split()).cluster == cluster


def test_the_command_is_told() -> None:
    found = Walk(GRAMMAR, ["del", "k"]).command
    assert found is not None and found.name == "delete"


@pytest.mark.parametrize(
    ("metavar", "value"),
    [
        ("NODE", NODE),
        ("NODE...", NODE),
        ("[NODE|WORKER]...", Value(NameKind.PROCESS)),
        ("NODE,...", Value(NameKind.NODES)),
        ("[FAULT]...", Value(NameKind.FAULT)),
        ("GROUP GROUP...", Value(NameKind.GROUP)),
        ("interval|always", Value(NameKind.CHOICE, ("interval", "always"))),
        ("memory", Value(NameKind.CHOICE, ("memory",))),
        ("TIME|ID|D", Value()),
        ("N", Value()),
        ("N/R/W", Value()),
        ("[NAME=TEXT|NAME:=JSON]...", Value()),
    ],
)
def test_what_the_names_in_help_mean(metavar: str, value: Value) -> None:
    assert value_of(metavar) == value


def test_the_real_grammar_has_every_command_and_option() -> None:
    grammar = read_grammar()
    assert list(grammar.commands) == list(COMMANDS)
    names = {name for option in grammar.options for name in option.names}
    assert names >= {*FLAGS, *WITH_VALUE, "--version", "--help"}
    takes = {name for option in grammar.options if option.value for name in option.names}
    assert takes == {*WITH_VALUE}
    assert Walk(grammar, ["-C", "x", "recipe", "run", "--junit"]).value == Value(NameKind.FILE)
    assert Walk(grammar, ["slow", "n1"]).value == Value(NameKind.END)
    assert read_command(COMMANDS["kill"]).arguments == (Argument(Value(NameKind.PROCESS), many=True),)
    help = Walk(grammar, ["help"]).value
    assert help is not None and {"put", "recipe", "exit-codes"} <= {*help.choices}
