"""Values of the step language: what a word stands for, where a value lies in another, and how two compare. Pure.

Values are those of JSON, typed, and never turned into one another. A path such as `.owners[0]`, `.$victim.state`,
`."a key".length`, `.[0]`, or `.` for the whole leads into one; what is not there is `MISSING`, which is never equal,
unequal or less.
"""

import os
import re
from binascii import a2b_base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from msgspec import DecodeError, json

from cluster.errors import Usage
from dsectl.script.tokens import VARIABLE, Bare, Quoted, Variable, Word, as_word


class Missing:
    """There is no such value."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = Missing()
Lookup = Callable[[str], Any]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INDEX = re.compile(r"-?\d+")


Key = str | int | Variable
"""A member of an object, an element of a list (from 0, or from the end when negative), or a variable that holds one."""


@dataclass(frozen=True)
class Path:
    """Where a value lies in another."""

    steps: tuple[Key, ...]
    raw: str

    @property
    def variables(self) -> list[str]:
        """The names of the variables in it."""
        return [key.name for key in self.steps if isinstance(key, Variable)]

    def resolve(self, value: Any, variable: Lookup) -> Any:
        """The value that lies there, or MISSING. `variable` gives the value of one."""
        for step in self.steps:
            key = variable(step.name) if isinstance(step, Variable) else step
            if isinstance(value, dict) and isinstance(key, str) and key in value:
                value = value[key]
            elif key == "length" and isinstance(value, list | dict | str):
                value = len(value)
            elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
                value = value[key]
            else:
                return MISSING
        return value

    def shown(self, variable: Lookup) -> str:
        """As it was written, with the values of its variables."""
        return VARIABLE.sub(lambda found: str(variable(found[1])), self.raw)


def looks_like_path(word: Word) -> bool:
    """Whether a word is one: it begins with a bare dot, and the rest follows the grammar."""
    if not word.raw.startswith("."):
        return False  # most words, for less than an exception costs
    try:
        parse_path(word)
    except Usage:
        return False
    return True


def parse_path(word: Word) -> Path:
    """The path that a word is. Raises Usage."""
    atoms: list[str | Quoted | Variable] = []
    for part in word.parts:
        if isinstance(part, Bare):
            atoms += [atom for atom in re.split(r"([.\[\]])", part.text) if atom]
        else:
            atoms.append("'" if isinstance(part, Quoted) and part.single else part)  # which is no part of the grammar
    steps: list[Key] = []
    if atoms[:1] == ["."] and atoms[1:2] in ([], ["["]):  # `.`, or `.[0]`: the first part may be an index
        del atoms[0]
    elif atoms[:1] != ["."]:
        atoms = ["'"]
    while atoms:
        match atoms:
            case [".", Quoted(text=name), *atoms]:
                steps.append(name)
            case [".", Variable() as variable, *atoms] | ["[", Variable() as variable, "]", *atoms]:
                steps.append(variable)
            case [".", str(name), *atoms] if _NAME.fullmatch(name):
                steps.append(name)
            case ["[", str(number), "]", *atoms] if _INDEX.fullmatch(number):
                steps.append(int(number))
            case _:
                help = 'A path begins with a dot: . or .owners[0] or ."a key".state or .$node.state'
                raise Usage(f"column {word.column + 1}: invalid path {word.raw}", help=help)
    return Path(tuple(steps), word.raw)


def path_part(name: str) -> str:
    """A member of an object as a path names it."""
    return name if _NAME.fullmatch(name) else f'"{name}"'


Operator = Callable[[Any, Any], bool]


def equal(seen: Any, wanted: Any) -> bool:
    """As JSON: 1 is 1.0, but neither is true, and "1" is none of them."""
    if isinstance(seen, bool) or isinstance(wanted, bool):
        return seen is wanted
    if isinstance(seen, list) and isinstance(wanted, list):
        return len(seen) == len(wanted) and all(map(equal, seen, wanted))
    if isinstance(seen, dict) and isinstance(wanted, dict):
        return seen.keys() == wanted.keys() and all(equal(seen[key], wanted[key]) for key in seen)
    return bool(seen == wanted)


def _ordered(compare: Callable[[Any, Any], bool]) -> Operator:
    """Numbers with numbers, texts with texts; nothing else has an order."""

    def holds(seen: Any, wanted: Any) -> bool:
        if isinstance(seen, bool) or isinstance(wanted, bool):
            return False
        numbers = isinstance(seen, int | float) and isinstance(wanted, int | float)
        texts = isinstance(seen, str) and isinstance(wanted, str)
        return (numbers or texts) and compare(seen, wanted)

    return holds


def contains(whole: Any, part: Any) -> bool:
    """A text in a text, an element of a list, a member of an object."""
    if isinstance(whole, str):
        return isinstance(part, str) and part in whole
    if isinstance(whole, list):
        return any(equal(one, part) for one in whole)
    return isinstance(whole, dict) and isinstance(part, str) and part in whole


def regular_expression(pattern: Any) -> Callable[[str], object | None]:
    """The search of a pattern, which finds something where a text has a match. Raises Usage.

    RE2 searches in a time that grows with the text and never exponentially, so that no pattern outlives a time limit or
    a signal: docs/decisions/0021-re2.md.
    """
    import re2

    if not isinstance(pattern, str):
        raise Usage(f"matches needs a regular expression, not {shown_value(pattern)}")
    options = re2.Options()
    options.log_errors = False
    try:
        search: Callable[[str], object | None] = re2.compile(pattern, options).search
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error, re2.error) else "it is not text"
        help = "The syntax is RE2's: no look-around and no back-references."
        raise Usage(f"invalid regular expression {as_written(pattern)}: {reason}", help=help) from None
    return search


OPERATORS: dict[str, Operator] = {
    "==": equal,
    "!=": lambda seen, wanted: not equal(seen, wanted),
    "<": _ordered(lambda seen, wanted: seen < wanted),
    "<=": _ordered(lambda seen, wanted: seen <= wanted),
    ">": _ordered(lambda seen, wanted: seen > wanted),
    ">=": _ordered(lambda seen, wanted: seen >= wanted),
    "in": lambda seen, wanted: contains(wanted, seen),
    "contains": contains,
    "matches": lambda seen, pattern: isinstance(seen, str) and regular_expression(pattern)(seen) is not None,
}


def holds(seen: Any, operator: str, wanted: Any) -> bool:
    """Whether the test holds; what is missing is never equal, unequal or less. Raises Usage for a bad pattern, and for
    values that are nested too deeply."""
    try:
        return seen is not MISSING and OPERATORS[operator](seen, wanted)
    except RecursionError:
        raise Usage("the values are nested too deeply to be compared", help="Compare a part, by its path.") from None


def hint(seen: Any, operator: str, wanted: Any) -> str:
    """What to write instead when two values are of different types, so that the test cannot hold; else empty."""
    kinds = _kind(seen), _kind(wanted)
    if seen is MISSING:
        return ""
    if operator in ("==", "!="):
        if isinstance(seen, str) and equal(json_or_text(seen), wanted):
            return f"a value is text: write {operator} {as_written(seen)}" if kinds[1] != "text" else ""
        if isinstance(wanted, str) and kinds[0] not in ("text", "null") and equal(json_or_text(wanted), seen):
            return f"it is {kinds[0]}: write {operator} {as_word(wanted)}"
        return f"{kinds[0]} never equals {kinds[1]}" if kinds[0] != kinds[1] and None not in (seen, wanted) else ""
    if operator in ("<", "<=", ">", ">=") and (kinds[0] != kinds[1] or kinds[0] not in ("text", "a number")):
        return f"there is no order between {kinds[0]} and {kinds[1]}"
    if operator == "matches" and kinds[0] != "text":
        return f"matches searches text, and this is {kinds[0]}"
    if operator in ("contains", "in"):
        whole, part = kinds if operator == "contains" else kinds[::-1]
        if whole not in ("text", "a list", "an object"):
            return f"{operator} looks into text, a list or an object, and this is {whole}"
        if whole != "a list" and part != "text":
            return f"{whole} contains text, not {part}"
    return ""


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def as_written(text: str) -> str:
    """A text as it is written in a test."""
    return json.encode(text.encode(errors="backslashreplace").decode()).decode().replace("$", "\\$")


def argument(word: Word, variable: Lookup) -> str:
    """A word of a command, its variables replaced: a text as it is, bytes as they are, anything else as JSON.

    Raises Usage for a variable that is null, which as a word would be the text "null".
    """
    texts = []
    for part in word.parts:
        value = variable(part.name) if isinstance(part, Variable) else part.text
        if value is None and isinstance(part, Variable):
            help = "The `.value` of a key is null while it has several siblings; `.siblings[0]` is the first."
            raise Usage(f"${part.name} is null: a command takes text", help=help)
        if isinstance(value, dict) and list(value) == ["base64"] and isinstance(value["base64"], str):
            try:  # bytes that are not text, as JSON holds them
                value = os.fsdecode(a2b_base64(value["base64"]))
            except ValueError:
                pass
        texts.append(value if isinstance(value, str) else json.encode(value).decode())
    return "".join(texts)


def value_of_word(word: Word, variable: Lookup) -> Any:
    """What a test compares with: a lone variable with its type, JSON, or else a text.

    Double quotes always give a text; single quotes hold JSON, or a text that is none.
    """
    if word.variable is not None:
        return variable(word.variable)
    if len(word.parts) == 1 and isinstance(part := word.parts[0], Quoted):
        return json_or_text(part.text) if part.single else part.text
    found = json_or_text(word.raw)
    return argument(word, variable) if word.variables or found is word.raw else found


def json_or_text(text: str) -> Any:
    """JSON if it is some, or the text itself."""
    try:
        return json.decode(text)
    except (DecodeError, RecursionError):  # nested deeper than this process can follow
        return text


def shown_value(value: Any, limit: int = 200) -> str:
    """A value for people, cut to `limit` characters."""
    try:
        text = json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(value) if not isinstance(value, list | dict) else "a value that JSON cannot hold"
    return text if len(text) <= limit else text[: limit - 1] + "…"
