"""From words to values and back: what a variable, a test's value and an argument mean. Pure."""

from collections.abc import Callable
from typing import Any

from msgspec import DecodeError, json

from dsectl.script.tokens import Quoted, Variable, Word

Lookup = Callable[[str], Any]


def as_argument(value: Any) -> str:
    """A value as a word of a command line: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.encode(value).decode()


def argument(word: Word, variable: Lookup) -> str:
    """A word of a command, its variables replaced."""
    return "".join(as_argument(variable(part.name)) if isinstance(part, Variable) else part.text for part in word.parts)


def value_of_word(word: Word, variable: Lookup) -> Any:
    """What a test compares with: a lone variable with its type, JSON, or else a text.

    Double quotes always give a text; single quotes hold JSON, or a text that is none.
    """
    if word.variable is not None:
        return variable(word.variable)
    if len(word.parts) == 1 and isinstance(part := word.parts[0], Quoted):
        return json_or_text(part.text) if part.single else part.text
    if not word.variables:
        try:
            return json.decode(word.raw)
        except DecodeError:
            pass
    return argument(word, variable)


def json_or_text(text: str) -> Any:
    """JSON if it is some, or the text itself."""
    try:
        return json.decode(text)
    except DecodeError:
        return text


def shown_value(value: Any, limit: int = 200) -> str:
    """A value for people, cut to `limit` characters."""
    try:
        text = json.encode(value).decode()
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
