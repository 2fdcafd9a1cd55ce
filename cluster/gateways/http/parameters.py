"""What a request may carry beside its body, each said once: it is read by it, and described by it in OpenAPI."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from cluster.gateways.http.problems import invalid

PATH, QUERY, HEADER = "path", "query", "header"
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_BAD_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")
PRINTABLE: Final = "^[!-~]([ -~]*[!-~])?$"
"""Of headers whose value is text: what every client can send unchanged."""
PRINTABLE_FORM: Final = "printable ASCII"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. Numbers are from `low` to `high`; of whole ones None is the number of copies of a key. Text has
    up to `bytes_max` bytes of UTF-8, and what `pattern` says."""

    name: str
    place: str
    summary: str
    type: str = "string"
    default: Any = None
    low: float | None = None
    high: int | None = None
    bytes_min: int = 0
    bytes_max: int = 0
    pattern: str = ""
    form: str = ""
    """The pattern in words."""
    values: tuple[str, ...] = ()
    example: Any = None

    def read(self, text: str) -> Any:
        """The value that `text` stands for. Raises HttpProblem."""
        if self.type == "boolean":
            if text not in ("true", "false"):
                raise self._invalid("expected true or false", text)
            return text == "true"
        if self.type == "string":
            size = len(text.encode())
            if size < self.bytes_min or (self.bytes_max and size > self.bytes_max):
                raise self._invalid(f"expected {self.bytes_min} to {self.bytes_max} bytes", text)
            if (self.pattern and not re.search(self.pattern, text)) or (self.values and text not in self.values):
                raise self._invalid(f"expected {' or '.join(self.values) or self.form}", text)
            return text
        if not (_INTEGER if self.type == "integer" else _NUMBER).fullmatch(text):
            raise self._invalid("expected a whole number" if self.type == "integer" else "expected a number", text)
        number = int(text) if self.type == "integer" else float(text)
        for wrong, bound in (
            (self.low is not None and number < self.low, f"at least {self.low}"),
            (self.high is not None and number > self.high, f"at most {self.high}"),
        ):
            if wrong:
                raise self._invalid(f"expected {bound}", text)
        return number

    def _invalid(self, expected: str, text: str) -> Exception:
        return invalid(f"{self.place}.{self.name}", f"{expected}, got {text[:64]!r}")

    def describe(self, copies: int) -> dict[str, Any]:
        """As OpenAPI describes it, in a cluster with so many copies of each key."""
        schema: dict[str, Any] = {"type": self.type}
        counts_copies = self.type == "integer" and self.high is None
        for word, value in (
            ("minimum", self.low),
            ("maximum", copies if counts_copies else self.high),
            ("minLength", self.bytes_min or None),
            ("maxLength", self.bytes_max or None),
            ("pattern", self.pattern or None),
            ("enum", list(self.values) or None),
            ("default", self.default if self.default != "" else None),
        ):
            if value is not None:
                schema[word] = value
        described: dict[str, Any] = {"name": self.name, "in": self.place, "description": self.summary, "schema": schema}
        if self.place == PATH:
            described["required"] = True
        if self.example is not None:
            described["example"] = self.example
        return described


def decode(text: str, path: str, *, form: bool = False) -> str:
    """What a part of a target says, as UTF-8; in a query (`form`) a plus is a blank. Raises HttpProblem."""
    if form:
        text = text.replace("+", " ")
    if _BAD_ESCAPE.search(text):
        raise invalid(path, "a percent sign is followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise invalid(path, "this is not UTF-8") from None


def read_all(
    parameters: Iterable[Parameter], parts: Mapping[str, str], query: str, headers: Mapping[str, str]
) -> dict[str, Any]:
    """The values of all parameters of a request, by name. `parts` are those of its path, as they were sent. Raises
    HttpProblem for one that is wrong, or a query that has another, or one twice."""
    asked: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, _, text = pair.partition("=")
        name = decode(name, "query", form=True)
        if name in asked:
            raise invalid(f"query.{name[:64]}", "it is there twice")
        asked[name] = decode(text, f"query.{name[:64]}", form=True)
    values: dict[str, Any] = {}
    known = []
    for one in parameters:
        if one.place == PATH:
            found: str | None = decode(parts[one.name], f"path.{one.name}")
        elif one.place == QUERY:
            known.append(one.name)
            found = asked.pop(one.name, None)
        else:
            found = headers.get(one.name.lower())
        values[one.name] = one.default if found is None else one.read(found)
    if asked:
        expected = ", ".join(known) or "none"
        raise invalid(f"query.{next(iter(asked))[:64]}", f"there is no such parameter; expected: {expected}")
    return values
