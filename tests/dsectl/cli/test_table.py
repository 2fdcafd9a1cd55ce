"""The table of commands: complete, true, and enough to find any of them."""

import inspect

import pytest

from dsectl.cli.app import unknown
from dsectl.cli.declaration import Entry
from dsectl.cli.parsing import command, help_text
from dsectl.cli.table import ALIASES, COMMANDS, GROUPS, OTHERWISE, find, lookup, parts_of, similar
from dsectl.reference import TABLE, gathered
from tests.dsectl.conftest import Run

RESERVED = {"expect", "within", "always", "wait", "stop", "sleep"}
HERE = list(COMMANDS.values())


@pytest.mark.parametrize("entry", HERE, ids=lambda entry: entry.name)
def test_every_command_has_a_function_with_help(entry: Entry, run: Run) -> None:
    function = entry.load()
    assert function.__doc__, "the docstring is the second half of the help"
    text = help_text(entry)
    assert text.startswith(f"Usage: dsectl {entry.name}")
    assert " ".join(entry.help.split()) in " ".join(text.split())
    for asked in (("help", *entry.name.split()), (*entry.name.split(), "--help")):
        ran = run(*asked)
        assert (ran.code, ran.err) == (0, "")
        assert text.strip() in ran.out, "a topic of the same name may follow"


@pytest.mark.parametrize("entry", HERE, ids=lambda entry: entry.name)
def test_every_argument_and_option_has_help(entry: Entry) -> None:
    for parameter in command(entry).params:
        assert parameter.help, parameter.name


@pytest.mark.parametrize("entry", HERE, ids=lambda entry: entry.name)
def test_plain_arguments_mean_what_typer_makes_of_them(entry: Entry) -> None:
    """The short cut around Typer calls the function with the same values as Typer would."""
    made = command(entry)
    parameters = list(inspect.signature(entry.load()).parameters.values())
    for number in entry.plain:
        words = [f"word{at}" for at in range(number)]
        params = made.make_context("dsectl", list(words)).params
        direct = {one.name: one.default for one in parameters} | dict(
            zip([one.name for one in parameters], words, strict=False)
        )
        assert {name: value or None for name, value in params.items()} == {
            name: value or None for name, value in direct.items()
        }


def test_every_help_line_is_a_short_sentence() -> None:
    for entry in COMMANDS.values():
        assert entry.help.endswith(".") and len(entry.help) <= 60, entry.name
        assert entry.group in GROUPS


def test_no_name_is_reserved_or_taken_twice() -> None:
    names = [*COMMANDS, *ALIASES]
    assert len(set(names)) == len(names)
    assert not RESERVED & set(names)


def test_the_overview_lists_every_command(run: Run) -> None:
    ran = run("help")
    assert ran.code == 0
    for entry in COMMANDS.values():
        assert any(line.strip().startswith(f"{entry.name} ") and line.endswith(entry.help) for line in ran.lines)


def test_help_as_json_feeds_other_programs(run: Run) -> None:
    found = run("help", "--json").json
    assert set(found["commands"]) == set(COMMANDS)
    assert found["exit_codes"]["7"] == "a quorum or a responder is missing (a definite no)"


def test_aliases_are_found() -> None:
    assert find("del") is find("delete") is COMMANDS["delete"]
    assert find("nothing") is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("gte", "get"), ("statsu", "status"), ("pub", "publish"), ("memebrs", "members"), ("dl", "del")],
)
def test_a_misspelt_command_is_recognized(typed: str, meant: str) -> None:
    assert meant in similar(typed)


def test_words_of_other_programs_lead_to_commands() -> None:
    for word, meant in OTHERWISE.items():
        assert find(word) is None and not parts_of(word), word
        assert all(lookup(one.split()) or one == "--version" for one in meant), word


def test_no_suggestion_is_better_than_a_wild_one() -> None:
    assert similar("xyzzy") == []
    assert unknown("xyzzy").help == "`dsectl help` lists them."


def test_the_table_is_as_the_commands_declare_themselves() -> None:
    assert TABLE.read_text(encoding="utf-8") == gathered(), "run: python -m dsectl.reference"
    places = [(entry.group, entry.rank) for entry in COMMANDS.values()]
    assert len(set(places)) == len(places), "two commands at one place"


def test_what_a_command_prints_is_printed_in_one_place() -> None:
    """A command returns a value and a view. Some ask whether they may talk meanwhile; none prints JSON."""
    for path in (TABLE.parents[1] / "commands").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "console.value(" not in source and "typer.Exit" not in source, path.name
