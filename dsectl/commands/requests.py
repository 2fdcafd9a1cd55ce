"""A call of a service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import DecodeError, json

from cluster.errors import Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text, show_value
from dsectl.ui.text import count
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console

ARGUMENT = re.compile(r"([^:=\s]+)(:=|=)(.*)", re.DOTALL)


@command("request", "Call a service.", group="requests", rank=3)
def request(
    operation: Annotated[str, typer.Argument(metavar="SERVICE.OPERATION", help="Operation to call.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=TEXT|NAME:=JSON]...", help="Arguments of the operation.")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="NODE", help="Node to call, and no other.")] = None,
    deadline: Annotated[
        float | None, typer.Option(metavar="D", help="Time to give up after (default: that of --timeout).")
    ] = None,
) -> Answer:
    """`name=value` is a string, `name:=value` any JSON: `sku=x count:=3 gift:=true`."""
    client, given = current().client(), parse_arguments(arguments or [])
    if only is not None:
        client.addresses([only])
    done = client.requests.call(check_text(operation, "operation"), given, deadline=deadline, only=only)

    def view(console: Console) -> None:
        show_value(json.encode(done.reply), console)
        hedged = ", hedged" if done.hedged else ""
        effort = f"{done.node}  {count(done.attempts, 'attempt')}{hedged}  {show_duration(done.ms / 1000)}"
        console.note(console.paint_err(effort, "dim"))

    return Answer(done, view)


def parse_arguments(words: list[str]) -> dict[str, Any]:
    """The arguments of a call. Raises Usage for a word that is none, or for a name said twice."""
    arguments: dict[str, Any] = {}
    for word in words:
        found = ARGUMENT.fullmatch(check_text(word, "argument"))
        if found is None:
            raise Usage(f"invalid argument {word!r}: expected name=text, or name:=JSON as in count:=3")
        name, kind, text = found.groups()
        if name in arguments:
            raise Usage(f"the argument {name!r} is given twice")
        try:
            arguments[name] = text if kind == "=" else json.decode(text)
        except (DecodeError, RecursionError) as error:
            raise Usage(f"{name}:= needs JSON: {error}", help=f"`{name}={text}` gives it as a string.") from None
    return arguments
