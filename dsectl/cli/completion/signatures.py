"""Reads the grammar from what help reads too: the table of commands, and each command's signature.

What a word must be is told by its name in help: `NODE`, `FILE`, `interval|always`. A name that is not known here is one
for which nothing can be offered.
"""

import re
from importlib import import_module
from typing import Any

from dsectl.cli.completion.grammar import Argument, Command, Grammar, Kind, Option, Value
from dsectl.cli.options import LINES
from dsectl.cli.parsing import command
from dsectl.cli.table import COMMANDS, Entry

KINDS = {
    **{kind.value.upper(): kind for kind in (Kind.CLUSTER, Kind.NODE, Kind.GROUP, Kind.ZONE, Kind.FAULT, Kind.FILE)},
    **{kind.value.upper(): kind for kind in (Kind.KEY, Kind.SUBJECT, Kind.SERVICE)},
    "FROM": Kind.END,
    "TO": Kind.END,
    "PATTERN": Kind.SUBJECT,
    "SERVICE.OPERATION": Kind.OPERATION,
    "VALUE": Kind.VALUE,
    "PAYLOAD": Kind.VALUE,
    "BODY": Kind.VALUE,
}
CHOICES = re.compile(r"[a-z][a-z-]*(\|[a-z][a-z-]*)*")
GLOBAL = re.compile(r"(?P<names>(-\w, )?--[a-z-]+)( (?P<value>[A-Z]+))?")
HELP = Option(("--help",), "show the arguments and options")


def read_grammar() -> Grammar:
    """The whole grammar. Loads the module of every command."""
    commands = {entry.name: read_command(entry) for entry in COMMANDS.values()}
    return Grammar(commands, (*global_options(), HELP))


def read_command(entry: Entry) -> Command:
    """One command."""
    function = getattr(import_module(entry.module), entry.function)
    parameters = command(entry, function).params
    options = [_option(one) for one in parameters if one.param_type_name == "option"]
    arguments = [
        Argument(value_of(one.metavar or ""), one.nargs == -1) for one in parameters if one.param_type_name != "option"
    ]
    return Command(entry.name, entry.help, entry.alias, tuple(options), tuple(arguments))


def global_options() -> tuple[Option, ...]:
    """The options that every command takes, from the lines of `dsectl help options`."""
    options = []
    for line, help in LINES:
        found = GLOBAL.fullmatch(line)
        assert found is not None, line
        names = tuple(found["names"].split(", "))
        value = None if found["value"] is None else value_of("CLUSTER" if "--cluster" in names else found["value"])
        options.append(Option(names, help, value))
    return tuple(options)


def value_of(metavar: str) -> Value:
    """What a word must be that help calls `metavar`: `[NODE]...` is as `NODE`."""
    name = metavar.replace("[", "").replace("]", "").removesuffix("...").partition(" ")[0]
    if name == "RECIPE":
        from dsectl.recipes.library import names

        return Value(Kind.RECIPE, tuple(names()))
    if name == "TOPIC":
        return Value(Kind.CHOICE, _topics())
    if CHOICES.fullmatch(name):
        return Value(Kind.CHOICE, tuple(name.split("|")))
    return Value(KINDS.get(name, Kind.ANY))


def _topics() -> tuple[str, ...]:
    from dsectl.cli.topics import topics

    return tuple(dict.fromkeys([*(name.partition(" ")[0] for name in COMMANDS), *topics()]))


def _option(parameter: Any) -> Option:
    names = tuple(sorted([*parameter.opts, *parameter.secondary_opts], key=len))
    value = None if parameter.is_flag else value_of(parameter.metavar or "")
    return Option(names, (parameter.help or "").removesuffix("."), value)
