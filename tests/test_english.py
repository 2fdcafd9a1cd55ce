"""Messages are plain English in the words of the glossary: what of that can be checked, over every error and help text.

`docs/glossary.md` has the terms. The words below are what this program once said instead of them.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import errors
from dsectl.cli.topics import terms, topics

ROOT = Path(__file__).parent.parent
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type)}

NOT_IDIOMATIC = [
    (r"(?<!there )\b(is|are) no (?!longer|more)\w", "literal: `invalid X`, `not an X`, `unknown X`"),
    (r"\bthere (is|are) no such\b|^no such\b", "say what is unknown or invalid"),
    (r"\bstand-?ins?\b|\bstood in\b|\bstands in for\b", "fallback"),
    (r"\b(mail|parcels?)\b", "hint"),
    (r"\b(condemn|bur(y|ied)|hearsay)", "suspect, declare dead, rumor"),
    (r"\bstanding of\b|\bowe[sd]?\b", "voting status, may miss hints"),
    (r"\b(told|tells|hears?|heard) (it|of|that|them|by|from|through)\b", "nodes send, receive and store"),
    (r"\bspoil\b|\bpoke\b", "add latency or loss, reload"),
    (r"--fail-if", "--require"),
]
PRONOUN = re.compile(r"^(whose|whom|who|which|what)\b[^,;:]{0,20}[.?]?$", re.IGNORECASE)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """What an error says or advises, and what an option or argument is said to be, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            said = [keyword.value for keyword in node.keywords if keyword.arg == "help"]
            if name in ERRORS:
                said += node.args[:1]
            for value in said:
                yield node.lineno, _words(value)
        elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "help_text" for target in node.targets):
            yield node.lineno, _words(node.value)


def _words(node: ast.AST) -> str:
    """The text in an expression, without what is filled in."""
    parts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return " ".join(part for part in parts if isinstance(part, str))


def complaints(text: str) -> list[str]:
    """What is not idiomatic about a text."""
    found = [
        f"{match[0]!r}: {better}" for bad, better in NOT_IDIOMATIC if (match := re.search(bad, text, re.IGNORECASE))
    ]
    return [*found, "a line without a noun"] if PRONOUN.match(text.strip()) else found


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("'x' is no duration", False),
        ("invalid duration 'x': expected 250ms, 5s, 2m", True),
        ("n3 is no longer a member", True),
        ("no such node", False),
        ("the mail of n3", False),
        ("Whose.", False),
        ("Which of them.", False),
        ("Node to show.", True),
        ("What the new value replaces: a context.", True),
        ("n1 heard of it through n2", False),
    ],
)
def test_the_checker(text: str, fine: bool) -> None:
    assert (complaints(text) == []) == fine


def test_the_checker_finds_the_texts() -> None:
    source = 'raise Usage(f"{x} is no y", help="Do " "this.")\nclass A(B):\n    help_text = "More"\nf(help="Whose.")\n'
    assert {text.strip() for _, text in texts(source)} == {"Do this.", "is no y", "More", "Whose."}


def spoken() -> list[str]:
    found = []
    for path in sorted([*(ROOT / "cluster").rglob("*.py"), *(ROOT / "dsectl").rglob("*.py")]):
        for line, text in texts(path.read_text(encoding="utf-8")):
            found += [f"{path.relative_to(ROOT)}:{line}: {text!r}: {what}" for what in complaints(text)]
    return found


def test_errors_and_help_are_idiomatic() -> None:
    assert spoken() == []


def test_the_glossary_uses_no_word_that_it_replaced() -> None:
    assert [term.name for term in terms() if complaints(term.text)] == []
    assert [name for name, topic in topics().items() if complaints(topic.text)] == []
