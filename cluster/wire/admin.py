"""Admin queries: about a node itself, off every hot path. One message, named by `what`, with JSON-like arguments."""

from typing import Any, Final, TypeVar

from msgspec import Struct, ValidationError, convert

from cluster.errors import Usage

Arguments = TypeVar("Arguments", bound=Struct)

ACTIONS: Final = frozenset({
    "change", "create-bucket", "empty-bucket", "weigh-service", "create-queue", "alter-queue", "delete-queue",
    "bind-queue", "unbind-queue", "purge-queue", "redrive-queue", "accept-loss",
})  # fmt: skip
"""Queries that change something for good: one whose answer is lost may have done so."""


class AdminQuery(Struct, array_like=True, gc=False, tag=50):
    """Ask a node, for example `members`, `ring`, `explain`, `ready`, `events`."""

    what: str
    arguments: dict[str, Any] = {}


class AdminAnswer(Struct, array_like=True, gc=False, tag=51):
    """The answer: dictionaries, lists, strings, numbers."""

    value: Any


class Draining(Struct, array_like=True, gc=False, tag=52):
    """Pushed to clients: send new operations to other nodes as long as there are any, or do so no longer. Who is told
    that a node drains, client or node, sends this back behind what it has sent already."""

    draining: bool


def read_arguments(arguments: dict[str, Any], kind: type[Arguments]) -> Arguments:
    """The arguments of a query as a `kind`, whatever a client made of them. Raises Usage."""
    try:
        return convert(arguments, kind)
    except ValidationError as error:
        raise Usage(f"invalid argument of the query: {error}") from None


AdminBody = AdminQuery | AdminAnswer | Draining
