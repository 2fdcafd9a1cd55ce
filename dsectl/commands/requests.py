"""What a service offers, and a call of one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import DecodeError, json

from cluster.errors import ClusterError, NotFound, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text, show_value
from dsectl.ui.text import count, shown
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console
    from dsectl.ui.text import Paint

ARGUMENT = re.compile(r"([^:=\s]+)(:=|=)(.*)", re.DOTALL)
TRAITS = ("readonly", "idempotent")


@command("describe", "Show a service's operations.", group="requests", rank=2, readonly=True)
def describe(service: Annotated[str, typer.Argument(metavar="SERVICE", help="Name of the service.")]) -> Answer:
    """Its operations with the schemas of arguments and replies, as a node that offers it describes them."""
    from cluster.client.dispatch import nobody

    answers = current().client().ask_all(None, "describe", {"service": check_text(service, "service")})
    found = [answer for answer in answers.values() if not isinstance(answer, ClusterError)]
    if not found:
        errors = {name: error for name, error in answers.items() if not isinstance(error, NotFound)}
        if len(errors) == len(answers):
            raise nobody(current().cluster, errors)
        raise NotFound(f"no live node offers a service {service!r}", help="`dsectl services` lists those there are.")
    return Answer(found[0], lambda console: console.lines(description_lines(found[0], console.paint)))


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


def description_lines(described: dict[str, Any], paint: Paint) -> list[str]:
    """The operations of a service, each with what it takes, what it gives, and what may be relied on."""
    schemas = described.get("components", {}).get("schemas", {})
    version = paint(f"version {described.get('version', '')}", "dim")
    lines = [f"{paint(shown(described['service']), 'strong')}  {version}", shown(described.get("summary", ""))]
    for name, one in described.get("operations", {}).items():
        call = f"{paint(shown(name), 'name')}({shown(_fields(one['request'], schemas))})"
        traits = paint(", ".join(trait for trait in TRAITS if one.get(trait)), "good")
        about = "  ".join(part for part in (shown(one.get("summary", "")), traits) if part)
        lines += ["", f"{call} -> {shown(_type(one['reply'], schemas))}", *([f"    {about}"] if about else [])]
    return lines


def _resolve(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = schemas.get(name, schema)
    return found


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The properties of an object as parameters; those that may be left out have a question mark."""
    properties = _resolve(schema, schemas).get("properties", {})
    required = _resolve(schema, schemas).get("required", [])
    parts = [f"{name}{'' if name in required else '?'}: {_type(one, schemas)}" for name, one in properties.items()]
    return ", ".join(parts)


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "anyOf" in schema:
        return " | ".join(_type(one, schemas) for one in schema["anyOf"])
    found = _resolve(schema, schemas)
    if found.get("type") == "array":
        return f"[{_type(found.get('items', {}), schemas)}]"
    if "$ref" in schema:
        fields = _fields(schema, schemas)
        return f"{{{fields}}}" if fields else str(schema["$ref"]).rpartition("/")[2]
    return str(found.get("type", "any"))
