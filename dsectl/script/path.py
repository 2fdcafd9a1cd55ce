"""Paths into JSON values: `.owners[0]`, `.$victim.state`, `."a key".length`, `.[0]`, `.` for the whole.

`.length` counts a list, an object without such a member, or a string. What is not there is `MISSING`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cluster.errors import Usage
from dsectl.script.tokens import VARIABLE, Bare, Part, Quoted, Variable, Word


class Missing:
    """There is no such value."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = Missing()

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INDEX = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Name:
    """A member of an object; a text or a variable that holds one."""

    name: str | Variable


@dataclass(frozen=True)
class Index:
    """An element of a list, counted from 0, or from the end when negative."""

    index: int | Variable


@dataclass(frozen=True)
class Path:
    """Where a value lies in another."""

    steps: tuple[Name | Index, ...]
    raw: str

    @property
    def variables(self) -> list[str]:
        """The names of the variables in it."""
        keys = [step.name if isinstance(step, Name) else step.index for step in self.steps]
        return [key.name for key in keys if isinstance(key, Variable)]

    def resolve(self, value: Any, variable: Callable[[str], Any]) -> Any:
        """The value that lies there, or MISSING. `variable` gives the value of one."""
        for step in self.steps:
            key = step.name if isinstance(step, Name) else step.index
            value = _member(value, variable(key.name) if isinstance(key, Variable) else key)
            if value is MISSING:
                return MISSING
        return value

    def shown(self, variable: Callable[[str], Any]) -> str:
        """As it was written, with the values of its variables."""
        return VARIABLE.sub(lambda found: str(variable(found[1])), self.raw)


def _member(value: Any, key: Any) -> Any:
    if isinstance(value, dict) and isinstance(key, str) and key in value:
        return value[key]
    if key == "length" and isinstance(value, list | dict | str):
        return len(value)
    if isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
        return value[key]
    return MISSING


def looks_like_path(word: Word) -> bool:
    """Whether a word is one: it begins with a bare dot, and the rest follows the grammar."""
    try:
        parse_path(word)
    except Usage:
        return False
    return True


def parse_path(word: Word) -> Path:
    """The path that a word is. Raises Usage."""
    atoms = _atoms(word.parts)
    if not atoms or atoms[0] != ".":
        raise _not_a_path(word)
    steps: list[Name | Index] = []
    at = 1
    if len(atoms) == 1:
        return Path((), word.raw)
    expecting_name = atoms[1] != "["  # `.[0]`: the first part may be an index
    while at < len(atoms):
        atom = atoms[at]
        if expecting_name:
            steps.append(_name(atom, word))
            at += 1
        elif atom == "[" and at + 2 < len(atoms) and atoms[at + 2] == "]":
            steps.append(_index(atoms[at + 1], word))
            at += 3
        elif atom == "." and at + 1 < len(atoms):
            steps.append(_name(atoms[at + 1], word))
            at += 2
        else:
            raise _not_a_path(word)
        expecting_name = False
    return Path(tuple(steps), word.raw)


def _atoms(parts: tuple[Part, ...]) -> list[str | Quoted | Variable]:
    atoms: list[str | Quoted | Variable] = []
    for part in parts:
        if isinstance(part, Bare):
            atoms += [atom for atom in re.split(r"([.\[\]])", part.text) if atom]
        elif isinstance(part, Quoted) and part.single:
            atoms.append("'")  # no part of the grammar
        else:
            atoms.append(part)
    return atoms


def _name(atom: str | Quoted | Variable, word: Word) -> Name:
    if isinstance(atom, Quoted):
        return Name(atom.text)
    if isinstance(atom, Variable):
        return Name(atom)
    if not _NAME.fullmatch(atom):
        raise _not_a_path(word)
    return Name(atom)


def _index(atom: str | Quoted | Variable, word: Word) -> Index:
    if isinstance(atom, Variable):
        return Index(atom)
    if not isinstance(atom, str) or not _INDEX.fullmatch(atom):
        raise _not_a_path(word)
    return Index(int(atom))


def _not_a_path(word: Word) -> Usage:
    return Usage(
        f"column {word.column + 1}: {word.raw} is no path",
        help='A path begins with a dot: . or .owners[0] or ."a key".state or .$node.state',
    )
