"""Colours for a line while it is typed. Tolerant: half a line has colours, too."""

import re
from collections.abc import Callable
from functools import lru_cache

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

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
