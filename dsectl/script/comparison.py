"""What the operators of a test mean. Values are typed as in JSON and never turned into one another."""

import re
from collections.abc import Callable
from typing import Any

from cluster.errors import Usage
from dsectl.script.path import MISSING

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


def _matches(seen: Any, pattern: Any) -> bool:
    if not isinstance(seen, str):
        return False
    return regular_expression(pattern).search(seen) is not None


def regular_expression(pattern: Any) -> re.Pattern[str]:
    """The compiled pattern. Raises Usage."""
    if not isinstance(pattern, str):
        raise Usage(f"`matches` needs a regular expression, not {pattern!r}")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise Usage(f"{pattern!r} is no regular expression: {error}") from None


OPERATORS: dict[str, Operator] = {
    "==": equal,
    "!=": lambda seen, wanted: not equal(seen, wanted),
    "<": _ordered(lambda seen, wanted: seen < wanted),
    "<=": _ordered(lambda seen, wanted: seen <= wanted),
    ">": _ordered(lambda seen, wanted: seen > wanted),
    ">=": _ordered(lambda seen, wanted: seen >= wanted),
    "in": lambda seen, wanted: contains(wanted, seen),
    "contains": contains,
    "matches": _matches,
}


def holds(seen: Any, operator: str, wanted: Any) -> bool:
    """Whether the test holds; what is missing is never equal, unequal or less. Raises Usage for a bad pattern."""
    return seen is not MISSING and OPERATORS[operator](seen, wanted)
