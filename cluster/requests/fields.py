"""Where arguments do not fit, in words: `request.items[2].sku is missing`."""

import re
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

_AT = re.compile(r"(?P<what>.*?)(?: - at `(?:key` in `)?\$(?P<path>.*)`)?", re.DOTALL)
_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`")


class FieldProblem(NamedTuple):
    """`path` begins with `request`, and a value of a map is `[...]` there; with `what` is wrong it makes a sentence."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def field_problem(error: Exception) -> FieldProblem:
    """What is wrong with arguments that msgspec refused with `error`."""
    found = _AT.fullmatch(str(error))
    if not isinstance(error, msgspec.ValidationError) or found is None:
        return FieldProblem("request", f"is not JSON: {error}")
    path, what = f"request{found['path'] or ''}", found["what"]
    named = _NAMED.fullmatch(what)
    if named is None:
        return FieldProblem(path, f"is invalid: {what[:1].lower()}{what[1:]}")
    return FieldProblem(f"{path}.{named['name']}", "is missing" if "missing" in what else "is unknown")


def unknown_argument(payload: bytes, request: type[msgspec.Struct]) -> FieldProblem | None:
    """The first argument that the operation does not have, in a payload that `request` takes. A service ignores such;
    a person at a prompt has mistyped it."""
    if request.__struct_config__.array_like:
        return None
    known = list(request.__struct_encode_fields__)
    tag = request.__struct_config__.tag_field
    for name in msgspec.json.decode(payload, type=dict[str, msgspec.Raw]):
        if name not in known and name != tag:
            close = get_close_matches(name, known, n=1, cutoff=0.5)
            return FieldProblem(f"request.{name}", "is unknown" + (f": did you mean {close[0]}?" if close else ""))
    return None
