"""A line while it is typed: its colours, and what is wrong with it. Tolerant, cheap enough for every key. Pure."""

import re
from collections.abc import Callable
from functools import lru_cache

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

from cluster.errors import Usage
from dsectl.cli.completion.grammar import Grammar
from dsectl.script.grammar import Command, Expect, Fails, Pipe, Poll, Run, Start, Step, parse
from dsectl.shell.evaluate import OWN

TYPED_MAX = 4096
"""A longer line has no colours: they would take longer than a key press may."""
TOKENS = (
    ("comment", r"#.*"),
    ("string", r"'[^']*'?|\"(?:[^\"\\]|\\.)*\"?"),
    ("variable", r"\$[A-Za-z_]\w*"),
    ("operator", r"(?:->|==|!=|<=|>=|[<>|!]|&\S*)(?=\s|$)|!\d+"),
    ("option", r"--?[A-Za-z][\w-]*"),
    ("path", r"\.(?:[A-Za-z_\[\"$][^\s'\"]*)?(?=\s|$)"),
    ("word", r"[^\s'\"$]+"),
    ("blank", r"\s+"),
    ("other", r"."),
)
PATTERN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in TOKENS), re.DOTALL)
STEP_WORDS = ("expect", "within", "always", "wait", "stop", "sleep")


@lru_cache(64)
def fragments(line: str) -> tuple[tuple[str, str], ...]:
    """The line in pieces, each with its style class."""
    if len(line) > TYPED_MAX:
        return (("", line),)
    found: list[tuple[str, str]] = []
    command = True
    for match in PATTERN.finditer(line):
        kind, text = match.lastgroup or "", match[0]
        begins = not found or found[-1][1].isspace()
        if kind == "comment" and not begins:
            kind = "word"
        if kind == "word" and command:
            kind = "step" if text in STEP_WORDS else "command"
            command = text in STEP_WORDS or text.endswith(":")
        elif kind == "word" and text.endswith(":") and found and found[0][1] in ("within", "always"):
            command = True
        found.append((f"class:line.{kind}" if kind not in ("word", "blank", "other") else "", text))
    return tuple(found)


class ShellLexer(Lexer):
    """Feeds prompt-toolkit."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """The pieces of each line."""
        lines = document.lines

        def line(number: int) -> StyleAndTextTuples:
            return list(fragments(lines[number])) if number < len(lines) else []

        return line


TYPED_MAX = 4096
"""Of a longer line nothing is said."""


def problem(line: str, grammar: Grammar | None) -> str:
    """In some words; empty when there is nothing to say, as for a line that is only begun."""
    text = line.strip().removeprefix("dsectl ")
    if not text or len(text) > TYPED_MAX or "\n" in text:
        return ""
    try:
        step = parse(text, shell=True)
    except Usage as error:
        return error.message
    command = _command(step)
    if command is None or grammar is None:
        return ""
    return _of_command([word.text() for word in command.words], grammar, ended=line[-1:].isspace())


def _command(step: Step | None) -> Command | None:
    match step:
        case Run(command) | Start(command) | Fails(command) | Pipe(command):
            return command
        case Expect(source) | Poll(_, _, source):
            return source if len(source.words) > 1 else None
    return None


def _of_command(words: list[str], grammar: Grammar, *, ended: bool) -> str:
    """An unknown command, or an unknown option of a known one."""
    first = words[0]
    if first in OWN:
        return ""
    typing = len(words) == 1 and not ended
    known = [*grammar.first_words(), *(command.alias for command in grammar.commands.values() if command.alias)]
    if first not in known and not first.startswith("-"):
        return "" if typing and any(name.startswith(first) for name in known) else f"no command is called {first}"
    for at, word in enumerate(words):
        if word == "--":
            break
        if not word.startswith("--") or (at == len(words) - 1 and not ended):
            continue
        expected = grammar.expects(words[:at])
        if expected.command is None or not expected.options:
            continue
        if word.partition("=")[0] not in [name for option in expected.options for name in option.names]:
            return f"{expected.command.name} has no option {word.partition('=')[0]}"
    return ""
