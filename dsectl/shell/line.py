"""A line while it is typed: its colours, and what is wrong with it. Tolerant, cheap enough for every key. Pure."""

from collections.abc import Callable
from functools import lru_cache

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

from cluster.errors import Usage
from dsectl.cli.completion.grammar import Grammar, Walk
from dsectl.script.grammar import Expect, Fails, Pipe, Run, Start, command_at, parse
from dsectl.script.tokens import Bare, Variable, Word, scan, words
from dsectl.script.values import OPERATORS, looks_like_path
from dsectl.shell.evaluate import OWN

TYPED_MAX = 1024
"""A longer line has no colours and no problems: they would take longer than a key press may."""


@lru_cache(64)
def fragments(line: str) -> tuple[tuple[str, str], ...]:
    """The line in pieces, each with its style class."""
    if len(line) > TYPED_MAX:
        return (("", line),)
    tokens = list(scan(line))
    known = words(tokens)
    own = 1 if known and known[0].bare == "dsectl" else 0
    begins = command_at(known[own:])
    styles = ["line.step"] * len(known)
    if begins is not None:
        styles[:own] = ["line.command"] * own
        styles[own + begins :] = ["line.command", *map(_style, known[own + begins + 1 :])][: len(known) - own - begins]
    found: list[tuple[str, str]] = []
    at = -1
    for token in tokens:
        if at + 1 < len(known) and token.column == known[at + 1].column:
            at += 1
        style = styles[at] if at >= 0 else ""
        if token.is_blank:
            style = ""
        elif token.is_comment:
            style = "line.comment"
        elif isinstance(token.part, Variable):
            style = "line.variable"
        elif not isinstance(token.part, Bare):
            style = "line.string"
        found.append((f"class:{style}" if style else "", token.raw))
    return tuple(found)


def _style(word: Word) -> str:
    bare = word.bare or ""
    if bare in OPERATORS or bare in ("->", "|") or bare.startswith("&"):
        return "line.operator"
    if bare.startswith("-"):
        return "line.option"
    return "line.path" if looks_like_path(word) else ""


class ShellLexer(Lexer):
    """Feeds prompt-toolkit."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """The pieces of each line."""
        lines = document.lines

        def line(number: int) -> StyleAndTextTuples:
            return list(fragments(lines[number])) if number < len(lines) else []

        return line


def problem(line: str, grammar: Grammar | None) -> str:
    """In some words; empty when there is nothing to say, as for a line that is only begun."""
    text = line.strip().removeprefix("dsectl ")
    if not text or len(text) > TYPED_MAX or "\n" in text:
        return ""
    try:
        step = parse(text, shell=True)
    except Usage as error:
        return error.message
    match step:
        case Run(command) | Start(command) | Fails(command) | Pipe(command):
            argv = [word.text() for word in command.words]
        case Expect(source) if len(source.words) > 1:
            argv = [word.text() for word in source.words]
        case _:
            return ""
    if grammar is None or argv[0] in OWN:
        return ""
    ended = line[-1:].isspace()
    known = [*grammar.first_words(), *(command.alias for command in grammar.commands.values() if command.alias)]
    if argv[0] not in known and not argv[0].startswith("-"):
        begun = len(argv) == 1 and not ended and any(name.startswith(argv[0]) for name in known)
        return "" if begun else f"unknown command {argv[0]}"
    walk = Walk(grammar, argv if ended else argv[:-1])
    wrong = next((name for name in walk.unknown if name.startswith("--")), None)
    return f"{walk.command.name} has no option {wrong}" if wrong and walk.command else ""
