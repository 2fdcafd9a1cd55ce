"""A line cut into words. Quotes, variables and comments are understood here, and nothing else.

Single quotes keep everything; double quotes know `\\" \\\\ \\$ \\n \\t` and variables; a variable also stands bare. `#`
begins a comment where a word could start. A word knows how it was written: a quoted one is never an operator.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cluster.errors import Usage

ESCAPES = {'"': '"', "\\": "\\", "$": "$", "n": "\n", "t": "\t"}
VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_BARE = re.compile(r"[^\s'\"$]+")
_QUOTED = re.compile(r'[^"\\$]+')


@dataclass(frozen=True)
class Bare:
    """Text outside quotes."""

    text: str


@dataclass(frozen=True)
class Quoted:
    """Text inside quotes, its escapes carried out."""

    text: str
    single: bool = False


@dataclass(frozen=True)
class Variable:
    """`$name`."""

    name: str
    quoted: bool = False


Part = Bare | Quoted | Variable


@dataclass(frozen=True)
class Word:
    """What stands between blanks. `raw` is how it was written, and `column` where it begins (from 0)."""

    parts: tuple[Part, ...]
    raw: str
    column: int

    @property
    def bare(self) -> str | None:
        """The text, if nothing in it is quoted or a variable."""
        return self.parts[0].text if len(self.parts) == 1 and isinstance(self.parts[0], Bare) else None

    @property
    def variable(self) -> str | None:
        """The name, if the word is one bare variable."""
        part = self.parts[0]
        return part.name if len(self.parts) == 1 and isinstance(part, Variable) and not part.quoted else None

    @property
    def variables(self) -> list[str]:
        """The names of all variables in it."""
        return [part.name for part in self.parts if isinstance(part, Variable)]

    def text(self, placeholder: str = "1") -> str:
        """The text, with something in the place of each variable: for checks before anything has a value."""
        return "".join(placeholder if isinstance(part, Variable) else part.text for part in self.parts)


def split(line: str) -> list[Word]:
    """The words of a line. Raises Usage with the column of an open quote, or of an escape that is not known."""
    return list(_words(line))


def _words(line: str) -> Iterator[Word]:
    at = 0
    while True:
        while at < len(line) and line[at].isspace():
            at += 1
        if at == len(line) or line[at] == "#":
            return
        start, parts = at, list[Part]()
        while at < len(line) and not line[at].isspace():
            at = _part(line, at, parts)
        yield Word(tuple(_joined(parts)), line[start:at], start)


def _part(line: str, at: int, parts: list[Part]) -> int:
    """Take one part of a word; returns where it ends."""
    if line[at] == "'":
        return _single(line, at, parts)
    if line[at] == '"':
        return _double(line, at, parts)
    found = VARIABLE.match(line, at)
    if found:
        parts.append(Variable(found[1]))
        return found.end()
    if line[at] == "$":
        parts.append(Bare("$"))
        return at + 1
    bare = _BARE.match(line, at)
    assert bare is not None
    parts.append(Bare(bare[0]))
    return bare.end()


def _single(line: str, at: int, parts: list[Part]) -> int:
    end = line.find("'", at + 1)
    if end < 0:
        raise unclosed(at, "'")
    parts.append(Quoted(line[at + 1 : end], single=True))
    return end + 1


def _double(line: str, at: int, parts: list[Part]) -> int:
    start, text, at = at, "", at + 1
    begun = len(parts)
    while at < len(line) and line[at] != '"':
        variable = VARIABLE.match(line, at)
        if variable:
            parts += [Quoted(text)] if text else []
            parts.append(Variable(variable[1], quoted=True))
            text, at = "", variable.end()
        elif line[at] == "\\":
            escaped = line[at + 1 : at + 2]
            if escaped not in ESCAPES or not escaped:
                raise Usage(
                    f"column {at + 1}: \\{escaped} is no escape",
                    help='In double quotes there are \\" \\\\ \\$ \\n \\t; single quotes keep everything as it is.',
                )
            text, at = text + ESCAPES[escaped], at + 2
        elif line[at] == "$":
            text, at = text + "$", at + 1
        else:
            plain = _QUOTED.match(line, at)
            assert plain is not None
            text, at = text + plain[0], plain.end()
    if at == len(line):
        raise unclosed(start, '"')
    if text or len(parts) == begun:
        parts.append(Quoted(text))
    return at + 1


def unclosed(column: int, quote: str) -> Usage:
    """The error for a quote without its end."""
    return Usage(f"column {column + 1}: a {quote} that is not closed", help="The rest of the line belongs to it.")


def _joined(parts: list[Part]) -> Iterator[Part]:
    """Neighbouring bare parts as one: a lone `$` was cut off."""
    text = ""
    for part in parts:
        if isinstance(part, Bare):
            text += part.text
            continue
        if text:
            yield Bare(text)
            text = ""
        yield part
    if text:
        yield Bare(text)
