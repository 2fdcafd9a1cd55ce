"""A command's own options, by Typer: loaded only when a command line needs it.

Typer is used as a parser: it makes a command of a function's signature; what goes wrong comes out as Usage, and nothing
is printed or exited here. docs/decisions/0001-typer-version.md tells what Typer costs.
"""

import re
from collections.abc import Sequence
from functools import cache
from inspect import cleandoc
from typing import Any

import typer

from cluster.errors import Usage
from dsectl.cli.declaration import Entry, Given
from dsectl.cli.options import similar
from dsectl.ui.units import duration, probability

UsageError: Any = typer.BadParameter.__mro__[1]
"""Typer's own copy of click is private; its usage error is the base of the one that is public."""

REFUSED = re.compile(r"'?(.*?)'? is not ", re.DOTALL)
EXTRA = re.compile(r"unexpected extra arguments? ?(?:\(s\) )?\((.*)\)", re.DOTALL)
WORDED = re.compile(r"--[a-z]")

UNITS: dict[str, Any] = {
    metavar: typer.main.get_click_type(annotation=float, parameter_info=typer.Option(parser=parser))
    for metavar, parser in (("D", duration), ("P", probability))
}
"""What an option takes that is a float and that help calls so, without being told by each command."""

EPILOG = "`dsectl help options` shows the options of all commands: -C NAME, --json, -q, --raw, --timeout D, --via NODE."


@cache
def command(entry: Entry) -> Any:
    """The command that Typer makes of a function, whose annotations may still be text. Made once: a check of recipes
    asks for the same few hundreds of times."""
    function = entry.load()
    function.__globals__.setdefault("typer", typer)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    details = cleandoc(function.__doc__ or "")
    app.command(entry.name, help=f"{entry.help}\n\n{details}", epilog=EPILOG)(function)
    made: Any = typer.main.get_command(app)
    for parameter in made.params:
        parameter.show_default = False  # help says what a default means: "(default: all)"
        if parameter.metavar in UNITS and parameter.type.name == "float":
            parameter.type = UNITS[parameter.metavar]
    return made


def run(entry: Entry, args: Sequence[str]) -> Any:
    """Parse `args` and call the function; returns what it returns. Raises Usage for what cannot be parsed."""
    made = command(entry)
    try:
        with made.make_context(f"dsectl {entry.name}", list(args)) as context:
            return made.invoke(context)
    except UsageError as error:
        raise _usage(entry, error, args) from None


def check(entry: Entry, args: Sequence[str]) -> list[Given]:
    """Parse `args` without calling the function; returns what they give, one by one. Raises Usage for what would be
    refused."""
    made = command(entry)
    given: list[Given] = []
    try:
        with made.make_context(f"dsectl {entry.name}", list(args)) as context:
            for parameter in made.params:
                value = context.params.get(parameter.name)
                values = value if isinstance(value, list | tuple) else [value]
                given += [Given(parameter.name, str(parameter.metavar), one) for one in values if one is not None]
    except typer.Exit:
        pass
    except UsageError as error:
        raise _usage(entry, error, args) from None
    return given


def help_text(entry: Entry) -> str:
    """What `dsectl NAME --help` prints."""
    made = command(entry)
    context = made.make_context(f"dsectl {entry.name}", [], resilient_parsing=True)
    text: str = made.get_help(context)
    usage, _, rest = text.partition("\n")
    for one in made.params:
        if one.param_type_name == "argument" and one.hidden:
            usage = usage.replace(f" [{one.metavar}]", "")
    return usage.replace("{", "").replace("}", "") + "\n" + rest  # Typer's braces around what must be given


def _usage(entry: Entry, error: Any, args: Sequence[str]) -> Usage:
    """What is wrong and what helps, in the words of this program instead of the parser's."""
    kind, message = type(error).__name__, error.format_message().rstrip(".")
    help = f"`dsectl help {entry.name}` shows its arguments and options."
    if kind == "NoSuchOption":
        close = [name for name in error.possibilities or () if name.startswith("--")] or similar(error.option_name)
        message = f"unknown option {error.option_name}"
        if close:
            help = f"Did you mean {' or '.join(close)}? {help}"
        elif not WORDED.match(error.option_name):
            help = f"A value that begins with a dash goes behind `--`: `dsectl {entry.name} … -- {error.option_name}`"
    elif kind == "BadOptionUsage":
        message = f"{error.option_name} needs a value"
    elif kind == "MissingParameter":
        message = f"missing {error.param.metavar.strip('[].') if error.param is not None else 'argument'}"
        usage = " ".join(error.ctx.get_usage().replace("{", "").replace("}", "").split())
        help = f"{usage}\n{help}"
    elif kind == "BadParameter" and error.param is not None and (value := REFUSED.match(error.message)):
        option = max(error.param.opts, key=len) if error.param.param_type_name == "option" else error.param.metavar
        type_ = error.param.type
        low, high = getattr(type_, "min", None), getattr(type_, "max", None)
        bounds = "" if low is None else f" from {low}" if high is None else f" from {low} to {high}"
        noun = "a whole number" if "int" in type_.name else "a number"
        message = f'invalid {option} "{value[1]}": expected {noun}{bounds}'
    elif extra := EXTRA.search(message):
        message = f"unexpected argument: {extra[1]}"
        help = _help_extra(entry, args) or help
    else:
        message = message[:1].lower() + message[1:]
    return Usage(message, help=help)


def _help_extra(entry: Entry, args: Sequence[str]) -> str:
    """What somebody meant who gave more words than a command takes."""
    if any(word.endswith(";") for word in args):
        return "A line is one command: `;` separates none."
    if args[-1].startswith("."):  # as in a step
        return (
            f"A path needs a step: `dsectl shell -c '{entry.name} … {args[-1]} -> $x'`; or --json and `jq {args[-1]}`."
        )
    if entry.name in ("add", "up") and args[-1].isdigit():
        return f"The number of nodes is an option: `dsectl {entry.name} -n {args[-1]}`."
    if entry.name in ("up", "down", "env", "demo") and len(args) == 1:
        return f"To choose a cluster: `dsectl {entry.name} -C NAME`."
    if entry.name == "ps":
        return "It lists all clusters; `dsectl status -C NAME` shows one."
    if entry.group in ("clusters", "inspect", "requests") and len(args) == 1:
        return f"To choose a cluster: `dsectl {entry.name} -C NAME`; a node to ask: --via NODE."
    return ""
