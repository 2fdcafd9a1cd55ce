"""Services: which there are, what they offer, and a call of one."""

import re
from typing import Annotated, Any

import typer
from msgspec import DecodeError, json

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError, NotFound, Usage
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text, show_value
from dsectl.commands.services_view import description_lines, services_lines
from dsectl.ui.text import count
from dsectl.ui.units import duration

ARGUMENT = re.compile(r"([^:=\s]+)(:=|=)(.*)", re.DOTALL)


def services() -> None:
    """As one node sees it: --via chooses which."""
    console = current().console
    found = current().client().admin.services()
    if console.options.json:
        console.value(found)
        return
    console.lines(services_lines(found, console.paint, console.columns))
    if not found:
        console.note("no node offers a service")


def describe(service: Annotated[str, typer.Argument(metavar="SERVICE", help="Its name.")]) -> None:
    """Its operations with the schemas of arguments and replies, told by a node that offers it."""
    answers = current().client().ask_all(None, "describe", {"service": check_text(service, "service")})
    found = [answer for answer in answers.values() if not isinstance(answer, ClusterError)]
    if not found:
        errors = {name: error for name, error in answers.items() if not isinstance(error, NotFound)}
        if len(errors) == len(answers):
            raise nobody(current().cluster, errors)
        raise NotFound(f"no live node offers a service {service!r}", help="`dsectl services` lists those there are.")
    console = current().console
    if console.options.json:
        console.value(found[0])
    else:
        console.lines(description_lines(found[0], console.paint))


def request(
    operation: Annotated[str, typer.Argument(metavar="SERVICE.OPERATION", help="What to call.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=TEXT|NAME:=JSON]...", help="Its arguments.")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="NODE", help="This node's endpoint, no other.")] = None,
    deadline: Annotated[float | None, typer.Option(parser=duration, metavar="D", help="Give up after this.")] = None,
) -> None:
    """`name=value` is a string, `name:=value` any JSON: `sku=x count:=3 gift:=true`."""
    done = (
        current()
        .client()
        .requests.call(
            check_text(operation, "operation"), parse_arguments(arguments or []), deadline=deadline, only=only
        )
    )
    console = current().console
    if console.options.json:
        console.value(done)
        return
    show_value(json.encode(done.reply), console)
    hedged = ", hedged" if done.hedged else ""
    console.note(console.paint_err(f"{done.node}  {count(done.attempts, 'attempt')}{hedged}  {done.ms:.1f} ms", "dim"))


def parse_arguments(words: list[str]) -> dict[str, Any]:
    """The arguments of a call. Raises Usage for a word that is none, or for a name said twice."""
    arguments: dict[str, Any] = {}
    for word in words:
        found = ARGUMENT.fullmatch(check_text(word, "argument"))
        if found is None:
            raise Usage(f"{word!r} is no argument", help="Write name=text, or name:=JSON as in count:=3.")
        name, kind, text = found.groups()
        if name in arguments:
            raise Usage(f"the argument {name!r} is given twice")
        arguments[name] = text if kind == "=" else _parse_json(name, text)
    return arguments


def _parse_json(name: str, text: str) -> Any:
    try:
        return json.decode(text)
    except DecodeError as error:
        raise Usage(f"{name}:= needs JSON: {error}", help=f"`{name}={text}` gives it as a string.") from None
