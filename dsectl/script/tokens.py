"""The one tokenizer of the step language: lines cut into words, each word into bare text, quoted text and variables.

Single quotes keep everything; double quotes know `\\" \\\\ \\$ \\n \\t` and variables; a variable also stands bare. `#`
begins a comment where a word could start, and a comment ends with its line. A word knows how it was written: a quoted
one is never an operator. `scan` accepts every text, since completion and colours need half a line; `split` raises for
what is wrong with a line that is to be carried out.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from cluster.errors import Usage

ESCAPES = {'"': '"', "\\": "\\", "$": "$", "n": "\n", "t": "\t"}
_ESCAPED = {meant: f"\\{letter}" for letter, meant in ESCAPES.items()}
_PLAIN = re.compile(r"[^\s'\"$\\#|&]+")
NAME = r"[A-Za-z_][A-Za-z0-9_]*"
VARIABLE = re.compile(rf"\$({NAME})")
_BLANKS = re.compile(r"\s+")
_BARE = re.compile(r"[^\s'\"$]+|\$")
_QUOTED = re.compile(rf'\$({NAME})|[^"\\$]+|\\.?|\$', re.DOTALL)
"""A variable, text, an escape, or a lone `$`."""


@dataclass(frozen=True)
class Bare:
    """Text outside quotes."""

    text: str


@dataclass(frozen=True)
class Quoted:
    """Text inside quotes, its escapes replaced."""

    text: str
    single: bool = False


@dataclass(frozen=True)
class Variable:
    """`$name`."""

    name: str
    quoted: bool = False


Part = Bare | Quoted | Variable


@dataclass(frozen=True)
class Token:
    """A stretch of a line that has one meaning. The `raw` of all tokens, joined, is the line.

    `part` is None for blanks, comments, and a quotation mark that stands alone behind a variable.
    """

    raw: str
    column: int
    part: Part | None = None
    is_comment: bool = False
    problem: Usage | None = None

    @property
    def is_blank(self) -> bool:
        """Whether it separates words."""
        return self.part is None and self.raw.isspace()


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
        part = self.parts[0] if len(self.parts) == 1 else None
        return part.name if isinstance(part, Variable) and not part.quoted else None

    @property
    def variables(self) -> list[str]:
        """The names of all variables in it."""
        return [part.name for part in self.parts if isinstance(part, Variable)]

    def text(self, placeholder: str = "1") -> str:
        """The text, with something in the place of each variable: for checks before anything has a value."""
        return "".join(placeholder if isinstance(part, Variable) else part.text for part in self.parts)


def split(line: str) -> list[Word]:
    """The words of a line. Raises Usage with the column of an open quote, or of an unknown escape."""
    tokens = list(scan(line))
    for token in tokens:
        if token.problem is not None:
            raise token.problem
    return words(tokens)


def words(tokens: Iterable[Token]) -> list[Word]:
    """The words that some tokens are; comments are left out."""
    found: list[Word] = []
    begun: list[Token] = []
    for token in [*tokens, Token(" ", 0)]:
        if not (token.is_blank or token.is_comment):
            begun.append(token)
        elif begun:
            parts: list[Part] = []
            for part in (one.part for one in begun):
                if isinstance(part, Bare) and parts and isinstance(parts[-1], Bare):
                    parts[-1] = Bare(parts[-1].text + part.text)  # a lone `$` was cut off
                elif part is not None:
                    parts.append(part)
            found.append(Word(tuple(parts), "".join(one.raw for one in begun), begun[0].column))
            begun = []
    return found


def scan(line: str) -> Iterator[Token]:
    """The tokens of any text."""
    at, begins = 0, True
    while at < len(line):
        if blanks := _BLANKS.match(line, at):
            tokens = [Token(blanks[0], at)]
        elif line[at] == "#" and begins:
            tokens = [Token(line[at:], at, is_comment=True)]
        elif line[at] == "'":
            end = line.find("'", at + 1)
            problem = _unclosed(at, "'") if end < 0 else None
            raw = line[at:] if end < 0 else line[at : end + 1]
            tokens = [Token(raw, at, Quoted(raw[1 : None if end < 0 else -1], single=True), problem=problem)]
        elif line[at] == '"':
            tokens = list(_double(line, at))
        elif variable := VARIABLE.match(line, at):
            tokens = [Token(variable[0], at, Variable(variable[1]))]
        else:
            bare = _BARE.match(line, at)
            assert bare is not None
            tokens = [Token(bare[0], at, Bare(bare[0]))]
        yield from tokens
        at = tokens[-1].column + len(tokens[-1].raw)
        begins = tokens[-1].is_blank


def _double(line: str, start: int) -> Iterator[Token]:
    """Text and variables in double quotes; the quotation marks belong to the tokens beside them."""
    begun, at, text = start, start + 1, ""
    problem: Usage | None = None
    while found := _QUOTED.match(line, at):
        piece, at = found[0], found.end()
        if found[1]:
            if found.start() > begun:
                yield Token(line[begun : found.start()], begun, Quoted(text) if text else None, problem=problem)
            yield Token(piece, found.start(), Variable(found[1], quoted=True))
            begun, text, problem = at, "", None
        elif piece[0] == "\\":
            help = 'In double quotes there are \\" \\\\ \\$ \\n \\t; single quotes keep everything as it is.'
            unknown = Usage(f"column {found.start() + 1}: unknown escape {piece}", help=help)
            problem = problem or (None if piece[1:] in ESCAPES else unknown)
            text += ESCAPES.get(piece[1:], piece)
        else:
            text += piece
    if at == len(line):
        problem = problem or _unclosed(start, '"')
    part = Quoted(text) if text or begun == start else None
    yield Token(line[begun : at + 1], begun, part, problem=problem)


def as_word(text: str) -> str:
    """A text as a word that means it, quoted only where it has to be."""
    if _PLAIN.fullmatch(text):
        return text
    if "'" not in text and text.isprintable():
        return f"'{text}'"
    return '"' + "".join(_ESCAPED.get(one, one) for one in text) + '"'


def _unclosed(column: int, quote: str) -> Usage:
    return Usage(f"column {column + 1}: unclosed {quote}", help="The rest of the line belongs to it.")


@dataclass(frozen=True)
class Line:
    """One step as it stands in a file; joined lines count from the first."""

    number: int
    text: str


def join_lines(lines: Iterable[str], first: int = 1) -> Iterator[Line]:
    """The steps in these lines: a backslash at the end of a line joins it with the next, but not at the end of a
    comment. Empty lines and comments are left out. Lazy, so that lines can come from a person."""
    joined, began = "", 0
    for number, text in enumerate(chain(lines, [""]), first):  # the last one ends what a backslash left open
        began = began or number
        joined += text
        if text.endswith("\\") and not any(token.is_comment for token in scan(joined)):
            joined = joined[:-1] + " "
            continue
        if words(scan(joined)):
            yield Line(began, joined.strip())
        joined, began = "", 0
