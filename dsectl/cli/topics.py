"""What `dsectl help` tells besides commands: topics, from docs/topics.md, and the terms of docs/glossary.md.

The pages are the only place where these things are written down, and they are shipped. Tables that exist in the code
(exit codes, errors, options, units) stand there as `python -m dsectl.reference` writes them.
"""

import re
from functools import cache
from textwrap import wrap
from typing import NamedTuple

from dsectl.cli.resources import resource
from dsectl.cli.table import COMMANDS

WIDTH = 100
TOPIC = re.compile(
    r"^## (?P<name>[\w-]+): (?P<title>[^\n]+)\n\n```text\n(?P<text>.*?)\n```$"
    r"(?:\n\n\*Also looked up as:\* (?P<also>[^\n]+)\.)?",
    re.DOTALL | re.MULTILINE,
)
TERM = re.compile(
    r"^\*\*(?P<name>[^*]+)\.\*\* (?P<text>.+?\.)"
    r"(?: \*Also looked up as:\* (?P<also>.+?)\.)?(?: See (?P<see>[`\[].+)\.)?$",
    re.MULTILINE,
)
SEEN = re.compile(r"`dsectl (.+?)`|\[(.+?)\]")


class Topic(NamedTuple):
    """One topic: what it is about, its text, and other words that people try."""

    title: str
    text: str
    also: tuple[str, ...] = ()


class Term(NamedTuple):
    """One term: what it is and what follows from it; other words that people look up; commands and topics to see."""

    name: str
    text: str
    also: tuple[str, ...] = ()
    see: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is looked up as."""
        name = self.name.partition(" (")[0].replace(" ", "-")
        return (name, f"{name}s", self.name.replace(" ", "-"), *self.also)

    @property
    def lines(self) -> list[str]:
        """The term for the terminal."""
        see = [f"`dsectl {name}`" if name in COMMANDS else f"`dsectl help {name}`" for name in self.see]
        lines = [self.name, *(f"  {line}" for line in wrap(self.text, WIDTH))]
        return [*lines, f"  See {', '.join(see)}."] if see else lines


@cache
def terms() -> tuple[Term, ...]:
    """All terms in the order of the alphabet."""
    return tuple(
        Term(
            found["name"],
            found["text"],
            tuple(found["also"].split(", ")) if found["also"] else (),
            tuple(command or topic for command, topic in SEEN.findall(found["see"] or "")),
        )
        for found in TERM.finditer(resource("docs", "glossary.md").read_text(encoding="utf-8"))
    )


def find_terms(words: str) -> list[Term]:
    """The terms that these words mean: two for `partition`."""
    wanted = words.lower().replace(" ", "-")
    return [term for term in terms() if wanted in term.names]


@cache
def topics() -> dict[str, Topic]:
    """All topics by name, in the order in which they are listed."""
    page = resource("docs", "topics.md").read_text(encoding="utf-8")
    found = {
        name: Topic(title[0].upper() + title[1:], text, tuple(also.split(", ")) if also else ())
        for name, title, text, also in TOPIC.findall(page)
    }
    glossary = "\n".join(line for term in terms() for line in term.lines)
    return {**found, "glossary": Topic("What the terms mean, all or one: help hint", glossary)}
