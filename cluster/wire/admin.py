"""Questions about a node itself, off every hot path: one message, named by `what`, with JSON-like arguments."""

from typing import Any

from msgspec import Struct


class Ask(Struct, array_like=True, gc=False, tag=50):
    """Ask a node, for example `members`, `ring`, `explain`, `ready`, `events`."""

    what: str
    arguments: dict[str, Any] = {}


class Answer(Struct, array_like=True, gc=False, tag=51):
    """The answer: dictionaries, lists, strings, numbers."""

    value: Any


class Draining(Struct, array_like=True, gc=False, tag=52):
    """Pushed to clients: send new operations to other nodes as long as there are any, or do so no longer."""

    draining: bool


AdminBody = Ask | Answer | Draining
