"""A command's own options, by Typer: loaded only when a command line needs it.

Typer is used as a parser: it makes a command of a function's signature; what goes wrong comes out as Usage, and nothing
is printed or exited here. docs/decisions/0001-typer-version.md tells what Typer costs.
"""

from collections.abc import Callable, Sequence
from inspect import cleandoc
from typing import Any

import typer

from cluster.errors import Usage
from dsectl.cli.declaration import Entry, Function

UsageError: Any = typer.BadParameter.__mro__[1]
"""Typer's own copy of click is private; its usage error is the base of the one that is public."""

EPILOG = "`dsectl help options` shows the options of all commands: -C NAME, --json, -q, --raw, --timeout D, --via NODE."


def command(entry: Entry, function: Function) -> Any:
    """The command that Typer makes of a function whose annotations may still be text."""
    function.__globals__.setdefault("typer", typer)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    details = cleandoc(function.__doc__ or "")
    app.command(entry.name, help=f"{entry.help}\n\n{details}", epilog=EPILOG)(function)
    made: Any = typer.main.get_command(app)
    for parameter in made.params:
        parameter.show_default = False  # help says what a default means: "(default: all)"
    return made


def run(entry: Entry, function: Function, args: Sequence[str]) -> Any:
    """Parse `args` and call the function; returns what it returns. Raises Usage for what cannot be parsed."""
    made = command(entry, function)
    try:
        with made.make_context(f"dsectl {entry.name}", list(args)) as context:
            return made.invoke(context)
    except UsageError as error:
        raise _usage(entry, error, args) from None


def check(entry: Entry, function: Function, args: Sequence[str]) -> None:
    """Parse `args` without calling the function. Raises Usage for what would be refused, durations, sizes and
    probabilities included."""
    from dsectl.ui.units import duration, probability, size

    units: dict[str, Callable[[str], object]] = {"D": duration, "SIZE": size, "P": probability}
    made = command(entry, function)
    try:
        with made.make_context(f"dsectl {entry.name}", list(args)) as context:
            for parameter in made.params:
                value = context.params.get(parameter.name)
                if parameter.metavar in units and isinstance(value, str):
                    units[parameter.metavar](value)
    except typer.Exit:
        pass
    except UsageError as error:
        raise _usage(entry, error, args) from None


def help_text(entry: Entry, function: Function) -> str:
    """What `dsectl NAME --help` prints."""
    made = command(entry, function)
    context = made.make_context(f"dsectl {entry.name}", [], resilient_parsing=True)
    text: str = made.get_help(context)
    usage, _, rest = text.partition("\n")
    return usage.replace("{", "").replace("}", "") + "\n" + rest  # Typer's braces around what must be given


def _usage(entry: Entry, error: Any, args: Sequence[str]) -> Usage:
    message = error.format_message().rstrip(".")
    help = f"`dsectl help {entry.name}` shows its arguments and options."
    if len(args) > 1 and args[-1].startswith("."):  # as in a step
        help = (
            f"A path needs a step: `dsectl shell -c '{entry.name} … {args[-1]} -> $x'`; or --json and `jq {args[-1]}`."
        )
    option = getattr(error, "option_name", "")
    if option and "--" not in args and option not in ("-h", "--help"):
        help += f"\nA value that begins with a dash goes behind `--`: `dsectl {entry.name} … -- {option}`"
    return Usage(message[:1].lower() + message[1:], help=help)
