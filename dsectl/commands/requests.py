"""A call of a service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import DecodeError, json

from cluster.errors import NotFound, Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text, show_value
from dsectl.ui.text import count, shown
from dsectl.ui.units import show_duration

if TYPE_CHECKING:
    import typer

    from cluster.client.streams import StreamResult
    from dsectl.cli.console import Console

POLL_S = 0.25
"""How often a call without replies checks whether it shall end."""
END = object()
ARGUMENT = re.compile(r"([^:=\s]+)(:=|=)(.*)", re.DOTALL)


@command("request", "Call a service.", group="requests", rank=3)
def request(
    operation: Annotated[str, typer.Argument(metavar="SERVICE.OPERATION", help="Operation to call.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=TEXT|NAME:=JSON...", help="Arguments of the operation.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Calls with the same key go to the same endpoint (default: none).")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="NODE|WORKER", help="Node, or worker as n2/1, to call, and no other.")
    ] = None,
    hedge: Annotated[
        bool, typer.Option("--hedge", help="Call a second endpoint when a readonly operation takes long.")
    ] = False,
    version: Annotated[
        int, typer.Option(metavar="V", min=0, help="Version of the service to call (default: any).")
    ] = 0,
    deadline: Annotated[
        float | None, typer.Option(metavar="D", help="Time to give up after (default: that of --timeout).")
    ] = None,
) -> Iterator[Answer]:
    """`name=value` is a string, `name:=value` any JSON: `sku=x count:=3 gift:=true`.

    The replies of an operation that streams are printed as they come, a line of JSON each, and Ctrl-C cancels the call.
    With --json each is an object with `reply`, and the last line says how many `replies` there were."""
    invocation, given = current(), parse_arguments(arguments or [])
    client = invocation.client()
    if only is not None:
        client.addresses([only.partition("/")[0]])
    target = check_text(operation, "operation")
    try:
        with client.requests.stream(
            target,
            given,
            deadline=deadline,
            key=key,
            only=only,
            hedge=hedge,
            version=version,
            strict=True,
        ) as stream:
            while not invocation.stopped():
                if not stream.wait(POLL_S):
                    continue
                reply = next(stream, END)
                if stream.result is not None and (reply is END or stream.result.replies is None):
                    yield _ended(stream.result, reply)
                    return
                yield _row(reply)
    except Usage as error:
        if error.message.startswith(f"{target}: request") and error.message.endswith("got `str`"):
            error.help = f"NAME=VALUE is always a string, NAME:=VALUE any JSON, as a number. {error.help}"
        raise
    except NotFound as error:
        from dsectl.commands.serving import stopped_workers  # loads much, and a call needs none of it

        error.help = stopped_workers(target.rpartition(".")[0]) or error.help
        raise


def _row(reply: object) -> Answer:
    """One of many replies."""

    def view(console: Console) -> None:
        data = json.encode(reply)
        if console.options.raw:
            console.bytes(data + b"\n")
        else:
            console.line(shown(data.decode()) if console.is_terminal else data.decode())

    return Answer({"reply": reply}, view)


def _ended(result: StreamResult, reply: object) -> Answer:
    """How the call ended: with its one reply, or behind many."""
    value = {
        "service": result.service,
        "operation": result.operation,
        **({"reply": reply} if result.replies is None else {"replies": result.replies}),
        "node": result.node,
        "endpoint": result.endpoint,
        "version": result.version,
        "attempts": result.attempts,
        "hedged": result.hedged,
        "ms": result.ms,
        "trace": "",
    }

    def view(console: Console) -> None:
        if result.replies is None:
            show_value(json.encode(reply), console)
        replies = "" if result.replies is None else f"  {count(result.replies, 'reply', 'replies')}"
        hedged = ", hedged" if result.hedged else ""
        attempts = f"{count(result.attempts, 'attempt')}{hedged}"
        console.note(
            console.paint_err(f"{result.endpoint}{replies}  {attempts}  {show_duration(result.ms / 1000)}", "dim")
        )

    return Answer(value, view)


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
